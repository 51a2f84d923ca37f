//! What a projection is, and the list of them.

use std::sync::Arc;

use inventory_application::StreamId;
use inventory_application::ports::RecordedEvent;
use thiserror::Error;

use crate::low_stock::LowStock;
use crate::orders::Orders;
use crate::page::Page;
use crate::product_inventory::ProductInventory;
use crate::reservations::Reservations;
use crate::stock_levels::StockLevels;
use crate::table::Table;
use crate::transfers::Transfers;

/// Turns events into the rows of a read model.
///
/// A new one is a file like `stock_levels.rs` and a line in [`all`].
pub trait Projection: Send + Sync {
    /// The name of its table, which it also goes by in checkpoints, health and logs.
    fn name(&self) -> &'static str;

    /// The statements that make its table and the indexes on it, with `{table}` for the table's name, also in the names of the
    /// indexes: `CREATE INDEX {table}_by_customer ON {table} (…)`. Queries don't name an index, because its name changes when
    /// the table is made anew; a `+` before a column keeps `SQLite` from looking for it in an index.
    ///
    /// Where these statements have changed since a data folder was last used, its table is dropped and filled again.
    fn schema(&self) -> &'static str;

    /// Whether events of this stream may change its rows; it goes past the others. Most projections are about stocks.
    fn concerns(&self, stream: StreamId) -> bool {
        stream.stock_id().is_some()
    }

    /// Applies a page of events, in the transaction that also moves its checkpoint.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Inapplicable`] when the events don't fit the rows: the projection stops there.
    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError>;
}

/// Every projection that the service runs.
#[must_use]
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(StockLevels),
        Arc::new(ProductInventory),
        Arc::new(LowStock),
        Arc::new(Reservations),
        Arc::new(Orders),
        Arc::new(Transfers),
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
