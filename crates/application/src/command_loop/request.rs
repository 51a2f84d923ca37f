//! What can be asked of the loop, and what it answers.

use std::sync::Arc;

use inventory_domain::inventory::{Command, Rejection};
use inventory_domain::{
    Level, Order, OrderId, ReservationId, StockId, Timestamp, Transfer, TransferId, order, transfer,
};
use thiserror::Error;

use crate::ports::{Metadata, StoreError};
use crate::{Position, StreamId};

/// Something asked of the write side.
#[derive(Clone, Debug)]
pub struct Request {
    /// What.
    pub ask: Ask,
    /// What has to hold of the versions that clients have seen.
    pub condition: Condition,
    /// The client's name for the request, if it gave one.
    pub key: Option<RequestKey>,
    /// Where the request came from; the events carry it.
    pub metadata: Arc<Metadata>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To change a stock. `is_fresh` says that the reservation id in it, if any, was made for this request, so that nobody
    /// can have used it before.
    Stock {
        /// Which stock.
        stock_id: StockId,
        /// How.
        command: Command,
        /// Whether the reservation's id is new for sure.
        is_fresh: bool,
    },
    /// To tell a stock's level, as the write side knows it.
    Level(StockId),
    /// To change an order, and the stocks of its lines with it.
    Order {
        /// Which order.
        order_id: OrderId,
        /// How.
        command: order::Command,
        /// Only tells what would come of it.
        is_dry_run: bool,
    },
    /// To change a transfer, and a stock with it.
    Transfer {
        /// Which transfer.
        transfer_id: TransferId,
        /// How.
        command: transfer::Command,
    },
}

impl Ask {
    /// The stream that the request is about first of all: whose version a [`Condition`] names.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Stock { stock_id, .. } | Self::Level(stock_id) => (*stock_id).into(),
            Self::Order { order_id, .. } => (*order_id).into(),
            Self::Transfer { transfer_id, .. } => (*transfer_id).into(),
        }
    }

    /// The reservation that the request names on its stock, if it names one.
    #[must_use]
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Stock { command, .. } => command.reservation_id(),
            Self::Level(_) | Self::Order { .. } | Self::Transfer { .. } => None,
        }
    }

    /// How much of the queue it takes: one for each stock that it asks something of.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Order { command: order::Command::Place(place), .. } => place.lines.iter().len(),
            Self::Stock { .. } | Self::Level(_) | Self::Order { .. } | Self::Transfer { .. } => 1,
        }
    }
}

/// What a client wants to be true of the version, for its request to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// That there is anything at all.
    Exists,
    /// That it is one of these.
    OneOf(Vec<u64>),
}

impl Condition {
    /// Whether it holds at `version`.
    #[must_use]
    pub fn holds(&self, version: u64) -> bool {
        match self {
            Self::None => true,
            Self::Exists => version > 0,
            Self::OneOf(versions) => version > 0 && versions.contains(&version),
        }
    }
}

/// A client's name for a request, and all that makes two requests the same, both as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asks, and the name that they gave the request.
    pub append_id: [u8; 16],
    /// What they ask for.
    pub request_hash: [u8; 16],
}

/// What was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// About a stock.
    Stock(StockAnswer),
    /// About an order.
    Order(OrderAnswer),
    /// About a transfer.
    Transfer(TransferAnswer),
}

/// What was granted of a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockAnswer {
    /// The level after it.
    pub level: Level,
    /// Where the stock's last event stands in the log; [`Position::START`] where it has none.
    pub position: Position,
    /// The reservation that was made or moved, if one was.
    pub reservation_id: Option<ReservationId>,
    /// That reservation's deadline, if it has one.
    pub expires_at: Option<Timestamp>,
    /// Whether this is the answer to an earlier request under the same key.
    pub is_repeat: bool,
}

/// What was granted of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderAnswer {
    /// Which order.
    pub order_id: OrderId,
    /// The order after it.
    pub order: Order,
    /// Where its last event stands in the log, after those of all its stocks.
    pub position: Position,
    /// Whether this is the answer to an earlier request under the same key.
    pub is_repeat: bool,
}

/// What was granted of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferAnswer {
    /// Which transfer.
    pub transfer_id: TransferId,
    /// The transfer after it.
    pub transfer: Transfer,
    /// Where its last event stands in the log, after that of the stock.
    pub position: Position,
    /// Whether this is the answer to an earlier request under the same key.
    pub is_repeat: bool,
}

impl Answer {
    /// Whether this is the answer to an earlier request under the same key.
    #[must_use]
    pub const fn is_repeat(&self) -> bool {
        match self {
            Self::Stock(answer) => answer.is_repeat,
            Self::Order(answer) => answer.is_repeat,
            Self::Transfer(answer) => answer.is_repeat,
        }
    }

    pub(super) fn set_position(&mut self, position: Position) {
        match self {
            Self::Stock(answer) => answer.position = position,
            Self::Order(answer) => answer.position = position,
            Self::Transfer(answer) => answer.position = position,
        }
    }
}

/// A line of an order that can't be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Whose line.
    pub stock_id: StockId,
    /// Units asked for.
    pub requested: u64,
    /// Units that could be had.
    pub available: u64,
}

/// Why something was not granted.
#[derive(Clone, Debug, Error)]
pub enum CommandError {
    /// The stock says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The order says no.
    #[error(transparent)]
    OrderRejected(#[from] order::Rejection),
    /// The transfer says no.
    #[error(transparent)]
    TransferRejected(#[from] transfer::Rejection),
    /// Stocks of the order's lines say no: nothing was held.
    #[error("{} of the order's lines can't be held", .0.len())]
    Shortfalls(Vec<Shortfall>),
    /// The version is another than the client wants; nothing was done.
    #[error("the version is {current}")]
    VersionMismatch {
        /// The version that it is.
        current: u64,
    },
    /// The client has given another request the same key; nothing was done.
    #[error("the key was used for another request")]
    KeyReused,
    /// Too many commands wait; nothing was done.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The command waited for too long; nothing was done.
    #[error("the command waited for too long")]
    WaitedTooLong,
    /// The service is shutting down; nothing was done.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The read side, which is asked about reservations that a stock has forgotten, can't be; nothing was done.
    #[error("the read side can't tell whether the reservation was ever made")]
    PastUnknown,
    /// Other nodes won every try; nothing was done.
    #[error("other nodes changed the stock at every one of {tries} tries")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The loop ended before it answered: whether something was done is not known.
    #[error("the command loop ended before it answered")]
    Abandoned,
    /// The store failed; the error says whether something may have been done.
    #[error(transparent)]
    Store(Arc<StoreError>),
}
