//! `transfers`: a row a transfer, in the order in which they were started.

use async_trait::async_trait;
use inventory_application::ports::{Listed, OrderFilter, OrderViews, TransferFilter, ViewError};
use inventory_application::{Position, StreamId};
use inventory_domain::transfer::{self, Event, Route, TransferStatus};
use inventory_domain::{DomainEvent, Order, OrderId, ProductId, Reason, StoreId, Transfer, TransferId};
use rusqlite::{Row, params};

use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::sqlite_read_models::SqliteReadModels;
use crate::table::{Table, if_taken};
use crate::values;

/// The transfers, by where their first event stands; also by product and by state.
pub struct Transfers;

/// The name of the table and of the projection.
pub const NAME: &str = "transfers";

/// `position`: where the transfer's first event stands. `state`: 0 in transit, 1 received, 2 cancelled.
const SCHEMA: &str = "
    CREATE TABLE {table} (
        position INTEGER PRIMARY KEY,
        transfer_id BLOB NOT NULL UNIQUE,
        product_id BLOB NOT NULL,
        from_store_id BLOB NOT NULL,
        to_store_id BLOB NOT NULL,
        quantity INTEGER NOT NULL,
        reason TEXT NOT NULL,
        received INTEGER NOT NULL,
        cancelled INTEGER NOT NULL,
        state INTEGER NOT NULL,
        version INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX {table}_by_product ON {table} (product_id, position);
    CREATE INDEX {table}_by_state ON {table} (state, position);
";

impl Projection for Transfers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn concerns(&self, stream: StreamId) -> bool {
        matches!(stream, StreamId::Transfer(_))
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        let mut insert = table.prepare(
            "INSERT INTO {table} (position, transfer_id, product_id, from_store_id, to_store_id, quantity, reason, received,
                cancelled, state, version, started_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, ?8, ?9, ?9)",
        )?;
        let mut update = table.prepare(
            "UPDATE {table} SET received = received + ?3, cancelled = cancelled + ?4, version = ?2, changed_at = ?5,
                state = CASE WHEN received + ?3 + cancelled + ?4 < quantity THEN 0 WHEN cancelled + ?4 > 0 THEN 2 ELSE 1 END
             WHERE transfer_id = ?1 AND version = ?2 - 1",
        )?;
        for recorded in page.events() {
            let (StreamId::Transfer(transfer_id), DomainEvent::Transfer(event)) = (recorded.stream, &recorded.event)
            else {
                continue;
            };
            let (id, version, at) = (transfer_id.uuid(), recorded.version.cast_signed(), recorded.recorded_at.millis());
            let rows = match event {
                Event::TransferStarted { route, quantity, reason } => insert
                    .execute(params![
                        recorded.position.0.cast_signed(),
                        id.as_bytes(),
                        route.product_id().uuid().as_bytes(),
                        route.from().store_id.uuid().as_bytes(),
                        route.to().store_id.uuid().as_bytes(),
                        i64::from(*quantity),
                        reason.as_str(),
                        version,
                        at,
                    ])
                    .or_else(if_taken)?,
                Event::TransferReceived { quantity } => {
                    update.execute(params![id.as_bytes(), version, i64::from(*quantity), 0, at])?
                }
                Event::TransferCancelled { quantity } => {
                    update.execute(params![id.as_bytes(), version, 0, i64::from(*quantity), at])?
                }
            };
            if rows != 1 {
                return Err(ProjectionError::inapplicable(recorded, "the row is not at the version before"));
            }
        }
        Ok(())
    }
}

fn number_of(status: TransferStatus) -> i64 {
    match status {
        TransferStatus::InTransit => 0,
        TransferStatus::Received => 1,
        TransferStatus::Cancelled => 2,
    }
}

#[async_trait]
impl OrderViews for SqliteReadModels {
    async fn orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<OrderId, Order>>, ViewError> {
        self.list_orders(filter, after, limit).await
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<TransferId, Transfer>>, ViewError> {
        self.query(move |connection| {
            let product = filter.product_id.map(|_| "AND product_id = ?3").unwrap_or_default();
            let state = match (filter.product_id, filter.status) {
                (_, None) => "",
                (None, Some(_)) => "AND state = ?4",
                (Some(_), Some(_)) => "AND +state = ?4", // By the index of products: it picks fewer.
            };
            let mut list = connection.prepare_cached(&format!(
                "SELECT position, transfer_id, product_id, from_store_id, to_store_id, quantity, reason, received, cancelled,
                    version, started_at, changed_at
                 FROM transfers WHERE position > ?1 {product} {state} AND (?3 IS NULL OR 1) AND (?4 IS NULL OR 1)
                 ORDER BY position LIMIT ?2"
            ))?;
            let product_id = filter.product_id.map(|id| id.uuid().into_bytes());
            let (after, limit) = (after.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX));
            let rows = list.query_map(params![after, limit, product_id, filter.status.map(number_of)], listed)?;
            rows.collect()
        })
        .await
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed<TransferId, Transfer>> {
    let (from, to) = (StoreId::new(values::uuid(row, 3)?), StoreId::new(values::uuid(row, 4)?));
    let route = Route::new(ProductId::new(values::uuid(row, 2)?), from, to).ok();
    let started = Event::TransferStarted {
        route: values::known(4, route)?,
        quantity: values::quantity(row, 5)?,
        reason: values::known(6, Reason::new(row.get_ref(6)?.as_str()?).ok())?,
    };
    let moment = |column| values::moment(row, column).map(Option::unwrap_or_default);
    let transfer = transfer::evolve(Transfer::default(), &started, moment(10)?);
    let numbers = (values::number(row, 7)?, values::number(row, 8)?, values::number(row, 9)?);
    let resumed = Transfer::resumed(transfer, numbers.0, numbers.1, numbers.2, moment(11)?);
    let id = TransferId::new(values::uuid(row, 1)?);
    Ok(Listed { key: Position(values::number(row, 0)?), id, value: values::known(7, resumed)? })
}
