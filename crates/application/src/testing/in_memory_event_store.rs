//! The reference event store: what the ports owe, and nothing else. It forgets everything when it is dropped.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::ports::{
    AppendGroup, AppendOutcome, EventLog, EventStore, LoadedStream, PastEvent, RecordedEvent, StoreError,
};
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
        Self { contents: Mutex::default(), appended: watch::Sender::new(Position::START), is_exclusive }
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
        Ok(streams.iter().map(|stream| contents.load(stream)).collect())
    }

    fn is_exclusive(&self) -> bool {
        self.is_exclusive
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
    log: Vec<LogEntry>,
    /// Each stream's places in `log`.
    streams: HashMap<StreamId, Vec<usize>>,
    append_ids: HashMap<[u8; 16], Remembered>,
}

#[derive(Debug)]
struct LogEntry {
    event: RecordedEvent,
    ends_group: bool,
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
        if let Some(key) = &group.key {
            let (request_hash, result) = (key.request_hash, key.result.clone());
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
        for part in &group.streams {
            for new in &part.events {
                let places = self.streams.entry(part.stream).or_default();
                places.push(self.log.len());
                let event = RecordedEvent {
                    position: Position(self.log.len() as u64 + 1),
                    event_id: new.event_id,
                    stream: part.stream,
                    version: places.len() as u64,
                    recorded_at: group.recorded_at,
                    event: new.event.clone(),
                    metadata: Arc::clone(&group.metadata),
                };
                self.log.push(LogEntry { event, ends_group: false });
            }
        }
        (group.event_count() > 0).then(|| {
            if let Some(last) = self.log.last_mut() {
                last.ends_group = true;
            }
            self.head()
        })
    }

    fn load(&self, stream: &StreamId) -> LoadedStream {
        let entries: Vec<_> =
            self.streams.get(stream).into_iter().flatten().map(|place| &self.log[*place].event).collect();
        LoadedStream {
            version: entries.len() as u64,
            position: entries.last().map_or(Position::START, |last| last.position),
            events: entries
                .into_iter()
                .map(|entry| PastEvent { event: entry.event.clone(), recorded_at: entry.recorded_at })
                .collect(),
        }
    }

    fn read(&self, after: Position, limit: usize) -> Vec<RecordedEvent> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX).min(self.log.len());
        let mut page = Vec::new();
        for entry in &self.log[start..] {
            page.push(entry.event.clone());
            if page.len() >= limit && entry.ends_group {
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
