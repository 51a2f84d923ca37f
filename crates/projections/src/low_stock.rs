//! `low_stock`: a row a stock, those that are low apart from the others, so that what is running out is found without looking
//! at what is not.

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{StockLists, StockSlice, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId, StoreId};
use rusqlite::{Connection, Row, params};

use crate::model::checkpoint_of;
use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::slice::Look;
use crate::sqlite_read_models::SqliteReadModels;
use crate::table::{Table, if_taken};
use crate::{stock_levels, values};

/// The levels, low ones first.
pub struct LowStock;

/// The name of the table and of the projection.
pub const NAME: &str = "low_stock";

/// `is_low`: whether fewer than 1,000 units are available. Nobody calls more than that low; whoever asks for more all the same
/// is answered from both parts, and finds what it looks for in most rows.
const SCHEMA: &str = "CREATE TABLE {table} (
    is_low INTEGER NOT NULL,
    store_id BLOB NOT NULL,
    product_id BLOB NOT NULL,
    quantity INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (is_low, store_id, product_id)
) STRICT, WITHOUT ROWID";

/// Below how many available units a stock is low, as in the statements.
const LOW_BELOW: u64 = 1_000;

const INSERT: &str = "INSERT INTO {table} (is_low, store_id, product_id, quantity, reserved, version)
    VALUES (?3 - ?4 < 1000, ?1, ?2, ?3, ?4, ?5)";

/// A stock that stays among the low ones (1) or the others (0).
const STAY: &str = "UPDATE {table} SET quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
    WHERE is_low = ?7 AND store_id = ?1 AND product_id = ?2 AND version = ?6
    AND (quantity + ?3 - reserved - ?4 < 1000) = ?7";

/// Seldom, and twice as dear: the row gets another place.
const MOVE: &str =
    "UPDATE {table} SET is_low = 1 - is_low, quantity = quantity + ?3, reserved = reserved + ?4, version = ?5
    WHERE is_low IN (0, 1) AND store_id = ?1 AND product_id = ?2 AND version = ?6";

impl Projection for LowStock {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        let mut insert = table.prepare(INSERT)?;
        let mut stay = table.prepare(STAY)?;
        let mut to_the_others = table.prepare(MOVE)?;
        // Where the one before was: a shop's stocks are much alike, and a look in the wrong place costs a statement.
        let mut is_low = 0;
        for change in page.stock_changes()? {
            let (store_id, product_id) = (change.stock_id.store_id.uuid(), change.stock_id.product_id.uuid());
            let (store_id, product_id) = (store_id.as_bytes(), product_id.as_bytes());
            let (from, to) = (change.from_version.cast_signed(), change.to_version.cast_signed());
            let values = |is_low: i64| (store_id, product_id, change.quantity, change.reserved, to, from, is_low);
            let is_there = if from == 0 {
                insert.execute(params![store_id, product_id, change.quantity, change.reserved, to]).or_else(if_taken)?
                    == 1
            } else {
                stay.execute(values(is_low))? == 1
                    || {
                        is_low = 1 - is_low;
                        stay.execute(values(is_low))? == 1
                    }
                    || to_the_others.execute(params![
                        store_id,
                        product_id,
                        change.quantity,
                        change.reserved,
                        to,
                        from
                    ])? == 1
            };
            if !is_there {
                let (stream, version) = (change.stock_id.into(), change.from_version + 1);
                let problem = "the row is not at the version before".to_owned();
                return Err(ProjectionError::Inapplicable { stream, version, problem });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl StockLists for SqliteReadModels {
    async fn of_store(
        &self,
        store_id: StoreId,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError> {
        let look = Look { limit, rows_max: limit };
        self.query(move |connection| {
            slice(connection, stock_levels::NAME, OF_STORE, Some(store_id), after, look, |_| true)
        })
        .await
    }

    async fn below(
        &self,
        units: u64,
        store_id: Option<StoreId>,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError> {
        let look = Look { limit, rows_max: self.list_rows_max() };
        self.query(move |connection| {
            let sql = statement(units, store_id.is_some());
            slice(connection, NAME, &sql, store_id, after, look, |level| level.available() < units)
        })
        .await
    }
}

const OF_STORE: &str = "SELECT store_id, product_id, quantity, reserved, version FROM stock_levels
    WHERE store_id = ?1 AND product_id > ?3 AND (?2 IS NULL OR 1) ORDER BY product_id LIMIT ?4";

/// Finds what may have fewer than `units` available.
fn statement(units: u64, is_of_store: bool) -> String {
    let place = if is_of_store { "store_id = ?1 AND product_id > ?3" } else { "(store_id, product_id) > (?2, ?3)" };
    let part = |is_low| {
        format!(
            "SELECT store_id, product_id, quantity, reserved, version FROM low_stock
             WHERE is_low = {is_low} AND {place} AND (?1 IS NULL OR 1) AND (?2 IS NULL OR 1)"
        )
    };
    // Both parts are in order: SQLite merges them as it goes.
    let others = if units > LOW_BELOW { format!("UNION ALL {}", part(0)) } else { String::new() };
    format!("{} {others} ORDER BY store_id, product_id LIMIT ?4", part(1))
}

/// What `sql` finds of a list of levels, and how far the read model of this name is, both of one moment.
fn slice(
    connection: &Connection,
    name: &str,
    sql: &str,
    store_id: Option<StoreId>,
    after: Option<StockId>,
    look: Look,
    is_wanted: impl Fn(Level) -> bool,
) -> rusqlite::Result<Viewed<StockSlice>> {
    let transaction = connection.unchecked_transaction()?;
    let as_of: Position = checkpoint_of(&transaction, name)?;
    let mut list = transaction.prepare_cached(sql)?;
    let store_id = store_id.map(|id| id.uuid().into_bytes());
    // No id comes before the empty one.
    let (store, product) = match after {
        Some(StockId { store_id, product_id }) => {
            (store_id.uuid().as_bytes().to_vec(), product_id.uuid().as_bytes().to_vec())
        }
        None => (Vec::new(), Vec::new()),
    };
    let mut rows = list.query(params![store_id, store, product, look.rows()])?;
    let value = look.take(&mut rows, |row| {
        let (stock_id, level) = listed(row)?;
        Ok((stock_id, is_wanted(level).then_some((stock_id, level))))
    })?;
    Ok(Viewed::fresh(value, as_of))
}

fn listed(row: &Row<'_>) -> rusqlite::Result<(StockId, Level)> {
    let (store_id, product_id) = (StoreId::new(values::uuid(row, 0)?), ProductId::new(values::uuid(row, 1)?));
    let (quantity, reserved, version) = (values::number(row, 2)?, values::number(row, 3)?, values::number(row, 4)?);
    Ok((StockId { product_id, store_id }, Level { quantity, reserved, version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::plan_of;
    use crate::stock_levels::StockLevels;

    #[test]
    fn every_list_is_found_by_its_key_and_sorted_by_none() {
        let plans = [
            (plan_of(&StockLevels, OF_STORE), 1),
            (plan_of(&LowStock, &statement(LOW_BELOW, true)), 1),
            (plan_of(&LowStock, &statement(LOW_BELOW, false)), 1),
            (plan_of(&LowStock, &statement(LOW_BELOW + 1, true)), 2),
            (plan_of(&LowStock, &statement(LOW_BELOW + 1, false)), 2),
        ];
        for (plan, searches) in plans {
            assert_eq!(plan.matches("SEARCH").count(), searches, "{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn the_statements_say_what_is_low() {
        for sql in [INSERT, STAY] {
            assert!(sql.contains(&format!("< {LOW_BELOW}")), "{sql}");
        }
    }
}
