//! The n-th operation of the file system fails, for every n, and the power goes at every moment: nothing that was acknowledged is
//! missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.

use std::path::Path;

use inventory_application::testing::ManualClock;
use inventory_faults::{
    Backend, Change, Disk, Entry, Opened, ReaderBeside, Scope, Trace, appends, lose_power_after_a_kill,
    lose_power_everywhere,
};

use super::*;
use crate::files::on_disk::DiskFiles;

inventory_faults::campaigns! {
    store: Journals,
    appends: more than 60 changes, 60 reads, 60 steps, 20 looks,
    commands: more than 30 changes, 30 reads, 50 steps,
}

/// A planted bug: what is written to the journal is never synced.
#[test]
fn a_journal_whose_syncs_do_nothing_is_seen_to_lose_what_it_acknowledged() {
    let plant = |disk: &Disk| disk.swallow_syncs(|path| path.starts_with("events/log"));
    let lost = lose_power_everywhere(&appends(&Journals), Scope::Short, plant).unwrap_err();
    assert!(lost.contains("was acknowledged, and 0 of") || lost.contains("can't be opened"), "{lost}");
}

/// A planted bug: a start syncs nothing of the journal that it finds.
#[test]
fn a_start_after_a_kill_that_syncs_nothing_is_seen_to_lose_what_it_has_shown() {
    let plant = |disk: &Disk| disk.swallow_syncs(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let every_step = Scope::Long { seeds: 0 };
    let lost = lose_power_after_a_kill(&Journals, &appends(&Journals), every_step, plant).unwrap_err();
    assert!(lost.contains("events were shown, and then without power"), "{lost}");
}

/// A store of small segments on the disk below it.
struct Journals;

impl Backend for Journals {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let (disk, _) = Disk::of(&folder.canonicalize().unwrap()).expect("a disk");
        let data = Arc::new(DataFolder::open(folder).map_err(|error| error.to_string())?);
        let settings =
            JsonlSettings { segment_bytes: 3_000, stream_files: false, repair_pause_ms: 2, ..JsonlSettings::default() };
        let store = JsonlEventStore::open_with(data, &settings, clock.clone(), None, Arc::new(DiskFiles::new(disk)));
        let store = store.map_err(|error| error.to_string())?;
        let poisoned = Arc::clone(&store);
        let is_poisoned = Arc::new(move || poisoned.is_poisoned());
        Ok(Opened { events: store.clone(), log: store, is_poisoned })
    }

    fn reader_beside(&self, _: &Path) -> Option<Box<dyn ReaderBeside>> {
        None
    }

    /// A new segment has got its name.
    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool {
        let steps = &trace.entries[from..to];
        let is_named =
            |entry: &Entry| matches!(entry, Entry::Done(Change::Rename { to, .. }) if to.starts_with("events/log"));
        let lasts = |entry: &Entry| matches!(entry, Entry::Done(Change::SyncFolder { path }) if path.ends_with("log"));
        steps.iter().position(is_named).is_some_and(|named| steps[named..].iter().any(lasts))
    }
}
