//! One log of events in an `SQLite` file, in either of two layouts, with a single connection that appends to it.
//!
//! Nothing here reads an event, checks a rule or survives a restart: it is what is left of an event store when only the
//! disk's work remains.

use std::path::Path;
use std::str::FromStr;

use rusqlite::{Connection, TransactionBehavior, params};
use uuid::Uuid;

mod reading;

/// How the log knows that a stream has no version twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// By an index, `UNIQUE (stream, version)`.
    Unique,
    /// By a row for each stream that is moved on by compare-and-set, once a batch; each event holds its stream's previous
    /// position.
    Chain,
}

impl Layout {
    const fn schema(self) -> &'static str {
        match self {
            Self::Unique => {
                "CREATE TABLE events (
                    position INTEGER PRIMARY KEY,
                    stream INTEGER NOT NULL,
                    version INTEGER NOT NULL,
                    event_id BLOB NOT NULL,
                    data TEXT NOT NULL,
                    recorded_at INTEGER NOT NULL,
                    metadata TEXT NOT NULL,
                    UNIQUE (stream, version)
                ) STRICT;"
            }
            Self::Chain => {
                "CREATE TABLE events (
                    position INTEGER PRIMARY KEY,
                    stream INTEGER NOT NULL,
                    version INTEGER NOT NULL,
                    previous INTEGER NOT NULL,
                    event_id BLOB NOT NULL,
                    data TEXT NOT NULL,
                    recorded_at INTEGER NOT NULL,
                    metadata TEXT NOT NULL
                ) STRICT;
                CREATE TABLE streams (
                    key INTEGER PRIMARY KEY,
                    version INTEGER NOT NULL,
                    head INTEGER NOT NULL
                ) STRICT;"
            }
        }
    }

    const fn insert_event(self) -> &'static str {
        match self {
            Self::Unique => {
                "INSERT INTO events (position, stream, version, event_id, data, recorded_at, metadata)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            }
            Self::Chain => {
                "INSERT INTO events (position, stream, version, event_id, data, recorded_at, metadata, previous)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            }
        }
    }
}

impl FromStr for Layout {
    type Err = &'static str;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given {
            "unique" => Ok(Self::Unique),
            "chain" => Ok(Self::Chain),
            _ => Err("a layout is `unique` or `chain`"),
        }
    }
}

/// How `SQLite` is set up, beyond what durability asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pragmas {
    /// As it comes: a cache of 2 MB, a checkpoint every 1,000 pages.
    Default,
    /// A cache of 64 MB, a checkpoint every 16,000 pages.
    Tuned,
}

impl FromStr for Pragmas {
    type Err = &'static str;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given {
            "default" => Ok(Self::Default),
            "tuned" => Ok(Self::Tuned),
            _ => Err("the pragmas are `default` or `tuned`"),
        }
    }
}

/// An event to append.
#[derive(Debug)]
pub(crate) struct NewEvent {
    /// Whose event it is; streams are numbered from 0 on.
    pub(crate) stream: u32,
    pub(crate) event_id: Uuid,
    pub(crate) data: String,
    pub(crate) metadata: String,
}

/// Where an event went.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "not every program that shares this module answers with it")]
pub(crate) struct Appended {
    pub(crate) version: i64,
    pub(crate) position: i64,
}

/// What the writer remembers of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    version: i64,
    head: i64,
    /// The version in the stream's row, which follows at the end of a batch (chain layout).
    stored_version: i64,
}

/// The log, and the memory of the one who writes it.
#[derive(Debug)]
pub(crate) struct EventTable {
    connection: Connection,
    layout: Layout,
    streams: Vec<Stream>,
    head: i64,
}

impl EventTable {
    /// Makes a new log in a new file.
    pub(crate) fn create(file: &Path, layout: Layout, pragmas: Pragmas) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        if pragmas == Pragmas::Tuned {
            connection.pragma_update(None, "cache_size", -64 * 1024)?; // In KiB where it is negative.
            connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
        }
        connection.execute_batch(layout.schema())?;
        Ok(Self { connection, layout, streams: Vec::new(), head: 0 })
    }

    /// Appends `events` in one transaction: when this returns, they are on disk. After an error the log is of no further
    /// use, because the memory is ahead of the file.
    pub(crate) fn append(&mut self, recorded_at: i64, events: &[NewEvent]) -> rusqlite::Result<Vec<Appended>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut appended = Vec::with_capacity(events.len());
        let mut touched = Vec::new();
        let mut insert = transaction.prepare_cached(self.layout.insert_event())?;
        for NewEvent { stream: key, event_id, data, metadata } in events {
            let index = *key as usize;
            if index >= self.streams.len() {
                self.streams.resize(index + 1, Stream::default());
            }
            let stream = &mut self.streams[index];
            if stream.version == stream.stored_version {
                touched.push(*key);
            }
            let previous = stream.head;
            self.head += 1;
            stream.version += 1;
            stream.head = self.head;
            let Stream { version, head: position, .. } = *stream;
            let event_id = event_id.as_bytes().as_slice();
            match self.layout {
                Layout::Unique => {
                    insert.execute(params![position, key, version, event_id, data, recorded_at, metadata])?
                }
                Layout::Chain => {
                    insert.execute(params![position, key, version, event_id, data, recorded_at, metadata, previous])?
                }
            };
            appended.push(Appended { version, position });
        }
        drop(insert);

        for key in touched {
            let stream = &mut self.streams[key as usize];
            if self.layout == Layout::Chain {
                let moved = if stream.stored_version == 0 {
                    transaction
                        .prepare_cached("INSERT INTO streams (key, version, head) VALUES (?1, ?2, ?3)")?
                        .execute(params![key, stream.version, stream.head])?
                } else {
                    transaction
                        .prepare_cached("UPDATE streams SET version = ?2, head = ?3 WHERE key = ?1 AND version = ?4")?
                        .execute(params![key, stream.version, stream.head, stream.stored_version])?
                };
                assert_eq!(moved, 1, "somebody else has written to stream {key}");
            }
            stream.stored_version = stream.version;
        }
        transaction.commit()?;
        Ok(appended)
    }
}
