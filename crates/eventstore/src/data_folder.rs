//! A folder that one process owns at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files::{Files, RealFiles, missing_folders, named};

/// The file whose lock says that the folder has an owner.
const LOCK_FILE: &str = "inventory.lock";

/// A folder that nobody else opens while this value lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why a folder can't be had.
#[derive(Debug, Error)]
pub enum DataFolderError {
    /// It belongs to another process.
    #[error("another process is using the data folder {}", .0.display())]
    InUse(PathBuf),
    /// It can't be made or locked.
    #[error("the data folder {} can't be used: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl DataFolder {
    /// Makes the folder if there is none, and takes it until this value is dropped (or the process ends, however it does).
    ///
    /// # Errors
    ///
    /// [`DataFolderError`] when another process has it or the system refuses it.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        Self::open_with(path, &RealFiles)
    }

    fn open_with(path: &Path, files: &dyn Files) -> Result<Self, DataFolderError> {
        let unusable = |source| DataFolderError::Unusable { path: path.to_owned(), source };
        create(path, files).map_err(unusable)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join(LOCK_FILE)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataFolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Where a file of this name is in the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes a folder that may be there, and those above it that are missing, so that they outlast a power cut.
///
/// # Errors
///
/// What the file system says.
pub fn create_folder(path: &Path) -> io::Result<()> {
    create(path, &RealFiles)
}

fn create(path: &Path, files: &dyn Files) -> io::Result<()> {
    let missing = missing_folders(path, files)?;
    // Who has made the last one that is there may have been killed before its name was on the disk, or its sync may have failed; or somebody
    // has copied or moved it here, with all that is in it.
    if let Some(there) = path.ancestors().nth(missing.len()).filter(|there| !there.as_os_str().is_empty())
        && let Some(parent) = fs::canonicalize(there)?.parent()
    {
        let is_of_others = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
        };
        match files.sync_folder(parent) {
            Err(error) if is_of_others(&error) => (), // Then this program hasn't made it.
            synced => synced?,
        }
    }
    for folder in missing {
        let sync = || files.sync_folder(parent_of(folder)).map_err(named(parent_of(folder)));
        sync()?; // Nothing is made where its name can't be synced afterwards.
        files.make_folder(folder)?;
        sync()?;
    }
    Ok(())
}

fn parent_of(folder: &Path) -> &Path {
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use inventory_faults::{Aim, Disk, Fault, How, PowerCut, Survival};

    use super::*;
    use crate::files::on_disk::DiskFiles;

    #[test]
    fn a_folder_that_is_used_outlasts_a_power_cut_whatever_has_failed_before() {
        let mut failures = 0;
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("there")).unwrap();
            let disk = Disk::over(folder.path());
            let files = DiskFiles::new(disk.clone());
            let path = folder.path().join("there/above/data");
            disk.fail(Fault { aim: Aim::Changes, nth, how: How::Fails });
            failures += usize::from(DataFolder::open_with(&path, &files).is_err());
            if !disk.has_failed() {
                break;
            }
            disk.heal();
            let _owned = DataFolder::open_with(&path, &files).unwrap();
            files.create(&path.join("events.db"), 0).unwrap();
            files.sync_folder(&path).unwrap();
            let trace = disk.trace();
            let mut cut = PowerCut::new(&trace);
            cut.step_to(trace.entries.len());
            let left: Vec<PathBuf> = cut.left(Survival::Nothing).into_iter().map(|(path, _)| path).collect();
            assert_eq!(left, [Path::new("there/above/data/events.db")], "where change {nth} failed");
        }
        assert_eq!(failures, 7, "two folders, two syncs for each, and that of what was there");
    }

    #[test]
    fn a_folder_that_was_copied_here_outlasts_a_power_cut() {
        for is_link in [false, true] {
            let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let disk = Disk::over(folder.path());
            let files = DiskFiles::new(disk.clone());
            let path = folder.path().join("data");
            files.make_folder(&path).unwrap();
            files.create(&path.join(LOCK_FILE), 0).unwrap();
            let link = elsewhere.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            let _owned = DataFolder::open_with(if is_link { &link } else { &path }, &files).unwrap();
            files.sync_folder(&path).unwrap();
            let trace = disk.trace();
            let mut cut = PowerCut::new(&trace);
            cut.step_to(trace.entries.len());
            let left: Vec<PathBuf> = cut.left(Survival::Nothing).into_iter().map(|(path, _)| path).collect();
            assert_eq!(left, [Path::new("data/inventory.lock")], "a link: {is_link}");
        }
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let first = DataFolder::open(&path).unwrap();
        assert!(matches!(DataFolder::open(&path), Err(DataFolderError::InUse(_))));
        drop(first);
        DataFolder::open(&path).unwrap();
    }
}
