//! What the command loop does, for whoever measures it.

use std::sync::Arc;

use inventory_domain::{inventory, order, transfer};
use tokio::time::Instant;

use super::{Metadata, StoreError};
use crate::{Ask, CommandError, Verdict};

/// Hears what became of every command that the loop has taken, mostly a batch at a time.
///
/// Called on the command loop, before the clients are answered: it must be quick, must not block, and nothing that has to be
/// right may hang on it.
pub trait CommandObserver: Send + Sync {
    /// A batch was handed to the store and has come back. `commands` are those that are answered now, in their order; those that
    /// are decided again are told of by a later batch.
    fn settled(&self, batch: &ObservedBatch, commands: &[ObservedCommand<'_>]);

    /// A command was answered with nothing written for it: a refusal that rests on what is durable, or one that came too late.
    fn answered_at_once(&self, command: &ObservedCommand<'_>);
}

/// Where nobody measures anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl CommandObserver for Unobserved {
    fn settled(&self, _: &ObservedBatch, _: &[ObservedCommand<'_>]) {}

    fn answered_at_once(&self, _: &ObservedCommand<'_>) {}
}

/// Several observers, told one after the other.
impl CommandObserver for Vec<Arc<dyn CommandObserver>> {
    fn settled(&self, batch: &ObservedBatch, commands: &[ObservedCommand<'_>]) {
        self.iter().for_each(|observer| observer.settled(batch, commands));
    }

    fn answered_at_once(&self, command: &ObservedCommand<'_>) {
        self.iter().for_each(|observer| observer.answered_at_once(command));
    }
}

/// A batch that has come back from the store.
#[derive(Clone, Copy, Debug)]
pub struct ObservedBatch {
    /// When its first command was decided.
    pub deciding_began: Instant,
    /// When its last command was decided; a batch that was decided ahead waits from here on for the one before it.
    pub deciding_ended: Instant,
    /// When it was handed to the store.
    pub append_began: Instant,
    /// When the store had made it durable, or had failed.
    pub append_ended: Instant,
    /// Groups in it: one a command, and one for each order that had to be expired first.
    pub groups: usize,
    /// Events that were added to the log.
    pub events: usize,
    /// Groups that lost to another writer.
    pub conflicts: usize,
    /// Commands that are decided again.
    pub retries: usize,
    /// How the append ended.
    pub append: AppendEnd,
}

/// How an append has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendEnd {
    /// The store has said group by group what it did.
    Answered,
    /// The store could not be used; nothing has happened.
    Unavailable,
    /// All of it or nothing has happened.
    OutcomeUnknown,
    /// What is stored can't be read.
    Damaged,
}

/// A command, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct ObservedCommand<'a> {
    /// What was asked.
    pub kind: CommandKind,
    /// What became of it.
    pub outcome: CommandOutcome,
    /// When it was put on the queue.
    pub queued_at: Instant,
    /// How often it has lost to another node.
    pub tries: u32,
    /// Where it came from.
    pub metadata: &'a Metadata,
}

/// What is asked, without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CommandKind {
    Add,
    Reserve,
    Commit,
    Release,
    Extend,
    Adjust,
    Expire,
    Level,
    OrderPlace,
    OrderDryRun,
    OrderCommit,
    OrderRelease,
    OrderExpire,
    TransferStart,
    TransferReceive,
    TransferCancel,
    /// What only orders and transfers ask of a stock.
    Part,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandOutcome {
    /// It was done.
    Granted,
    /// It had been done before, under the same key.
    Repeated,
    /// The rules say no.
    Rejected,
    /// The version is another than the client wants.
    VersionMismatch,
    /// The key was used for another request.
    KeyReused,
    /// It waited for too long.
    WaitedTooLong,
    /// The read side can't tell what a stock has forgotten.
    PastUnknown,
    /// Other nodes won every try.
    Contended,
    /// The store could not be used; nothing was done.
    Unavailable,
    /// Whether it was done is not known.
    OutcomeUnknown,
    /// What is stored can't be read.
    Damaged,
}

impl CommandKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Add,
        Self::Reserve,
        Self::Commit,
        Self::Release,
        Self::Extend,
        Self::Adjust,
        Self::Expire,
        Self::Level,
        Self::OrderPlace,
        Self::OrderDryRun,
        Self::OrderCommit,
        Self::OrderRelease,
        Self::OrderExpire,
        Self::TransferStart,
        Self::TransferReceive,
        Self::TransferCancel,
        Self::Part,
    ];

    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Reserve => "reserve",
            Self::Commit => "commit",
            Self::Release => "release",
            Self::Extend => "extend",
            Self::Adjust => "adjust",
            Self::Expire => "expire",
            Self::Level => "level",
            Self::OrderPlace => "order_place",
            Self::OrderDryRun => "order_dry_run",
            Self::OrderCommit => "order_commit",
            Self::OrderRelease => "order_release",
            Self::OrderExpire => "order_expire",
            Self::TransferStart => "transfer_start",
            Self::TransferReceive => "transfer_receive",
            Self::TransferCancel => "transfer_cancel",
            Self::Part => "part",
        }
    }
}

impl From<&Ask> for CommandKind {
    fn from(ask: &Ask) -> Self {
        use inventory::Command;
        match ask {
            Ask::Stock { command, .. } => match command {
                Command::Add { .. } => Self::Add,
                Command::Reserve(_) => Self::Reserve,
                Command::Commit(_) => Self::Commit,
                Command::Release(_) => Self::Release,
                Command::Extend(_) => Self::Extend,
                Command::Adjust(_) => Self::Adjust,
                Command::ReleaseExpired { .. } => Self::Expire,
                Command::CommitOrderLine(_)
                | Command::ReleaseOrderLine { .. }
                | Command::TransferOut { .. }
                | Command::TransferIn { .. }
                | Command::CancelTransfer { .. } => Self::Part,
            },
            Ask::Level(_) => Self::Level,
            Ask::Order { is_dry_run: true, .. } => Self::OrderDryRun,
            Ask::Order { command, .. } => match command {
                order::Command::Place(_) => Self::OrderPlace,
                order::Command::Commit => Self::OrderCommit,
                order::Command::Release { .. } => Self::OrderRelease,
                order::Command::Expire => Self::OrderExpire,
            },
            Ask::Transfer { command, .. } => match command {
                transfer::Command::Start(_) => Self::TransferStart,
                transfer::Command::Receive { .. } => Self::TransferReceive,
                transfer::Command::Cancel => Self::TransferCancel,
            },
        }
    }
}

impl CommandOutcome {
    /// Every outcome.
    pub const ALL: [Self; 11] = [
        Self::Granted,
        Self::Repeated,
        Self::Rejected,
        Self::VersionMismatch,
        Self::KeyReused,
        Self::WaitedTooLong,
        Self::PastUnknown,
        Self::Contended,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::Damaged,
    ];

    /// The outcome's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Repeated => "repeated",
            Self::Rejected => "rejected",
            Self::VersionMismatch => "version_mismatch",
            Self::KeyReused => "key_reused",
            Self::WaitedTooLong => "waited_too_long",
            Self::PastUnknown => "past_unknown",
            Self::Contended => "contended",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Damaged => "damaged",
        }
    }
}

impl From<&Verdict> for CommandOutcome {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Ok(answer) if answer.is_repeat() => Self::Repeated,
            Ok(_) => Self::Granted,
            Err(error) => error.into(),
        }
    }
}

impl From<&CommandError> for CommandOutcome {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Rejected(_)
            | CommandError::OrderRejected(_)
            | CommandError::TransferRejected(_)
            | CommandError::Shortfalls(_) => Self::Rejected,
            CommandError::VersionMismatch { .. } => Self::VersionMismatch,
            CommandError::KeyReused => Self::KeyReused,
            CommandError::WaitedTooLong => Self::WaitedTooLong,
            CommandError::PastUnknown => Self::PastUnknown,
            CommandError::Contended { .. } => Self::Contended,
            // The first two never reach the loop: nothing was done.
            CommandError::Overloaded | CommandError::ShuttingDown => Self::Unavailable,
            CommandError::Abandoned => Self::OutcomeUnknown,
            CommandError::Store(error) => match **error {
                StoreError::Unavailable(_) => Self::Unavailable,
                StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown,
                StoreError::Damaged(_) => Self::Damaged,
            },
        }
    }
}

impl From<&StoreError> for AppendEnd {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown,
            StoreError::Damaged(_) => Self::Damaged,
        }
    }
}
