//! The reference event store: what the ports owe, and nothing else. It forgets everything when it is dropped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use inventory_domain::{Inventory, StockId, Timestamp};
use tokio::sync::watch;

use crate::ports::{
    AppendGroup, AppendOutcome, EventHistory, EventLog, EventStore, LoadedStream, PastEvent, RecordedEvent, Snapshot,
    StoreError,
};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::{Position, StreamId};

/// Keeps the log in memory. Several command loops may share one.
#[derive(Debug)]
pub struct InMemoryEventStore {
    contents: Mutex<Contents>,
    appended: watch::Sender<Position>,
    is_exclusive: bool,
}

impl InMemoryEventStore {
    /// A store that one command loop alone appends to.
    #[must_use]
    pub fn exclusive() -> Self {
        Self::new(true)
    }

    /// A store that several command loops append to, as several nodes would.
    #[must_use]
    pub fn shared() -> Self {
        Self::new(false)
    }

    fn new(is_exclusive: bool) -> Self {
        Self { contents: Mutex::default(), appended: watch::channel(Position::START).0, is_exclusive }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner) // Nothing panics half way through a group.
    }
}

#[async_trait]
impl EventStore for InMemoryEventStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let mut contents = self.contents();
        let mut tainted = HashSet::new();
        let outcomes = batch.iter().map(|group| contents.append(group, &mut tainted)).collect();
        self.appended.send_replace(contents.head());
        Ok(outcomes)
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        let contents = self.contents();
        let end = Timestamp::from_millis(i64::MAX);
        Ok(streams.iter().map(|stream| contents.load(stream, end)).collect())
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.contents().keep(snapshots);
        Ok(())
    }

    fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }
}

#[async_trait]
impl EventHistory for InMemoryEventStore {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let contents = self.contents();
        let events = contents.events_of(&stream).skip_while(|event| event.version <= after);
        Ok(events.take(limit).cloned().collect())
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        Ok(self.contents().load(&stock_id.into(), at))
    }
}

#[async_trait]
impl EventLog for InMemoryEventStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(self.contents().read(after, limit))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.contents().head())
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.appended.subscribe()
    }
}

/// What has been appended.
#[derive(Debug, Default)]
struct Contents {
    log: Vec<RecordedEvent>,
    /// Each stream's places in `log`.
    streams: HashMap<StreamId, Vec<usize>>,
    append_ids: HashMap<[u8; 16], Remembered>,
    snapshots: HashMap<StreamId, Vec<Inventory>>,
}

/// What became of a group with an append id.
#[derive(Debug)]
struct Remembered {
    request_hash: [u8; 16],
    result: Vec<u8>,
    position: Option<Position>,
}

impl Contents {
    fn append(&mut self, group: &AppendGroup, tainted: &mut HashSet<StreamId>) -> AppendOutcome {
        if let Some(refused) = self.refusal(group, tainted) {
            tainted.extend(group.streams.iter().map(|part| part.stream));
            return refused;
        }
        let position = self.record(group);
        if let Some(key) = &group.key
            && let Some(result) = key.result.clone()
        {
            let request_hash = key.request_hash;
            self.append_ids.insert(key.append_id, Remembered { request_hash, result, position });
        }
        AppendOutcome::Appended { position }
    }

    /// Why the group is not appended: first its append id is looked up, then taint, then the versions.
    fn refusal(&self, group: &AppendGroup, tainted: &HashSet<StreamId>) -> Option<AppendOutcome> {
        if let Some(key) = &group.key
            && let Some(first) = self.append_ids.get(&key.append_id)
        {
            return Some(if first.request_hash == key.request_hash {
                AppendOutcome::Repeated { result: first.result.clone(), position: first.position }
            } else {
                AppendOutcome::AppendIdReused
            });
        }
        if let Some(part) = group.streams.iter().find(|part| tainted.contains(&part.stream)) {
            return Some(AppendOutcome::Tainted { stream: part.stream });
        }
        group.streams.iter().find_map(|part| {
            let actual = self.version(&part.stream);
            (actual != part.expected.version()).then_some(AppendOutcome::Conflict { stream: part.stream, actual })
        })
    }

    fn record(&mut self, group: &AppendGroup) -> Option<Position> {
        let mut remaining = group.event_count() as u64;
        for part in &group.streams {
            for new in &part.events {
                remaining -= 1;
                let places = self.streams.entry(part.stream).or_default();
                places.push(self.log.len());
                let event = RecordedEvent {
                    position: Position(self.log.len() as u64 + 1),
                    event_id: new.event_id,
                    stream: part.stream,
                    version: places.len() as u64,
                    recorded_at: group.recorded_at,
                    event: new.event.clone(),
                    remaining,
                    metadata: Arc::clone(&group.metadata),
                };
                self.log.push(event);
            }
        }
        (group.event_count() > 0).then(|| self.head())
    }

    fn keep(&mut self, snapshots: Vec<Snapshot>) {
        for snapshot in snapshots {
            self.snapshots.entry(snapshot.stock_id.into()).or_default().push(snapshot.inventory);
        }
    }

    fn events_of(&self, stream: &StreamId) -> impl Iterator<Item = &RecordedEvent> {
        self.streams.get(stream).into_iter().flatten().map(|place| &self.log[*place])
    }

    fn load(&self, stream: &StreamId, until: Timestamp) -> LoadedStream {
        let events: Vec<_> = self.events_of(stream).take_while(|event| event.recorded_at <= until).collect();
        let version = events.len() as u64;
        let snapshots = self.snapshots.get(stream).into_iter().flatten();
        let snapshot = snapshots.filter(|kept| kept.version() <= version).max_by_key(|kept| kept.version());
        let skipped = snapshot.map_or(0, Inventory::version);
        let past = |event: &&RecordedEvent| PastEvent { event: event.event.clone(), recorded_at: event.recorded_at };
        LoadedStream {
            version,
            position: events.last().map_or(Position::START, |last| last.position),
            snapshot: snapshot.cloned().map(Box::new),
            events: events.iter().filter(|event| event.version > skipped).map(past).collect(),
        }
    }

    fn read(&self, after: Position, limit: usize) -> Vec<RecordedEvent> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(self.log.len());
        let mut page = Vec::new();
        for entry in &self.log[start..] {
            page.push(entry.clone());
            if page.len() >= limit && entry.remaining == 0 {
                break;
            }
        }
        page
    }

    fn version(&self, stream: &StreamId) -> u64 {
        self.streams.get(stream).map_or(0, |places| places.len() as u64)
    }

    fn head(&self) -> Position {
        Position(self.log.len() as u64)
    }
}
