//! Names of things: UUIDs that can't be mixed up.

use std::fmt;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this UUID, of whatever version.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id whose 128 bits are `bits`.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    )*};
}

ids! {
    /// A product that is sold, whatever the store.
    ProductId;
    /// A place or channel that has stock of its own.
    StoreId;
    /// A hold on units of one stock; unique within that stock.
    ReservationId;
    /// Who the units are held for.
    CustomerId;
    /// An order: lines that are held together, or the sale that a committed reservation went into.
    OrderId;
    /// Units on their way from one store to another.
    TransferId;
}

/// One product in one store: what an [`Inventory`](crate::Inventory) is the stock of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StockId {
    /// The product.
    pub product_id: ProductId,
    /// The store that has it.
    pub store_id: StoreId,
}

impl fmt::Display for StockId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.product_id, self.store_id)
    }
}
