//! The one store as a node reaches it: late, and not always.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, EventLog, EventStore, LoadedStream, RecordedEvent, Snapshot, StoreError,
};
use inventory_application::{Position, StreamId};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::chance::Chance;
use crate::flaw::Flaw;
use crate::plan::LATE_MS_MAX;
use crate::world::World;

/// A node's way to the store and its log.
pub(crate) struct NodeStore {
    world: Arc<World>,
    node: usize,
    chance: Chance,
    /// Hints come of what this node appends; others' events are found by looking.
    appended: watch::Sender<Position>,
    /// Until when nothing gets through, in milliseconds of work.
    cut_until: AtomicI64,
}

/// What becomes of an append.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Refused,
    NotDoneAndUnknown,
    DoneAndUnknown,
    /// It is done after the node was told that nobody knows.
    DoneLate,
}

impl NodeStore {
    pub(crate) fn new(world: Arc<World>, node: usize, chance: Chance) -> Self {
        let appended = watch::Sender::new(world.head());
        Self { world, node, chance, appended, cut_until: AtomicI64::new(0) }
    }

    /// Lets nothing through for a while.
    pub(crate) fn cut_off(&self, milliseconds: i64) {
        self.cut_until.store(self.world.elapsed_ms() + milliseconds, Ordering::SeqCst);
    }

    async fn wait(&self) {
        sleep(self.chance.millis(self.world.plan.delay_ms_max)).await;
    }

    fn fails(&self) -> bool {
        if self.world.is_calm() {
            return false;
        }
        self.world.elapsed_ms() < self.cut_until.load(Ordering::SeqCst)
            || self.chance.one_in(self.world.plan.one_fault_in)
    }

    fn fate(&self) -> Fate {
        if !self.fails() {
            return Fate::Done;
        }
        let fates = [Fate::Refused, Fate::NotDoneAndUnknown, Fate::DoneAndUnknown, Fate::DoneLate];
        // What a node has to itself dies with it: nothing of it comes late.
        let fates = if self.world.plan.is_exclusive() { &fates[..3] } else { &fates[..] };
        self.chance.pick(fates).copied().unwrap_or(Fate::Done)
    }

    /// What the store does, whether or not anybody waits for it.
    async fn commit(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        if self.world.plan.is_exclusive() || self.chance.one_in(2) {
            return self.world.commit(self.node, batch).await; // Where the node ends before, it never happens.
        }
        let (world, node) = (Arc::clone(&self.world), self.node);
        let delay = self.chance.millis(self.world.plan.delay_ms_max);
        let on_its_way = tokio::spawn(async move {
            sleep(delay).await;
            world.commit(node, batch).await
        });
        on_its_way.await.map_err(|panicked| StoreError::OutcomeUnknown(Box::new(panicked)))?
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("injected".into())
}

fn unknown() -> StoreError {
    StoreError::OutcomeUnknown("injected".into())
}

#[async_trait]
impl EventStore for NodeStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let fate = self.fate();
        self.world.say(|| format!("node {}: appends {} groups: {fate:?}", self.node, batch.len()));
        self.wait().await;
        let outcome = match fate {
            Fate::Done => {
                let outcomes = self.commit(batch).await?;
                self.appended.send_replace(self.world.head());
                Ok(outcomes)
            }
            Fate::Refused => {
                self.world.count("appends refused");
                Err(unavailable())
            }
            Fate::NotDoneAndUnknown => {
                self.world.count("appends unknown and not done");
                Err(unknown())
            }
            Fate::DoneAndUnknown => {
                self.world.count("appends unknown but done");
                self.commit(batch).await?;
                if self.world.flaw == Some(Flaw::SaysNothingHappened) { Err(unavailable()) } else { Err(unknown()) }
            }
            Fate::DoneLate => {
                self.world.count("appends unknown and done late");
                let (world, node) = (Arc::clone(&self.world), self.node);
                let delay = Duration::from_millis(self.chance.between(1..=LATE_MS_MAX.cast_signed()).unsigned_abs());
                tokio::spawn(async move {
                    sleep(delay).await;
                    world.commit(node, batch).await
                });
                Err(unknown())
            }
        };
        self.wait().await;
        outcome
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        self.wait().await;
        if self.fails() {
            self.world.count("loads refused");
            return Err(unavailable());
        }
        let loaded = self.world.store().load(streams).await;
        self.wait().await;
        loaded
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.wait().await;
        if self.fails() {
            return Err(unavailable());
        }
        self.world.count("snapshots kept");
        self.world.store().keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.world.plan.is_exclusive() || self.world.flaw == Some(Flaw::SaysItIsExclusive)
    }
}

#[async_trait]
impl EventLog for NodeStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.wait().await;
        if self.fails() {
            return Err(unavailable());
        }
        let mut page = self.world.store().read(after, limit).await?;
        if self.world.flaw == Some(Flaw::SkipsAnEvent) && page.len() > 1 && self.chance.one_in(20) {
            page.remove(0);
        }
        self.wait().await;
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.wait().await;
        if self.fails() {
            return Err(unavailable());
        }
        Ok(self.world.head())
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.appended.subscribe()
    }
}
