//! The event store that the settings name, whichever it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use async_trait::async_trait;
use inventory_application::ports::{Clock, EventHistory, EventLog, EventStore};
use inventory_eventstore::{
    DataFolder, DroppedBatch, EventStoreFiles, JsonlEventStore, JsonlOpenError, JsonlSettings, OpenError, Seen,
    SqliteEventStore, SqliteSettings,
};
use thiserror::Error;
use tokio::sync::watch;

use crate::settings::{EventStoreKind, Settings};

/// A store, by what is wanted of it.
pub struct OpenedStore {
    /// Appends and loads.
    pub events: Arc<dyn EventStore>,
    /// The log of all events.
    pub log: Arc<dyn EventLog>,
    /// Single streams.
    pub history: Arc<dyn EventHistory>,
    /// How it is, and its end.
    pub control: Arc<dyn StoreControl>,
    /// A batch that was never finished, and was dropped when the store was opened.
    pub dropped: Option<DroppedBatch>,
}

/// What only who has opened a store asks of it.
#[async_trait]
pub trait StoreControl: Send + Sync {
    /// Whether nothing is acknowledged, because a write has failed.
    fn is_poisoned(&self) -> bool;

    /// What of it doesn't work, where it works all the same; in words that may be shown to anybody.
    fn is_degraded(&self) -> Option<&'static str>;

    /// What has failed last and is nobody's answer.
    fn failure(&self) -> watch::Receiver<Option<Arc<str>>>;

    /// Finishes what was accepted, and closes the files.
    async fn close(&self);
}

/// Why a store can't be opened.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The `SQLite` file can't be used.
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// The journal can't be used.
    #[error(transparent)]
    Jsonl(#[from] JsonlOpenError),
    /// Nobody knows whether the data folder has another store's files.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data folder has another store's files.
    #[error("the data folder has an event store of kind {there}, and event_store.kind is {wanted}")]
    OtherKind {
        /// The kind that is there.
        there: &'static str,
        /// The kind that the settings name.
        wanted: &'static str,
    },
}

/// The files of the kind that the settings name.
#[must_use]
pub fn files_of(settings: &Settings) -> EventStoreFiles {
    match settings.event_store.kind {
        EventStoreKind::Sqlite => EventStoreFiles::Sqlite,
        EventStoreKind::Jsonl => EventStoreFiles::Jsonl,
    }
}

/// Opens the store that the settings name, and makes it if there is none; where it lacks events that were `seen`, nothing is
/// changed.
///
/// # Errors
///
/// [`OpenStoreError`] says why it can't be used.
pub fn open_store(
    folder: Arc<DataFolder>,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    seen: Option<&Seen>,
) -> Result<OpenedStore, OpenStoreError> {
    let wanted = files_of(settings);
    for other in [EventStoreFiles::Sqlite, EventStoreFiles::Jsonl] {
        let path = other.path_in(&settings.data.dir);
        if other != wanted && fs::exists(&path).map_err(|source| OpenStoreError::File { path, source })? {
            return Err(OpenStoreError::OtherKind { there: other.name(), wanted: wanted.name() });
        }
    }
    match settings.event_store.kind {
        EventStoreKind::Sqlite => {
            let store = SqliteEventStore::open_as_seen(folder, &sqlite_settings(settings), clock, seen)?;
            let (events, log, history) = (Arc::clone(&store) as _, Arc::clone(&store) as _, Arc::clone(&store) as _);
            Ok(OpenedStore { events, log, history, control: store, dropped: None })
        }
        EventStoreKind::Jsonl => {
            let store = JsonlEventStore::open_as_seen(folder, &jsonl_settings(settings), clock, seen)?;
            let (events, log, history) = (Arc::clone(&store) as _, Arc::clone(&store) as _, Arc::clone(&store) as _);
            let dropped = store.dropped().cloned();
            Ok(OpenedStore { events, log, history, control: store, dropped })
        }
    }
}

#[async_trait]
impl StoreControl for SqliteEventStore {
    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }

    fn is_degraded(&self) -> Option<&'static str> {
        None
    }

    fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure()
    }

    async fn close(&self) {
        self.close().await;
    }
}

#[async_trait]
impl StoreControl for JsonlEventStore {
    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }

    fn is_degraded(&self) -> Option<&'static str> {
        self.stream_files_failure().map(|_| "the readable files of the stocks can't be written")
    }

    fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure()
    }

    async fn close(&self) {
        self.close().await;
    }
}

fn sqlite_settings(settings: &Settings) -> SqliteSettings {
    let section = &settings.event_store;
    SqliteSettings {
        readers_max: section.readers_max,
        reader_wait_ms_max: section.reader_wait_ms_max,
        writer_queue_batches_max: section.writer_queue_batches_max,
        streams_remembered_max: section.streams_remembered_max,
        cache_kib: section.cache_kib,
        wal_autocheckpoint_pages: section.wal_autocheckpoint_pages,
        append_id_segment_keys_max: section.append_id_segment_keys_max,
        closed_reservations_remembered: settings.command_loop.closed_reservations_remembered,
        log_page_events_max: section.log_page_events_max,
        repair_pause_ms: section.repair_pause_ms,
    }
}

fn jsonl_settings(settings: &Settings) -> JsonlSettings {
    let section = &settings.event_store;
    JsonlSettings {
        segment_bytes: section.segment_bytes,
        writer_queue_batches_max: section.writer_queue_batches_max,
        readers_max: section.readers_max as usize,
        reader_wait_ms_max: section.reader_wait_ms_max,
        log_page_events_max: section.log_page_events_max,
        stream_files: section.stream_files,
        stream_files_open_max: section.stream_files_open_max,
        closed_reservations_remembered: settings.command_loop.closed_reservations_remembered,
        repair_pause_ms: section.repair_pause_ms,
    }
}
