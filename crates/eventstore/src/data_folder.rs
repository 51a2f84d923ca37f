//! A folder that one process owns at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

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
        let unusable = |source| DataFolderError::Unusable { path: path.to_owned(), source };
        create(path).map_err(unusable)?;
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

/// Makes the folder and those above it that are missing, so that they outlast a power cut.
fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path)?;
    for folder in missing {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
