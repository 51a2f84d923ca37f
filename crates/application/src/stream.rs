//! How streams, events and places in the log are named.

use std::fmt;

use inventory_domain::StockId;
use uuid::Uuid;

/// The stream of events of one aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The stock of one product in one store.
    Inventory(StockId),
}

impl StreamId {
    /// The stock whose stream this is.
    #[must_use]
    pub const fn stock_id(self) -> StockId {
        match self {
            Self::Inventory(stock_id) => stock_id,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inventory(stock_id) => write!(formatter, "inventory-{stock_id}"),
        }
    }
}

/// The name of one event, for a consumer to know a repeat by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId(pub Uuid);

/// A place in the log: the first event stands at 1, and no place is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}
