//! The event store on one `SQLite` file.
//!
//! One thread writes, and makes each batch durable with one commit (WAL, `synchronous=FULL`); a pool of connections reads.
//! No index on (stream, version): a stream's head holds its version and its last position, and moves under the write
//! lock; each event names its stream's previous position. `benches/README.md` has the figures of both layouts.
//!
//! In reading order: `schema`, `write_ahead_log`, `settings`, `writer` (the thread and its repair), `append` (one batch), `append_ids` (who has
//! asked before), `snapshots`, `reader`, [`maintenance`] (the file as a whole).

mod append;
mod append_ids;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod faults;
pub mod maintenance;
mod reader;
mod schema;
mod settings;
mod snapshots;
mod write_ahead_log;
mod writer;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, Clock, EventHistory, EventLog, EventStore, LoadedStream, RecordedEvent, Snapshot,
    StoreError,
};
use inventory_application::{Position, StreamId};
use inventory_domain::{StockId, Timestamp};
use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::snapshots::EncodedSnapshot;
use self::writer::{Job, Writer};
use crate::data_folder::DataFolder;
use crate::files::{Files, RealFiles, WriteFile};
use crate::lost_events::Seen;

pub use self::schema::OpenError;
pub use self::settings::SqliteSettings;

/// The name of the file in the data folder.
pub const FILE: &str = "events.db";

/// The event store on one `SQLite` file, which nobody else writes.
pub struct SqliteEventStore {
    jobs: mpsc::Sender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Pool<SqliteConnectionManager>,
    /// Behind the connections: when it is closed, all locks of this process on the file go.
    _file: Arc<dyn WriteFile>,
    /// One for each connection, so that who waits for one holds no thread.
    reading: Arc<Semaphore>,
    reader_wait: Duration,
    appended: watch::Receiver<Position>,
    is_poisoned: Arc<AtomicBool>,
    failure: watch::Receiver<Option<Arc<str>>>,
    log_page_events_max: usize,
    closed_remembered: usize,
}

impl SqliteEventStore {
    /// Opens the store in this folder, and makes it if there is none. Append ids are forgotten by `clock`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file can't be used as it has to be.
    pub fn open(
        folder: Arc<DataFolder>,
        settings: &SqliteSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_as_seen(folder, settings, clock, None)
    }

    /// Opens the store as [`SqliteEventStore::open`] does, unless it lacks events that were `seen`; then nothing is changed.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file can't be used, or events are lost.
    pub fn open_as_seen(
        folder: Arc<DataFolder>,
        settings: &SqliteSettings,
        clock: Arc<dyn Clock>,
        seen: Option<&Seen>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(folder, settings, clock, seen, Arc::new(RealFiles))
    }

    fn open_with(
        folder: Arc<DataFolder>,
        settings: &SqliteSettings,
        clock: Arc<dyn Clock>,
        seen: Option<&Seen>,
        files: Arc<dyn Files>,
    ) -> Result<Arc<Self>, OpenError> {
        let path = folder.file(FILE);
        let writer = Writer::open(&path, settings, clock, files, seen)?;
        let (file, failure) = (writer.file(), writer.failure());
        let (announce, appended) = watch::channel(writer.head());
        let is_poisoned = Arc::new(AtomicBool::new(false));
        let (jobs, inbox) = mpsc::channel(settings.writer_queue_batches_max);
        let poisoned = Arc::clone(&is_poisoned);
        let writer = std::thread::Builder::new()
            .name("event-store-writer".into())
            .spawn(move || {
                writer.run(inbox, &announce, &poisoned);
                drop(folder); // Nobody else has it before the writer is done.
            })
            .map_err(OpenError::Thread)?;
        let pragmas = *settings;
        let manager = SqliteConnectionManager::file(&path).with_init(move |connection| {
            schema::prepare_reader(connection, &pragmas).map_err(|error| match error {
                OpenError::Sqlite(error) => error,
                other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
            })
        });
        let reader_wait = Duration::from_millis(settings.reader_wait_ms_max);
        let readers = Pool::builder()
            .max_size(settings.readers_max)
            .min_idle(Some(1))
            .test_on_check_out(false) // A file doesn't hang up.
            // Nor does it age. What looks for old connections would outlive the store by its period, half a minute, with its threads.
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(reader_wait)
            .build(manager)?;
        Ok(Arc::new(Self {
            jobs,
            writer: Mutex::new(Some(writer)),
            readers,
            _file: file,
            reading: Arc::new(Semaphore::new(settings.readers_max as usize)),
            reader_wait,
            appended,
            is_poisoned,
            failure,
            log_page_events_max: settings.log_page_events_max.max(1),
            closed_remembered: settings.closed_reservations_remembered,
        }))
    }

    /// Whether nothing is acknowledged: from a failed commit until the file is known to be sound again, and once the
    /// writer has ended.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned.load(Ordering::Relaxed) || self.jobs.is_closed()
    }

    /// What has failed last and is no caller's answer: that the write-ahead log can't be taken into the file, or why a repair doesn't succeed.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.clone()
    }

    /// Finishes what was accepted, takes the write-ahead log into the file, and ends the writer.
    pub async fn close(&self) {
        let Some(writer) = self.writer.lock().await.take() else { return };
        // An error means that the writer has ended already.
        drop(self.jobs.send(Job::Close).await);
        drop(spawn_blocking(move || writer.join()).await);
    }

    async fn with_reader<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable = |error: Box<dyn Error + Send + Sync>| StoreError::Unavailable(error);
        let turn = timeout(self.reader_wait, Arc::clone(&self.reading).acquire_owned()).await;
        let turn = turn.map_err(|late| unavailable(late.into()))?.map_err(|closed| unavailable(closed.into()))?;
        let readers = self.readers.clone();
        let work = move || {
            let _turn = turn; // Until the read is done, even if nobody waits for it any more.
            let mut reader = readers.get().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            read(&mut reader)
        };
        spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }
}

impl Drop for SqliteEventStore {
    /// Waits for the writer, so that who opens the folder next finds it free.
    fn drop(&mut self) {
        self.jobs = mpsc::channel(1).0; // The writer ends when nobody can ask it any more.
        if let Some(writer) = self.writer.get_mut().take() {
            drop(writer.join()); // If it has panicked, it has said so.
        }
    }
}

#[async_trait]
impl EventStore for SqliteEventStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        if self.jobs.send(Job::Append { batch, reply }).await.is_err() {
            return Err(StoreError::Unavailable("the writer has ended".into()));
        }
        outcome.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer ended before it answered".into())))
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        let closed_remembered = self.closed_remembered;
        self.with_reader(move |connection| reader::load(connection, &streams, closed_remembered)).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        let (reply, kept) = oneshot::channel();
        let gone = || StoreError::Unavailable("the writer has ended".into());
        let encoded = spawn_blocking(move || snapshots.iter().map(EncodedSnapshot::of).collect()).await;
        let snapshots = encoded.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        self.jobs.send(Job::Keep { snapshots, reply }).await.map_err(|_| gone())?;
        kept.await.unwrap_or_else(|_| Err(gone()))
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

#[async_trait]
impl EventLog for SqliteEventStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = limit.clamp(1, self.log_page_events_max); // An empty page would be the end of the log.
        self.with_reader(move |connection| {
            let transaction = connection.transaction().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            reader::read_log(&transaction, after, limit)
        })
        .await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.with_reader(|connection| reader::head(connection)).await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.appended.clone()
    }
}

#[async_trait]
impl EventHistory for SqliteEventStore {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = limit.clamp(1, self.log_page_events_max);
        self.with_reader(move |connection| reader::stream_page(connection, stream, after, limit)).await
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        let closed_remembered = self.closed_remembered;
        self.with_reader(move |connection| reader::load_at(connection, stock_id, at, closed_remembered)).await
    }
}
