//! Every reason for which a stock says no.

use thiserror::Error;

use crate::{OrderId, ReservationId, StockQuantity, Timestamp};

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Fewer units can be had than were asked for.
    #[error("{requested} units asked for, {available} available")]
    InsufficientStock {
        /// Units asked for.
        requested: u64,
        /// Units that could be had, those of expired reservations included.
        available: u64,
    },
    /// The stock would hold more than [`StockQuantity::MAX`].
    #[error("{on_hand} units on hand and {added} more would pass the limit of {limit}", limit = StockQuantity::MAX)]
    StockLimitExceeded {
        /// Units on hand.
        on_hand: u64,
        /// Units that were to come in.
        added: u64,
    },
    /// The count was taken too long ago to be applied.
    #[error("a count may lie 30 days back, not more")]
    CountedTooLongAgo {
        /// When it was taken.
        counted_at: Timestamp,
    },
    /// The id stands for another reservation, or for one that is no longer active.
    #[error("reservation {0} exists already")]
    ReservationExists(ReservationId),
    /// The stock knows no such reservation.
    #[error("no reservation {0} on this stock")]
    ReservationNotFound(ReservationId),
    /// The reservation's deadline has passed.
    #[error("reservation {reservation_id} has expired")]
    ReservationExpired {
        /// Which reservation.
        reservation_id: ReservationId,
        /// When, where the stock still knows.
        expired_at: Option<Timestamp>,
    },
    /// The reservation's units are sold.
    #[error("reservation {0} is committed")]
    ReservationCommitted(ReservationId),
    /// The reservation's units were given back.
    #[error("reservation {0} is released")]
    ReservationReleased(ReservationId),
    /// The reservation is a line of an order, and lines are not changed one by one.
    #[error("reservation {reservation_id} is a line of order {order_id}")]
    BelongsToOrder {
        /// Which reservation.
        reservation_id: ReservationId,
        /// Which order.
        order_id: OrderId,
    },
    /// Units that are needed are held by an order that has expired: not a line of it alone, only all of it can be freed.
    /// Expire the order, then ask again.
    #[error("order {0} has expired, and has to be closed first")]
    HeldByExpiredOrder(OrderId),
    /// More units are to be sold than the reservation holds.
    #[error("{requested} units to commit, {held} held by the reservation")]
    ExceedsReservation {
        /// Units to be sold.
        requested: u64,
        /// Units that the reservation holds.
        held: u64,
    },
    /// Fewer units were counted than live reservations hold.
    #[error("{counted} units counted, {reserved} reserved")]
    BelowReserved {
        /// Units counted.
        counted: u64,
        /// Units held by reservations that have not expired.
        reserved: u64,
    },
}
