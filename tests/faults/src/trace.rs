//! What was done on a disk, in order.

use std::path::PathBuf;

/// A file, whatever its name is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Something that changes what is on a disk, or makes it last. Paths are below the disk's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new file, of so many zeros.
    Create {
        /// Its name.
        path: PathBuf,
        /// Which it is from now on.
        file: FileId,
        /// Its length.
        length: u64,
    },
    /// A new folder.
    MakeFolder {
        /// Its name.
        path: PathBuf,
    },
    /// A file that is there is opened for writing.
    Open {
        /// Its name.
        path: PathBuf,
    },
    /// Bytes are written.
    Write {
        /// Where to.
        file: FileId,
        /// Where in it.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file is cut, or grows by zeros.
    SetLength {
        /// Which.
        file: FileId,
        /// To this length.
        length: u64,
    },
    /// What was written to a file has to last.
    Sync {
        /// Which.
        file: FileId,
    },
    /// A file gets another name in its folder; what had that name is gone.
    Rename {
        /// Its name.
        from: PathBuf,
        /// Its new one.
        to: PathBuf,
    },
    /// A name is removed.
    Delete {
        /// Which.
        path: PathBuf,
    },
    /// The names in a folder have to last.
    SyncFolder {
        /// Which.
        path: PathBuf,
    },
}

impl Change {
    /// As much of it as a torn operation does.
    #[must_use]
    pub fn half(&self) -> Option<Self> {
        match self {
            Self::Write { file, offset, bytes } if bytes.len() > 1 => {
                Some(Self::Write { file: *file, offset: *offset, bytes: bytes[..bytes.len() / 2].to_vec() })
            }
            _ => None,
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It was done.
    Done(Change),
    /// It failed. What a torn write has written all the same was done before, in an entry of its own.
    Failed(Change),
    /// What failed syncs have left in the cache was dropped from it, and who reads finds what is on the disk.
    Forgotten,
    /// The test has reached this point of its own.
    Mark(u64),
}

/// What was done on a disk.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The files that were there at the start, which last.
    pub start: Vec<(PathBuf, FileId, Vec<u8>)>,
    /// The folders that were there at the start.
    pub folders: Vec<PathBuf>,
    /// What was done since.
    pub entries: Vec<Entry>,
}

impl Trace {
    /// The name that a file has had.
    #[must_use]
    pub fn name_of(&self, file: FileId) -> Option<PathBuf> {
        let at_start = self.start.iter().find(|(_, id, _)| *id == file).map(|(path, ..)| path.clone());
        let created = || {
            self.entries.iter().find_map(|entry| match entry {
                Entry::Done(Change::Create { path, file: id, .. }) if *id == file => Some(path.clone()),
                _ => None,
            })
        };
        at_start.or_else(created)
    }
}
