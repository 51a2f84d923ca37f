//! A retailer counts its things; the service names them by UUID.
//!
//! The UUID of a thing is the version 5 one of its number, written in decimal, under a fixed namespace of its kind. So
//! the same file always means the same stocks, and anybody can work out their ids: in Python,
//! `uuid.uuid5(uuid.UUID("6c4636c9-4602-496e-804b-8996677085d1"), "1095275")` is product 1095275.

use inventory_domain::{CustomerId, OrderId, ProductId, StoreId};
use uuid::{Uuid, uuid};

/// What product ids are derived under.
pub const PRODUCT_NAMESPACE: Uuid = uuid!("6c4636c9-4602-496e-804b-8996677085d1");
/// What store ids are derived under.
pub const STORE_NAMESPACE: Uuid = uuid!("c9a46c89-a1d7-4544-94ea-f721a4b796cf");
/// What customer ids are derived under, from the numbers of households.
pub const HOUSEHOLD_NAMESPACE: Uuid = uuid!("0331c0bd-8488-42ce-9366-c0bbbd5edebf");
/// What order ids are derived under, from the numbers of baskets.
pub const BASKET_NAMESPACE: Uuid = uuid!("c1bd35f4-d82d-4933-96a7-8801dda09ca0");

/// The product with this number.
#[must_use]
pub fn product_id(product: u64) -> ProductId {
    ProductId::new(derive(&PRODUCT_NAMESPACE, product))
}

/// The store with this number.
#[must_use]
pub fn store_id(store: u64) -> StoreId {
    StoreId::new(derive(&STORE_NAMESPACE, store))
}

/// The customer that the household with this number is.
#[must_use]
pub fn customer_id(household: u64) -> CustomerId {
    CustomerId::new(derive(&HOUSEHOLD_NAMESPACE, household))
}

/// The order that the basket with this number is.
#[must_use]
pub fn order_id(basket: u64) -> OrderId {
    OrderId::new(derive(&BASKET_NAMESPACE, basket))
}

fn derive(namespace: &Uuid, number: u64) -> Uuid {
    Uuid::new_v5(namespace, number.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand sides are from Python's `uuid.uuid5`.
    #[test]
    fn ids_are_what_others_derive_too() {
        assert_eq!(product_id(1_095_275).to_string(), "5fb507ea-f630-5df8-9ad4-c0e5c95bb742");
        assert_eq!(store_id(330).to_string(), "afdaddf2-353f-5e9e-a4c9-1cc44a2b8003");
        assert_eq!(customer_id(900).to_string(), "da4585ff-dcfa-58cf-863e-9bd29c925d12");
        assert_eq!(order_id(31_198_570_044).to_string(), "b96ddc23-707c-589b-9675-cc11726aad31");
    }
}
