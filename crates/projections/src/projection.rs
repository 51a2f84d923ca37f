//! What a projection is, and the list of them.

use inventory_application::StreamId;
use inventory_application::ports::RecordedEvent;
use rusqlite::Connection;
use thiserror::Error;

use crate::orders::Orders;
use crate::product_inventory::ProductInventory;
use crate::reservations::Reservations;
use crate::stock_levels::StockLevels;
use crate::transfers::Transfers;

/// Turns events into the rows of a read model.
///
/// A new one is a file like `stock_levels.rs` and a line in [`all`].
pub trait Projection: Send + Sync {
    /// The name that it goes by in checkpoints, health and logs.
    fn name(&self) -> &'static str;

    /// Makes its tables where there are none.
    ///
    /// # Errors
    ///
    /// What `SQLite` says.
    fn create_tables(&self, connection: &Connection) -> rusqlite::Result<()>;

    /// Applies a page of events, in the transaction that also moves its checkpoint.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Inapplicable`] when the events don't fit the rows: the projection stops there.
    fn apply(&self, connection: &Connection, events: &[RecordedEvent]) -> Result<(), ProjectionError>;
}

/// Every projection that the service runs.
#[must_use]
pub fn all() -> Vec<Box<dyn Projection>> {
    vec![
        Box::new(StockLevels),
        Box::new(ProductInventory),
        Box::new(Reservations),
        Box::new(Orders),
        Box::new(Transfers),
    ]
}

/// Why a page of events could not be applied.
#[derive(Debug, Error)]
pub enum ProjectionError {
    /// The read models can't be written now: the same page may be tried again.
    #[error("the read models can't be written: {0}")]
    Unavailable(#[from] rusqlite::Error),
    /// The events don't fit what is there. Stock is no place to skip, so the projection stops.
    #[error("version {version} of {stream} doesn't fit the rows: {problem}")]
    Inapplicable {
        /// Whose event.
        stream: StreamId,
        /// Its version.
        version: u64,
        /// Why it doesn't fit.
        problem: String,
    },
    /// Somebody else moves this projection now.
    #[error("the projection {0} has another owner now")]
    OwnershipLost(&'static str),
}

impl ProjectionError {
    /// The event doesn't fit what is there.
    pub(crate) fn inapplicable(event: &RecordedEvent, problem: impl Into<String>) -> Self {
        Self::Inapplicable { stream: event.stream, version: event.version, problem: problem.into() }
    }
}
