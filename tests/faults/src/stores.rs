//! What a test needs of a store, how it opens one, and what its work starts from.

use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{EventLog, EventStore};
use inventory_application::testing::ManualClock;
use inventory_domain::{ProductId, StockId, StoreId, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::disk::Disk;
use crate::trace::Trace;

/// What every clock shows at first.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_764_072_000_000);

/// A kind of store.
pub trait Backend: Sync {
    /// Opens the store in this folder, on the disk that stands over it, if one does.
    ///
    /// # Errors
    ///
    /// Why it can't be opened.
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String>;

    /// Somebody beside the store who reads its files as they are at this moment; `None` where nobody can be in its way so.
    fn reader_beside(&self, folder: &Path) -> Option<Box<dyn ReaderBeside>>;

    /// Whether a repair that succeeded is among these steps.
    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool;
}

/// Who reads files, and has them open until this is dropped.
pub trait ReaderBeside: Send {
    /// Needs no longer what was there at first.
    fn end_reading(&self);
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

/// Opens what has to be sound.
pub(crate) fn open(backend: &dyn Backend, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
    backend.open(folder, clock).map_err(|error| format!("it can't be opened: {error}"))
}

/// Opens the store through whatever the disk does: where that fails, once more when nothing fails any more.
pub(crate) fn open_on(
    disk: &Disk,
    backend: &dyn Backend,
    folder: &Path,
    clock: &Arc<ManualClock>,
) -> Result<Opened, String> {
    match open(backend, folder, clock) {
        Err(_) if disk.has_failed() => {
            disk.heal();
            open(backend, folder, clock)
        }
        other => other,
    }
}

/// A new folder, in memory where that is possible: whether something lasts is the disk's to say.
pub(crate) fn new_folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder")
}

/// A runtime of one thread, beside those that wait for the disk.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn stock(number: u64) -> StockId {
    StockId { product_id: ProductId::from_u128(number.into()), store_id: StoreId::from_u128(7) }
}
