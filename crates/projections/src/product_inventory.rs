//! `product_inventory`: a row a stock, clustered by product and then store: what a product has in all its stores.

use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::stock_rows::StockRows;
use crate::table::Table;

/// The levels, a product's stores side by side.
pub struct ProductInventory;

/// The name of the table and of the projection.
pub const NAME: &str = "product_inventory";

const SCHEMA: &str = "CREATE TABLE {table} (
    product_id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    quantity INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (product_id, store_id)
) STRICT, WITHOUT ROWID";

const ROWS: StockRows = StockRows {
    insert: "INSERT INTO {table} (store_id, product_id, quantity, reserved, version) VALUES (?1, ?2, ?3, ?4, ?5)",
    update: "UPDATE {table} SET quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
        WHERE store_id = ?1 AND product_id = ?2 AND version = ?6",
    version: "SELECT version FROM {table} WHERE store_id = ?1 AND product_id = ?2",
};

impl Projection for ProductInventory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        let mut changes: Vec<_> = page.stock_changes()?.iter().collect();
        changes.sort_unstable_by_key(|change| change.stock_id); // As the rows are.
        ROWS.apply(table, changes)
    }
}
