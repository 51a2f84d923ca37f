//! `orders`: a row an order, with its lines, in the order in which they were placed.

use inventory_application::Position;
use inventory_application::StreamId;
use inventory_application::ports::{Listed, OrderFilter, ViewError};
use inventory_domain::order::{self, Event, OrderLine, OrderLines, OrderReleaseCause, OrderStatus};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, Order, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId,
    Timestamp,
};
use rusqlite::{Row, params};

use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::sqlite_read_models::SqliteReadModels;
use crate::table::{Table, if_taken};
use crate::values;

/// The orders, by where their first event stands; also by customer and by state.
pub struct Orders;

/// The name of the table and of the projection.
pub const NAME: &str = "orders";

/// `position`: where the order's first event stands. `state`: 0 active, 1 committed, 2 released, 3 expired. `lines`: see
/// [`write_lines`].
const SCHEMA: &str = "
    CREATE TABLE {table} (
        position INTEGER PRIMARY KEY,
        order_id BLOB NOT NULL UNIQUE,
        customer_id BLOB NOT NULL,
        state INTEGER NOT NULL,
        version INTEGER NOT NULL,
        ttl_minutes INTEGER,
        expires_at INTEGER,
        placed_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        release_reason TEXT,
        lines BLOB NOT NULL
    ) STRICT;
    CREATE INDEX {table}_by_customer ON {table} (customer_id, position);
    CREATE INDEX {table}_by_state ON {table} (state, position);
";

impl Projection for Orders {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn concerns(&self, stream: StreamId) -> bool {
        matches!(stream, StreamId::Order(_))
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        let mut insert = table.prepare(
            "INSERT INTO {table} (position, order_id, customer_id, state, version, ttl_minutes, expires_at, placed_at,
                changed_at, lines)
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?7, ?8)",
        )?;
        let mut update = table.prepare(
            "UPDATE {table} SET state = ?3, version = ?2, changed_at = ?4, release_reason = ?5
             WHERE order_id = ?1 AND version = ?2 - 1",
        )?;
        for recorded in page.events() {
            let (StreamId::Order(order_id), DomainEvent::Order(event)) = (recorded.stream, &recorded.event) else {
                continue;
            };
            let (id, version, at) = (order_id.uuid(), recorded.version.cast_signed(), recorded.recorded_at.millis());
            let rows = match event {
                Event::OrderPlaced { customer_id, hold_for, expires_at, lines } => insert
                    .execute(params![
                        recorded.position.0.cast_signed(),
                        id.as_bytes(),
                        customer_id.uuid().as_bytes(),
                        version,
                        hold_for.map(HoldFor::minutes),
                        expires_at.map(Timestamp::millis),
                        at,
                        write_lines(lines),
                    ])
                    .or_else(if_taken)?,
                Event::OrderCommitted => {
                    let state = number_of(OrderStatus::Committed);
                    update.execute(params![id.as_bytes(), version, state, at, None::<&str>])?
                }
                Event::OrderReleased { cause } => {
                    let (status, reason) = match cause {
                        OrderReleaseCause::Requested(reason) => (OrderStatus::Released, Some(reason.as_str())),
                        OrderReleaseCause::Expired => (OrderStatus::Expired, None),
                    };
                    update.execute(params![id.as_bytes(), version, number_of(status), at, reason])?
                }
            };
            if rows != 1 {
                return Err(ProjectionError::inapplicable(recorded, "the row is not at the version before"));
            }
        }
        Ok(())
    }
}

fn number_of(status: OrderStatus) -> i64 {
    match status {
        OrderStatus::Active => 0,
        OrderStatus::Committed => 1,
        OrderStatus::Released => 2,
        OrderStatus::Expired => 3,
    }
}

/// 56 bytes a line: product, store, reservation, and the units as a big-endian number.
fn write_lines(lines: &OrderLines) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(lines.iter().len() * 56);
    for line in lines.iter() {
        bytes.extend(line.stock_id.product_id.uuid().as_bytes());
        bytes.extend(line.stock_id.store_id.uuid().as_bytes());
        bytes.extend(line.reservation_id.uuid().as_bytes());
        bytes.extend(line.quantity.units().to_be_bytes());
    }
    bytes
}

pub(crate) fn read_lines(bytes: &[u8]) -> Option<OrderLines> {
    let (lines, []) = bytes.as_chunks::<56>() else { return None };
    let id = |bytes: &[u8]| Some(u128::from_be_bytes(bytes.try_into().ok()?));
    let line = |bytes: &[u8; 56]| {
        let product_id = ProductId::from_u128(id(&bytes[..16])?);
        let stock_id = StockId { product_id, store_id: StoreId::from_u128(id(&bytes[16..32])?) };
        let units = i64::from_be_bytes(bytes[48..].try_into().ok()?);
        let reservation_id = ReservationId::from_u128(id(&bytes[32..48])?);
        Some(OrderLine { stock_id, quantity: Quantity::new(units).ok()?, reservation_id })
    };
    OrderLines::new(lines.iter().map(line).collect::<Option<_>>()?).ok()
}

impl SqliteReadModels {
    pub(crate) async fn list_orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<OrderId, Order>>, ViewError> {
        self.query(move |connection| {
            let customer = filter.customer_id.map(|_| "AND customer_id = ?3").unwrap_or_default();
            let state = match (filter.customer_id, filter.status) {
                (_, None) => "",
                (None, Some(_)) => "AND state = ?4",
                (Some(_), Some(_)) => "AND +state = ?4", // By the index of customers: it picks fewer.
            };
            let mut list = connection.prepare_cached(&format!(
                "SELECT position, order_id, customer_id, state, ttl_minutes, expires_at, placed_at, changed_at,
                    release_reason, lines
                 FROM orders WHERE position > ?1 {customer} {state} AND (?3 IS NULL OR 1) AND (?4 IS NULL OR 1)
                 ORDER BY position LIMIT ?2"
            ))?;
            let customer_id = filter.customer_id.map(|id| id.uuid().into_bytes());
            let (after, limit) = (after.0.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX));
            let rows = list.query_map(params![after, limit, customer_id, filter.status.map(number_of)], listed)?;
            rows.collect()
        })
        .await
    }
}

/// The order that a row is, made of the events that the row is made of.
fn listed(row: &Row<'_>) -> rusqlite::Result<Listed<OrderId, Order>> {
    let placed = Event::OrderPlaced {
        customer_id: CustomerId::new(values::uuid(row, 2)?),
        hold_for: values::hold_for(row, 4)?,
        expires_at: values::moment(row, 5)?,
        lines: values::known(9, read_lines(row.get_ref(9)?.as_blob()?))?,
    };
    let closed = match row.get::<_, i64>(3)? {
        0 => None,
        1 => Some(Event::OrderCommitted),
        2 => {
            let reason = row.get::<_, Option<String>>(8)?.and_then(|reason| Reason::new(&reason).ok());
            Some(Event::OrderReleased { cause: OrderReleaseCause::Requested(values::known(8, reason)?) })
        }
        _ => Some(Event::OrderReleased { cause: OrderReleaseCause::Expired }),
    };
    let moment = |column| values::moment(row, column).map(Option::unwrap_or_default);
    let (placed_at, changed_at) = (moment(6)?, moment(7)?);
    let order = order::evolve(Order::default(), &placed, placed_at);
    let order = closed.iter().fold(order, |order, event| order::evolve(order, event, changed_at));
    let id = OrderId::new(values::uuid(row, 1)?);
    Ok(Listed { key: Position(values::number(row, 0)?), id, value: order })
}
