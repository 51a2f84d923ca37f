//! Commands a second through the `application` crate alone: the command loop on a real store, without HTTP and read models.
//!
//! What is missing to this program's speed is what the service adds: sockets, JSON, projections, logs.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{
    AppendGroup, Clock, CommitListener, CommittedGroup, Due, EventStore, IdSource, Metadata, RecalledReservation,
    ReservationViews, Unobserved, ViewError,
};
use inventory_application::{
    AcknowledgedLevels, Ask, CommandLoop, CommandLoopSettings, CommandSender, Condition, EventId, Position, Request,
    RequestKey,
};
use inventory_benches::flags::Flags;
use inventory_domain::inventory::{Command, Reserve};
use inventory_domain::{CustomerId, HoldFor, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings, SqliteEventStore, SqliteSettings};
use tikv_jemallocator::Jemalloc;
use uuid::Uuid;

/// As in the service.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const USAGE: &str = "\
Reserves through the command loop in batches, two of them on their way at a time, and prints durable commands a second.

Usage: in_process [--store sqlite|jsonl] [--stocks 1000] [--batch 8192] [--seconds 5] [--keys no|yes] [--data target/]

The files go into a folder of their own below --data and are removed.";

const CLIENTS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let names = ["--store", "--stocks", "--batch", "--seconds", "--keys", "--data"];
    let flags = Flags::from_command_line(USAGE, &names);
    let kind: String = flags.value("--store", "sqlite".to_owned());
    let load = Load {
        stocks: flags.value("--stocks", 1_000),
        batch: flags.value("--batch", 8_192),
        seconds: flags.value("--seconds", 5.0),
        has_keys: flags.value("--keys", "no".to_owned()) == "yes",
    };
    let folder = flags.value("--data", PathBuf::from("target")).join(format!("in_process.{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = run(&kind, &folder, load);
    fs::remove_dir_all(&folder)?;
    let rate = done?;
    let Load { stocks, batch, has_keys, .. } = load;
    println!("{kind}, {stocks} stocks, batches of {batch}, keys {has_keys}: {rate:.0} commands/s");
    Ok(())
}

#[derive(Clone, Copy)]
struct Load {
    stocks: u32,
    batch: usize,
    seconds: f64,
    has_keys: bool,
}

fn run(kind: &str, folder: &std::path::Path, load: Load) -> Result<f64, Box<dyn Error>> {
    let owned = Arc::new(DataFolder::open(folder)?);
    let store: Arc<dyn EventStore> = match kind {
        "sqlite" => SqliteEventStore::open(owned, &SqliteSettings::default(), Arc::new(System))?,
        "jsonl" => JsonlEventStore::open(owned, &JsonlSettings::default(), Arc::new(System))?,
        other => return Err(format!("{other} is no store").into()),
    };
    let ports = CommandLoopPorts {
        store,
        reservations: Arc::new(NeverAsked),
        clock: Arc::new(System),
        ids: Arc::new(System),
        acknowledged: Arc::new(AcknowledgedLevels::new(100_000, Position::START)),
        listener: Arc::new(Nobody),
        observer: Arc::new(Unobserved),
    };
    let (commands, command_loop) = CommandLoop::new(ports, CommandLoopSettings::default());
    let looping = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(command_loop.run(std::future::pending())))
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rate = runtime.block_on(async {
        fill(&commands, load).await?;
        let start = Instant::now();
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(commands.clone(), load, start))).collect();
        let mut done = 0;
        for client in clients {
            done += client.await??;
        }
        Ok::<_, Box<dyn Error>>(f64::from(u32::try_from(done)?) / start.elapsed().as_secs_f64())
    });
    drop(commands); // Ends the loop.
    looping.join().map_err(|_| "the command loop has panicked")??;
    rate
}

async fn fill(commands: &CommandSender, load: Load) -> Result<(), Box<dyn Error>> {
    let quantity = Quantity::new(1_000_000_000)?;
    let reason = Reason::new("benchmark")?;
    let add = |stock| request(stock, Command::Add { quantity, reason: reason.clone() }, None);
    for stocks in (0..load.stocks).collect::<Vec<_>>().chunks(8_192) {
        for verdict in commands.send_all(stocks.iter().map(|stock| add(*stock)).collect()).await? {
            verdict?;
        }
    }
    Ok(())
}

/// Sends batches until the time is over; returns how many commands were granted.
async fn client(commands: CommandSender, load: Load, start: Instant) -> Result<usize, String> {
    let mut done = 0;
    let mut stock = 0;
    while start.elapsed() < Duration::from_secs_f64(load.seconds) {
        let requests = (0..load.batch).map(|_| {
            stock = (stock + 1) % load.stocks;
            reserve(stock, load.has_keys)
        });
        let verdicts = commands.send_all(requests.collect()).await.map_err(|error| error.to_string())?;
        done += verdicts.len();
        if let Some(Err(error)) = verdicts.into_iter().find(Result::is_err) {
            return Err(error.to_string());
        }
    }
    Ok(done)
}

fn reserve(stock: u32, has_key: bool) -> Request {
    let id = Uuid::now_v7();
    let key = has_key.then(|| RequestKey { append_id: *Uuid::new_v4().as_bytes(), request_hash: [7; 16] });
    let command = Command::Reserve(Reserve {
        reservation_id: ReservationId::new(id),
        quantity: Quantity::new(1).unwrap_or_else(|_| unreachable!("one unit is a quantity")),
        customer_id: CustomerId::from_u128(1),
        hold_for: Some(HoldFor::DEFAULT),
        order_id: None,
    });
    request(stock, command, key)
}

fn request(stock: u32, command: Command, key: Option<RequestKey>) -> Request {
    let stock_id = StockId { product_id: ProductId::from_u128(stock.into()), store_id: StoreId::from_u128(1) };
    let ask = Ask::Stock { stock_id, command, is_fresh: true };
    Request { ask, condition: Condition::None, key, metadata: Arc::new(Metadata::default()) }
}

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl IdSource for System {
    fn event_id(&self) -> EventId {
        EventId(Uuid::now_v7())
    }
}

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &Arc<Vec<AppendGroup>>, _: Vec<CommittedGroup>) {}
}

/// Ids are fresh, so nobody asks whether one was used before.
struct NeverAsked;

#[async_trait]
impl ReservationViews for NeverAsked {
    async fn recall(&self, _: StockId, _: ReservationId) -> Result<RecalledReservation, ViewError> {
        Err(ViewError("there is no read side here".into()))
    }

    async fn due(&self, _: Timestamp, _: usize) -> Result<Vec<Due>, ViewError> {
        Ok(Vec::new())
    }
}
