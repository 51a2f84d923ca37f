//! What a test needs of a store, and how it opens one.

use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{EventLog, EventStore};
use inventory_application::testing::ManualClock;

use crate::trace::Trace;

/// A kind of store.
pub trait Backend: Sync {
    /// Opens the store in this folder, on the disk that stands over it, if one does.
    ///
    /// # Errors
    ///
    /// Why it can't be opened.
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String>;

    /// Whether a repair that succeeded is among these steps.
    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool;
}

/// A store that is open until this is dropped.
pub struct Opened {
    /// Where batches are appended, and streams loaded.
    pub events: Arc<dyn EventStore>,
    /// Where the log is read.
    pub log: Arc<dyn EventLog>,
    /// Whether it says that it acknowledges nothing.
    pub is_poisoned: Arc<dyn Fn() -> bool + Send + Sync>,
}
