//! Files that may change while the service runs: keys and certificates.
//!
//! What changes is taken in as a whole, when it looks the same twice in a row, so that a file which is being written is not read in half.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use blake3::{Hash, Hasher};
use slog::{Logger, error};
use thiserror::Error;
use tokio::signal::unix::Signal;

/// Files as they were read at one moment.
#[derive(Default)]
pub struct FileContents(Vec<(PathBuf, Vec<u8>)>);

/// A file that can't be read.
#[derive(Debug, Error)]
#[error("{path}: {source}", path = path.display())]
pub struct UnreadableFile {
    path: PathBuf,
    source: io::Error,
}

impl FileContents {
    /// Reads the files, of `bytes_max` each at most.
    ///
    /// # Errors
    ///
    /// The first that can't be read, or is longer.
    pub fn read(paths: &[PathBuf], bytes_max: u64) -> Result<Self, UnreadableFile> {
        let read = |path: &PathBuf| match read_bounded(path, bytes_max) {
            Ok(content) => Ok((path.clone(), content)),
            Err(source) => Err(UnreadableFile { path: path.clone(), source }),
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// What stands in the file, if it is one of these.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, content)| content.as_slice())
    }

    /// A hash that tells other contents from these.
    fn fingerprint(&self) -> Hash {
        let mut hasher = Hasher::new();
        for (_, content) in &self.0 {
            hasher.update(&(content.len() as u64).to_le_bytes()).update(content);
        }
        hasher.finalize()
    }
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Takes in what files say, or says in the log why it can't and keeps what was before.
pub type TakeIn = Box<dyn Fn(&FileContents)>;

/// Files that belong together, and who wants to know of changes.
pub struct WatchedFiles {
    paths: Arc<[PathBuf]>,
    bytes_max: u64,
    take_in: TakeIn,
    log: Logger,
    /// What was taken in, or refused.
    known: Hash,
    /// What was seen at the last look.
    seen: Hash,
    /// Why the last look saw nothing.
    failure: Option<String>,
}

impl WatchedFiles {
    /// Watches these files, whose `contents` are taken in already.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, bytes_max: u64, contents: &FileContents, take_in: TakeIn, log: Logger) -> Self {
        let known = contents.fingerprint();
        Self { paths: paths.into(), bytes_max, take_in, log, known, seen: known, failure: None }
    }

    /// Looks at the files, and takes in what has changed; at once where `is_asked`, else when it was there at the last look.
    async fn look(&mut self, is_asked: bool) {
        let (paths, bytes_max) = (Arc::clone(&self.paths), self.bytes_max);
        let read = tokio::task::spawn_blocking(move || FileContents::read(&paths, bytes_max)).await;
        match read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string())) {
            Ok(contents) => {
                self.failure = None;
                let now = contents.fingerprint();
                if is_asked || (now != self.known && now == self.seen) {
                    self.known = now;
                    (self.take_in)(&contents);
                }
                self.seen = now;
            }
            Err(cause) => {
                if is_asked || self.failure.as_ref() != Some(&cause) {
                    error!(self.log, "file_not_reloaded"; "cause" => &cause);
                }
                self.failure = Some(cause);
            }
        }
    }
}

/// Watches until it is dropped; a hangup (SIGHUP) has everything read at once.
pub async fn watch(mut all: Vec<WatchedFiles>, every: Duration, mut hangup: Signal) {
    loop {
        let is_asked = tokio::select! {
            asked = hangup.recv() => asked.is_some(),
            () = tokio::time::sleep(every) => false,
        };
        for files in &mut all {
            files.look(is_asked).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::rc::Rc;

    use slog::{Discard, o};

    use super::*;

    #[tokio::test]
    async fn a_change_is_taken_in_once_it_looks_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut watched, taken) = watch_one(folder.path(), "old");
        watched.look(false).await;
        fs::write(&path, "ha").unwrap();
        watched.look(false).await;
        fs::write(&path, "half").unwrap();
        watched.look(false).await;
        assert_eq!(*taken.borrow(), [""; 0]);
        watched.look(false).await;
        watched.look(false).await;
        assert_eq!(*taken.borrow(), ["half"]);
        fs::remove_file(&path).unwrap();
        watched.look(false).await;
        assert!(watched.failure.as_ref().unwrap().contains("keys.toml"));
        fs::write(&path, "whole").unwrap();
        watched.look(true).await;
        assert_eq!(*taken.borrow(), ["half", "whole"], "a signal doesn't wait");
    }

    #[tokio::test]
    async fn a_file_that_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut watched, taken) = watch_one(folder.path(), "old");
        fs::write(&path, "x".repeat(101)).unwrap();
        watched.look(true).await;
        assert_eq!(*taken.borrow(), [""; 0]);
        assert!(watched.failure.unwrap().contains("more than 100 bytes"));
    }

    fn watch_one(folder: &Path, content: &str) -> (PathBuf, WatchedFiles, Rc<RefCell<Vec<String>>>) {
        let path = folder.join("keys.toml");
        fs::write(&path, content).unwrap();
        let contents = FileContents::read(std::slice::from_ref(&path), 100).unwrap();
        let taken = Rc::new(RefCell::new(Vec::new()));
        let (kept, of) = (Rc::clone(&taken), path.clone());
        let take_in = move |contents: &FileContents| {
            kept.borrow_mut().push(String::from_utf8_lossy(contents.of(&of).unwrap()).into_owned());
        };
        let log = Logger::root(Discard, o!());
        let watched = WatchedFiles::new(vec![path.clone()], 100, &contents, Box::new(take_in), log);
        (path, watched, taken)
    }
}
