//! All events in the order in which they were committed.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_domain::{DomainEvent, Timestamp};
use tokio::sync::watch;

use super::{Metadata, StoreError};
use crate::{EventId, Position, StreamId};

/// The log that every stream's events are part of.
///
/// Positions have no gap, and are given in commit order: a reader that has seen position N will never find anything
/// new before it.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The events that follow `after`, in order: about `limit` of them, more where the last group would be split, none at
    /// the end of the log. A page that is short is not the end of the log; an empty one is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::Damaged`] when what is stored can't be read.
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Where the last event stands.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn head(&self) -> Result<Position, StoreError>;

    /// A hint that there is something to read, with the last position that is known here. It may come late or not at
    /// all (another process may have written), so a reader also looks from time to time by itself.
    fn appended(&self) -> watch::Receiver<Position>;
}

/// One event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// Its name.
    pub event_id: EventId,
    /// The stream that it is part of.
    pub stream: StreamId,
    /// Its number in that stream.
    pub version: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// What has happened.
    pub event: DomainEvent,
    /// How many events of the same group follow it.
    pub remaining: u64,
    /// Where it came from.
    pub metadata: Arc<Metadata>,
}
