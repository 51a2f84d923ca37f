//! Rows of stock levels, whatever they are clustered by.

use rusqlite::{OptionalExtension, params};

use crate::projection::ProjectionError;
use crate::stock_change::StockChange;
use crate::table::{Table, if_taken};

/// A table with a row a stock. All statements number their values alike: store, product, quantity, reserved, version after,
/// version before.
pub(crate) struct StockRows {
    pub(crate) insert: &'static str,
    pub(crate) update: &'static str,
    pub(crate) version: &'static str,
}

impl StockRows {
    /// Applies each change to its row, which has to be at the version that the change starts from.
    pub(crate) fn apply<'a>(
        &self,
        table: &Table<'_>,
        changes: impl IntoIterator<Item = &'a StockChange>,
    ) -> Result<(), ProjectionError> {
        let mut insert = table.prepare(self.insert)?;
        let mut update = table.prepare(self.update)?;
        for change in changes {
            let store_id = change.stock_id.store_id.uuid();
            let product_id = change.stock_id.product_id.uuid();
            let (store_id, product_id) = (store_id.as_bytes(), product_id.as_bytes());
            let (from, to) = (change.from_version.cast_signed(), change.to_version.cast_signed());
            let values = params![store_id, product_id, change.quantity, change.reserved, to, from];
            let rows = match from {
                0 => insert.execute(&values[..5]).or_else(if_taken)?,
                _ => update.execute(values)?,
            };
            if rows == 0 {
                let (stream, version) = (change.stock_id.into(), change.from_version + 1);
                let problem = format!("the row is at version {}", self.version_of(table, change)?);
                return Err(ProjectionError::Inapplicable { stream, version, problem });
            }
        }
        Ok(())
    }

    fn version_of(&self, table: &Table<'_>, change: &StockChange) -> rusqlite::Result<u64> {
        let mut version = table.prepare(self.version)?;
        let (store_id, product_id) = (change.stock_id.store_id.uuid(), change.stock_id.product_id.uuid());
        let found = version.query_row(params![store_id.as_bytes(), product_id.as_bytes()], |row| row.get::<_, i64>(0));
        Ok(found.optional()?.unwrap_or(0).cast_unsigned())
    }
}
