//! The n-th operation of `SQLite`'s file system fails, for every n, and the power goes at every moment: nothing that was acknowledged
//! is missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.

use std::path::Path;

use inventory_application::testing::ManualClock;
use inventory_domain::Timestamp;
use inventory_faults::{
    Again, Aim, Backend, Change, Disk, Entry, Fault, How, Opened, PowerCut, ReaderBeside, Scope, Trace, appends,
    commands, fail_every_change, forget_at_every_look, lose_power_after_a_kill, lose_power_everywhere, vfs,
};

use super::*;
use crate::files::on_disk::DiskFiles;

inventory_faults::campaigns! {
    store: Sqlite::installed(),
    appends: more than 100 changes, 100 reads, 200 steps, 20 looks,
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

/// A planted bug: a start trusts that the name of the write-ahead log is on the disk, as `SQLite` does where the sync of the folder fails.
#[test]
fn a_start_that_trusts_a_name_is_seen_to_lose_what_it_acknowledged() {
    let store = Sqlite { past_the_disk: Path::is_dir, ..Sqlite::installed() };
    let only = |nth| Scope::Only(Again::Fault(Fault { aim: Aim::Changes, nth, how: How::Fails }));
    let lost = (1..40).find_map(|nth| fail_every_change(&appends(&store), only(nth)).err());
    let lost = lost.expect("it is seen");
    assert!(lost.contains("was acknowledged, and 0 of"), "{lost}");
}

/// A planted bug: what a failed sync has left of the write-ahead log isn't written again at a start, which trusts the next sync.
#[test]
fn a_start_that_rests_on_what_the_kernel_may_forget_is_seen() {
    let store = Sqlite { past_the_disk: |path| path.ends_with("events.db-wal"), ..Sqlite::installed() };
    let lost = forget_at_every_look(&store, &appends(&store), Scope::Short).unwrap_err();
    assert!(is_loss(&lost) || lost.contains("disk image is malformed"), "{lost}");
}

#[test]
fn a_log_that_lacks_what_was_seen_is_left_as_it_is_whatever_read_fails() {
    let store = Sqlite::installed();
    let worked = tempfile::tempdir().unwrap();
    let disk = Disk::over(worked.path());
    drop(appends(&store)(worked.path(), &disk).unwrap());
    let trace = disk.trace();
    let mut cut = PowerCut::new(&trace);
    cut.step_to(trace.entries.len() / 2);
    let seen = Seen { by: "read_models.db".into(), position: Position(1_000_000) };
    let mut failed = 0;
    for nth in 1.. {
        let killed = tempfile::tempdir().unwrap();
        let disk = Disk::after_kill(&cut, killed.path()).unwrap();
        let files = || [FILE, "events.db-wal"].map(|name| std::fs::read(killed.path().join(name)).unwrap());
        let before = files();
        assert!(before.iter().all(|bytes| !bytes.is_empty()), "there is a log");
        disk.fail(Fault { aim: Aim::Reads, nth, how: How::Fails });
        let folder = Arc::new(DataFolder::open(killed.path()).unwrap());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let opened = SqliteEventStore::open_with(
            folder,
            &store.settings,
            clock,
            Some(&seen),
            Arc::new(DiskFiles::new(disk.clone())),
        );
        let is_lost = matches!(opened, Err(OpenError::LostEvents(_)));
        let is_refused = matches!(opened, Err(OpenError::LostEvents(_) | OpenError::WriteAheadLog(_)));
        assert!(is_refused, "read {nth} failed");
        assert!(files() == before, "read {nth} failed, and something was changed");
        if !disk.has_failed() {
            assert!(is_lost, "it isn't said why");
            break;
        }
        failed += 1;
    }
    assert!(failed > 5, "{failed} reads are too few");
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

/// A store on the disk below it.
struct Sqlite {
    past_the_disk: fn(&Path) -> bool,
    settings: SqliteSettings,
}

impl Sqlite {
    fn installed() -> Self {
        vfs::install();
        let settings = SqliteSettings {
            readers_max: 2,
            reader_wait_ms_max: 30_000,
            wal_autocheckpoint_pages: 40,
            append_id_segment_keys_max: 2,
            repair_pause_ms: 2,
            ..SqliteSettings::default()
        };
        Self { past_the_disk: |_| false, settings }
    }
}

impl Backend for Sqlite {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let (disk, _) = Disk::of(&folder.canonicalize().unwrap()).expect("a disk");
        let folder = Arc::new(DataFolder::open(folder).map_err(|error| error.to_string())?);
        let files = DiskFiles { disk, past_the_disk: self.past_the_disk };
        let store = SqliteEventStore::open_with(folder, &self.settings, clock.clone(), None, Arc::new(files));
        let store = store.map_err(|error| error.to_string())?;
        let poisoned = Arc::clone(&store);
        let is_poisoned = Arc::new(move || poisoned.is_poisoned());
        Ok(Opened { events: store.clone(), log: store, is_poisoned })
    }

    /// What it may still need of the log no checkpoint takes into the file.
    fn reader_beside(&self, folder: &Path) -> Option<Box<dyn ReaderBeside>> {
        let connection = rusqlite::Connection::open(folder.join(FILE)).ok()?;
        connection.execute_batch("BEGIN; SELECT count(*) FROM events").ok()?;
        Some(Box::new(Beside(connection)))
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

/// As long as it is open, so is what says how much of the log is in the file.
struct Beside(rusqlite::Connection);

impl ReaderBeside for Beside {
    fn end_reading(&self) {
        self.0.execute_batch("COMMIT").unwrap_or_default(); // The disk may fail for it as well.
    }
}
