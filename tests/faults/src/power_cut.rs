//! What is left of a disk when the power goes.
//!
//! The model is that of a page cache over a disk with journaled metadata:
//!
//! - What was written is in the cache, and gets to the disk with the next sync of its file that succeeds, or at any time before,
//!   or never: each sector of 512 bytes for itself, in any order, as it was after any of the writes since the last sync. A sector is
//!   never half written, and never touched by a write beside it.
//! - A file's length likewise; a cut is there as a whole or not at all.
//! - A sync that fails leaves its pages clean: a later sync that succeeds doesn't bring them to the disk, unless they are written
//!   again. They may have got there all the same. The kernel may drop them at any time, where a test has it do so; who reads then finds
//!   what is on the disk.
//! - Names in a folder get to the disk in their order, with the folder's next sync or before; a file whose name didn't is lost, and so
//!   is all below such a folder. The data of a file don't wait for its name, nor its name for the data.
//!
//! What it doesn't have: disks that say of a sync that it is done when it isn't, sectors that go bad later, names that get to the
//! disk out of order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::trace::{Change, Entry, FileId, Trace};
use crate::usize_of;

/// What the cache brings to the disk at a time.
const PAGE: usize = 4_096;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// How much of what wasn't synced gets to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// All of it, as when only the process is killed.
    Everything,
    /// A part that follows from the seed.
    Some(u64),
}

/// A disk at one moment after the other.
pub struct PowerCut<'a> {
    trace: &'a Trace,
    next: usize,
    files: BTreeMap<FileId, File>,
    folders: BTreeMap<PathBuf, Folder>,
}

#[derive(Default)]
struct File {
    /// As the process sees it.
    cache: Vec<u8>,
    /// As it is on the disk for sure.
    disk: Vec<u8>,
    /// The lengths that it has had since the last sync.
    lengths: Vec<usize>,
    /// The pages that are not on the disk for sure.
    pages: BTreeMap<usize, Page>,
}

#[derive(Default)]
struct Page {
    /// Whether the next sync brings it to the disk.
    is_dirty: bool,
    /// What it has been since the last sync.
    versions: Vec<Version>,
}

struct Version {
    bytes: Vec<u8>,
    /// How many lengths the file had had by then.
    lengths: usize,
    /// Whether it is what a cut has left: then nothing of it is there before the file is shorter, and nothing older after that.
    is_cut: bool,
}

#[derive(Default)]
struct Folder {
    names: BTreeMap<OsString, Node>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Copy)]
enum Node {
    File(FileId),
    Folder,
}

enum NameChange {
    Put(OsString, Node),
    Take(OsString),
    Move(OsString, OsString),
}

impl<'a> PowerCut<'a> {
    /// The disk as it was before the first step.
    #[must_use]
    pub fn new(trace: &'a Trace) -> Self {
        let mut folders = BTreeMap::from([(PathBuf::new(), Folder::default())]);
        let mut put = |path: &Path, node| {
            let (parent, name) = split(path);
            folders.entry(parent).or_insert_with(Folder::default).names.insert(name, node);
        };
        trace.folders.iter().for_each(|path| put(path, Node::Folder));
        let mut files = BTreeMap::new();
        for (path, file, bytes) in &trace.start {
            put(path, Node::File(*file));
            files.insert(*file, File { cache: bytes.clone(), disk: bytes.clone(), ..File::default() });
        }
        Self { trace, next: 0, files, folders }
    }

    /// Goes on by one step, and says which.
    pub fn step(&mut self) -> Option<&'a Entry> {
        let entry = self.trace.entries.get(self.next)?;
        self.next += 1;
        match entry {
            Entry::Done(change) => self.done(change),
            Entry::Failed(Change::Sync { file }) => self.file(*file).sync_failed(),
            Entry::Forgotten => self.files.values_mut().for_each(File::forget),
            Entry::Failed(_) | Entry::Mark(_) => (),
        }
        Some(entry)
    }

    /// Goes on until so many steps are done.
    pub fn step_to(&mut self, steps: usize) {
        while self.next < steps && self.step().is_some() {}
    }

    /// What was done on the disk, also after this moment.
    pub(crate) fn trace(&self) -> &'a Trace {
        self.trace
    }

    /// What was done up to this moment.
    pub(crate) fn trace_so_far(&self) -> Trace {
        let Trace { start, folders, entries } = self.trace;
        Trace { start: start.clone(), folders: folders.clone(), entries: entries[..self.next].to_vec() }
    }

    /// What is left of every file if the power goes now.
    #[must_use]
    pub fn left(&self, survival: Survival) -> Vec<(PathBuf, Vec<u8>)> {
        let mut rng = Rng::with_seed(match survival {
            Survival::Some(seed) => seed,
            Survival::Nothing | Survival::Everything => 0,
        });
        let mut left = Vec::new();
        self.collect(Path::new(""), survival, &mut rng, &mut left);
        left
    }

    /// The name that each file has, as the process sees it.
    pub(crate) fn names(&self) -> Vec<(PathBuf, FileId)> {
        let mut names = Vec::new();
        for (path, folder) in &self.folders {
            let mut of = folder.names.clone();
            folder.pending.iter().for_each(|change| apply(change, &mut of));
            names.extend(of.into_iter().filter_map(|(name, node)| match node {
                Node::File(file) => Some((path.join(name), file)),
                Node::Folder => None,
            }));
        }
        names
    }

    /// Writes what is left into another folder.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write_to(&self, folder: &Path, survival: Survival) -> io::Result<()> {
        for (path, bytes) in self.left(survival) {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    fn collect(&self, folder: &Path, survival: Survival, rng: &mut Rng, left: &mut Vec<(PathBuf, Vec<u8>)>) {
        let Some(of) = self.folders.get(folder) else { return };
        let pending = match survival {
            Survival::Nothing => 0,
            Survival::Everything => of.pending.len(),
            Survival::Some(_) => rng.usize(0..=of.pending.len()),
        };
        let mut names = of.names.clone();
        of.pending[..pending].iter().for_each(|change| apply(change, &mut names));
        for (name, node) in names {
            let path = folder.join(name);
            match node {
                Node::Folder => self.collect(&path, survival, rng, left),
                Node::File(file) => left.extend(self.files.get(&file).map(|file| (path, file.left(survival, rng)))),
            }
        }
    }

    /// What files have in the cache of what failed syncs have left, and have on the disk in its place, by name: where it begins, and its bytes.
    pub(crate) fn forgettable(&self) -> Vec<(PathBuf, usize, Vec<u8>)> {
        let mut all = Vec::new();
        for (path, id) in self.names() {
            let Some(file) = self.files.get(&id) else { continue };
            for number in file.forgettable() {
                let mut bytes = page(&file.disk, number);
                bytes.truncate(file.cache.len() - number * PAGE); // How long it is isn't forgotten.
                all.push((path.clone(), number * PAGE, bytes));
            }
        }
        all
    }

    fn done(&mut self, change: &Change) {
        match change {
            Change::Create { path, file, length } => {
                let mut new = File::default();
                new.set_length(usize_of(*length));
                self.files.insert(*file, new);
                self.name(path, |name| NameChange::Put(name, Node::File(*file)));
            }
            Change::MakeFolder { path } => self.name(path, |name| NameChange::Put(name, Node::Folder)),
            Change::Open { .. } => (),
            Change::Write { file, offset, bytes } => self.file(*file).write(usize_of(*offset), bytes),
            Change::SetLength { file, length } => self.file(*file).set_length(usize_of(*length)),
            Change::Sync { file } => self.file(*file).sync(),
            Change::Rename { from, to } => {
                let (_, to) = split(to);
                self.name(from, |from| NameChange::Move(from, to));
            }
            Change::Delete { path } => self.name(path, NameChange::Take),
            Change::SyncFolder { path } => {
                let folder = self.folders.entry(path.clone()).or_default();
                for change in std::mem::take(&mut folder.pending) {
                    apply(&change, &mut folder.names);
                }
            }
        }
    }

    fn file(&mut self, file: FileId) -> &mut File {
        self.files.entry(file).or_default()
    }

    fn name(&mut self, path: &Path, change: impl FnOnce(OsString) -> NameChange) {
        let (parent, name) = split(path);
        self.folders.entry(parent).or_default().pending.push(change(name));
    }
}

impl File {
    /// The pages that are clean, and not on the disk for sure.
    fn forgettable(&self) -> Vec<usize> {
        let is_there = |number: usize| number * PAGE < self.cache.len();
        self.pages
            .iter()
            .filter(|(number, page)| !page.is_dirty && is_there(**number))
            .map(|(number, _)| *number)
            .collect()
    }

    fn forget(&mut self) {
        for number in self.forgettable() {
            let (from, to) = (number * PAGE, ((number + 1) * PAGE).min(self.cache.len()));
            self.cache[from..to].copy_from_slice(&page(&self.disk, number)[..to - from]);
            self.pages.remove(&number);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
            self.lengths.push(end);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        self.touch(offset, end, false);
    }

    fn set_length(&mut self, length: usize) {
        let longer = length.max(self.cache.len());
        let (from, is_cut) = (length.min(self.cache.len()), length < self.cache.len());
        self.cache.resize(length, 0);
        self.lengths.push(length);
        self.touch(from, longer, is_cut);
    }

    fn touch(&mut self, from: usize, to: usize, is_cut: bool) {
        for number in from / PAGE..to.div_ceil(PAGE) {
            let version = Version { bytes: page(&self.cache, number), lengths: self.lengths.len(), is_cut };
            let page = self.pages.entry(number).or_default();
            page.is_dirty = true;
            page.versions.push(version);
        }
    }

    fn sync(&mut self) {
        self.disk.resize(self.cache.len(), 0);
        let (cache, disk) = (&self.cache, &mut self.disk);
        self.pages.retain(|number, page| {
            let (from, to) = (number * PAGE, ((number + 1) * PAGE).min(cache.len()));
            if page.is_dirty && from < to {
                disk[from..to].copy_from_slice(&cache[from..to]);
            }
            !page.is_dirty
        });
        self.lengths.clear();
    }

    fn sync_failed(&mut self) {
        self.pages.values_mut().for_each(|page| page.is_dirty = false);
    }

    fn left(&self, survival: Survival, rng: &mut Rng) -> Vec<u8> {
        match survival {
            Survival::Nothing => return self.disk.clone(),
            Survival::Everything => return self.cache.clone(),
            Survival::Some(_) => (),
        }
        let lengths: Vec<usize> = [self.disk.len()].into_iter().chain(self.lengths.iter().copied()).collect();
        let had = rng.usize(..lengths.len());
        let length = lengths[had];
        let mut left = self.disk.clone();
        left.resize(length.next_multiple_of(PAGE), 0);
        for (number, page) in &self.pages {
            let from = number * PAGE;
            if from >= left.len() {
                break;
            }
            let cut = page.versions.iter().rposition(|version| version.is_cut && version.lengths <= had);
            let next_cut = page.versions.iter().position(|version| version.is_cut && version.lengths > had);
            let versions = &page.versions[cut.unwrap_or(0)..next_cut.unwrap_or(page.versions.len())];
            if cut.is_some() {
                left[from..from + PAGE].copy_from_slice(&versions[0].bytes);
            }
            // A page that is as it was, or as it is now, is the likeliest.
            let is_mixed = rng.bool();
            let whole = rng.bool().then(|| versions.last()).flatten();
            for sector in (0..PAGE).step_by(SECTOR) {
                let written = if is_mixed {
                    versions.get(rng.usize(..=versions.len())) // Past the end: as it was.
                } else {
                    whole
                };
                if let Some(written) = written {
                    left[from + sector..from + sector + SECTOR]
                        .copy_from_slice(&written.bytes[sector..sector + SECTOR]);
                }
            }
        }
        left.truncate(length);
        left
    }
}

/// A page of a file, filled up with zeros.
fn page(bytes: &[u8], number: usize) -> Vec<u8> {
    let (from, to) = (number * PAGE, ((number + 1) * PAGE).min(bytes.len()));
    let mut page = if from < to { bytes[from..to].to_vec() } else { Vec::new() };
    page.resize(PAGE, 0);
    page
}

fn apply(change: &NameChange, names: &mut BTreeMap<OsString, Node>) {
    match change {
        NameChange::Put(name, node) => drop(names.insert(name.clone(), *node)),
        NameChange::Take(name) => drop(names.remove(name)),
        NameChange::Move(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

fn split(path: &Path) -> (PathBuf, OsString) {
    let parent = path.parent().unwrap_or(Path::new("")).to_owned();
    (parent, path.file_name().unwrap_or_default().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    const FILE: FileId = FileId(0);

    #[test]
    fn what_was_synced_is_left_and_nothing_else_has_to_be() {
        let trace = trace(&[create(), write(0, b"old"), sync(), folder(), write(0, b"new")]);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(3);
        assert_eq!(text(&cut, Survival::Nothing), None, "nobody has synced its name");
        assert_eq!(text(&cut, Survival::Everything).unwrap(), "old");
        cut.step_to(5);
        assert_eq!(text(&cut, Survival::Nothing).unwrap(), "old");
        assert_eq!(text(&cut, Survival::Everything).unwrap(), "new");
        let seen: std::collections::BTreeSet<_> = (0..50).map(|seed| text(&cut, Survival::Some(seed))).collect();
        assert_eq!(seen.into_iter().flatten().collect::<Vec<_>>(), ["new", "old"]);
    }

    #[test]
    fn sectors_get_to_the_disk_each_for_itself() {
        let (old, new) = ("o".repeat(PAGE * 2), "n".repeat(PAGE * 2));
        let trace = trace(&[create(), write(0, old.as_bytes()), sync(), folder(), write(0, new.as_bytes())]);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(5);
        let torn = |seed: &u64| {
            let left = text(&cut, Survival::Some(*seed)).unwrap();
            let sectors: Vec<&[u8]> = left.as_bytes().chunks(SECTOR).collect();
            assert!(sectors.iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])), "no sector is torn");
            sectors.windows(2).any(|pair| pair[0][0] == b'n' && pair[1][0] == b'o')
        };
        assert!((0..20).any(|seed| torn(&seed)));
    }

    #[test]
    fn a_cut_is_there_as_a_whole_or_not_at_all() {
        let old = "o".repeat(PAGE * 3);
        let cut_and_written = [Change::SetLength { file: FILE, length: 0 }, write(0, b"new")];
        let trace = trace(&[&[create(), write(0, old.as_bytes()), sync(), folder()], &cut_and_written[..]].concat());
        let mut cut = PowerCut::new(&trace);
        cut.step_to(6);
        for seed in 0..100 {
            let left = text(&cut, Survival::Some(seed)).unwrap();
            assert!([old.as_str(), "", "new", "\0\0\0"].contains(&left.as_str()), "{} bytes", left.len());
        }
    }

    #[test]
    fn a_sync_after_a_failed_one_proves_nothing() {
        let failed = Entry::Failed(Change::Sync { file: FILE });
        let mut trace = trace(&[create(), write(0, b"old"), sync(), folder(), write(0, b"new")]);
        trace.entries.extend([failed, Entry::Done(sync())]);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(7);
        assert_eq!(text(&cut, Survival::Nothing).unwrap(), "old", "the page was clean");
        trace.entries.extend([Entry::Done(write(3, b"er")), Entry::Done(sync())]);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(9);
        assert_eq!(text(&cut, Survival::Nothing).unwrap(), "newer", "it was written again");
    }

    #[test]
    fn what_a_failed_sync_has_left_may_be_forgotten_and_nothing_else() {
        let failed = Entry::Failed(Change::Sync { file: FILE });
        let mut trace = trace(&[create(), write(0, &[b'o'; 2 * PAGE]), sync(), folder(), write(0, b"lost")]);
        trace.entries.extend([failed, Entry::Done(write(PAGE as u64, b"dirty"))]);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(7);
        assert_eq!(cut.forgettable(), [(PathBuf::from("f"), 0, vec![b'o'; PAGE])]);
        trace.entries.push(Entry::Forgotten);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(8);
        assert_eq!(cut.forgettable(), []);
        let seen = text(&cut, Survival::Everything).unwrap();
        assert_eq!((&seen[..5], &seen[PAGE..PAGE + 5]), ("ooooo", "dirty"));
    }

    #[test]
    fn names_get_to_the_disk_in_their_order() {
        let to = PathBuf::from("to");
        let steps = [create(), write(0, b"x"), sync(), folder(), Change::Rename { from: "f".into(), to: to.clone() }];
        let trace = trace(&[&steps[..], &[Change::Delete { path: to }]].concat());
        let mut cut = PowerCut::new(&trace);
        cut.step_to(6);
        let names = |seed| cut.left(Survival::Some(seed)).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let seen: std::collections::BTreeSet<_> = (0..50).map(names).collect();
        assert_eq!(seen.len(), 3, "before both, between them, after both: {seen:?}");
    }

    fn trace(done: &[Change]) -> Trace {
        Trace { entries: done.iter().cloned().map(Entry::Done).collect(), ..Trace::default() }
    }

    fn create() -> Change {
        Change::Create { path: "f".into(), file: FILE, length: 0 }
    }

    fn write(offset: u64, bytes: &[u8]) -> Change {
        Change::Write { file: FILE, offset, bytes: bytes.to_vec() }
    }

    fn sync() -> Change {
        Change::Sync { file: FILE }
    }

    fn folder() -> Change {
        Change::SyncFolder { path: PathBuf::new() }
    }

    fn text(cut: &PowerCut<'_>, survival: Survival) -> Option<String> {
        cut.left(survival).pop().map(|(_, bytes)| String::from_utf8(bytes).unwrap())
    }
}
