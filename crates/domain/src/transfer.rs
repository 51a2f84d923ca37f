//! A transfer: units on their way from one store to another.
//!
//! They leave the first store when it starts, are in transit, and arrive in the second in one or more parts; what is still in
//! transit can be taken back. As with orders, [`Event::ask`] says what a stock has to grant for an event to stand.

mod decide;
mod evolve;

use thiserror::Error;

pub use decide::decide;
pub use evolve::evolve;

use crate::inventory;
use crate::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp, TransferId};

/// The state of one transfer, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transfer {
    started: Option<Started>,
    received: u64,
    cancelled: u64,
    version: u64,
    recorded_at: Timestamp,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Started {
    /// What, from where to where.
    pub route: Route,
    /// How many units.
    pub quantity: Quantity,
    /// Why.
    pub reason: Reason,
    /// When it left.
    pub started_at: Timestamp,
}

/// A product's way from one store to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    product_id: ProductId,
    from_store_id: StoreId,
    to_store_id: StoreId,
}

/// A way that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be another store than the one that the units leave")]
pub struct SameStore;

/// How a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferStatus {
    /// Units are on their way.
    InTransit,
    /// All units have arrived.
    Received,
    /// What hadn't arrived was taken back.
    Cancelled,
}

/// A wish to change a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Sends units on their way.
    Start(Start),
    /// Takes in units that have arrived.
    Receive {
        /// How many; `None` for all that are in transit.
        quantity: Option<Quantity>,
    },
    /// Takes back what is still in transit.
    Cancel,
}

/// Asks to send units on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Start {
    /// What, from where to where.
    pub route: Route,
    /// How many units.
    pub quantity: Quantity,
    /// Why.
    pub reason: Reason,
}

/// A fact about a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// Units have left the first store.
    TransferStarted {
        /// What, from where to where.
        route: Route,
        /// How many units.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Units have arrived in the second store.
    TransferReceived {
        /// How many.
        quantity: Quantity,
    },
    /// Units went back to the first store.
    TransferCancelled {
        /// How many: all that were in transit.
        quantity: Quantity,
    },
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The id stands for another transfer, or for one that is over.
    #[error("the transfer exists already")]
    TransferExists,
    /// There is no such transfer.
    #[error("there is no such transfer")]
    TransferNotFound,
    /// All units have arrived.
    #[error("the transfer is received")]
    TransferReceived,
    /// What was in transit was taken back.
    #[error("the transfer is cancelled")]
    TransferCancelled,
    /// More units are to be received than are in transit.
    #[error("{requested} units to receive, {in_transit} in transit")]
    ExceedsTransfer {
        /// Units to be received.
        requested: u64,
        /// Units in transit.
        in_transit: u64,
    },
}

impl Route {
    /// The way of a product between two stores.
    ///
    /// # Errors
    ///
    /// [`SameStore`] when it would end where it starts.
    pub fn new(product_id: ProductId, from_store_id: StoreId, to_store_id: StoreId) -> Result<Self, SameStore> {
        if from_store_id == to_store_id { Err(SameStore) } else { Ok(Self { product_id, from_store_id, to_store_id }) }
    }

    /// The product.
    #[must_use]
    pub const fn product_id(&self) -> ProductId {
        self.product_id
    }

    /// The stock that the units leave.
    #[must_use]
    pub const fn from(&self) -> StockId {
        StockId { product_id: self.product_id, store_id: self.from_store_id }
    }

    /// The stock that they arrive in.
    #[must_use]
    pub const fn to(&self) -> StockId {
        StockId { product_id: self.product_id, store_id: self.to_store_id }
    }
}

impl Transfer {
    /// A transfer that has started as `started` says, and stands as the numbers say; `None` when they don't fit.
    #[must_use]
    pub fn resumed(started: Self, received: u64, cancelled: u64, version: u64, recorded_at: Timestamp) -> Option<Self> {
        let sent = started.started.as_ref()?.quantity.units();
        let is_sound = received.checked_add(cancelled).is_some_and(|gone| gone <= sent) && version > 0;
        is_sound.then_some(Self { received, cancelled, version, recorded_at, ..started })
    }

    /// What was sent; `None` when nobody has started it.
    #[must_use]
    pub const fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Units that have arrived.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Units that were taken back.
    #[must_use]
    pub const fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// Units that are on their way.
    #[must_use]
    pub fn in_transit(&self) -> u64 {
        let sent = self.started.as_ref().map_or(0, |started| started.quantity.units());
        sent.saturating_sub(self.received).saturating_sub(self.cancelled)
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> TransferStatus {
        match (self.in_transit(), self.cancelled) {
            (0, 0) => TransferStatus::Received,
            (0, _) => TransferStatus::Cancelled,
            _ => TransferStatus::InTransit,
        }
    }

    /// How many events it has; 0 when nobody has started it.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// When its last event was recorded.
    #[must_use]
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }
}

impl Event {
    /// What a stock has to grant for this event of the transfer `transfer_id`, of which `transfer` is the state before; `None`
    /// where the transfer was never started.
    #[must_use]
    pub fn ask(&self, transfer_id: TransferId, transfer: &Transfer) -> Option<(StockId, inventory::Command)> {
        let started = transfer.started.as_ref();
        match self {
            Self::TransferStarted { route, quantity, reason } => {
                let (to_store_id, quantity, reason) = (route.to_store_id, *quantity, reason.clone());
                Some((route.from(), inventory::Command::TransferOut { transfer_id, to_store_id, quantity, reason }))
            }
            Self::TransferReceived { quantity } => started.map(|started| {
                let (from_store_id, quantity) = (started.route.from_store_id, *quantity);
                (started.route.to(), inventory::Command::TransferIn { transfer_id, from_store_id, quantity })
            }),
            Self::TransferCancelled { quantity } => started.map(|started| {
                (started.route.from(), inventory::Command::CancelTransfer { transfer_id, quantity: *quantity })
            }),
        }
    }
}
