//! Stores with one flaw each, which only shows after a while.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::StreamId;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, Clock, EventHistory, EventStore, LoadedStream, RecordedEvent, Snapshot, StoreError,
};
use inventory_application::testing::{InMemoryEventStore, ManualClock};
use inventory_domain::{StockId, Timestamp};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings};
use tempfile::TempDir;

use super::machine::{Backend, Ports};

/// What a store may get wrong.
pub struct Wrong;

impl Wrong {
    pub const IGNORES_TAINT: u8 = 0;
    pub const FORGETS_APPEND_IDS: u8 = 1;
    pub const FORGETS_TOO_EARLY: u8 = 2;
    pub const ACKNOWLEDGES_TOO_EARLY: u8 = 3;
    pub const PAGES_START_TOO_EARLY: u8 = 4;
    pub const SNAPSHOTS_KNOW_THE_FUTURE: u8 = 5;
}

/// A store with one flaw.
#[derive(Default)]
pub struct Flawed<const WRONG: u8> {
    written: Batches,
    opened: u8,
}

/// What has reached a disk that is only thought of.
type Batches = Arc<Mutex<Vec<Arc<Vec<AppendGroup>>>>>;

impl<const WRONG: u8> Backend for Flawed<WRONG> {
    fn open(&mut self, folder: &TempDir, clock: Arc<ManualClock>) -> Ports {
        self.opened += 1;
        let Ports { events, log, history } = match WRONG {
            Wrong::FORGETS_TOO_EARLY => {
                let folder = Arc::new(DataFolder::open(folder.path()).unwrap());
                let store = JsonlEventStore::open(folder, &JsonlSettings::default(), Arc::new(FastClock(clock)));
                store.unwrap().into()
            }
            _ => self.again().into(),
        };
        let (written, opened) = (Arc::clone(&self.written), self.opened);
        let history = Arc::new(FlawedHistory::<WRONG> { inner: history, events: Arc::clone(&events) });
        let events = Arc::new(FlawedEvents::<WRONG> { inner: events, written, opened });
        Ports { events, log, history }
    }
}

impl<const WRONG: u8> Flawed<WRONG> {
    /// The store with all that was written.
    fn again(&self) -> Arc<InMemoryEventStore> {
        let store = Arc::new(InMemoryEventStore::exclusive());
        let mut written = self.written.lock().unwrap();
        if WRONG == Wrong::ACKNOWLEDGES_TOO_EARLY {
            written.pop(); // It was acknowledged, and still on its way.
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for batch in written.iter() {
            runtime.block_on(store.append(Arc::clone(batch))).unwrap();
        }
        store
    }
}

/// A clock that goes at twice the speed.
struct FastClock(Arc<ManualClock>);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(2 * self.0.now().millis() - 1_764_000_000_000)
    }
}

/// What is written goes through here, also where nothing of it is wrong, so that it can be written anew.
struct FlawedEvents<const WRONG: u8> {
    inner: Arc<dyn EventStore>,
    written: Batches,
    opened: u8,
}

#[async_trait]
impl<const WRONG: u8> EventStore for FlawedEvents<WRONG> {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let mut groups = batch.to_vec();
        if WRONG == Wrong::FORGETS_APPEND_IDS {
            // Each time it is opened an id is another one.
            groups.iter_mut().filter_map(|group| group.key.as_mut()).for_each(|key| key.append_id[0] = self.opened);
        }
        let batches: Vec<_> = match WRONG {
            Wrong::IGNORES_TAINT => groups.into_iter().map(|group| vec![group]).collect(),
            _ => vec![groups],
        };
        let mut outcomes = Vec::new();
        for batch in batches.into_iter().map(Arc::new) {
            self.written.lock().unwrap().push(Arc::clone(&batch));
            outcomes.extend(self.inner.append(batch).await?);
        }
        Ok(outcomes)
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        self.inner.load(streams).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.inner.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}

struct FlawedHistory<const WRONG: u8> {
    inner: Arc<dyn EventHistory>,
    events: Arc<dyn EventStore>,
}

#[async_trait]
impl<const WRONG: u8> EventHistory for FlawedHistory<WRONG> {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let too_early = u64::from(WRONG == Wrong::PAGES_START_TOO_EARLY && after >= 5);
        self.inner.stream_page(stream, after - too_early, limit).await
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        let mut loaded = self.inner.load_at(stock_id, at).await?;
        if WRONG == Wrong::SNAPSHOTS_KNOW_THE_FUTURE {
            // The newest one, whenever that was.
            loaded.snapshot = self.events.load(vec![stock_id.into()]).await?.remove(0).snapshot;
        }
        Ok(loaded)
    }
}
