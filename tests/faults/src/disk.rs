//! The disk itself: a folder, through which everything goes that is done there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::fault::{Aim, Fault, How, Problem};
use crate::lock;
use crate::power_cut::{PowerCut, Survival};
use crate::trace::{Change, Entry, FileId, Trace};

/// Every disk that a test has, so that `SQLite`, which only knows paths, finds them.
static DISKS: Mutex<Vec<Weak<Disk>>> = Mutex::new(Vec::new());

/// A folder that fails when it is told to, and writes down what is done in it.
///
/// Syncs are not handed on to the real disk: whether they have happened is all that counts here.
pub struct Disk {
    folder: PathBuf,
    state: Mutex<State>,
}

/// Says of a path whether something holds.
type OfPath = Box<dyn Fn(&Path) -> bool + Send>;

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, FileId>,
    files: u64,
    fault: Option<Fault>,
    /// Operations until the fault.
    left: u64,
    /// What lasts of a fault until the disk is healed.
    lasting: Option<How>,
    /// Where in the trace the fault was met.
    met_at: Option<usize>,
    /// Looks until the kernel forgets.
    forgets_in: Option<u64>,
    swallows: Option<OfPath>,
    /// Whether `SQLite` has `synchronous=NORMAL` here, and says FULL.
    syncs_less: bool,
    trace: Trace,
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Done,
    Fails(Problem),
    Tears(Problem),
    Lies(Problem),
}

impl Disk {
    /// A disk over `folder`, with what is there already; it lasts.
    #[must_use]
    pub fn over(folder: &Path) -> Arc<Self> {
        let folder = folder.canonicalize().expect("the folder is there");
        let mut state = State::default();
        take_in(&folder, Path::new(""), &mut state);
        let disk = Arc::new(Self { folder, state: Mutex::new(state) });
        let mut disks = lock(&DISKS);
        disks.retain(|disk| disk.strong_count() > 0);
        disks.push(Arc::downgrade(&disk));
        disk
    }

    /// A disk over `folder` that is as another one was at a moment, when its process was killed: all that was written is there, and
    /// what wasn't synced still has to be.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn after_kill(moment: &PowerCut<'_>, folder: &Path) -> io::Result<Arc<Self>> {
        moment.write_to(folder, Survival::Everything)?;
        let disk = Self::over(folder);
        {
            let mut state = disk.lock();
            state.names = moment.names().into_iter().collect();
            state.files = u64::MAX / 2; // Above every file's number.
            state.trace = moment.trace_so_far();
        }
        Ok(disk)
    }

    /// A disk over `folder` that has what another one had at a moment: some program has copied it, and synced nothing.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn after_a_copy(moment: &PowerCut<'_>, folder: &Path) -> io::Result<Arc<Self>> {
        moment.write_to(folder, Survival::Everything)?;
        let disk = Self::over(folder);
        {
            let Trace { start, folders, entries } = &mut disk.lock().trace;
            let made = folders.drain(..).map(|path| Change::MakeFolder { path });
            let copied = start.drain(..).flat_map(|(path, file, bytes)| {
                [Change::Create { path, file, length: 0 }, Change::Write { file, offset: 0, bytes }]
            });
            entries.extend(made.chain(copied).map(Entry::Done));
        }
        Ok(disk)
    }

    /// The disk that `path` is on, and where on it.
    #[must_use]
    pub fn of(path: &Path) -> Option<(Arc<Self>, PathBuf)> {
        let disks = lock(&DISKS);
        disks.iter().rev().filter_map(Weak::upgrade).find_map(|disk| {
            let below = path.strip_prefix(&disk.folder).ok()?.to_owned();
            Some((disk, below))
        })
    }

    /// Has an operation fail.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.lock();
        (state.left, state.fault, state.met_at) = (fault.nth, Some(fault), None);
    }

    /// Lets nothing fail any more; whether the fault was met is remembered.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.fault, state.lasting) = (None, None);
    }

    /// Whether the fault that was planned was met.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().met_at.is_some()
    }

    /// How it fails until it is healed, where it does.
    #[must_use]
    pub fn lasting(&self) -> Option<How> {
        self.lock().lasting
    }

    /// What is to fail, or has failed and wasn't healed.
    #[must_use]
    pub fn aim(&self) -> Option<Aim> {
        self.lock().fault.map(|fault| fault.aim)
    }

    /// Where in the trace the fault was met.
    #[must_use]
    pub fn failed_at(&self) -> Option<usize> {
        self.lock().met_at
    }

    /// At the n-th look from now on, the kernel drops what failed syncs have left in the cache: who looks then finds what is on the disk.
    pub fn forget_at_look(&self, nth: u64) {
        self.lock().forgets_in = Some(nth);
    }

    /// Whether nothing is left that would still be forgotten.
    #[must_use]
    pub fn has_forgotten(&self) -> bool {
        self.lock().forgets_in.is_none()
    }

    /// From now on a sync of such a file says that it is done, and does nothing.
    pub fn swallow_syncs(&self, of: impl Fn(&Path) -> bool + Send + 'static) {
        self.lock().swallows = Some(Box::new(of));
    }

    /// From now on every connection of `SQLite` that is opened to a file here has `synchronous=NORMAL`, whatever it is told, and says that
    /// it is FULL.
    pub fn have_sqlite_sync_less(&self) {
        self.lock().syncs_less = true;
    }

    pub(crate) fn syncs_less(&self) -> bool {
        self.lock().syncs_less
    }

    /// Writes down that the test has reached a point, and returns how much had been done by then.
    pub fn mark(&self, point: u64) -> usize {
        let entries = &mut self.lock().trace.entries;
        entries.push(Entry::Mark(point));
        entries.len() - 1
    }

    /// How many steps were written down.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.lock().trace.entries.len()
    }

    /// What was done so far.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Where `path` is on this disk.
    #[must_use]
    pub fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.folder).map(Path::to_owned).ok()
    }

    /// The file with this name.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<FileId> {
        self.lock().names.get(path).copied()
    }

    /// Does something that only looks, or fails.
    ///
    /// # Errors
    ///
    /// What `failed` makes of an injected problem, or what `look` says.
    pub fn look<T, E>(&self, look: impl FnOnce() -> Result<T, E>, failed: impl FnOnce(Problem) -> E) -> Result<T, E> {
        let verdict = {
            let mut state = self.lock();
            state.forgets_in = state.forgets_in.map(|left| left.saturating_sub(1));
            if state.forgets_in == Some(0) {
                self.forget(&mut state);
            }
            state.verdict(Aim::Reads, None)
        };
        match verdict {
            Verdict::Done => look(),
            Verdict::Fails(problem) | Verdict::Tears(problem) | Verdict::Lies(problem) => Err(failed(problem)),
        }
    }

    /// Makes a change by `make`, or fails.
    ///
    /// # Errors
    ///
    /// What `failed` makes of an injected problem, or what `make` says.
    pub fn change<T, E>(
        &self,
        change: Change,
        make: impl FnOnce(&Change) -> Result<T, E>,
        failed: impl FnOnce(Problem) -> E,
    ) -> Result<T, E> {
        self.lock().change(change, make, failed)
    }

    /// Opens a file for writing by `open`: makes it where it isn't there, and empties it where `length` is given.
    ///
    /// # Errors
    ///
    /// What `failed` makes of an injected problem, or what `open` says.
    pub fn open<T, E>(
        &self,
        path: &Path,
        length: Option<u64>,
        open: impl FnOnce() -> Result<T, E>,
        failed: impl FnOnce(Problem) -> E,
    ) -> Result<(FileId, T), E> {
        let mut state = self.lock();
        let path = path.to_owned();
        let Some(file) = state.names.get(&path).copied() else {
            let file = FileId(state.files);
            let create = Change::Create { path: path.clone(), file, length: length.unwrap_or(0) };
            state.files += 1;
            return Ok((file, state.change(create, |_| open(), failed)?));
        };
        let opened = state.change(Change::Open { path }, |_| open(), failed)?;
        if let Some(length) = length {
            state.trace.entries.push(Entry::Done(Change::SetLength { file, length: 0 }));
            state.trace.entries.push(Entry::Done(Change::SetLength { file, length }));
        }
        Ok((file, opened))
    }

    /// Writes down a folder's sync that is a part of another operation, and never fails by itself.
    pub(crate) fn synced_folder(&self, path: PathBuf) {
        self.lock().trace.entries.push(Entry::Done(Change::SyncFolder { path }));
    }

    fn forget(&self, state: &mut State) {
        state.forgets_in = None;
        let mut cut = PowerCut::new(&state.trace);
        cut.step_to(state.trace.entries.len());
        for (path, offset, bytes) in cut.forgettable() {
            let file = fs::OpenOptions::new().write(true).open(self.folder.join(path)).expect("a file that is there");
            file.write_all_at(&bytes, offset as u64).expect("the file can be written");
        }
        state.trace.entries.push(Entry::Forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Counts an operation, and says what becomes of it.
    fn verdict(&mut self, aim: Aim, change: Option<&Change>) -> Verdict {
        let is_sync = matches!(change, Some(Change::Sync { .. }));
        let is_aimed_at = |fault: &Fault| fault.aim == aim || fault.aim == Aim::Syncs && is_sync;
        let fault = self.fault.filter(|fault| is_aimed_at(fault) && self.left > 0);
        if fault.is_some() {
            self.left -= 1;
        }
        let how = match fault {
            Some(fault) if self.left == 0 => {
                self.met_at = Some(self.trace.entries.len());
                if matches!(fault.how, How::Full | How::Breaks) {
                    self.lasting = Some(fault.how);
                }
                Some(fault.how)
            }
            _ => self.lasting.filter(|how| match (how, change) {
                (_, None | Some(Change::Open { .. })) => false, // What is there can still be looked at.
                (How::Full, Some(change)) => {
                    matches!(change, Change::Write { .. } | Change::Create { .. } | Change::MakeFolder { .. })
                }
                (_, Some(_)) => true,
            }),
        };
        match how {
            None => Verdict::Done,
            Some(How::Fails | How::Breaks) => Verdict::Fails(Problem::Io),
            Some(How::Tears) => Verdict::Tears(Problem::Io),
            Some(How::Lies) => Verdict::Lies(Problem::Io),
            Some(How::Full) => Verdict::Tears(Problem::Full),
        }
    }

    fn change<T, E>(
        &mut self,
        change: Change,
        make: impl FnOnce(&Change) -> Result<T, E>,
        failed: impl FnOnce(Problem) -> E,
    ) -> Result<T, E> {
        if self.is_swallowed(&change) {
            return make(&change);
        }
        match self.verdict(Aim::Changes, Some(&change)) {
            Verdict::Done => {
                let value = make(&change)?;
                self.done(change);
                Ok(value)
            }
            Verdict::Fails(problem) => {
                self.trace.entries.push(Entry::Failed(change));
                Err(failed(problem))
            }
            Verdict::Tears(problem) => {
                if let Some(half) = change.half() {
                    make(&half)?;
                    self.done(half);
                }
                self.trace.entries.push(Entry::Failed(change));
                Err(failed(problem))
            }
            Verdict::Lies(problem) => {
                make(&change)?;
                self.done(change);
                Err(failed(problem))
            }
        }
    }

    fn is_swallowed(&self, change: &Change) -> bool {
        let (Some(swallows), Change::Sync { file }) = (&self.swallows, change) else { return false };
        self.names.iter().any(|(path, id)| id == file && swallows(path))
    }

    fn done(&mut self, change: Change) {
        match &change {
            Change::Create { path, file, .. } => {
                self.names.insert(path.clone(), *file);
            }
            Change::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Change::Delete { path } => {
                self.names.remove(path);
            }
            _ => (),
        }
        self.trace.entries.push(Entry::Done(change));
    }
}

/// What is there at the start.
fn take_in(folder: &Path, below: &Path, state: &mut State) {
    for entry in fs::read_dir(folder.join(below)).expect("the folder can be read") {
        let path = below.join(entry.expect("the folder can be read").file_name());
        if folder.join(&path).is_dir() {
            state.trace.folders.push(path.clone());
            take_in(folder, &path, state);
        } else {
            let (file, bytes) = (FileId(state.files), fs::read(folder.join(&path)).expect("the file can be read"));
            state.files += 1;
            state.names.insert(path.clone(), file);
            state.trace.start.push((path, file, bytes));
        }
    }
}
