//! The n-th operation of `SQLite`'s file system fails, for every n, and the power goes at every moment: nothing that was acknowledged
//! is missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::ports::{AppendGroup, AppendOutcome, EventStore, LoadedStream, Snapshot, StoreError};
use inventory_application::testing::ManualClock;
use inventory_application::{Position, StreamId};
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};
use inventory_faults::{
    Backend, Change, Disk, Entry, How, Opened, Scope, Trace, appends, commands, fail_every_change, fail_every_read,
    lose_power_after_a_kill, lose_power_everywhere, vfs,
};

inventory_faults::campaigns! {
    store: Sqlite::installed(),
    appends: more than 100 changes, 100 reads, 200 steps,
    commands: more than 50 changes, 50 reads, 100 steps,
}

/// Planted bugs: the write-ahead log is never synced; the file itself isn't.
#[test]
fn a_store_whose_syncs_do_nothing_is_seen_to_lose_what_it_acknowledged() {
    for name in ["events.db-wal", "events.db"] {
        let plant = |disk: &Disk| disk.swallow_syncs(move |path| path.ends_with(name));
        let lost = lose_power_everywhere(&appends(&Sqlite::installed()), Scope::Short, plant).unwrap_err();
        assert!(is_loss(&lost), "{name}: {lost}");
        let lost = lose_power_everywhere(&commands(&Sqlite::installed()), Scope::Short, plant).unwrap_err();
        assert!(is_loss(&lost), "{name}: {lost}");
    }
}

/// What was acknowledged is gone, or so much that the file is none any more.
fn is_loss(problem: &str) -> bool {
    problem.contains("was acknowledged, and 0 of") || problem.contains("can't be opened")
}

/// A planted bug: a start syncs nothing of what it finds.
#[test]
fn a_start_after_a_kill_that_syncs_nothing_is_seen_to_lose_what_it_has_shown() {
    let store = Sqlite::installed();
    let plant = |disk: &Disk| disk.swallow_syncs(|_| true);
    let every_step = Scope::Long { seeds: 0 };
    let lost = lose_power_after_a_kill(&store, &appends(&store), every_step, plant).unwrap_err();
    assert!(lost.contains("events were shown, and then without power"), "{lost}");
}

/// A planted bug: every connection of the store has `synchronous=NORMAL`, and is told that it is FULL.
#[test]
fn a_store_with_synchronous_normal_is_seen_to_lose_what_it_acknowledged() {
    let lost = lose_power_everywhere(&appends(&Sqlite::installed()), Scope::Short, Disk::have_sqlite_sync_less);
    let lost = lost.unwrap_err();
    assert!(lost.contains("was acknowledged, and 0 of"), "{lost}");
}

/// Planted bugs: a store that calls an unknown outcome nothing, and one that calls it done.
#[test]
fn a_store_that_says_too_much_of_a_failed_commit_is_seen_to_be_wrong() {
    for (says, how, seen) in
        [(Says::NothingHappened, How::Lies, "had not happened, and"), (Says::Done, How::Fails, "was acknowledged")]
    {
        let wrong = fail_every_change(&appends(&TooSure(Sqlite::installed(), says)), Scope::Way(how)).unwrap_err();
        // Which of the runs, that go side by side, is the first to find it isn't said: one may see it at the log's end.
        assert!(wrong.contains(seen) || wrong.contains("events are shown"), "{wrong}");
    }
    let store = TooSure(Sqlite::installed(), Says::Done);
    let wrong = fail_every_change(&commands(&store), Scope::Way(How::Fails)).unwrap_err();
    assert!(wrong.contains("was acknowledged"), "{wrong}");
}

/// A planted bug: a store that calls its files damaged where they can't be read.
#[test]
fn a_store_that_says_damaged_of_a_failed_read_is_seen_to_be_wrong() {
    let store = TooSure(Sqlite::installed(), Says::Damaged);
    for work in [&appends(&store) as &inventory_faults::campaign::Work<'_>, &commands(&store)] {
        let wrong = fail_every_read(work, Scope::Short).unwrap_err();
        assert!(wrong.contains("Damaged("), "{wrong}");
    }
}

/// A store that never says that it doesn't know, or says it of too little.
struct TooSure<T>(T, Says);

#[derive(Clone, Copy)]
enum Says {
    NothingHappened,
    Done,
    Damaged,
}

impl Backend for TooSure<Sqlite> {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let opened = self.0.open(folder, clock)?;
        Ok(Opened { events: Arc::new(TooSure(opened.events, self.1)), ..opened })
    }

    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool {
        self.0.has_repaired(trace, from, to)
    }
}

#[async_trait]
impl EventStore for TooSure<Arc<dyn EventStore>> {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        match (self.0.append(Arc::clone(&batch)).await, self.1) {
            (Err(StoreError::OutcomeUnknown(error)), Says::NothingHappened) => Err(StoreError::Unavailable(error)),
            (Err(StoreError::OutcomeUnknown(_)), Says::Done) => {
                let position = Some(Position(1)); // Anywhere: it is not looked at.
                Ok(batch.iter().map(|_| AppendOutcome::Appended { position }).collect())
            }
            (other, _) => other,
        }
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        match (self.0.load(streams).await, self.1) {
            (Err(StoreError::Unavailable(error)), Says::Damaged) => Err(StoreError::Damaged(error)),
            (other, _) => other,
        }
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.0.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.0.is_exclusive()
    }
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
            repair_pause_ms: 2,
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
