//! One line that tells whether two stores hold the same.

use blake3::{Hash, Hasher};
use inventory_domain::{Level, StockId};

/// A hash of what is on hand and reserved of each stock, in whatever order they come; their versions don't count, because the
/// way to the same levels may have had more or fewer steps.
#[must_use]
pub fn levels_digest(levels: impl IntoIterator<Item = (StockId, Level)>) -> Hash {
    let mut sorted: Vec<_> = levels.into_iter().collect();
    sorted.sort_unstable_by_key(|(stock_id, _)| *stock_id);
    let mut hasher = Hasher::new();
    for (StockId { product_id, store_id }, Level { quantity, reserved, .. }) in sorted {
        hasher.update(product_id.uuid().as_bytes()).update(store_id.uuid().as_bytes());
        hasher.update(&quantity.to_le_bytes()).update(&reserved.to_le_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use inventory_domain::{ProductId, StoreId};

    use super::*;

    #[test]
    fn it_is_of_the_stocks_and_their_units_alone() {
        let of = |stocks: &[(u128, u64, u64, u64)]| {
            levels_digest(stocks.iter().map(|(product, quantity, reserved, version)| {
                let stock_id = StockId { product_id: ProductId::from_u128(*product), store_id: StoreId::from_u128(9) };
                (stock_id, Level { quantity: *quantity, reserved: *reserved, version: *version })
            }))
        };
        let one = of(&[(1, 5, 2, 3), (2, 7, 0, 1)]);
        assert_eq!(of(&[(2, 7, 0, 8), (1, 5, 2, 9)]), one, "neither order nor version");
        for other in [
            &[(1, 5, 2, 3)][..],
            &[(1, 5, 2, 3), (2, 7, 1, 1)],
            &[(1, 2, 5, 3), (2, 7, 0, 1)],
            &[(1, 7, 0, 3), (2, 5, 2, 1)],
        ] {
            assert_ne!(of(other), one, "{other:?}");
        }
    }
}
