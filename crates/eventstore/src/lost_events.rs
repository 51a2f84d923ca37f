//! Whether a log has lost events that somebody has seen: asked before a store changes anything.

use std::path::{Path, PathBuf};

use inventory_application::Position;
use thiserror::Error;

/// Somebody has seen the events up to a position, so they were acknowledged, and have to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The file that says so.
    pub by: PathBuf,
    /// The last event that it has seen.
    pub position: Position,
}

/// A log ends before an event that was acknowledged.
#[derive(Debug, Error)]
#[error(
    "the log has lost events {first} to {seen}: {log} ends at {head}, but {by} has events up to {seen}; \
     restore a backup (if there is none: removing {by} accepts the loss)",
    first = .head.0 + 1, seen = .seen.position, log = .log.display(), by = .seen.by.display()
)]
pub struct LostEvents {
    /// The log.
    pub log: PathBuf,
    /// Where it ends.
    pub head: Position,
    /// Who has seen more.
    pub seen: Seen,
}

impl Seen {
    /// Checks that a log which ends at `head` has what was seen of it.
    ///
    /// # Errors
    ///
    /// [`LostEvents`] where it hasn't.
    pub fn check(&self, log: &Path, head: Position) -> Result<(), LostEvents> {
        if self.position <= head {
            return Ok(());
        }
        Err(LostEvents { log: log.to_owned(), head, seen: self.clone() })
    }
}
