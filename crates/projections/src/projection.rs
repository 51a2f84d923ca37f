//! What a projection is, and the list of them.

use inventory_domain::StockId;
use rusqlite::Connection;
use thiserror::Error;

use crate::product_inventory::ProductInventory;
use crate::stock_change::{StockChange, VersionGap};
use crate::stock_levels::StockLevels;

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
    fn apply(&self, connection: &Connection, changes: &[StockChange]) -> Result<(), ProjectionError>;
}

/// Every projection that the service runs.
#[must_use]
pub fn all() -> Vec<Box<dyn Projection>> {
    vec![Box::new(StockLevels), Box::new(ProductInventory)]
}

/// Why a page of events could not be applied.
#[derive(Debug, Error)]
pub enum ProjectionError {
    /// The read models can't be written now: the same page may be tried again.
    #[error("the read models can't be written: {0}")]
    Unavailable(#[from] rusqlite::Error),
    /// The events don't fit what is there. Stock is no place to skip, so the projection stops.
    #[error("stock {stock_id} is at version {row}, the next event is not the one after it but follows {expected}")]
    Inapplicable {
        /// Whose row.
        stock_id: StockId,
        /// The row's version.
        row: u64,
        /// The version that the next event follows.
        expected: u64,
    },
    /// Somebody else moves this projection now.
    #[error("the projection {0} has another owner now")]
    OwnershipLost(&'static str),
}

impl From<VersionGap> for ProjectionError {
    fn from(gap: VersionGap) -> Self {
        let expected = gap.actual.saturating_sub(1);
        Self::Inapplicable { stock_id: gap.stock_id, row: gap.expected_after, expected }
    }
}
