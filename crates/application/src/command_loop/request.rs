//! What can be asked of the loop, and what it answers.

use std::sync::Arc;

use inventory_domain::inventory::{Command, Rejection};
use inventory_domain::{Level, StockId, Timestamp};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Position;
use crate::ports::{Metadata, StoreError};

/// Something asked of one stock.
#[derive(Clone, Debug)]
pub struct StockRequest {
    /// Which stock.
    pub stock_id: StockId,
    /// What.
    pub ask: Ask,
    /// Where the request came from; the events carry it.
    pub metadata: Arc<Metadata>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To change the stock.
    Change(Command),
    /// To tell the level, as the write side knows it.
    Level,
}

/// What was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockAnswer {
    /// The level after it.
    pub level: Level,
    /// Where the stock's last event stands in the log; [`Position::START`] where it has none.
    pub position: Position,
    /// The deadline of the reservation that the request named, where it is still live and has one.
    pub expires_at: Option<Timestamp>,
}

/// Why something was not granted.
#[derive(Clone, Debug, Error)]
pub enum CommandError {
    /// The stock says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too many commands wait; nothing was done.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The command waited for too long; nothing was done.
    #[error("the command waited for too long")]
    WaitedTooLong,
    /// The service is shutting down; nothing was done.
    #[error("the service is shutting down")]
    ShuttingDown,
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

/// A request on its way through the loop.
#[derive(Debug)]
pub struct Waiting {
    pub(super) request: StockRequest,
    pub(super) deadline: Instant,
    /// How often it has lost to another node.
    pub(super) tries: u32,
    pub(super) reply: oneshot::Sender<Result<StockAnswer, CommandError>>,
}

impl Waiting {
    /// Tells the client; one that has hung up hears nothing, and what was done stays done.
    pub(super) fn answer(self, verdict: Result<StockAnswer, CommandError>) {
        drop(self.reply.send(verdict));
    }
}
