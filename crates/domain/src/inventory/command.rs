//! What may be asked of a stock.

use super::ReleaseCause;
use crate::{
    CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, StoreId, Timestamp, TransferId,
};

/// A wish to change a stock. Its values are already in range; whether the stock allows it is for
/// [`decide`](crate::inventory::decide) to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Puts units on the shelf.
    Add {
        /// How many units came in.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Holds units for a customer.
    Reserve(Reserve),
    /// Sells held units, all or a part; what is left of the reservation is freed.
    Commit(Commit),
    /// Frees held units.
    Release(Release),
    /// Moves a reservation's deadline.
    Extend(Extend),
    /// Sets the units on hand to what was counted.
    Adjust(Adjust),
    /// Frees what expired reservations hold, earliest deadline first; lines of orders are left to their orders.
    ReleaseExpired {
        /// The most reservations that are freed at once.
        reservations_max: usize,
    },
    /// Sells all units of an order's line; for the order to ask.
    CommitOrderLine(OrderLineRef),
    /// Frees all units of an order's line; for the order to ask.
    ReleaseOrderLine {
        /// Which line.
        line: OrderLineRef,
        /// What frees them.
        cause: ReleaseCause,
    },
    /// Sends units to another store; for the transfer to ask.
    TransferOut {
        /// The transfer that takes them.
        transfer_id: TransferId,
        /// Where they go.
        to_store_id: StoreId,
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Takes in units from another store; for the transfer to ask.
    TransferIn {
        /// The transfer that brings them.
        transfer_id: TransferId,
        /// Where they come from.
        from_store_id: StoreId,
        /// How many.
        quantity: Quantity,
    },
    /// Takes back units that never arrived; for the transfer to ask.
    CancelTransfer {
        /// The transfer that took them.
        transfer_id: TransferId,
        /// How many.
        quantity: Quantity,
    },
}

impl Command {
    /// The reservation that the command is about, if it is about one.
    #[must_use]
    pub const fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Reserve(reserve) => Some(reserve.reservation_id),
            Self::Commit(commit) => Some(commit.reservation_id),
            Self::Release(release) => Some(release.reservation_id),
            Self::Extend(extend) => Some(extend.reservation_id),
            Self::CommitOrderLine(line) | Self::ReleaseOrderLine { line, .. } => Some(line.reservation_id),
            Self::Add { .. }
            | Self::Adjust(_)
            | Self::ReleaseExpired { .. }
            | Self::TransferOut { .. }
            | Self::TransferIn { .. }
            | Self::CancelTransfer { .. } => None,
        }
    }
}

/// A line of an order, as the line's stock knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderLineRef {
    /// The order.
    pub order_id: OrderId,
    /// The reservation that holds the line's units.
    pub reservation_id: ReservationId,
}

/// Asks to hold units for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reserve {
    /// The new reservation's id; the same request with the same id holds once.
    pub reservation_id: ReservationId,
    /// How many units to hold.
    pub quantity: Quantity,
    /// Whom to hold them for.
    pub customer_id: CustomerId,
    /// How long to hold them, from the moment of the decision; `None` for no deadline.
    pub hold_for: Option<HoldFor>,
    /// The order that the units are a line of, if they are.
    pub order_id: Option<OrderId>,
}

/// Asks to sell held units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Commit {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// The sale that the units go into.
    pub order_id: OrderId,
    /// How many of the held units are sold; `None` for all.
    pub quantity: Option<Quantity>,
}

/// Asks to free held units.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Release {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// Why.
    pub reason: Reason,
}

/// Asks to move a reservation's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extend {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// How long it holds from the moment of the decision, whatever its deadline was.
    pub hold_for: HoldFor,
}

/// Asks to set the units on hand to what was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adjust {
    /// Units counted on hand, held ones included.
    pub counted: StockQuantity,
    /// Why.
    pub reason: Reason,
    /// When they were counted, where that is past; `None` for now.
    pub then: Option<CountedThen>,
}

/// What a late count rests on: the stock as it was when it was counted. What has happened since stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CountedThen {
    /// When.
    pub counted_at: Timestamp,
    /// The units on hand at that time, by the events that were recorded by then.
    pub quantity: u64,
    /// The sum of all corrections that were recorded by then: [`Inventory::corrected`](super::Inventory::corrected).
    pub corrected: i64,
}
