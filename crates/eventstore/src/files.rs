//! What the stores ask of the file system, so that tests can have it fail.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
pub(crate) mod on_disk;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Makes, names and opens files.
pub(crate) trait Files: Send + Sync {
    /// A new file of `bytes` zeros, for writing; an older one of the same name is gone.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn WriteFile>>;

    /// An existing file, for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// An existing file, for reading.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// All that is in a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is such a file or folder.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The names in a folder.
    fn names(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a folder, where it isn't there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Has all that was written to an existing file reach the disk, also where it can only be read.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file its final name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Has the names in a folder reach the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written.
pub(crate) trait WriteFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Has what was written reach the disk.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is read, by many at a time.
pub(crate) trait ReadFile: Send + Sync {
    /// Fills `buffer` with what stands at `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// How many bytes it has.
    fn length(&self) -> io::Result<u64>;
}

/// The folders of a path that are missing, from the top.
pub(crate) fn missing_folders<'a>(path: &'a Path, files: &dyn Files) -> io::Result<Vec<&'a Path>> {
    let mut missing = Vec::new();
    for folder in path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        if files.exists(folder).map_err(named(folder))? {
            break;
        }
        missing.push(folder);
    }
    missing.reverse();
    Ok(missing)
}

/// Makes a folder that may be there, and those above it that are missing.
pub(crate) fn make_folders(path: &Path, files: &dyn Files) -> io::Result<()> {
    missing_folders(path, files)?.into_iter().try_for_each(|folder| files.make_folder(folder).map_err(named(folder)))
}

/// Has the names in a folder reach the disk, where its file system knows such a sync.
///
/// # Errors
///
/// What the file system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    where_known(File::open(path)?.sync_all())
}

/// What a sync has said, on a file system that may know none.
fn where_known(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        // `EINVAL`, which PostgreSQL passes over as well (`fsync_fname_ext`), and what some say in its place.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// The error with the file's name in it.
pub(crate) fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.display().to_string();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}

/// The file system itself.
pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.set_len(bytes)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        where_known(File::open(path)?.sync_data())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        sync_folder(path)
    }
}

struct RealFile(File);

impl WriteFile for RealFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl ReadFile for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    /// `/proc` knows no syncs.
    #[test]
    fn a_file_system_without_syncs_is_taken_as_it_is() {
        let folder = Path::new("/proc");
        let said = File::open(folder).and_then(|folder| folder.sync_all());
        assert_eq!(said.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        sync_folder(folder).unwrap();
        assert_eq!(sync_folder(Path::new("/proc/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        RealFiles.sync(Path::new("/proc/version")).unwrap();
        assert_eq!(RealFiles.sync(Path::new("/proc/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
