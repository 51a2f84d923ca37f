//! Events a second that all projections apply: a log of mixed events is made once, and the read models are filled from it, several
//! times from nothing.
//!
//! As in the service, the log is read and decoded from `SQLite` on another thread, pages and bounds are those of the settings, and
//! ids are `UUIDv7`, so new ones are nearly in order. Customers are any of 50,000, which no order helps; a fifth of the events is
//! about a fiftieth of the stocks; 20,000 reservations are open at a time, and the oldest are sold or released first.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inventory_application::ports::{
    AppendGroup, Clock, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent, Projected, ProjectionListener,
    StreamAppend,
};
use inventory_application::{EventId, Position, StreamId};
use inventory_benches::flags::Flags;
use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::order::{self, OrderLines};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};
use inventory_projections::{ProjectionRunner, ProjectionRunnerSettings, ReadModelSettings, SqliteReadModels};
use tikv_jemallocator::Jemalloc;
use tokio::sync::oneshot;
use uuid::Uuid;

/// As in the service.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const USAGE: &str = "\
Makes a log of adds, reservations, sales, releases and orders, fills all read models from it, and prints events a second.

Usage: projection_apply [--events 1000000] [--stocks 1000] [--runs 5] [--page 32768] [--cache-kib 16384] [--wal-pages 64000] [--ids ordered|random]
                        [--data target/]

A log that an earlier call has made with the same figures is used again. --ids: whether reservations have ids in the order of time, as
the service makes them, or random ones, as clients may.";

/// Groups in one append.
const BATCH: usize = 2_048;

/// Reservations that are open at a time, about: what is sold now was held so many reservations ago.
const OPEN: usize = 20_000;

#[allow(clippy::cast_precision_loss, reason = "a rate is no count")]
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    let names = ["--events", "--stocks", "--runs", "--page", "--cache-kib", "--wal-pages", "--ids", "--data"];
    let flags = Flags::from_command_line(USAGE, &names);
    let (events, stocks): (u64, u32) = (flags.value("--events", 1_000_000), flags.value("--stocks", 1_000));
    let ids = flags.value("--ids", "ordered".to_owned());
    let cache_kib = flags.value("--cache-kib", 16_384);
    let settings = ReadModelSettings {
        readers_max: 1,
        reader_wait_ms_max: 5_000,
        cache_kib,
        checkpoint_ms: 250,
        wal_pages_max: flags.value("--wal-pages", 64_000),
        list_rows_max: 1_000,
    };
    let page = flags.value("--page", 32_768);
    let folder =
        flags.value("--data", PathBuf::from("target")).join(format!("projection_apply.{events}.{stocks}.{ids}"));
    fs::create_dir_all(&folder)?;
    let store = SqliteEventStore::open(
        Arc::new(DataFolder::open(&folder)?),
        &SqliteSettings { log_page_events_max: page, ..SqliteSettings::default() },
        Arc::new(System),
    )?;
    if store.head().await? < Position(events) {
        fill(&store, events, stocks, ids == "random").await?;
    }
    let head = store.head().await?;
    let mut rates = Vec::new();
    for _ in 0..flags.value("--runs", 5) {
        let took = apply(&store, &folder, &settings, page, head).await?;
        rates.push(head.0 as f64 / took.as_secs_f64());
        println!("{:.0} events/s", rates.last().copied().unwrap_or_default());
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
    println!("{head} events, {stocks} stocks, {ids} ids, pages of {page}: {median:.0} events/s");
    store.close().await;
    Ok(())
}

/// Fills new read models up to `head`.
async fn apply(
    store: &Arc<SqliteEventStore>,
    folder: &Path,
    settings: &ReadModelSettings,
    page: usize,
    head: Position,
) -> Result<Duration, Box<dyn Error>> {
    for name in ["read.db", "read.db-wal", "read.db-shm"] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => (),
        }
    }
    let models = SqliteReadModels::open(&folder.join("read.db"), settings)?;
    let bounds = ProjectionRunnerSettings {
        page_events_max: page,
        catch_up_page_events_max: page,
        linger_ms: 10,
        poll_ms: 1_000,
        retry_delay_ms_max: 1_000,
    };
    let runner = ProjectionRunner::new(Arc::clone(store) as _, models, Arc::new(Nobody), bounds);
    let mut checkpoint = runner.checkpoint();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = Instant::now();
    let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
    checkpoint.wait_for(|reached| *reached >= head).await?;
    let took = begun.elapsed();
    drop(stop);
    running.await?;
    Ok(took)
}

/// Writes the log. Nobody decides: the events are made so that they fit.
async fn fill(store: &SqliteEventStore, events: u64, stocks: u32, has_random_ids: bool) -> Result<(), Box<dyn Error>> {
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

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

struct Nobody;

impl ProjectionListener for Nobody {
    fn projected(&self, _: Projected<'_>) {}

    fn rebuilt(&self, _: Position) {}
}
