//! What has happened to a stock.

use crate::{
    CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, StoreId, Timestamp, TransferId,
};

/// A fact about a stock. It holds what was decided, so that nothing has to be worked out again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// Units came onto the shelf.
    StockAdded {
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Units are held for a customer.
    StockReserved {
        /// The new reservation.
        reservation_id: ReservationId,
        /// How many units it holds.
        quantity: Quantity,
        /// Whom it holds them for.
        customer_id: CustomerId,
        /// How long it was asked to last.
        hold_for: Option<HoldFor>,
        /// The first moment at which it no longer counts.
        expires_at: Option<Timestamp>,
        /// The order that the units are a line of, if they are.
        order_id: Option<OrderId>,
    },
    /// Held units left the shelf for good. What the reservation still holds is freed by the event that follows.
    StockCommitted {
        /// The reservation that held them.
        reservation_id: ReservationId,
        /// The sale that they went into.
        order_id: OrderId,
        /// How many.
        quantity: Quantity,
    },
    /// Held units can be had again.
    StockReleased {
        /// The reservation that held them.
        reservation_id: ReservationId,
        /// How many: all that it still held.
        quantity: Quantity,
        /// What freed them.
        cause: ReleaseCause,
    },
    /// A reservation has a new deadline.
    ReservationExtended {
        /// Which reservation.
        reservation_id: ReservationId,
        /// How long it was asked to last from then on.
        hold_for: HoldFor,
        /// The first moment at which it no longer counts.
        expires_at: Timestamp,
    },
    /// The units on hand were counted.
    StockAdjusted {
        /// What was counted, held units included.
        counted: StockQuantity,
        /// What the count changes the units on hand by.
        change: i64,
        /// Why.
        reason: Reason,
        /// When they were counted, where that was before the event.
        counted_at: Option<Timestamp>,
    },
    /// Units left for another store.
    StockTransferredOut {
        /// The transfer that takes them.
        transfer_id: TransferId,
        /// Where they go.
        to_store_id: StoreId,
        /// How many.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Units came in from another store.
    StockTransferredIn {
        /// The transfer that brought them.
        transfer_id: TransferId,
        /// Where they come from.
        from_store_id: StoreId,
        /// How many.
        quantity: Quantity,
    },
    /// Units that had left for another store and never arrived are back.
    StockTransferCancelled {
        /// The transfer that had taken them.
        transfer_id: TransferId,
        /// How many.
        quantity: Quantity,
    },
}

/// What freed a reservation's units.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReleaseCause {
    /// Somebody asked for it, and said why.
    Requested(Reason),
    /// The deadline had passed.
    Expired,
    /// The rest of the reservation was sold.
    UncommittedPart,
}
