//! The n-th operation of `SQLite`'s file system fails, for every n, and the power goes at every moment: nothing that was acknowledged
//! is missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::sync::Arc;

use inventory_application::testing::ManualClock;
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};
use inventory_faults::{
    Backend, Change, Disk, Entry, Opened, Scope, Trace, fail_every_change, fail_every_read, lose_power_everywhere, vfs,
};

#[test]
fn whatever_change_fails_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let met = fail_every_change(&Sqlite::installed(), Scope::asked_for());
    assert!(met > 100, "only {met} changes were met");
}

#[test]
fn whatever_read_fails_nothing_wrong_is_served() {
    let met = fail_every_read(&Sqlite::installed(), Scope::asked_for());
    assert!(met > 100, "only {met} reads were met");
}

#[test]
fn whenever_the_power_goes_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let steps = lose_power_everywhere(&Sqlite::installed(), Scope::asked_for(), |_| ()).unwrap();
    assert!(steps > 200, "only {steps} steps were made");
}

/// A planted bug: the write-ahead log is never synced.
#[test]
fn a_store_whose_syncs_do_nothing_is_seen_to_lose_what_it_acknowledged() {
    let plant = |disk: &Disk| disk.swallow_syncs(|path| path.ends_with("events.db-wal"));
    let lost = lose_power_everywhere(&Sqlite::installed(), Scope::Short, plant).unwrap_err();
    assert!(lost.contains("was acknowledged, and 0 of"), "{lost}");
}

/// A store on the disk below it.
struct Sqlite;

impl Sqlite {
    fn installed() -> Self {
        vfs::install();
        Self
    }
}

impl Backend for Sqlite {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let folder = Arc::new(DataFolder::open(folder).map_err(|error| error.to_string())?);
        let settings = SqliteSettings {
            readers_max: 2,
            reader_wait_ms_max: 30_000,
            wal_autocheckpoint_pages: 40,
            append_id_segment_keys_max: 2,
            ..SqliteSettings::default()
        };
        let store = SqliteEventStore::open(folder, &settings, clock.clone()).map_err(|error| error.to_string())?;
        let poisoned = Arc::clone(&store);
        let is_poisoned = Arc::new(move || poisoned.is_poisoned());
        Ok(Opened { events: store.clone(), log: store, is_poisoned })
    }

    /// The write-ahead log is in the file, and cut.
    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool {
        trace.entries[from..to].iter().any(|entry| match entry {
            Entry::Done(Change::SetLength { file, length: 0 }) => {
                trace.name_of(*file).is_some_and(|path| path.ends_with("events.db-wal"))
            }
            _ => false,
        })
    }
}
