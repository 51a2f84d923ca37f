//! The event store on plain files: a segmented journal of JSON lines.
//!
//! The journal, `events/log/00000001.jsonl` and so on, is the truth: one event a line with a checksum, a commit line a batch, one
//! sync a batch. Behind it a readable file a stock is written, `events/inventory-{product_id}-{store_id}.jsonl`, which the service
//! itself never reads. Where everything stands is held in memory, about 100 bytes a stream and 24 an append id of the last day,
//! and found again by a scan at the start.
//!
//! In reading order: `settings`, `line` (what is written), `recovery` and `scan` (the start), `index` (where everything stands),
//! `append_ids`, `journal` (appending and its repair), `writer` (its thread), `reader`, `snapshots`, `stream_files`, [`maintenance`].

mod append_ids;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod faults;
mod index;
mod journal;
mod line;
pub mod maintenance;
mod reader;
mod recovery;
mod scan;
mod settings;
mod snapshots;
mod stream_files;
mod writer;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, Clock, EventHistory, EventLog, EventStore, LoadedStream, RecordedEvent, Snapshot,
    StoreError,
};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::{StockId, Timestamp};
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::index::Index;
use self::journal::Journal;
use self::snapshots::Snapshots;
use self::stream_files::StreamFiles;
use self::writer::Job;
use crate::data_folder::DataFolder;
use crate::files::{Files, RealFiles, make_folders, named};
use crate::lost_events::{LostEvents, Seen};

pub use self::recovery::{DroppedBatch, RecoveryError};
pub use self::settings::JsonlSettings;

/// The folder below the data folder that has everything.
pub const FOLDER: &str = "events";

/// The event store on a journal of JSON lines, which nobody else writes.
pub struct JsonlEventStore {
    jobs: mpsc::Sender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
    index: Arc<RwLock<Index>>,
    snapshots: Arc<Snapshots>,
    stream_files: std::sync::Mutex<Option<StreamFiles>>,
    reading: Arc<Semaphore>,
    reader_wait: Duration,
    appended: watch::Receiver<Position>,
    is_poisoned: Arc<AtomicBool>,
    log_page_events_max: usize,
    dropped: Option<DroppedBatch>,
    failure: watch::Receiver<Option<Arc<str>>>,
}

/// Why the files can't be used as an event store.
#[derive(Debug, Error)]
pub enum JsonlOpenError {
    /// The journal can't be read, or is damaged.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The journal lacks events that were acknowledged.
    #[error(transparent)]
    LostEvents(#[from] LostEvents),
    /// A file can't be made or written.
    #[error("the event store can't be opened: {0}")]
    File(#[from] io::Error),
}

impl JsonlEventStore {
    /// Opens the store in this folder, and makes it if there is none. Append ids are forgotten by `clock`.
    ///
    /// # Errors
    ///
    /// [`JsonlOpenError`] when the files can't be used; where one is damaged it names the file and the line.
    pub fn open(
        folder: Arc<DataFolder>,
        settings: &JsonlSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, JsonlOpenError> {
        Self::open_with(folder, settings, clock, None, Arc::new(RealFiles))
    }

    /// Opens the store as [`JsonlEventStore::open`] does, unless it lacks events that were `seen`; then nothing is changed.
    ///
    /// # Errors
    ///
    /// [`JsonlOpenError`] when the files can't be used, or events are lost.
    pub fn open_as_seen(
        folder: Arc<DataFolder>,
        settings: &JsonlSettings,
        clock: Arc<dyn Clock>,
        seen: Option<&Seen>,
    ) -> Result<Arc<Self>, JsonlOpenError> {
        Self::open_with(folder, settings, clock, seen, Arc::new(RealFiles))
    }

    fn open_with(
        folder: Arc<DataFolder>,
        settings: &JsonlSettings,
        clock: Arc<dyn Clock>,
        seen: Option<&Seen>,
        files: Arc<dyn Files>,
    ) -> Result<Arc<Self>, JsonlOpenError> {
        let events = folder.file(FOLDER);
        let log = events.join("log");
        // Nothing is changed before it is known that nothing is lost.
        let recovered = recovery::recover(&log, &*files)?;
        let written = stream_files::written(&events)?;
        for seen in seen.into_iter().chain(&written) {
            seen.check(&log, recovered.index.head)?;
        }
        make_folders(&log, &*files)?;
        // The folders themselves have to outlast a power cut, too.
        for folder in [events.clone(), folder.file("")] {
            files.sync_folder(&folder).map_err(named(&folder))?;
        }
        let dropped = recovered.dropped.clone();
        let (journal, index) = Journal::open(&log, Arc::clone(&files), settings.segment_bytes, clock, recovered)?;
        let snapshots = Snapshots::open(events.join("snapshots"), files, settings.closed_reservations_remembered)?;
        let (failure, (announce, appended)) = (journal.failure(), watch::channel(journal.head()));
        let is_poisoned = Arc::new(AtomicBool::new(false));
        let (jobs, inbox) = mpsc::channel(settings.writer_queue_batches_max);
        let poisoned = Arc::clone(&is_poisoned);
        let stream_files = if settings.stream_files {
            let open_max = settings.stream_files_open_max;
            Some(StreamFiles::start(events, Arc::clone(&index), appended.clone(), open_max)?)
        } else {
            None
        };
        let repair_pause = Duration::from_millis(settings.repair_pause_ms);
        let writer = std::thread::Builder::new().name("event-store-writer".into()).spawn(move || {
            writer::run(journal, inbox, &announce, &poisoned, repair_pause);
            drop(folder); // Nobody else has it before the writer is done.
        })?;
        Ok(Arc::new(Self {
            jobs,
            writer: Mutex::new(Some(writer)),
            index,
            snapshots: Arc::new(snapshots),
            stream_files: std::sync::Mutex::new(stream_files),
            reading: Arc::new(Semaphore::new(settings.readers_max)),
            reader_wait: Duration::from_millis(settings.reader_wait_ms_max),
            appended,
            is_poisoned,
            log_page_events_max: settings.log_page_events_max.max(1),
            dropped,
            failure,
        }))
    }

    /// The batch that was dropped when the store was opened, if one was.
    #[must_use]
    pub fn dropped(&self) -> Option<&DroppedBatch> {
        self.dropped.as_ref()
    }

    /// Whether nothing is acknowledged: from a failed write on until a new segment stands, and once the writer has ended.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned.load(Ordering::Relaxed) || self.jobs.is_closed()
    }

    /// Why the readable files can't be written, if they can't. The journal goes on without them.
    #[must_use]
    pub fn stream_files_failure(&self) -> Option<String> {
        let files = self.stream_files.lock().unwrap_or_else(PoisonError::into_inner);
        files.as_ref().and_then(StreamFiles::failure)
    }

    /// What has failed last and is nobody's answer: the log is whole, but less would be noticed if a part of it were lost.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.clone()
    }

    /// Finishes what was accepted, and ends the writers.
    pub async fn close(&self) {
        if let Some(writer) = self.writer.lock().await.take() {
            // An error means that the writer has ended already.
            drop(self.jobs.send(Job::Close).await);
            drop(spawn_blocking(move || writer.join()).await);
        }
        let files = self.stream_files.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(spawn_blocking(move || files.map(|mut files| files.stop())).await);
    }

    /// Has `read` done where it may wait for the disk. It locks the index only to look something up, never while it reads a file:
    /// the writer would wait.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&RwLock<Index>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(error);
        let turn = timeout(self.reader_wait, Arc::clone(&self.reading).acquire_owned()).await;
        let turn = turn.map_err(|late| unavailable(late.into()))?.map_err(|closed| unavailable(closed.into()))?;
        let index = Arc::clone(&self.index);
        let work = move || {
            let _turn = turn; // Until the read is done, even if nobody waits for it any more.
            read(&index)
        };
        spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }
}

impl Drop for JsonlEventStore {
    /// Waits for the writers, so that who opens the folder next finds it free.
    fn drop(&mut self) {
        self.jobs = mpsc::channel(1).0; // The writer ends when nobody can ask it any more.
        if let Some(writer) = self.writer.get_mut().take() {
            drop(writer.join()); // If it has panicked, it has said so.
        }
        if let Some(mut files) = self.stream_files.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            files.stop();
        }
    }
}

#[async_trait]
impl EventStore for JsonlEventStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        if self.jobs.send(Job::Append { batch, reply }).await.is_err() {
            return Err(StoreError::Unavailable("the writer has ended".into()));
        }
        outcome.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer ended before it answered".into())))
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        let snapshots = Arc::clone(&self.snapshots);
        self.reading(move |index| {
            let end = Timestamp::from_millis(i64::MAX);
            let load = |stream: &StreamId| load(index, &snapshots, *stream, end);
            streams.iter().map(load).collect()
        })
        .await
    }

    async fn keep_snapshots(&self, kept: Vec<Snapshot>) -> Result<(), StoreError> {
        let snapshots = Arc::clone(&self.snapshots);
        self.reading(move |index| {
            for snapshot in &kept {
                let there = event_of(index, snapshot.stock_id.into(), snapshot.inventory.version());
                if let Some((position, event_id)) = there
                    && position == snapshot.position
                {
                    let done = snapshots.keep(snapshot, event_id);
                    done.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
                }
            }
            Ok(())
        })
        .await
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

/// What `look` finds in the index, which is locked for that long only.
fn look<T>(index: &RwLock<Index>, look: impl FnOnce(&Index) -> T) -> T {
    look(&index.read().unwrap_or_else(PoisonError::into_inner))
}

/// The event with this version of a stream; `None` where there is none.
fn event_of(index: &RwLock<Index>, stream: StreamId, version: u64) -> Option<(Position, EventId)> {
    let (from, segments) = look(index, |index| (index.back_from_version(stream, version), index.segments.clone()));
    (from.version >= version).then(|| reader::event_of(&segments, from, version)).flatten()
}

/// A stream's history as it was at `until`, from the newest snapshot that is true.
fn load(
    index: &RwLock<Index>,
    snapshots: &Snapshots,
    stream: StreamId,
    until: Timestamp,
) -> Result<LoadedStream, StoreError> {
    let is_there = |version: u64, position: Position, event_id: EventId| {
        event_of(index, stream, version) == Some((position, event_id))
    };
    let kept = stream.stock_id().and_then(|stock_id| snapshots.newest(stock_id, until, is_there));
    let (from, segments) = look(index, |index| (index.back_from_time(stream, until), index.segments.clone()));
    reader::load(&segments, from, until, kept)
}

#[async_trait]
impl EventLog for JsonlEventStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = limit.clamp(1, self.log_page_events_max); // An empty page would be the end of the log.
        self.reading(move |index| match look(index, |index| index.log_from(after)) {
            Some((from, segments)) => reader::read_log(&segments, from, after, limit),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.index.read().unwrap_or_else(PoisonError::into_inner).head)
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.appended.clone()
    }
}

#[async_trait]
impl EventHistory for JsonlEventStore {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = limit.clamp(1, self.log_page_events_max);
        self.reading(move |index| {
            let (from, last, segments) = look(index, |index| {
                let last = after.saturating_add(limit as u64).min(index.stream(stream).version);
                (index.back_from_version(stream, last), last, index.segments.clone())
            });
            reader::stream_page(&segments, from, after, last)
        })
        .await
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        let snapshots = Arc::clone(&self.snapshots);
        self.reading(move |index| load(index, &snapshots, stock_id.into(), at)).await
    }
}
