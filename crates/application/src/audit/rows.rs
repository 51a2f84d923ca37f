//! What read models show, row by row.

use std::fmt::Debug;
use std::hash::Hash;

use inventory_domain::{CustomerId, Level, OrderId, ReservationId, StockId, Timestamp, TransferId};

use crate::Position;

/// A row of a read model.
pub trait Row: Hash + Debug {
    /// What the row is found by.
    fn key(&self) -> impl Hash;
}

/// A stock's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LevelRow {
    /// Which stock.
    pub stock_id: StockId,
    /// Units on hand.
    pub quantity: u64,
    /// Units held.
    pub reserved: u64,
    /// The stock's version.
    pub version: u64,
}

impl LevelRow {
    /// The row of a stock at this level.
    #[must_use]
    pub const fn new(stock_id: StockId, level: Level) -> Self {
        Self { stock_id, quantity: level.quantity, reserved: level.reserved, version: level.version }
    }
}

/// A reservation, live or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationRow {
    /// Which stock.
    pub stock_id: StockId,
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// Whose.
    pub customer_id: CustomerId,
    /// The order that it is a line of, or was sold into.
    pub order_id: Option<OrderId>,
    /// Whether it is a line.
    pub is_line: bool,
    /// Units that were held.
    pub quantity: u64,
    /// Units that were sold.
    pub committed: u64,
    /// 0 active, 1 committed, 2 released, 3 expired.
    pub state: u8,
    /// How long it was asked to last.
    pub ttl_minutes: Option<u16>,
    /// Its deadline.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub reserved_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderRow {
    /// Where its first event stands.
    pub position: Position,
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer_id: CustomerId,
    /// 0 active, 1 committed, 2 released, 3 expired.
    pub state: u8,
    /// Its version.
    pub version: u64,
    /// How long it was asked to last.
    pub ttl_minutes: Option<u16>,
    /// Its deadline.
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Why it was released, where somebody said so.
    pub release_reason: Option<String>,
    /// Its lines: stock, units, reservation.
    pub lines: Vec<(StockId, u64, ReservationId)>,
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransferRow {
    /// Where its first event stands.
    pub position: Position,
    /// Which transfer.
    pub transfer_id: TransferId,
    /// The stock that the units left.
    pub from: StockId,
    /// The stock that they go to.
    pub to: StockId,
    /// 0 in transit, 1 received, 2 cancelled.
    pub state: u8,
    /// Units sent.
    pub quantity: u64,
    /// Why.
    pub reason: String,
    /// Units that have arrived.
    pub received: u64,
    /// Units that were taken back.
    pub cancelled: u64,
    /// Its version.
    pub version: u64,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
}

impl Row for LevelRow {
    fn key(&self) -> impl Hash {
        self.stock_id
    }
}

impl Row for ReservationRow {
    fn key(&self) -> impl Hash {
        (self.stock_id, self.reservation_id)
    }
}

impl Row for OrderRow {
    fn key(&self) -> impl Hash {
        self.order_id
    }
}

impl Row for TransferRow {
    fn key(&self) -> impl Hash {
        self.transfer_id
    }
}
