//! `stock_levels`: a row a stock, clustered by store and then product: the point read, and what stands on a store's shelf.

use inventory_application::ports::RecordedEvent;
use rusqlite::Connection;

use crate::projection::{Projection, ProjectionError};
use crate::stock_change::changes_of;
use crate::stock_rows::StockRows;

/// The levels, a store's products side by side.
pub struct StockLevels;

/// The name of the table and of the projection.
pub(crate) const NAME: &str = "stock_levels";

const ROWS: StockRows = StockRows {
    create: "CREATE TABLE IF NOT EXISTS stock_levels (
        store_id BLOB NOT NULL,
        product_id BLOB NOT NULL,
        quantity INTEGER NOT NULL,
        reserved INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (store_id, product_id)
    ) STRICT, WITHOUT ROWID",
    insert: "INSERT INTO stock_levels (store_id, product_id, quantity, reserved, version) VALUES (?1, ?2, ?3, ?4, ?5)",
    update: "UPDATE stock_levels SET quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
        WHERE store_id = ?1 AND product_id = ?2 AND version = ?6",
    version: "SELECT version FROM stock_levels WHERE store_id = ?1 AND product_id = ?2",
};

impl Projection for StockLevels {
    fn name(&self) -> &'static str {
        NAME
    }

    fn create_tables(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(ROWS.create)
    }

    fn apply(&self, connection: &Connection, events: &[RecordedEvent]) -> Result<(), ProjectionError> {
        ROWS.apply(connection, &changes_of(events)?)
    }
}
