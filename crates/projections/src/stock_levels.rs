//! `stock_levels`: a row a stock, clustered by store and then product: the point read, and what stands on a store's shelf.

use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::stock_rows::StockRows;
use crate::table::Table;

/// The levels, a store's products side by side.
pub struct StockLevels;

/// The name of the table and of the projection.
pub const NAME: &str = "stock_levels";

const SCHEMA: &str = "CREATE TABLE {table} (
    store_id BLOB NOT NULL,
    product_id BLOB NOT NULL,
    quantity INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (store_id, product_id)
) STRICT, WITHOUT ROWID";

const ROWS: StockRows = StockRows {
    insert: "INSERT INTO {table} (store_id, product_id, quantity, reserved, version) VALUES (?1, ?2, ?3, ?4, ?5)",
    update: "UPDATE {table} SET quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
        WHERE store_id = ?1 AND product_id = ?2 AND version = ?6",
    version: "SELECT version FROM {table} WHERE store_id = ?1 AND product_id = ?2",
};

impl Projection for StockLevels {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        ROWS.apply(table, page.stock_changes()?)
    }
}
