//! What the journal asks of the file system, so that tests can have it fail.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Makes and names files.
pub(super) trait Files: Send {
    /// A new file of `bytes` zeros, for writing; an older one of the same name is gone.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn JournalFile>>;

    /// An existing file, for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>>;

    /// Gives a file its final name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Has the names in a folder reach the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written.
pub(super) trait JournalFile: Send {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Has what was written reach the disk.
    fn sync(&self) -> io::Result<()>;
}

/// The file system itself.
pub(super) struct RealFiles;

impl Files for RealFiles {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn JournalFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.set_len(bytes)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

struct RealFile(File);

impl JournalFile for RealFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
