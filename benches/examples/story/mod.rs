//! What happens in a shop, as a log of events: adds, reservations, sales, releases, and orders of two lines.
//!
//! Nobody decides: the events are made so that they fit. Customers are any of 50,000, which no order helps; a fifth of what happens is
//! about a fiftieth of the stocks; 20,000 reservations are open at a time, and the oldest are sold or released first.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use inventory_application::ports::{AppendGroup, Clock, EventStore, ExpectedVersion, Metadata, NewEvent, StreamAppend};
use inventory_application::{EventId, StreamId};
use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::order::{self, OrderLines};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};
use inventory_eventstore::SqliteEventStore;
use uuid::Uuid;

/// Groups in one append.
const BATCH: usize = 2_048;

/// Reservations that are open at a time, about: what is sold now was held so many reservations ago.
const OPEN: usize = 20_000;

/// Writes the log.
pub(crate) async fn fill(
    store: &SqliteEventStore,
    events: u64,
    stocks: u32,
    has_random_ids: bool,
) -> Result<(), Box<dyn Error>> {
    let mut shop = Story { stocks, has_random_ids, ..Story::default() };
    let mut written = 0;
    while written < events {
        let batch: Vec<AppendGroup> = (0..BATCH).map(|_| shop.next()).collect::<Option<_>>().ok_or("no quantity")?;
        written += batch.iter().map(|group| group.event_count() as u64).sum::<u64>();
        store.append(Arc::new(batch)).await?;
    }
    Ok(())
}

/// What happens in the shop.
#[derive(Default)]
struct Story {
    stocks: u32,
    has_random_ids: bool,
    seed: u64,
    versions: HashMap<StreamId, u64>,
    open: VecDeque<(StockId, ReservationId)>,
    orders: VecDeque<(OrderId, [(StockId, ReservationId); 2])>,
}

impl Story {
    fn next(&mut self) -> Option<AppendGroup> {
        let (one, reason) = (Quantity::new(1).ok()?, Reason::new("bench").ok()?);
        let customer_id = CustomerId::from_u128(u128::from(self.draw(50_000)));
        let hold_for = HoldFor::from_minutes(30).ok();
        let expires_at = Some(Timestamp::from_millis(now().millis() + 1_800_000));
        let reserved = |reservation_id, order_id| Event::StockReserved {
            reservation_id,
            quantity: one,
            customer_id,
            hold_for: hold_for.filter(|_| Option::is_none(&order_id)),
            expires_at: expires_at.filter(|_| Option::is_none(&order_id)),
            order_id,
        };
        let events: Vec<(StreamId, DomainEvent)> = match self.draw(100) {
            0..=9 => {
                let quantity = Quantity::new(100).ok()?;
                vec![(self.stock().into(), Event::StockAdded { quantity, reason }.into())]
            }
            10..=19 => {
                let (order_id, first) = (OrderId::new(Uuid::now_v7()), self.stock());
                let second = self.stock();
                let lines =
                    OrderLines::summed(&[(first, one), (second, one)], || ReservationId::new(Uuid::now_v7())).ok()?;
                let held: Vec<_> = lines.iter().map(|line| (line.stock_id, line.reservation_id)).collect();
                let mut events: Vec<(StreamId, DomainEvent)> =
                    held.iter().map(|(stock, id)| ((*stock).into(), reserved(*id, Some(order_id)).into())).collect();
                let placed = order::Event::OrderPlaced { customer_id, hold_for, expires_at, lines };
                events.push((StreamId::Order(order_id), placed.into()));
                if let [first, second] = held[..] {
                    self.orders.push_back((order_id, [first, second]));
                }
                events
            }
            20..=27 if self.orders.len() > OPEN / 4 => {
                let (order_id, held) = self.orders.pop_front()?;
                let sold = |reservation_id| Event::StockCommitted { reservation_id, order_id, quantity: one };
                let mut events: Vec<(StreamId, DomainEvent)> =
                    held.iter().map(|(stock, id)| ((*stock).into(), sold(*id).into())).collect();
                events.push((StreamId::Order(order_id), order::Event::OrderCommitted.into()));
                events
            }
            28..=62 if self.open.len() > OPEN => {
                let (stock_id, reservation_id) = self.open.pop_front()?;
                let event = match self.draw(3) {
                    0 => Event::StockReleased { reservation_id, quantity: one, cause: ReleaseCause::Requested(reason) },
                    _ => {
                        Event::StockCommitted { reservation_id, order_id: OrderId::new(Uuid::now_v7()), quantity: one }
                    }
                };
                vec![(stock_id.into(), event.into())]
            }
            _ => {
                let id = if self.has_random_ids { Uuid::new_v4() } else { Uuid::now_v7() };
                let (stock_id, reservation_id) = (self.stock(), ReservationId::new(id));
                self.open.push_back((stock_id, reservation_id));
                vec![(stock_id.into(), reserved(reservation_id, None).into())]
            }
        };
        Some(self.group(events))
    }

    fn group(&mut self, events: Vec<(StreamId, DomainEvent)>) -> AppendGroup {
        let streams = events.into_iter().map(|(stream, event)| {
            let version = self.versions.entry(stream).or_default();
            let expected = ExpectedVersion::of(*version);
            *version += 1;
            StreamAppend { stream, expected, events: vec![NewEvent { event_id: EventId(Uuid::now_v7()), event }] }
        });
        let metadata = Metadata { request_id: Some(Uuid::now_v7().to_string()), ..Metadata::default() };
        AppendGroup { key: None, streams: streams.collect(), recorded_at: now(), metadata: Arc::new(metadata) }
    }

    /// One in five of what happens is about one in fifty of the stocks.
    fn stock(&mut self) -> StockId {
        let among = if self.draw(5) == 0 { self.stocks.div_ceil(50) } else { self.stocks };
        let number = u128::from(self.draw(among.into()));
        let product_id = ProductId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, &(number / 20).to_be_bytes()));
        StockId { product_id, store_id: StoreId::new(Uuid::new_v5(&Uuid::NAMESPACE_URL, &(number % 20).to_be_bytes())) }
    }

    /// A number below `end`, the same in every run.
    fn draw(&mut self, end: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % end
    }
}

fn now() -> Timestamp {
    System.now()
}

/// The machine's clock.
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
