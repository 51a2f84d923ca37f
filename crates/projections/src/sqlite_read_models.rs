//! The read models in one `SQLite` file of their own: rows and checkpoints move together, queries read both together.
//!
//! The file can be rebuilt from the log at any time, so it is written with `synchronous=NORMAL`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{ProductLevels, RecordedEvent, StockViews, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId, StoreId};
use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use thiserror::Error;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::projection::{Projection, ProjectionError, all};
use crate::{product_inventory, stock_levels};

/// Marks the file as ours ("INVR").
const APPLICATION_ID: i32 = 0x494e_5652;

/// How long a connection waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const CHECKPOINTS: &str = "CREATE TABLE IF NOT EXISTS checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// The bounds of the read models.
#[derive(Clone, Copy, Debug)]
pub struct ReadModelSettings {
    /// Connections that answer queries, at most.
    pub readers_max: u32,
    /// How long a query waits for a connection, in milliseconds.
    pub reader_wait_ms_max: u64,
    /// Page cache of each connection, in KiB.
    pub cache_kib: u32,
}

/// Why the read models can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// `SQLite` refuses the file.
    #[error("the read models can't be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// No connection for queries can be made.
    #[error("the read models can't be opened for queries: {0}")]
    Pool(#[from] r2d2::Error),
    /// The file belongs to another program.
    #[error("the file holds no read models of this service (application id {0})")]
    Foreign(i32),
}

/// The read models, their checkpoints, and who may move them.
pub struct SqliteReadModels {
    projections: Vec<Owned>,
    writer: Mutex<Connection>,
    readers: Pool<SqliteConnectionManager>,
}

/// A projection, and the epoch under which this process owns it.
struct Owned {
    projection: Box<dyn Projection>,
    owner_epoch: i64,
}

/// What became of a page for one projection.
pub(crate) type Applied = Result<Position, ProjectionError>;

impl SqliteReadModels {
    /// Opens the file, makes it if there is none, and takes the projections over from whoever owned them.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the file can't be used.
    pub fn open(path: &Path, settings: &ReadModelSettings) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, settings, all())
    }

    pub(crate) fn open_with(
        path: &Path,
        settings: &ReadModelSettings,
        projections: Vec<Box<dyn Projection>>,
    ) -> Result<Arc<Self>, OpenError> {
        let mut writer = Connection::open(path)?;
        prepare(&writer, settings.cache_kib)?;
        let application_id: i32 = writer.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application_id != APPLICATION_ID && application_id != 0 {
            return Err(OpenError::Foreign(application_id));
        }
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(CHECKPOINTS)?;
        let mut owned = Vec::with_capacity(projections.len());
        for projection in projections {
            projection.create_tables(&transaction)?;
            let owner_epoch = transaction.query_row(
                "INSERT INTO checkpoints (name, position, owner_epoch) VALUES (?1, 0, 1)
                 ON CONFLICT (name) DO UPDATE SET owner_epoch = owner_epoch + 1 RETURNING owner_epoch",
                [projection.name()],
                |row| row.get(0),
            )?;
            owned.push(Owned { projection, owner_epoch });
        }
        transaction.commit()?;
        let cache_kib = settings.cache_kib;
        let manager = SqliteConnectionManager::file(path).with_init(move |connection| {
            prepare(connection, cache_kib)?;
            connection.pragma_update(None, "query_only", true)
        });
        let readers = Pool::builder()
            .max_size(settings.readers_max)
            .min_idle(Some(1))
            .connection_timeout(Duration::from_millis(settings.reader_wait_ms_max))
            .build(manager)?;
        Ok(Arc::new(Self { projections: owned, writer: Mutex::new(writer), readers }))
    }

    /// The names of the projections, in the order in which their results are given.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.projections.iter().map(|owned| owned.projection.name()).collect()
    }

    /// How far each projection is.
    pub(crate) fn checkpoints(&self) -> rusqlite::Result<Vec<Position>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.projections.iter().map(|owned| checkpoint_of(&writer, owned.projection.name())).collect()
    }

    /// Applies a page to the projections that `running` says, each from its own checkpoint on, in one transaction: rows and
    /// checkpoints together. A projection that can't go on is left where it was, and the others go on.
    ///
    /// An error of the whole means that nothing has happened.
    pub(crate) fn apply(
        &self,
        events: &[RecordedEvent],
        checkpoints: &[Position],
        running: &[bool],
    ) -> rusqlite::Result<Vec<Applied>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(self.projections.len());
        for ((owned, checkpoint), is_running) in self.projections.iter().zip(checkpoints).zip(running) {
            let new = &events[events.partition_point(|event| event.position <= *checkpoint)..];
            let Some(last) = new.last().filter(|_| *is_running) else {
                results.push(Ok(*checkpoint));
                continue;
            };
            let savepoint = transaction.savepoint()?;
            let applied = owned.apply(&savepoint, new, *checkpoint, last.position);
            match applied {
                Ok(()) => savepoint.commit()?,
                Err(ProjectionError::Unavailable(error)) => return Err(error),
                Err(ProjectionError::Inapplicable { .. } | ProjectionError::OwnershipLost(_)) => drop(savepoint),
            }
            results.push(applied.map(|()| last.position));
        }
        transaction.commit()?;
        Ok(results)
    }

    pub(crate) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ViewError> {
        let readers = self.readers.clone();
        let work = move || -> Result<T, Box<dyn std::error::Error + Send + Sync>> { Ok(read(&*readers.get()?)?) };
        spawn_blocking(work).await.map_err(|error| ViewError(Box::new(error)))?.map_err(ViewError)
    }
}

impl Owned {
    fn apply(
        &self,
        connection: &Connection,
        events: &[RecordedEvent],
        from: Position,
        to: Position,
    ) -> Result<(), ProjectionError> {
        self.projection.apply(connection, events)?;
        let mut move_on = connection.prepare_cached(
            "UPDATE checkpoints SET position = ?4 WHERE name = ?1 AND owner_epoch = ?2 AND position = ?3",
        )?;
        let name = self.projection.name();
        let moved = move_on.execute(params![name, self.owner_epoch, from.0.cast_signed(), to.0.cast_signed()])?;
        if moved == 1 { Ok(()) } else { Err(ProjectionError::OwnershipLost(name)) }
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
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

pub(crate) fn checkpoint_of(connection: &Connection, name: &str) -> rusqlite::Result<Position> {
    let mut read = connection.prepare_cached("SELECT position FROM checkpoints WHERE name = ?1")?;
    read.query_row([name], |row| Ok(Position(row.get::<_, i64>(0)?.cast_unsigned())))
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
