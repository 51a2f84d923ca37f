//! An event store as files: read as a whole, proved and copied, also beside a service that is writing it.

use std::path::{Path, PathBuf};

use inventory_application::ports::{RecordedEvent, StoreError};
use inventory_application::{EventId, Position};
use inventory_domain::{Inventory, StockId, Timestamp};

use crate::jsonl::maintenance::JsonlEventFile;
use crate::lost_events::Seen;
use crate::sqlite::maintenance::SqliteEventFile;
use crate::{jsonl, sqlite};

/// Which event store a data folder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStoreFiles {
    /// One `SQLite` file.
    Sqlite,
    /// A journal of JSON lines.
    Jsonl,
}

impl EventStoreFiles {
    /// The name that it goes by in settings and backups.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Jsonl => "jsonl",
        }
    }

    /// What it keeps in this data folder, below which everything of it lies.
    #[must_use]
    pub fn path_in(self, data_folder: &Path) -> PathBuf {
        match self {
            Self::Sqlite => data_folder.join(sqlite::FILE),
            Self::Jsonl => data_folder.join(jsonl::FOLDER).join("log"),
        }
    }

    /// Opens it as it is now, only to be read; `closed_remembered` says which snapshots are of use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] names the place, [`StoreError::Unavailable`] the file that can't be read.
    pub fn open(self, data_folder: &Path, closed_remembered: usize) -> Result<Box<dyn EventFile>, StoreError> {
        match self {
            Self::Sqlite => Ok(Box::new(SqliteEventFile::open(&self.path_in(data_folder), closed_remembered)?)),
            Self::Jsonl => Ok(Box::new(JsonlEventFile::open(&data_folder.join(jsonl::FOLDER), closed_remembered)?)),
        }
    }
}

/// An event store, only to be read, as it was when it was opened.
pub trait EventFile: Send {
    /// The same for another thread, at least as far as this one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be opened again.
    fn another(&self) -> Result<Box<dyn EventFile>, StoreError>;

    /// Where the last event stands.
    fn head(&self) -> Position;

    /// What of its own files has seen how far the log was, before it was opened.
    fn seen(&self) -> Option<&Seen>;

    /// How many streams there are.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be read.
    fn stream_count(&self) -> Result<u64, StoreError>;

    /// The events that follow `after`, about `limit` of them, never a part of a group; none at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] names the event that can't be read.
    fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError>;

    /// What is wrong with its own structure, beside the events: about `findings_max` things at most, in words, found within about
    /// `memory` bytes. `advance` hears of the events that were looked at.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be read.
    fn flaws(&self, findings_max: usize, memory: u64, advance: &mut dyn FnMut(u64)) -> Result<Vec<String>, StoreError>;

    /// The snapshots of use, in the order of the log: what each says of itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they can't be read.
    fn snapshot_places(&self) -> Result<Vec<SnapshotPlace>, StoreError>;

    /// A snapshot's state, by its key.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be read.
    fn snapshot(&self, key: i64) -> Result<KeptState, StoreError>;

    /// Copies it into the data folder `to`, where nothing of it must be. `advance` hears of the steps that are done and of those
    /// that there are.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it can't be read or written.
    fn copy_to(&self, to: &Path, advance: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError>;
}

/// What a snapshot says of the event that it was taken after.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPlace {
    /// Where the event stands.
    pub position: Position,
    /// Whose it is; `None` where that is no stock.
    pub stock_id: Option<StockId>,
    /// Its version.
    pub version: u64,
    /// Its name.
    pub event_id: EventId,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// What the state is read by.
    pub key: i64,
}

/// A snapshot's state.
#[derive(Debug)]
pub enum KeptState {
    /// It can be read.
    State(Box<Inventory>),
    /// What is kept is no state.
    Unreadable,
    /// There is none of use.
    None,
}
