//! A store whose n-th call fails, for fault tests.

use std::sync::Arc;

use async_trait::async_trait;

use crate::StreamId;
use crate::ports::{AppendGroup, AppendOutcome, EventStore, LoadedStream, Snapshot, StoreError};
use crate::sync::atomic::{AtomicU64, Ordering};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and the caller is told so.
    Unavailable,
    /// It happens, and the caller is told that nobody knows.
    UnknownButDone,
    /// It doesn't happen, and the caller is told that nobody knows.
    UnknownAndNotDone,
}

/// Hands every call on to another store, but for one, which fails.
pub struct FailingEventStore {
    inner: Arc<dyn EventStore>,
    fault: Fault,
    calls_until_fault: AtomicU64,
}

impl FailingEventStore {
    /// Fails the `nth` call, counted from 1 over loads and appends together.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>, fault: Fault, nth: u64) -> Self {
        Self { inner, fault, calls_until_fault: AtomicU64::new(nth) }
    }

    /// Whether the fault has been met.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.calls_until_fault.load(Ordering::SeqCst) == 0
    }

    fn is_due(&self) -> bool {
        let count_down = |left: u64| left.checked_sub(1);
        self.calls_until_fault.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down) == Ok(1)
    }
}

#[async_trait]
impl EventStore for FailingEventStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        if !self.is_due() {
            return self.inner.append(batch).await;
        }
        match self.fault {
            Fault::Unavailable => Err(StoreError::Unavailable("injected".into())),
            Fault::UnknownAndNotDone => Err(StoreError::OutcomeUnknown("injected".into())),
            Fault::UnknownButDone => {
                self.inner.append(batch).await?;
                Err(StoreError::OutcomeUnknown("injected".into()))
            }
        }
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        if self.is_due() {
            return Err(StoreError::Unavailable("injected".into()));
        }
        self.inner.load(streams).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.inner.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}
