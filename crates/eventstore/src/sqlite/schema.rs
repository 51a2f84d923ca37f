//! The tables, and connections that are as they have to be.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use inventory_application::{Position, StreamId};
use inventory_domain::{OrderId, ProductId, StockId, StoreId, TransferId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;
use uuid::Uuid;

use super::write_ahead_log::{path_of, refuse_emptied, remember_pages};
use super::{SqliteSettings, append_ids, snapshots};
use crate::files::named;
use crate::lost_events::{LostEvents, Seen};

/// Marks the file as ours ("INVE").
const APPLICATION_ID: i32 = 0x494e_5645;

/// The version of the tables.
const TABLES_VERSION: i32 = 3;

/// `previous`: that of the stream's event before this one, 0 at the first.
/// `remaining`: how many events of the same group follow.
const LOG_TABLES: &str = "
    CREATE TABLE streams (
        key INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        remaining INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        metadata TEXT NOT NULL
    ) STRICT;
";

/// `head`: the position of the stream's last event. Apart from the streams' ids, because these rows move with every batch: so
/// narrow, five times as many share a page, and a batch over many streams writes so many pages less.
const HEADS: &str = "
    CREATE TABLE stream_heads (
        key INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        head INTEGER NOT NULL
    ) STRICT;
";

/// Where a stream stands, by its id.
pub(super) const FIND_HEAD: &str = "SELECT key, version, head FROM streams JOIN stream_heads USING (key) WHERE id = ?1";

/// Every so many versions a stream has a mark: where in the log it stands, so that a page of a long stream is found without
/// walking all of it.
pub(super) const MARK_EVERY: u64 = 128;

const MARKS: &str = "
    CREATE TABLE stream_marks (
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        PRIMARY KEY (stream, version)
    ) STRICT, WITHOUT ROWID;
";

/// From version 1, which remembered append ids in one table that nothing was ever written to.
const FROM_VERSION_1: &str = "
    DROP TABLE append_ids;
    INSERT INTO stream_marks (stream, version, position, recorded_at)
        SELECT stream, version, position, recorded_at FROM events WHERE version % 128 = 0 ORDER BY stream, version;
";

/// From version 2, which had them in the streams' rows.
const FROM_VERSION_2: &str = "
    INSERT INTO stream_heads (key, version, head) SELECT key, version, head FROM streams ORDER BY key;
    ALTER TABLE streams DROP COLUMN version;
    ALTER TABLE streams DROP COLUMN head;
";

/// How long a connection waits for another one's lock; only a checkpoint ever holds one for long.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// The same for a repair, which is tried again with the next append.
const REPAIR_BUSY_TIMEOUT_MS: u64 = 100;

/// Why a file can't be used as an event store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// `SQLite` refuses it.
    #[error("the event store can't be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file can't be asked for, or opened.
    #[error("the event store can't be opened: {0}")]
    File(io::Error),
    /// No connection for readers can be made.
    #[error("the event store can't be opened for reading: {0}")]
    Pool(#[from] r2d2::Error),
    /// The file belongs to another program.
    #[error("the file is not an event store of this service (application id {0})")]
    Foreign(i32),
    /// The file was written by a newer version of this program.
    #[error("the event store has tables of version {0}, this program knows {TABLES_VERSION}")]
    Newer(i32),
    /// The file has nothing, and its write-ahead log has something.
    #[error("{file} is empty, but {log} beside it isn't: restore the file, or a backup", file = .0.display(), log = path_of(.0).display())]
    Emptied(PathBuf),
    /// What is there can't be written once more, so that it isn't known to be on the disk.
    #[error("the event store can't be brought to the disk as it is: {0}")]
    WriteAheadLog(io::Error),
    /// The write-ahead log isn't any more what it was when it was opened.
    #[error("{log} has changed since it was opened: after a sync that failed, the system has dropped what wasn't on the disk. Close every \
        other program that has the file open, and start again", log = .0.display())]
    LogChanged(PathBuf),
    /// The log lacks events that were acknowledged.
    #[error(transparent)]
    LostEvents(#[from] LostEvents),
    /// A PRAGMA did not take.
    #[error("{name} is {actual}, it has to be {expected}")]
    Pragma {
        /// Which one.
        name: &'static str,
        /// What it is.
        actual: String,
        /// What it has to be.
        expected: String,
    },
    /// The writer can't be started.
    #[error("the event store's writer can't be started: {0}")]
    Thread(io::Error),
}

impl OpenError {
    /// Whether the system may have dropped from memory, between two looks, what a failed sync had not brought to the disk: then the next
    /// one to open the file finds a log that ends before that.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::LogChanged(_) => true,
            Self::Sqlite(error) => error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy),
            _ => false,
        }
    }
}

/// The first connection of a start, which has looked at nothing but whose file it is.
pub(super) fn open_first(path: &Path, seen: Option<&Seen>) -> Result<Connection, OpenError> {
    refuse_emptied(path)?;
    if let Some(seen) = seen
        && !fs::exists(path).map_err(named(path)).map_err(OpenError::File)?
    {
        seen.check(path, Position::START)?;
    }
    let connection = Connection::open(path)?;
    leave_log_on_close(&connection)?;
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    match connection.pragma_query_value(None, "application_id", |row| row.get(0))? {
        APPLICATION_ID | 0 => Ok(connection), // 0: a new one, or one of somebody who doesn't say.
        foreign => Err(OpenError::Foreign(foreign)),
    }
}

/// A connection that may write, on tables that are there; where the log lacks events that were `seen`, nothing is changed.
pub(super) fn open_writer(
    path: &Path,
    settings: &SqliteSettings,
    seen: Option<&Seen>,
) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    leave_log_on_close(&connection)?;
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    let application_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables_version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let own = format!("PRAGMA application_id = {APPLICATION_ID};");
    let added_in_2 = added_in_2();
    let missing: &[&str] = match (application_id, tables_version) {
        (0, 0) if objects == 0 => &[&own, LOG_TABLES, &added_in_2, HEADS],
        (APPLICATION_ID, 1) => &[&added_in_2, FROM_VERSION_1, HEADS, FROM_VERSION_2],
        (APPLICATION_ID, 2) => &[HEADS, FROM_VERSION_2],
        (APPLICATION_ID, TABLES_VERSION) => &[],
        (APPLICATION_ID, newer) => return Err(OpenError::Newer(newer)),
        (foreign, _) => return Err(OpenError::Foreign(foreign)),
    };
    if let Some(seen) = seen {
        let read_head = || connection.query_row("SELECT coalesce(max(position), 0) FROM events", [], |row| row.get(0));
        let head: i64 = if objects == 0 { 0 } else { read_head()? };
        seen.check(path, Position(head.cast_unsigned()))?;
    }
    set(&connection, settings)?;
    if !missing.is_empty() {
        change(&connection, missing)?;
    }
    Ok(connection)
}

/// Leaves the write-ahead log where it is when the last connection goes: a start that is refused changes nothing, and what is to be taken
/// into the file is taken there by a checkpoint.
fn leave_log_on_close(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Makes the tables those of the newest version, by these statements, as a whole or not at all.
fn change(connection: &Connection, statements: &[&str]) -> rusqlite::Result<()> {
    let all = statements.join("\n");
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {all} PRAGMA user_version = {TABLES_VERSION}; COMMIT;"))
}

/// What version 2 has and version 1 hadn't.
fn added_in_2() -> String {
    format!("{MARKS} {} {}", append_ids::TABLES, snapshots::TABLES)
}

/// Makes a pooled connection one that can only read.
pub(super) fn prepare_reader(connection: &Connection, settings: &SqliteSettings) -> Result<(), OpenError> {
    set(connection, settings)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(())
}

/// A connection that was just made, for a repair.
pub(super) fn open_for_repair(path: &Path, settings: &SqliteSettings) -> Result<Connection, OpenError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    set(&connection, settings)?;
    connection.busy_timeout(Duration::from_millis(REPAIR_BUSY_TIMEOUT_MS))?;
    Ok(connection)
}

/// PRAGMAs are per connection; each is read back, because one that is not understood is ignored without a word.
fn set(connection: &Connection, settings: &SqliteSettings) -> Result<(), OpenError> {
    leave_log_on_close(connection)?;
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    pragma(connection, "journal_mode", "wal", "wal")?;
    pragma(connection, "synchronous", "FULL", "2")?;
    let cache = format!("-{}", settings.cache_kib);
    pragma(connection, "cache_size", &cache, &cache)?;
    pragma(connection, "wal_autocheckpoint", "0", "0")?; // The writer does it, and sees whether it fails.
    connection.wal_hook(Some(remember_pages));
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn pragma(connection: &Connection, name: &'static str, value: &str, expected: &str) -> Result<(), OpenError> {
    connection.execute_batch(&format!("PRAGMA {name} = {value};"))?;
    let actual = connection.pragma_query_value(None, name, |row| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
    })?;
    if actual == expected { Ok(()) } else { Err(OpenError::Pragma { name, actual, expected: expected.to_owned() }) }
}

/// The first byte of a stream's id says what it is the stream of.
const INVENTORY: u8 = 1;
const ORDER: u8 = 2;
const TRANSFER: u8 = 3;

/// How a stream's id is kept: its kind, then its parts.
pub(super) struct StreamBlob {
    bytes: [u8; 33],
    length: usize,
}

impl StreamBlob {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

pub(super) fn stream_to_blob(stream: StreamId) -> StreamBlob {
    let one = |kind, uuid: Uuid| {
        let mut bytes = [kind; 33];
        bytes[1..17].copy_from_slice(uuid.as_bytes());
        StreamBlob { bytes, length: 17 }
    };
    match stream {
        StreamId::Inventory(stock_id) => {
            let StreamBlob { mut bytes, .. } = one(INVENTORY, stock_id.product_id.uuid());
            bytes[17..].copy_from_slice(stock_id.store_id.uuid().as_bytes());
            StreamBlob { bytes, length: 33 }
        }
        StreamId::Order(order_id) => one(ORDER, order_id.uuid()),
        StreamId::Transfer(transfer_id) => one(TRANSFER, transfer_id.uuid()),
    }
}

/// The stream whose id is kept so; `None` when there is no such kind.
pub(super) fn stream_of_blob(blob: &[u8]) -> Option<StreamId> {
    let (&kind, parts) = blob.split_first()?;
    let (first, rest) = parts.split_at_checked(16)?;
    let first = Uuid::from_slice(first).ok()?;
    match (kind, rest.len()) {
        (INVENTORY, 16) => {
            let store_id = StoreId::new(Uuid::from_slice(rest).ok()?);
            Some(StreamId::Inventory(StockId { product_id: ProductId::new(first), store_id }))
        }
        (ORDER, 0) => Some(StreamId::Order(OrderId::new(first))),
        (TRANSFER, 0) => Some(StreamId::Transfer(TransferId::new(first))),
        _ => None,
    }
}
