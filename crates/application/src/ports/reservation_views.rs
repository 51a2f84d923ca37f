//! What the read side knows of reservations.

use async_trait::async_trait;
use inventory_domain::inventory::Closing;
use inventory_domain::{OrderId, ReservationId, StockId, Timestamp};

use super::ViewError;

/// The read side's reservations: those that stocks have forgotten, and those that are due.
#[async_trait]
pub trait ReservationViews: Send + Sync {
    /// How a reservation of a stock ended, by the stock's events up to the version that is given back.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn recall(&self, stock_id: StockId, reservation_id: ReservationId) -> Result<RecalledReservation, ViewError>;

    /// What has run out at `now` and is still held, earliest deadline first, of at most `reservations_max` reservations.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn due(&self, now: Timestamp, reservations_max: usize) -> Result<Vec<Due>, ViewError>;
}

/// What is known of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecalledReservation {
    /// The version of the stock up to which its events are known.
    pub version: u64,
    /// How it ended; `None` when it was never made, or is still live.
    pub closing: Option<Closing>,
}

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    /// Reservations of a stock.
    Stock(StockId),
    /// An order.
    Order(OrderId),
}
