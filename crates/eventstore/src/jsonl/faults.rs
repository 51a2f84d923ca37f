//! The n-th operation of the file system fails, for every n, and the power goes at every moment: nothing that was acknowledged is
//! missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use inventory_application::testing::ManualClock;
use inventory_faults::{
    Backend, Change, Disk, Entry, FileId, Opened, Problem, Scope, Trace, appends, lose_power_after_a_kill,
    lose_power_everywhere,
};

use super::files::{JournalFile, ReadFile};
use super::*;

inventory_faults::campaigns! {
    store: Journals,
    appends: more than 60 changes, 60 reads, 60 steps,
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
        let store = JsonlEventStore::open_with(data, &settings, clock.clone(), None, Arc::new(DiskFiles(disk)));
        let store = store.map_err(|error| error.to_string())?;
        let poisoned = Arc::clone(&store);
        let is_poisoned = Arc::new(move || poisoned.is_poisoned());
        Ok(Opened { events: store.clone(), log: store, is_poisoned })
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

/// The files of a folder that a disk stands over.
struct DiskFiles(Arc<Disk>);

impl DiskFiles {
    fn below(&self, path: &Path) -> PathBuf {
        let parent = path.parent().unwrap().canonicalize().unwrap_or_else(|_| path.parent().unwrap().to_owned());
        self.0.below(&parent.join(path.file_name().unwrap())).expect("a path on the disk")
    }

    fn change<T>(&self, change: Change, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.0.change(change, |_| make(), failed)
    }
}

fn failed(problem: Problem) -> io::Error {
    match problem {
        Problem::Io => io::Error::other("injected"),
        Problem::Full => io::Error::from(io::ErrorKind::StorageFull),
    }
}

impl Files for DiskFiles {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn JournalFile>> {
        let create = || RealFiles.create(path, bytes);
        let (id, file) = self.0.open(&self.below(path), Some(bytes), create, failed)?;
        Ok(Box::new(DiskFile { file, id, disk: Arc::clone(&self.0) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let (id, file) = self.0.open(&self.below(path), None, || RealFiles.open(path), failed)?;
        Ok(Box::new(DiskFile { file, id, disk: Arc::clone(&self.0) }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = self.0.look(|| RealFiles.open_to_read(path), failed)?;
        Ok(Arc::new(DiskReadFile { file, disk: Arc::clone(&self.0) }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.look(|| RealFiles.read(path), failed)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.0.look(|| RealFiles.names(path), failed)
    }

    fn make_folders(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            self.change(Change::MakeFolder { path: self.below(folder) }, || std::fs::create_dir(folder))?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = Change::Rename { from: self.below(from), to: self.below(to) };
        self.change(change, || RealFiles.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Change::SyncFolder { path: self.below(path) }, || Ok(()))
    }
}

struct DiskFile {
    file: Box<dyn JournalFile>,
    id: FileId,
    disk: Arc<Disk>,
}

impl JournalFile for DiskFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let make = |change: &Change| match change {
            Change::Write { bytes, .. } => self.file.write_all_at(bytes, offset),
            _ => Ok(()),
        };
        self.disk.change(Change::Write { file: self.id, offset, bytes: bytes.to_vec() }, make, failed)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(Change::Sync { file: self.id }, |_| Ok(()), failed)
    }
}

struct DiskReadFile {
    file: Arc<dyn ReadFile>,
    disk: Arc<Disk>,
}

impl ReadFile for DiskReadFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.look(|| self.file.read_exact_at(buffer, offset), failed)
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.look(|| self.file.length(), failed)
    }
}
