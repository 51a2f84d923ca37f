//! Where events are kept: append a batch, load streams.

use std::error::Error;
use std::num::NonZeroU64;
use std::sync::Arc;

use async_trait::async_trait;
use inventory_domain::{DomainEvent, Inventory, StockId, Timestamp};
use thiserror::Error;

use crate::{EventId, Position, StreamId};

/// Keeps every stream's events, for ever, in one log.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Makes every group of `batch` durable, or says why it was not, group by group, in the order given.
    ///
    /// - A group is all or nothing. Its events get the next versions of their streams, from 1 on with no gap, and the
    ///   next positions of the log, in the order in which they stand in the group.
    /// - First the append id is looked up, then taint (see below), then the expected versions are compared. A group
    ///   without events is compared all the same, and one with an append id is remembered.
    /// - An append id is known for 24 hours at least.
    /// - A group that conflicts, is repeated or reuses an append id *taints* the streams that it names: every later group
    ///   of the batch that names one of them is [`AppendOutcome::Tainted`], unless its append id is known, and taints its
    ///   streams in turn.
    /// - When this returns `Ok`, all that it calls appended has reached the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when nothing has happened; [`StoreError::OutcomeUnknown`] when all of the batch or
    /// nothing of it has.
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError>;

    /// The history of each of `streams`, in the order given, from the newest snapshot on; a stream that nobody has written to
    /// is at version 0.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::Damaged`] when what is stored can't be read.
    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError>;

    /// Keeps states, so that loading a long stream takes no longer than loading a short one. Snapshots are a cache: dropping
    /// them, or failing to keep them, changes no answer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError>;

    /// Whether nobody but this process can append, so that what was loaded or appended last is known to be the truth.
    fn is_exclusive(&self) -> bool;
}

/// Events that become durable together, or not at all.
#[derive(Clone, Debug)]
pub struct AppendGroup {
    /// The client's name for the request, if it gave one.
    pub key: Option<AppendKey>,
    /// The streams that the group rests on, each named once.
    pub streams: Vec<StreamAppend>,
    /// When it was decided; every event of the group has this time.
    pub recorded_at: Timestamp,
    /// Where it came from; every event of the group carries it.
    pub metadata: Arc<Metadata>,
}

impl AppendGroup {
    /// How many events the group has over all its streams.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|stream| stream.events.len()).sum()
    }
}

/// A group's part on one stream.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// What its version has to be.
    pub expected: ExpectedVersion,
    /// The events to add, in order; none where the group only rests on the version.
    pub events: Vec<NewEvent>,
}

/// The version that a stream has to be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Nobody has written to it.
    NoStream,
    /// It has exactly this many events, at least one.
    Exact(u64),
}

impl ExpectedVersion {
    /// That a stream has `version` events.
    #[must_use]
    pub const fn of(version: u64) -> Self {
        match version {
            0 => Self::NoStream,
            version => Self::Exact(version),
        }
    }

    /// How many events the stream has to have.
    #[must_use]
    pub const fn version(self) -> u64 {
        match self {
            Self::NoStream => 0,
            Self::Exact(version) => version,
        }
    }
}

/// An event that is not stored yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its name.
    pub event_id: EventId,
    /// What has happened.
    pub event: DomainEvent,
}

/// Where a group of events came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The request that asked for it.
    pub request_id: Option<String>,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// The span of that trace under which what is done for the request is recorded, where it is. It is not stored.
    pub span_id: Option<NonZeroU64>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// The client's key for the request.
    pub idempotency_key: Option<String>,
}

/// A client's name for a request, so that a repeat of it has one effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendKey {
    /// The append id: who asks, and the name that they gave the request.
    pub append_id: [u8; 16],
    /// A hash of all that makes two requests the same.
    pub request_hash: [u8; 16],
    /// What a repeat is to be told, in the caller's own form; `None` to look the id up without leaving anything under it, as
    /// a refusal does.
    pub result: Option<Vec<u8>>,
}

/// What became of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is durable.
    Appended {
        /// Where its last event stands; `None` for a group without events.
        position: Option<Position>,
    },
    /// The append id is known, with the same request: nothing was added this time.
    Repeated {
        /// What the first one left to be told.
        result: Vec<u8>,
        /// Where the last event of the first one stands; `None` where it had no events.
        position: Option<Position>,
    },
    /// The append id is known, with another request: nothing was added.
    AppendIdReused,
    /// A stream is at another version than expected: nothing was added.
    Conflict {
        /// The first such stream of the group.
        stream: StreamId,
        /// The version that it is at.
        actual: u64,
    },
    /// An earlier group of the batch that names one of its streams was not appended: neither was this one.
    Tainted {
        /// The first such stream of the group.
        stream: StreamId,
    },
}

/// One stream's history.
#[derive(Clone, Debug, Default)]
pub struct LoadedStream {
    /// How many events it has.
    pub version: u64,
    /// Where its last event stands in the log; [`Position::START`] when it has none.
    pub position: Position,
    /// A state that the stream was in; `None` where no snapshot was kept.
    pub snapshot: Option<Box<Inventory>>,
    /// Its events after the snapshot's version; from the first on where there is no snapshot.
    pub events: Vec<PastEvent>,
}

/// A stock's state at a version that is durable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which stock.
    pub stock_id: StockId,
    /// Where the event with the state's version stands.
    pub position: Position,
    /// The state.
    pub inventory: Inventory,
}

/// An event of a stream's history, with what folding it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvent {
    /// What has happened.
    pub event: DomainEvent,
    /// When.
    pub recorded_at: Timestamp,
}

/// Why a store could not do its work.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It can't be used now; nothing has happened.
    #[error("the event store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The commit may or may not have happened: ask again with the same append ids.
    #[error("the outcome of an append is unknown")]
    OutcomeUnknown(#[source] Box<dyn Error + Send + Sync>),
    /// What is stored can't be read.
    #[error("the event store is damaged")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
}
