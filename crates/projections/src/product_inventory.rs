//! `product_inventory`: a row a stock, clustered by product and then store: what a product has in all its stores.

use inventory_application::ports::RecordedEvent;
use rusqlite::Connection;

use crate::projection::{Projection, ProjectionError};
use crate::stock_change::changes_of;
use crate::stock_rows::StockRows;

/// The levels, a product's stores side by side.
pub struct ProductInventory;

/// The name of the table and of the projection.
pub(crate) const NAME: &str = "product_inventory";

const ROWS: StockRows = StockRows {
    create: "CREATE TABLE IF NOT EXISTS product_inventory (
        product_id BLOB NOT NULL,
        store_id BLOB NOT NULL,
        quantity INTEGER NOT NULL,
        reserved INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (product_id, store_id)
    ) STRICT, WITHOUT ROWID",
    insert: "INSERT INTO product_inventory (store_id, product_id, quantity, reserved, version) VALUES (?1, ?2, ?3, ?4, ?5)",
    update: "UPDATE product_inventory SET quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
        WHERE store_id = ?1 AND product_id = ?2 AND version = ?6",
    version: "SELECT version FROM product_inventory WHERE store_id = ?1 AND product_id = ?2",
};

impl Projection for ProductInventory {
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
