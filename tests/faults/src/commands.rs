//! Clients of a command loop on a store whose disk fails: what each of them was told, and whether it holds.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use inventory_application::command_loop::{CommandLoopPorts, Verdict};
use inventory_application::ports::{
    AppendGroup, CommitListener, CommittedGroup, EventLog, EventStore, Metadata, RecordedEvent, StoreError, Unobserved,
};
use inventory_application::testing::{LogReservations, ManualClock, SequentialIds};
use inventory_application::{
    AcknowledgedLevels, Ask, CommandError, CommandLoop, CommandLoopSettings, CommandSender, Position, Request,
    RequestKey, StreamId,
};
use inventory_domain::inventory::{Command, Reserve, evolve};
use inventory_domain::order::{self, OrderLines, Place};
use inventory_domain::{CustomerId, DomainEvent, HoldFor, Inventory, OrderId, Quantity, Reason, ReservationId};
use tokio::time::sleep;

use crate::campaign::Check;
use crate::disk::Disk;
use crate::fault::Aim;
use crate::lock;
use crate::stores::{Backend, Opened, START, open, open_on, runtime, stock};
use crate::told::{Fate, check_log, check_streams, read_all};

/// Clients that send commands at a time.
const CLIENTS: u64 = 4;

/// Commands of each client.
const COMMANDS: u64 = 8;

/// How often is read meanwhile, at least, however soon the clients are done: a campaign ends with the first read that doesn't come.
const READS_LEAST: u32 = 20;

/// Refusals of all clients before the disk is healed.
const REFUSALS_BEFORE_HEALING: u64 = 6;

/// How often a command is tried.
const TRIES_MAX: usize = 400;

/// A command that a client has sent, with all its tries.
#[derive(Clone, Debug)]
struct Sent {
    /// What its events are labelled with, before the number of the try.
    name: String,
    /// How many events it has where it is done.
    events: usize,
    /// What is known of each try.
    tries: Vec<Fate>,
}

/// What the clients of a run were told. Commands are marked in the disk's trace by their places.
type Told = Vec<Sent>;

/// Everything that the clients of one run share.
struct Shop {
    disk: Arc<Disk>,
    commands: CommandSender,
    told: Mutex<Told>,
    refusals: AtomicU64,
    /// Whether somebody was told that the outcome is unknown, and nobody was acknowledged since.
    is_unknown: AtomicBool,
    /// Who was the first to be acknowledged after that, and how much the disk had done by then.
    acknowledged_again: Mutex<Vec<(String, usize)>>,
    is_done: AtomicBool,
    problem: Mutex<Option<String>>,
}

/// Has clients send commands through whatever the disk does.
pub fn commands<'a>(backend: &'a dyn Backend) -> impl Fn(&Path, &Arc<Disk>) -> Result<Check<'a>, String> + Sync + 'a {
    move |folder, disk| {
        let told = run(backend, folder, disk)?;
        let check: Check<'a> = Box::new(move |folder, marks| {
            let opened = open(backend, folder, &Arc::new(ManualClock::at(START)))?;
            let is_told = |place: usize| marks.is_none_or(|marks| marks.contains(&(place as u64)));
            runtime().block_on(check(&opened, &told, is_told))
        });
        Ok(check)
    }
}

/// Has the clients do their work, and closes the store.
fn run(backend: &dyn Backend, folder: &Path, disk: &Arc<Disk>) -> Result<Told, String> {
    let clock = Arc::new(ManualClock::at(START));
    let opened = open_on(disk, backend, folder, &clock)?;
    let runtime = runtime();
    let Shop { told, acknowledged_again, problem, .. } = runtime.block_on(serve(&opened, disk, clock))?;
    if let Some(problem) = problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(problem);
    }
    if disk.aim() == Some(Aim::Reads) {
        disk.heal(); // The checks read, too.
    }
    let trace = disk.trace();
    for (name, at) in acknowledged_again.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if !backend.has_repaired(&trace, disk.failed_at().unwrap_or(0), at) {
            return Err(format!("{name} was acknowledged after a failure and before its repair"));
        }
    }
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    runtime.block_on(check(&opened, &told, |_| true))?;
    drop(opened);
    Ok(told)
}

async fn serve(opened: &Opened, disk: &Arc<Disk>, clock: Arc<ManualClock>) -> Result<Shop, String> {
    let ports = CommandLoopPorts {
        store: Arc::clone(&opened.events),
        reservations: Arc::new(LogReservations::of(Arc::clone(&opened.log))),
        clock,
        ids: Arc::new(SequentialIds::default()),
        acknowledged: Arc::new(AcknowledgedLevels::new(100, Position::START)),
        listener: Arc::new(Nobody),
        observer: Arc::new(Unobserved),
    };
    let settings =
        CommandLoopSettings { snapshot_every_events: 10, queue_wait_ms_max: 60_000, ..CommandLoopSettings::default() };
    let (commands, command_loop) = CommandLoop::new(ports, settings);
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let looping = tokio::spawn(command_loop.run(async move { drop(ended.await) }));
    let shop = Arc::new(Shop {
        disk: Arc::clone(disk),
        commands,
        told: Mutex::default(),
        refusals: AtomicU64::new(0),
        is_unknown: AtomicBool::new(false),
        acknowledged_again: Mutex::default(),
        is_done: AtomicBool::new(false),
        problem: Mutex::default(),
    });
    let reader = tokio::spawn(read_on(Arc::clone(&shop), Arc::clone(&opened.events), Arc::clone(&opened.log)));
    // What the others take from.
    for number in 1..=2 {
        let key = RequestKey { append_id: [u8::try_from(number).unwrap_or(0); 16], request_hash: [3; 16] };
        shop.send(&format!("first-{number}"), 1, Some(key), &|_| add(number, 1_000)).await;
    }
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(Arc::clone(&shop).be_client(client))).collect();
    for client in clients {
        client.await.map_err(|error| error.to_string())?;
    }
    shop.is_done.store(true, Ordering::SeqCst);
    reader.await.map_err(|error| error.to_string())?;
    drop(end);
    looping.await.map_err(|error| error.to_string())?;
    Arc::into_inner(shop).ok_or_else(|| "somebody is still at work".to_owned())
}

impl Shop {
    async fn be_client(self: Arc<Self>, client: u64) {
        for number in 0..COMMANDS {
            let name = format!("{client}-{number}");
            let id = u128::from(client * 100 + number + 1) << 20;
            let key = |id: u128| Some(RequestKey { append_id: id.to_be_bytes(), request_hash: [3; 16] });
            let stock = 1 + client % 2;
            match number % 4 {
                0 => self.send(&name, 1, None, &|_| add(stock, 10)).await,
                1 => self.send(&name, 1, key(id), &|_| reserve(stock, id)).await,
                2 => self.send(&name, 3, key(id), &|_| place(id)).await,
                _ => self.send(&name, 1, None, &|number_of_try| reserve(stock, id + number_of_try)).await,
            }
        }
    }

    /// Sends a command until it is acknowledged, or its outcome is unknown and it has no key; a failure that is the store's fault ends it.
    async fn send(&self, name: &str, events: usize, key: Option<RequestKey>, ask: &(dyn Fn(u128) -> Ask + Sync)) {
        let place = {
            let mut told = lock(&self.told);
            told.push(Sent { name: name.to_owned(), events, tries: Vec::new() });
            told.len() - 1
        };
        for number_of_try in 0..TRIES_MAX {
            let metadata = Metadata { request_id: Some(format!("{name}-{number_of_try}")), ..Metadata::default() };
            let ask = ask(if key.is_some() { 0 } else { number_of_try as u128 });
            let request = Request { key, metadata: Arc::new(metadata), ..Request::plain(ask) };
            let was_broken = self.disk.lasting().is_some();
            // Nobody knows until it is told: a moment before that may be one at which it is there.
            lock(&self.told)[place].tries.push(Fate::WholeOrNot);
            let verdict = self.commands.send(request).await;
            let fate = self.understand(name, was_broken, &verdict);
            lock(&self.told)[place].tries[number_of_try] = fate;
            match fate {
                Fate::There => {
                    self.disk.mark(place as u64);
                    return;
                }
                Fate::WholeOrNot if key.is_none() => return,
                Fate::WholeOrNot | Fate::NotThere => (),
            }
            if lock(&self.problem).is_some() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        self.wrong(format!("{name}: it doesn't get over it"));
    }

    /// What a verdict says of what is there, as a client would take it: 201, 504 or 503.
    fn understand(&self, name: &str, was_broken: bool, verdict: &Verdict) -> Fate {
        match verdict {
            Ok(answer) => {
                if was_broken && self.disk.lasting().is_some() && !answer.is_repeat() {
                    self.wrong(format!("{name} was acknowledged on a disk that takes nothing"));
                }
                if self.is_unknown.swap(false, Ordering::SeqCst) {
                    lock(&self.acknowledged_again).push((name.to_owned(), self.disk.steps()));
                }
                Fate::There
            }
            Err(CommandError::Store(error)) => match &**error {
                StoreError::OutcomeUnknown(_) => {
                    self.is_unknown.store(true, Ordering::SeqCst);
                    self.refused();
                    Fate::WholeOrNot
                }
                StoreError::Unavailable(_) => {
                    self.refused();
                    Fate::NotThere
                }
                StoreError::Damaged(_) => {
                    self.wrong(format!("{name}: {error:?}"));
                    Fate::NotThere
                }
            },
            Err(CommandError::PastUnknown) => {
                self.refused(); // The log couldn't be read.
                Fate::NotThere
            }
            Err(other) => {
                self.wrong(format!("{name}: {other:?}"));
                Fate::NotThere
            }
        }
    }

    fn refused(&self) {
        if self.refusals.fetch_add(1, Ordering::SeqCst) >= REFUSALS_BEFORE_HEALING {
            self.disk.heal();
        }
    }

    fn wrong(&self, problem: String) {
        lock(&self.problem).get_or_insert(problem);
    }
}

/// Reads all the time, so often at least: whatever can't be changed, what is there can be read. Where reads fail, that is what they say.
async fn read_on(shop: Arc<Shop>, events: Arc<dyn EventStore>, log: Arc<dyn EventLog>) {
    let mut times = 0;
    while times < READS_LEAST || !shop.is_done.load(Ordering::SeqCst) {
        times += 1;
        let may_fail = shop.disk.aim() == Some(Aim::Reads);
        let loaded = events.load(vec![stock(1).into(), stock(2).into()]).await.map(drop);
        let read = log.read(Position::START, 50).await.map(drop);
        match loaded.and(read) {
            Ok(()) => (),
            Err(StoreError::Unavailable(_)) if may_fail => (),
            Err(error) => shop.wrong(format!("a reader was refused: {error:?}")),
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Checks that what is there is what the clients were told; `is_told` says whether a command's acknowledgement counts.
async fn check(opened: &Opened, told: &[Sent], is_told: impl Fn(usize) -> bool) -> Result<(), String> {
    let log = read_all(opened).await.map_err(|error| format!("the log can't be read: {error:?}"))?;
    check_log(&log)?;
    let mut labels: HashMap<&str, usize> = HashMap::new();
    for event in &log {
        let label = event.metadata.request_id.as_deref().ok_or("an event has no label")?;
        *labels.entry(label).or_default() += 1;
    }
    let mut known = 0;
    for (place, sent) in told.iter().enumerate() {
        let Sent { name, events, tries } = sent;
        let counts =
            (0..tries.len()).map(|number| labels.get(format!("{name}-{number}").as_str()).copied().unwrap_or(0));
        let counts: Vec<usize> = counts.collect();
        let all: usize = counts.iter().sum();
        known += all;
        for (number, (count, fate)) in counts.iter().zip(tries).enumerate() {
            if *count != 0 && (*count != *events || *fate == Fate::NotThere) {
                return Err(format!("try {number} of {name} was {fate:?}, and {count} of {events} events are there"));
            }
        }
        let is_acknowledged = is_told(place) && tries.contains(&Fate::There);
        if is_acknowledged && all < *events {
            return Err(format!("{name} was acknowledged, and {all} of {events} events are there: {tries:?}"));
        }
        if all > *events {
            return Err(format!("{name} is there more than once, {counts:?} of {events} events: {tries:?}"));
        }
    }
    if known != log.len() {
        return Err(format!("{} events were never asked for", log.len() - known));
    }
    check_streams(opened, &log).await?;
    conserved(&log)
}

/// No stock has promised more than it has.
fn conserved(log: &[RecordedEvent]) -> Result<(), String> {
    let mut stocks: BTreeMap<String, Inventory> = BTreeMap::new();
    for event in log {
        if let (StreamId::Inventory(stock_id), DomainEvent::Inventory(change)) = (event.stream, &event.event) {
            let state = stocks.remove(&stock_id.product_id.to_string()).unwrap_or_default();
            let state = evolve(state, change, event.recorded_at);
            let level = state.level();
            if level.reserved > level.quantity {
                return Err(format!("event {}: {} of {} are reserved", event.position, level.reserved, level.quantity));
            }
            stocks.insert(stock_id.product_id.to_string(), state);
        }
    }
    Ok(())
}

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &Arc<Vec<AppendGroup>>, _: Vec<CommittedGroup>) {}
}

fn add(number: u64, units: i64) -> Ask {
    let (quantity, reason) = (Quantity::new(units).expect("a quantity"), Reason::new("delivery").expect("a reason"));
    Ask::Stock { stock_id: stock(number), command: Command::Add { quantity, reason }, is_fresh: false }
}

fn reserve(number: u64, id: u128) -> Ask {
    let command = Command::Reserve(Reserve {
        reservation_id: ReservationId::from_u128(id),
        quantity: Quantity::new(1).expect("a quantity"),
        customer_id: CustomerId::from_u128(9),
        hold_for: HoldFor::from_minutes(30).ok(),
        order_id: None,
    });
    Ask::Stock { stock_id: stock(number), command, is_fresh: false }
}

/// An order of a unit of each stock.
fn place(id: u128) -> Ask {
    let one = Quantity::new(1).expect("a quantity");
    let mut next = id;
    let fresh = || {
        next += 1;
        ReservationId::from_u128(next)
    };
    let lines = OrderLines::summed(&[(stock(1), one), (stock(2), one)], fresh).expect("lines");
    let customer_id = CustomerId::from_u128(9);
    let command = order::Command::Place(Place { customer_id, hold_for: HoldFor::from_minutes(30).ok(), lines });
    Ask::Order { order_id: OrderId::from_u128(id), command, is_dry_run: false }
}
