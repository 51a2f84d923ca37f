//! `reservations`: every reservation that was ever made, live or not; what the stocks themselves forget after a while.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{Due, RecalledReservation, RecordedEvent, ReservationViews, ViewError};
use inventory_domain::inventory::{Closing, Event, ReleaseCause};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, ReservationId, StockId, StoreId, Timestamp,
};
use rusqlite::{OptionalExtension, params};

use crate::model::checkpoint_of;
use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::sqlite_read_models::SqliteReadModels;
use crate::table::{Table, if_taken};
use crate::{stock_levels, values};

/// The reservations, in the order in which they were made; also by id and stock, by customer and by order, and those that are
/// live by deadline.
pub struct Reservations;

/// The name of the table and of the projection.
pub const NAME: &str = "reservations";

/// `position`: where the event that made the reservation stands, so the newest come last in the table, and entries of indexes
/// are narrow: a key of three ids in each of them would double the pages that a new reservation touches.
///
/// `state`: 0 active, 1 committed, 2 released, 3 expired. `committed`: units that were sold.
const SCHEMA: &str = "
    CREATE TABLE {table} (
        position INTEGER PRIMARY KEY,
        reservation_id BLOB NOT NULL,
        store_id BLOB NOT NULL,
        product_id BLOB NOT NULL,
        customer_id BLOB NOT NULL,
        order_id BLOB,
        is_line INTEGER NOT NULL,
        quantity INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        state INTEGER NOT NULL,
        ttl_minutes INTEGER,
        expires_at INTEGER,
        reserved_at INTEGER NOT NULL,
        closed_at INTEGER,
        UNIQUE (reservation_id, store_id, product_id)
    ) STRICT;
    CREATE INDEX {table}_due ON {table} (expires_at) WHERE state = 0 AND expires_at IS NOT NULL;
    CREATE INDEX {table}_by_customer ON {table} (customer_id);
    CREATE INDEX {table}_by_order ON {table} (order_id) WHERE order_id IS NOT NULL;
";

const INSERT: &str =
    "INSERT INTO {table} (reservation_id, store_id, product_id, customer_id, order_id, is_line, quantity,
        committed, state, ttl_minutes, expires_at, reserved_at, closed_at, position)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const UPDATE: &str = "UPDATE {table} SET order_id = coalesce(?4, order_id), committed = committed + ?5, state = ?6,
        ttl_minutes = CASE WHEN ?7 THEN ?8 ELSE ttl_minutes END, expires_at = CASE WHEN ?7 THEN ?9 ELSE expires_at END,
        closed_at = ?10
    WHERE reservation_id = ?1 AND store_id = ?2 AND product_id = ?3 AND state = 0";

impl Projection for Reservations {
    fn name(&self) -> &'static str {
        NAME
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn apply(&self, table: &Table<'_>, page: &Page<'_>) -> Result<(), ProjectionError> {
        let mut insert = table.prepare(INSERT)?;
        let mut update = table.prepare(UPDATE)?;
        for Change { last, key, made, order_id, committed, closing, moved, closed_at } in changes_of(page.events()) {
            let (id, store_id, product_id) = (key.1.uuid(), key.0.store_id.uuid(), key.0.product_id.uuid());
            let (id, store_id, product_id) = (id.as_bytes(), store_id.as_bytes(), product_id.as_bytes());
            let order_id = order_id.map(|order_id| order_id.uuid().into_bytes());
            let state = closing.map_or(ACTIVE, number_of);
            let closed_at = closed_at.map(Timestamp::millis);
            let (hold_for, expires_at) = moved.unwrap_or_default();
            let (minutes, expires_at) = (hold_for.map(HoldFor::minutes), expires_at.map(Timestamp::millis));
            let rows = match made {
                Some(Made { position, customer_id, is_line, quantity, reserved_at }) => insert
                    .execute(params![
                        id,
                        store_id,
                        product_id,
                        customer_id.uuid().as_bytes(),
                        order_id,
                        is_line,
                        i64::from(quantity),
                        committed,
                        state,
                        minutes,
                        expires_at,
                        reserved_at.millis(),
                        closed_at,
                        position.0.cast_signed(),
                    ])
                    .or_else(if_taken)?,
                None => update.execute(params![
                    id,
                    store_id,
                    product_id,
                    order_id,
                    committed,
                    state,
                    moved.is_some(),
                    minutes,
                    expires_at,
                    closed_at,
                ])?,
            };
            if rows != 1 {
                let problem = if made.is_some() { "is there already" } else { "isn't live" };
                return Err(ProjectionError::inapplicable(last, format!("the reservation {} {problem}", key.1)));
            }
        }
        Ok(())
    }
}

const ACTIVE: i64 = 0;

fn number_of(closing: Closing) -> i64 {
    match closing {
        Closing::Committed => 1,
        Closing::Released => 2,
        Closing::Expired => 3,
    }
}

/// What a page of events does to one reservation.
struct Change<'a> {
    /// The last event that does it.
    last: &'a RecordedEvent,
    key: (StockId, ReservationId),
    /// `None` where it was there before.
    made: Option<Made>,
    order_id: Option<OrderId>,
    committed: i64,
    closing: Option<Closing>,
    /// The hold and the deadline, where they are new.
    moved: Option<(Option<HoldFor>, Option<Timestamp>)>,
    closed_at: Option<Timestamp>,
}

struct Made {
    position: Position,
    customer_id: CustomerId,
    is_line: bool,
    quantity: Quantity,
    reserved_at: Timestamp,
}

/// One change for each reservation that `events` touch, in the order in which they first do.
fn changes_of(events: &[RecordedEvent]) -> Vec<Change<'_>> {
    let mut changes: Vec<Change<'_>> = Vec::new();
    let mut places: HashMap<(StockId, ReservationId), usize> = HashMap::new();
    for recorded in events {
        let (Some(stock_id), DomainEvent::Inventory(event)) = (recorded.stream.stock_id(), &recorded.event) else {
            continue;
        };
        let Some(reservation_id) = named_by(event) else { continue };
        let key = (stock_id, reservation_id);
        let place = match places.entry(key) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                changes.push(Change {
                    last: recorded,
                    key,
                    made: None,
                    order_id: None,
                    committed: 0,
                    closing: None,
                    moved: None,
                    closed_at: None,
                });
                *place.insert(changes.len() - 1)
            }
        };
        let change = &mut changes[place];
        change.last = recorded;
        match event {
            Event::StockReserved { customer_id, quantity, hold_for, expires_at, order_id, .. } => {
                change.made = Some(Made {
                    position: recorded.position,
                    customer_id: *customer_id,
                    is_line: order_id.is_some(),
                    quantity: *quantity,
                    reserved_at: recorded.recorded_at,
                });
                change.order_id = *order_id;
                change.moved = Some((*hold_for, *expires_at));
            }
            Event::StockCommitted { order_id, quantity, .. } => {
                change.order_id = Some(*order_id);
                change.committed += i64::from(*quantity);
                (change.closing, change.closed_at) = (Some(Closing::Committed), Some(recorded.recorded_at));
            }
            Event::StockReleased { cause, .. } => {
                let closing = match cause {
                    ReleaseCause::Requested(_) => Closing::Released,
                    ReleaseCause::Expired => Closing::Expired,
                    ReleaseCause::UncommittedPart => Closing::Committed,
                };
                (change.closing, change.closed_at) = (Some(closing), Some(recorded.recorded_at));
            }
            Event::ReservationExtended { hold_for, expires_at, .. } => {
                change.moved = Some((Some(*hold_for), Some(*expires_at)));
            }
            Event::StockAdded { .. }
            | Event::StockAdjusted { .. }
            | Event::StockTransferredOut { .. }
            | Event::StockTransferredIn { .. }
            | Event::StockTransferCancelled { .. } => (),
        }
    }
    changes
}

fn named_by(event: &Event) -> Option<ReservationId> {
    match event {
        Event::StockReserved { reservation_id, .. }
        | Event::StockCommitted { reservation_id, .. }
        | Event::StockReleased { reservation_id, .. }
        | Event::ReservationExtended { reservation_id, .. } => Some(*reservation_id),
        Event::StockAdded { .. }
        | Event::StockAdjusted { .. }
        | Event::StockTransferredOut { .. }
        | Event::StockTransferredIn { .. }
        | Event::StockTransferCancelled { .. } => None,
    }
}

#[async_trait]
impl ReservationViews for SqliteReadModels {
    async fn recall(&self, stock_id: StockId, reservation_id: ReservationId) -> Result<RecalledReservation, ViewError> {
        self.query(move |connection| {
            let transaction = connection.unchecked_transaction()?; // All rows of one moment.
            let (store_id, product_id) = (stock_id.store_id.uuid(), stock_id.product_id.uuid());
            let mut level = transaction
                .prepare_cached("SELECT version FROM stock_levels WHERE store_id = ?1 AND product_id = ?2")?;
            let version = level.query_row([store_id.as_bytes(), product_id.as_bytes()], |row| values::number(row, 0));
            let version = version.optional()?.unwrap_or(0);
            // The level's version is the reservations' too, where they are as far.
            let is_as_far = checkpoint_of(&transaction, NAME)? >= checkpoint_of(&transaction, stock_levels::NAME)?;
            let mut find = transaction.prepare_cached(
                "SELECT state FROM reservations WHERE reservation_id = ?1 AND store_id = ?2 AND product_id = ?3",
            )?;
            let id = reservation_id.uuid();
            let state: Option<i64> = find
                .query_row([id.as_bytes(), store_id.as_bytes(), product_id.as_bytes()], |row| row.get(0))
                .optional()?;
            let closing = match state {
                Some(1) => Some(Closing::Committed),
                Some(2) => Some(Closing::Released),
                Some(3) => Some(Closing::Expired),
                Some(_) | None => None,
            };
            Ok(RecalledReservation { version: if is_as_far { version } else { 0 }, closing })
        })
        .await
    }

    async fn due(&self, now: Timestamp, reservations_max: usize) -> Result<Vec<Due>, ViewError> {
        self.query(move |connection| {
            let mut due = connection.prepare_cached(
                "SELECT store_id, product_id, order_id, is_line FROM reservations
                 WHERE state = 0 AND expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
            )?;
            let limit = i64::try_from(reservations_max).unwrap_or(i64::MAX);
            let rows = due.query_map(params![now.millis(), limit], |row| {
                if row.get(3)? {
                    return Ok(Due::Order(OrderId::new(values::uuid(row, 2)?)));
                }
                let (store_id, product_id) =
                    (StoreId::new(values::uuid(row, 0)?), ProductId::new(values::uuid(row, 1)?));
                Ok(Due::Stock(StockId { product_id, store_id }))
            })?;
            rows.collect()
        })
        .await
    }
}
