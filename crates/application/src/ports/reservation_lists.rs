//! Lists of reservations, by the read side.

use async_trait::async_trait;
use inventory_domain::{CustomerId, HoldFor, OrderId, ReservationId, StockId, Timestamp};

use super::{Slice, ViewError};

/// How a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// It holds units.
    Active,
    /// Its units, or a part of them, were sold.
    Committed,
    /// It was given back.
    Released,
    /// Its deadline has passed.
    Expired,
}

/// A reservation, live or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownReservation {
    /// Which, and of which stock.
    pub key: ReservationKey,
    /// Whose.
    pub customer_id: CustomerId,
    /// The order that it is a line of, or was sold into.
    pub order_id: Option<OrderId>,
    /// How it stands.
    pub state: ReservationState,
    /// Units that were held.
    pub quantity: u64,
    /// Units that were sold.
    pub committed: u64,
    /// How long it was asked to last.
    pub hold_for: Option<HoldFor>,
    /// Its deadline.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub reserved_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// What a reservation is known by: its id and its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationKey {
    /// Its id, which is unique within a stock.
    pub reservation_id: ReservationId,
    /// Its stock.
    pub stock_id: StockId,
}

/// Which reservations are meant; `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReservationFilter {
    /// Those with this id, of whatever stock.
    pub reservation_id: Option<ReservationId>,
    /// Whose.
    pub customer_id: Option<CustomerId>,
    /// The order that they are lines of, or were sold into.
    pub order_id: Option<OrderId>,
    /// How they stand.
    pub state: Option<ReservationState>,
}

/// Every reservation that was ever made. A look at a list passes over so many and no more, and says where it has stopped.
#[async_trait]
pub trait ReservationLists: Send + Sync {
    /// The reservations of `filter` that follow `after`, at most `limit` of them, in the order in which they were made; those of
    /// one id by store and product.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn reservations(
        &self,
        filter: ReservationFilter,
        after: Option<ReservationKey>,
        limit: usize,
    ) -> Result<Slice<ShownReservation, ReservationKey>, ViewError>;
}
