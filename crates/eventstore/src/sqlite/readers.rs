//! The connections that read.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use inventory_application::ports::StoreError;
use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::SqliteSettings;
use super::schema::{OpenError, prepare_reader};

/// A pool of connections, which can be closed for a while.
pub(super) struct Readers {
    path: PathBuf,
    settings: SqliteSettings,
    /// Held by who reads; `None` where it couldn't be opened again.
    pool: RwLock<Option<Pool<SqliteConnectionManager>>>,
}

impl Readers {
    /// Opens connections to a file whose tables are there.
    pub(super) fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, OpenError> {
        let pool = RwLock::new(Some(open_pool(path, settings)?));
        Ok(Self { path: path.to_owned(), settings: *settings, pool })
    }

    /// Reads with one of them.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        let pool =
            pool.as_ref().ok_or_else(|| StoreError::Unavailable("the file can't be opened for reading".into()))?;
        let mut connection = pool.get().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        read(&mut connection)
    }

    /// Does something while none of them is open. Who wants to read waits for it.
    ///
    /// # Errors
    ///
    /// Why they can't be opened again: who wants to read is refused, until this is called once more.
    pub(super) fn closed<T>(&self, work: impl FnOnce() -> T) -> Result<T, OpenError> {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        *pool = None;
        let done = work();
        *pool = Some(open_pool(&self.path, &self.settings)?);
        Ok(done)
    }
}

fn open_pool(path: &Path, settings: &SqliteSettings) -> Result<Pool<SqliteConnectionManager>, OpenError> {
    let pragmas = *settings;
    let manager = SqliteConnectionManager::file(path).with_init(move |connection| {
        prepare_reader(connection, &pragmas).map_err(|error| match error {
            OpenError::Sqlite(error) => error,
            other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
        })
    });
    let pool = Pool::builder()
        .max_size(settings.readers_max)
        .min_idle(Some(1))
        .test_on_check_out(false) // A file doesn't hang up.
        // Nor does it age. What looks for old connections would outlive the store by its period, half a minute, with its threads.
        .max_lifetime(None)
        .idle_timeout(None)
        .connection_timeout(Duration::from_millis(settings.reader_wait_ms_max))
        .build(manager)?;
    Ok(pool)
}
