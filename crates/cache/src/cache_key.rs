//! What a value is kept under.

use std::fmt;

use inventory_domain::{ProductId, StockId};

/// A key of the cache. Its text is the key that every cache of the service uses, shared ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheKey {
    /// `stock:{product_id}:{store_id}`: the level of one stock.
    Stock(StockId),
    /// `product_inventory:{product_id}`: the levels of a product in all stores.
    ProductInventory(ProductId),
}

impl fmt::Display for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock(stock_id) => write!(formatter, "stock:{}:{}", stock_id.product_id, stock_id.store_id),
            Self::ProductInventory(product_id) => write!(formatter, "product_inventory:{product_id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use inventory_domain::StoreId;

    use super::*;

    #[test]
    fn keys_read_as_they_always_did() {
        let (product_id, store_id) = (ProductId::from_u128(1), StoreId::from_u128(2));
        let (product, store) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
        let stock = CacheKey::Stock(StockId { product_id, store_id });
        assert_eq!(stock.to_string(), format!("stock:{product}:{store}"));
        assert_eq!(CacheKey::ProductInventory(product_id).to_string(), format!("product_inventory:{product}"));
    }
}
