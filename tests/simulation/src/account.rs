//! What clients have asked and were told.

use inventory_application::ports::StoreError;
use inventory_application::{Ask, CommandError, Condition, Freshness, Position, RequestKey, Verdict};
use inventory_domain::{Level, StockId, Timestamp};

/// A moment, in every way that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Its place among all of them.
    pub(crate) happening: u64,
    /// Where the log ended.
    pub(crate) head: Position,
    /// The true time of day.
    pub(crate) wall: Timestamp,
}

/// A request that was sent to a node, once.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) node: usize,
    /// Which of the node's lives.
    pub(crate) life: u64,
    pub(crate) ask: Ask,
    pub(crate) condition: Condition,
    pub(crate) key: Option<RequestKey>,
    pub(crate) sent: Moment,
    /// When and what; `None` where the client didn't wait, or the run ended.
    pub(crate) answered: Option<(Moment, Verdict)>,
}

/// What an attempt came to, as far as the client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was done.
    Granted,
    /// It was refused for what it asks: asking again makes no sense.
    Refused,
    /// Nothing was done, for now.
    NotDone,
    /// Nobody knows.
    Unknown,
}

impl Attempt {
    pub(crate) fn end(&self) -> End {
        self.answered.as_ref().map_or(End::Unknown, |(_, verdict)| end_of(verdict))
    }
}

pub(crate) fn end_of(verdict: &Verdict) -> End {
    match verdict {
        Ok(_) => End::Granted,
        Err(
            CommandError::Rejected(_)
            | CommandError::OrderRejected(_)
            | CommandError::TransferRejected(_)
            | CommandError::Shortfalls(_)
            | CommandError::VersionMismatch { .. }
            | CommandError::KeyReused,
        ) => End::Refused,
        Err(
            CommandError::Overloaded
            | CommandError::WaitedTooLong
            | CommandError::ShuttingDown
            | CommandError::PastUnknown
            | CommandError::Contended { .. },
        ) => End::NotDone,
        Err(CommandError::Abandoned) => End::Unknown,
        Err(CommandError::Store(error)) => match **error {
            StoreError::Unavailable(_) => End::NotDone,
            StoreError::OutcomeUnknown(_) | StoreError::Damaged(_) => End::Unknown,
        },
    }
}

/// A question about levels that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) node: usize,
    pub(crate) wanted: Freshness,
    pub(crate) sent: Moment,
    pub(crate) answered: Moment,
    /// The levels that were shown; `None` for a stock that nobody has filled, as far as the node knows.
    pub(crate) shown: Vec<(StockId, Option<Level>)>,
}
