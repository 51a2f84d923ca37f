//! The read models in one `SQLite` file of their own: rows and checkpoints move together, queries read both together.
//!
//! The file can be rebuilt from the log at any time, so it is written with `synchronous=NORMAL`.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{ProductLevels, RecordedEvent, StockViews, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId, StoreId};
use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode, Row, TransactionBehavior, params};
use thiserror::Error;
use uuid::Uuid;

use crate::disk_work::DiskWork;
use crate::model::{self, Model};
use crate::page::Page;
use crate::projection::{Projection, ProjectionError, all};
use crate::short_log::ShortLog;
use crate::{product_inventory, stock_levels};

/// Marks the file as ours ("INVR").
const APPLICATION_ID: i32 = 0x494e_5652;

/// How long a connection waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps ready: a handful for each projection, and as many for one that is made anew.
const STATEMENTS_MAX: usize = 128;

mod anew;

/// The bounds of the read models.
#[derive(Clone, Copy, Debug)]
pub struct ReadModelSettings {
    /// Connections that answer queries, at most.
    pub readers_max: u32,
    /// How long a query waits for a connection, in milliseconds.
    pub reader_wait_ms_max: u64,
    /// Page cache of each connection, in KiB.
    pub cache_kib: u32,
    /// How often the write-ahead log is taken into the file beside what is being applied, in milliseconds.
    pub checkpoint_ms: u64,
    /// Pages of the write-ahead log at which the next transaction has to take it into the file itself.
    pub wal_pages_max: u32,
    /// Rows that one look at a list passes over, at most.
    pub list_rows_max: usize,
}

/// Why the read models can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// `SQLite` refuses the file.
    #[error("the read models can't be opened: {0}")]
    Sqlite(rusqlite::Error),
    /// The file can't be asked for.
    #[error("the read models can't be opened: {0}")]
    File(#[from] io::Error),
    /// The file is damaged.
    #[error("the read models are damaged: {0}; remove their file, and a start makes them anew from the log")]
    Damaged(rusqlite::Error),
    /// The file has nothing, and its write-ahead log has something, which `SQLite` would remove.
    #[error(
        "the read models are empty, but their log isn't: remove both files, and a start makes them anew from the log of events"
    )]
    Emptied,
    /// No connection for queries can be made.
    #[error("the read models can't be opened for queries: {0}")]
    Pool(#[from] r2d2::Error),
    /// The file belongs to another program.
    #[error("the file holds no read models of this service (application id {0})")]
    Foreign(i32),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error),
            _ => Self::Sqlite(error),
        }
    }
}

/// The read models, their checkpoints, and who may move them.
pub struct SqliteReadModels {
    names: Vec<&'static str>,
    writer: Mutex<Writer>,
    pub(crate) short_log: Arc<ShortLog>,
    readers: Pool<SqliteConnectionManager>,
    list_rows_max: usize,
    pub(crate) disk_work: DiskWork,
}

/// The connection that writes, and what it writes to.
struct Writer {
    connection: Connection,
    served: Vec<Model>,
    /// Those that are made anew, by the place of the served one.
    fresh: Vec<(usize, Model)>,
}

/// What became of a page for one projection.
pub(crate) type Applied = Result<Moved, ProjectionError>;

/// How a page has moved a projection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    /// How far it is now.
    pub(crate) to: Position,
    /// Events that it has gone past with the page, and those of them that concern it.
    pub(crate) passed: usize,
    pub(crate) applied: usize,
}

impl SqliteReadModels {
    /// Opens the file, makes it if there is none, and takes the projections over from whoever owned them.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file can't be used.
    pub fn open(path: &Path, settings: &ReadModelSettings) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, settings, all(), DiskWork::OnThreads)
    }

    /// The same, read and written on the thread that asks, between two pauses: on one thread with a seed and simulated time a run can
    /// be repeated.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file can't be used.
    #[cfg(feature = "testing")]
    pub fn open_unthreaded(
        path: &Path,
        settings: &ReadModelSettings,
        pause: crate::disk_work::Pause,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, settings, all(), DiskWork::Here(pause))
    }

    pub(crate) fn open_with(
        path: &Path,
        settings: &ReadModelSettings,
        projections: Vec<Arc<dyn Projection>>,
        disk_work: DiskWork,
    ) -> Result<Arc<Self>, OpenError> {
        let mut connection = Connection::open(path)?;
        prepare(&connection, settings.cache_kib)?;
        let application_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application_id != APPLICATION_ID && application_id != 0 {
            return Err(OpenError::Foreign(application_id));
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        model::create_checkpoints(&transaction)?;
        model::clear_leftovers(&transaction)?;
        let served = projections.into_iter().map(|projection| Model::take_over(&transaction, projection));
        let served: Vec<Model> = served.collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        connection.pragma_update(None, "wal_autocheckpoint", settings.wal_pages_max)?;
        let keeper = Connection::open(path)?;
        prepare(&keeper, settings.cache_kib)?;
        let short_log = ShortLog::new(keeper, Duration::from_millis(settings.checkpoint_ms));
        let cache_kib = settings.cache_kib;
        let manager = SqliteConnectionManager::file(path).with_init(move |connection| {
            prepare(connection, cache_kib)?;
            connection.pragma_update(None, "query_only", true)
        });
        let readers = Pool::builder()
            .max_size(settings.readers_max)
            .min_idle(Some(1))
            // A file's connections don't age. What looks for old ones would outlive the read models by half a minute, with its threads.
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(Duration::from_millis(settings.reader_wait_ms_max))
            .build(manager)?;
        let names = served.iter().map(Model::name).collect();
        Ok(Arc::new(Self {
            names,
            writer: Mutex::new(Writer { connection, served, fresh: Vec::new() }),
            short_log: Arc::new(short_log),
            readers,
            list_rows_max: settings.list_rows_max,
            disk_work,
        }))
    }

    /// The names of the projections, in the order in which their results are given.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// How far each projection is.
    pub(crate) fn checkpoints(&self) -> Vec<Position> {
        self.writer().served.iter().map(Model::checkpoint).collect()
    }

    /// Applies the page of events that follows `after` to the projections that `running` says, each from its own checkpoint on,
    /// in one transaction: rows and checkpoints together. A projection that can't go on is left where it was, and the others go
    /// on; so is one that hasn't got to `after` yet.
    ///
    /// An error of the whole means that nothing has happened.
    pub(crate) fn apply(
        &self,
        after: Position,
        events: &[RecordedEvent],
        running: &[bool],
    ) -> rusqlite::Result<Vec<Applied>> {
        let mut writer = self.writer();
        let Writer { connection, served, .. } = &mut *writer;
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut page = (Position::START, Page::new(&[]));
        let mut results = Vec::with_capacity(served.len());
        for (model, is_running) in served.iter().zip(running) {
            let from = model.checkpoint();
            let new = &events[events.partition_point(|event| event.position <= from)..];
            let Some(last) = new.last().filter(|_| *is_running && from >= after) else {
                results.push(Ok(Moved { to: from, passed: 0, applied: 0 }));
                continue;
            };
            if page.0 != from || page.1.events().len() != new.len() {
                page = (from, Page::new(new)); // As a rule all of them are equally far.
            }
            let savepoint = transaction.savepoint()?;
            let applied = model.apply(&savepoint, &page.1, last.position);
            match applied {
                Ok(()) => savepoint.commit()?,
                Err(ProjectionError::Unavailable(error)) => return Err(error),
                Err(ProjectionError::Inapplicable { .. } | ProjectionError::OwnershipLost(_)) => drop(savepoint),
            }
            results.push(applied.map(|()| Moved {
                to: last.position,
                passed: new.len(),
                applied: new.iter().filter(|event| model.concerns(event.stream)).count(),
            }));
        }
        transaction.commit()?;
        for (model, result) in served.iter_mut().zip(&results) {
            if let Ok(moved) = result {
                model.moved_to(moved.to);
            }
        }
        Ok(results)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that one look at a list passes over, at most.
    pub(crate) fn list_rows_max(&self) -> usize {
        self.list_rows_max
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ViewError> {
        let readers = self.readers.clone();
        let work = move || -> Result<T, Box<dyn std::error::Error + Send + Sync>> { Ok(read(&*readers.get()?)?) };
        self.disk_work.run(work).await.map_err(|error| ViewError(Box::new(error)))?.map_err(ViewError)
    }
}

/// PRAGMAs are per connection; the journal mode is read back, because one that can't be had is not set without a word.
fn prepare(connection: &Connection, cache_kib: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        let message = format!("journal_mode is {mode}, it has to be wal");
        return Err(rusqlite::Error::ToSqlConversionFailure(message.into()));
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    // What a savepoint may have to put back is kept in memory, not in a file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

#[async_trait]
impl StockViews for SqliteReadModels {
    async fn level(&self, stock_id: StockId, _: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        self.query(move |connection| {
            // One statement, so that the row and the checkpoint are of the same moment.
            let mut read = connection.prepare_cached(
                "SELECT position, quantity, reserved, version FROM checkpoints
                 LEFT JOIN stock_levels ON store_id = ?2 AND product_id = ?3 WHERE name = ?1",
            )?;
            let (store_id, product_id) = (stock_id.store_id.uuid(), stock_id.product_id.uuid());
            read.query_row(params![stock_levels::NAME, store_id.as_bytes(), product_id.as_bytes()], |row| {
                let as_of = Position(row.get::<_, i64>(0)?.cast_unsigned());
                let is_there = row.get::<_, Option<i64>>(3)?.is_some();
                Ok(Viewed::fresh(is_there.then(|| level(row)).transpose()?, as_of))
            })
        })
        .await
    }

    async fn product(&self, product_id: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        self.query(move |connection| {
            let mut read = connection.prepare_cached(
                "SELECT position, quantity, reserved, version, store_id FROM checkpoints
                 LEFT JOIN product_inventory ON product_id = ?2 WHERE name = ?1 ORDER BY store_id",
            )?;
            let mut rows = read.query(params![product_inventory::NAME, product_id.uuid().as_bytes()])?;
            let (mut as_of, mut levels) = (Position::START, Vec::new());
            while let Some(row) = rows.next()? {
                as_of = Position(row.get::<_, i64>(0)?.cast_unsigned());
                if let Some(store_id) = row.get::<_, Option<[u8; 16]>>(4)? {
                    levels.push((StoreId::new(Uuid::from_bytes(store_id)), level(row)?));
                }
            }
            Ok(Viewed::fresh(Arc::new(levels), as_of))
        })
        .await
    }
}

/// The level in columns 1 to 3.
fn level(row: &Row<'_>) -> rusqlite::Result<Level> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Level { quantity: number(1)?, reserved: number(2)?, version: number(3)? })
}
