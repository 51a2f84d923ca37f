//! The stores under test, with bounds so small that each is met.

use std::sync::Arc;

use inventory_application::testing::{InMemoryEventStore, ManualClock};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings, SqliteEventStore, SqliteSettings};
use tempfile::TempDir;

use super::machine::{Backend, Ports};

/// The reference store, which is never closed.
#[derive(Default)]
pub struct InMemory(Option<Arc<InMemoryEventStore>>);

impl Backend for InMemory {
    fn open(&mut self, _: &TempDir, _: Arc<ManualClock>) -> Ports {
        Arc::clone(self.0.get_or_insert_with(|| Arc::new(InMemoryEventStore::exclusive()))).into()
    }
}

/// The database, with room for two streams, and for three append ids in a segment.
#[derive(Default)]
pub struct Sqlite;

impl Backend for Sqlite {
    fn open(&mut self, folder: &TempDir, clock: Arc<ManualClock>) -> Ports {
        let settings = SqliteSettings {
            streams_remembered_max: 2,
            append_id_segment_keys_max: 3,
            log_page_events_max: 7,
            ..SqliteSettings::default()
        };
        SqliteEventStore::open(Arc::new(DataFolder::open(folder.path()).unwrap()), &settings, clock).unwrap().into()
    }
}

/// JSON Lines with segments of a few events.
#[derive(Default)]
pub struct Jsonl;

impl Backend for Jsonl {
    fn open(&mut self, folder: &TempDir, clock: Arc<ManualClock>) -> Ports {
        let settings = JsonlSettings {
            segment_bytes: 4_000,
            log_page_events_max: 7,
            stream_files_open_max: 2,
            ..JsonlSettings::default()
        };
        JsonlEventStore::open(Arc::new(DataFolder::open(folder.path()).unwrap()), &settings, clock).unwrap().into()
    }
}
