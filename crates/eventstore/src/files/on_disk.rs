//! The way from the stores' own files to a disk that fails when it is told to.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_faults::{Change, Disk, FileId, Problem};

use super::{Files, ReadFile, RealFiles, WriteFile};

/// The files of a folder that a disk stands over.
pub(crate) struct DiskFiles {
    pub(crate) disk: Arc<Disk>,
    /// A planted bug: what is written to such an existing file, and the sync of such a folder, goes past the disk, which is as if it
    /// weren't done.
    pub(crate) past_the_disk: fn(&Path) -> bool,
}

impl DiskFiles {
    pub(crate) fn new(disk: Arc<Disk>) -> Self {
        Self { disk, past_the_disk: |_| false }
    }

    fn below(&self, path: &Path) -> PathBuf {
        let parent = path.parent().unwrap().canonicalize().unwrap_or_else(|_| path.parent().unwrap().to_owned());
        self.disk.below(&parent.join(path.file_name().unwrap())).expect("a path on the disk")
    }

    fn change<T>(&self, change: Change, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.disk.change(change, |_| make(), failed)
    }
}

fn failed(problem: Problem) -> io::Error {
    match problem {
        Problem::Io => io::Error::other("injected"),
        Problem::Full => io::Error::from(io::ErrorKind::StorageFull),
    }
}

impl Files for DiskFiles {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn WriteFile>> {
        let create = || RealFiles.create(path, bytes);
        let (id, file) = self.disk.open(&self.below(path), Some(bytes), create, failed)?;
        Ok(Box::new(DiskFile { file, id, disk: Arc::clone(&self.disk) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        if (self.past_the_disk)(path) {
            return RealFiles.open(path);
        }
        let (id, file) = self.disk.open(&self.below(path), None, || RealFiles.open(path), failed)?;
        Ok(Box::new(DiskFile { file, id, disk: Arc::clone(&self.disk) }))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = self.disk.look(|| RealFiles.open_to_read(path), failed)?;
        Ok(Arc::new(DiskReadFile { file, disk: Arc::clone(&self.disk) }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.look(|| RealFiles.read(path), failed)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.look(|| RealFiles.exists(path), failed)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.look(|| RealFiles.names(path), failed)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Change::MakeFolder { path: self.below(path) }, || RealFiles.make_folder(path))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if (self.past_the_disk)(path) {
            return Ok(());
        }
        let file = self.disk.file(&self.below(path)).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Sync { file }, || Ok(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = Change::Rename { from: self.below(from), to: self.below(to) };
        self.change(change, || RealFiles.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if (self.past_the_disk)(path) {
            return Ok(());
        }
        self.change(Change::SyncFolder { path: self.below(path) }, || Ok(()))
    }
}

struct DiskFile {
    file: Box<dyn WriteFile>,
    id: FileId,
    disk: Arc<Disk>,
}

impl WriteFile for DiskFile {
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
