//! Planted bugs: a store that is wrong in one way about what failed, above a sound one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use inventory_application::ports::{AppendGroup, AppendOutcome, EventStore, LoadedStream, Snapshot, StoreError};
use inventory_application::testing::ManualClock;
use inventory_application::{Position, StreamId};

use crate::stores::{Backend, Opened, ReaderBeside};
use crate::trace::Trace;

/// What a planted store is wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It calls an append whose outcome is unknown one that has not happened.
    CallsUnknownNothing,
    /// It calls an append whose outcome is unknown done.
    CallsUnknownDone,
    /// It calls its files damaged where they can't be read.
    CallsUnreadableDamaged,
    /// It shows nothing any more once the outcome of an append is unknown.
    ShowsNothingAfterUnknown,
    /// It acknowledges the append that follows on an unknown one without a look at the disk.
    AcknowledgesUnrepaired,
}

/// A kind of store with a flaw.
#[derive(Debug)]
pub struct Planted<B>(pub B, pub Flaw);

impl<B: Backend> Backend for Planted<B> {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let opened = self.0.open(folder, clock)?;
        let events = PlantedStore { sound: opened.events, flaw: self.1, is_unknown: AtomicBool::new(false) };
        Ok(Opened { events: Arc::new(events), ..opened })
    }

    fn reader_beside(&self, folder: &Path) -> Option<Box<dyn ReaderBeside>> {
        self.0.reader_beside(folder)
    }

    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool {
        self.0.has_repaired(trace, from, to)
    }
}

struct PlantedStore {
    sound: Arc<dyn EventStore>,
    flaw: Flaw,
    /// Whether the outcome of the last append is unknown.
    is_unknown: AtomicBool,
}

#[async_trait]
impl EventStore for PlantedStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let position = Some(Position(1)); // Anywhere: it is not looked at.
        let done = || batch.iter().map(|_| AppendOutcome::Appended { position }).collect();
        if self.flaw == Flaw::AcknowledgesUnrepaired && self.is_unknown.swap(false, Ordering::SeqCst) {
            return Ok(done());
        }
        let outcome = self.sound.append(Arc::clone(&batch)).await;
        self.is_unknown.store(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), Ordering::SeqCst);
        match (outcome, self.flaw) {
            (Err(StoreError::OutcomeUnknown(error)), Flaw::CallsUnknownNothing) => Err(StoreError::Unavailable(error)),
            (Err(StoreError::OutcomeUnknown(_)), Flaw::CallsUnknownDone) => Ok(done()),
            (outcome, _) => outcome,
        }
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        if self.flaw == Flaw::ShowsNothingAfterUnknown && self.is_unknown.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("planted".into()));
        }
        match (self.sound.load(streams).await, self.flaw) {
            (Err(StoreError::Unavailable(error)), Flaw::CallsUnreadableDamaged) => Err(StoreError::Damaged(error)),
            (loaded, _) => loaded,
        }
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.sound.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.sound.is_exclusive()
    }
}
