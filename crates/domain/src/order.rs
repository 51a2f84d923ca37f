//! An order: lines on any number of stocks that are held, sold and freed together.
//!
//! An order decides about itself, and says by [`Event::asks`] what each line's stock has to grant. The caller makes one
//! group of all of it: the order's event stands only with those of every stock.

mod decide;
mod evolve;
mod lines;

use thiserror::Error;

pub use decide::decide;
pub use evolve::evolve;
pub use lines::{OrderLine, OrderLines, OrderLinesError};

use crate::inventory::{self, OrderLineRef, ReleaseCause};
use crate::{CustomerId, HoldFor, OrderId, Reason, StockId, Timestamp};

/// The state of one order, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Order {
    placed: Option<Placed>,
    status: OrderStatus,
    version: u64,
    recorded_at: Timestamp,
}

/// What was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Placed {
    /// Whom the units are held for.
    pub customer_id: CustomerId,
    /// How long they were asked to be held; `None` when without a deadline.
    pub hold_for: Option<HoldFor>,
    /// The first moment at which the order no longer counts; the only deadline of its lines.
    pub expires_at: Option<Timestamp>,
    /// What is held.
    pub lines: OrderLines,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// How an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OrderStatus {
    /// Its units are held.
    #[default]
    Active,
    /// Its units are sold.
    Committed,
    /// Its units were given back on request.
    Released,
    /// Its units were given back because its deadline passed.
    Expired,
}

/// A wish to change an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Holds every line, or none.
    Place(Place),
    /// Sells every line.
    Commit,
    /// Frees every line.
    Release {
        /// Why.
        reason: Reason,
    },
    /// Frees every line if the deadline has passed; nothing happens to an order that is closed or not due.
    Expire,
}

/// Asks to hold the lines of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// Whom to hold them for.
    pub customer_id: CustomerId,
    /// How long to hold them, from the moment of the decision; `None` for no deadline.
    pub hold_for: Option<HoldFor>,
    /// What to hold.
    pub lines: OrderLines,
}

/// A fact about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// Every line is held.
    OrderPlaced {
        /// Whom they are held for.
        customer_id: CustomerId,
        /// How long they were asked to be held.
        hold_for: Option<HoldFor>,
        /// The first moment at which the order no longer counts.
        expires_at: Option<Timestamp>,
        /// What is held.
        lines: OrderLines,
    },
    /// Every line is sold.
    OrderCommitted,
    /// Every line is free again.
    OrderReleased {
        /// What freed them.
        cause: OrderReleaseCause,
    },
}

/// What freed an order's units.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OrderReleaseCause {
    /// Somebody asked for it, and said why.
    Requested(Reason),
    /// The deadline had passed.
    Expired,
}

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The id stands for another order, or for one that is no longer active.
    #[error("the order exists already")]
    OrderExists,
    /// There is no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// Its deadline has passed.
    #[error("the order has expired")]
    OrderExpired,
    /// Its units are sold.
    #[error("the order is committed")]
    OrderCommitted,
    /// Its units were given back.
    #[error("the order is released")]
    OrderReleased,
}

impl Order {
    /// What was ordered; `None` when nobody has placed it.
    #[must_use]
    pub const fn placed(&self) -> Option<&Placed> {
        self.placed.as_ref()
    }

    /// How it stands. An order past its deadline is active until its release is in the log.
    #[must_use]
    pub const fn status(&self) -> OrderStatus {
        self.status
    }

    /// How many events it has; 0 when nobody has placed it.
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
    /// What each line's stock has to grant for this event of the order `order_id`, of which `order` is the state before.
    #[must_use]
    pub fn asks(&self, order_id: OrderId, order: &Order) -> Vec<(StockId, inventory::Command)> {
        let of_lines = |ask: &dyn Fn(OrderLineRef) -> inventory::Command| {
            let lines = order.placed.iter().flat_map(|placed| placed.lines.iter());
            let line_ref = |line: &OrderLine| OrderLineRef { order_id, reservation_id: line.reservation_id };
            lines.map(|line| (line.stock_id, ask(line_ref(line)))).collect()
        };
        match self {
            Self::OrderPlaced { customer_id, hold_for, lines, .. } => {
                let reserve = |line: &OrderLine| inventory::Reserve {
                    reservation_id: line.reservation_id,
                    quantity: line.quantity,
                    customer_id: *customer_id,
                    hold_for: *hold_for,
                    order_id: Some(order_id),
                };
                lines.iter().map(|line| (line.stock_id, inventory::Command::Reserve(reserve(line)))).collect()
            }
            Self::OrderCommitted => of_lines(&inventory::Command::CommitOrderLine),
            Self::OrderReleased { cause } => {
                let cause = match cause {
                    OrderReleaseCause::Requested(reason) => ReleaseCause::Requested(reason.clone()),
                    OrderReleaseCause::Expired => ReleaseCause::Expired,
                };
                of_lines(&|line| inventory::Command::ReleaseOrderLine { line, cause: cause.clone() })
            }
        }
    }
}
