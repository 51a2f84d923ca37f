//! A node without its outside: the command loop on a store that a test can hold up.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, CommandObserver, CommitListener, CommittedGroup, EventLog, EventStore, LoadedStream,
    ObservedBatch, ObservedCommand, RecordedEvent, Snapshot, StoreError,
};
use inventory_application::testing::{InMemoryEventStore, LogReservations, ManualClock, SequentialIds};
use inventory_application::{
    AcknowledgedLevels, Ask, CommandError, CommandLoop, CommandLoopSettings, CommandSender, Position, Request,
    RequestKey, StockAnswer, StreamId, Verdict,
};
use inventory_domain::inventory::{Command, Commit, Event, Release, Reserve, evolve};
use inventory_domain::order::{self, OrderLines, Place};
use inventory_domain::transfer::{self, Route, Start};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, Inventory, Level, OrderId, ProductId, Quantity, Reason, ReservationId, StockId,
    StoreId, Timestamp, TransferId,
};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, yield_now};

/// What every clock shows at first: 2025-11-24T12:00:00Z.
pub const NOON: Timestamp = Timestamp::from_millis(1_763_985_600_000);

/// A command loop at work.
pub struct Node {
    pub clock: Arc<ManualClock>,
    pub acknowledged: Arc<AcknowledgedLevels>,
    pub heard: Arc<Heard>,
    pub observed: Arc<Observed>,
    pub commands: CommandSender,
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// What a listener was told.
pub type Heard = Mutex<Vec<Position>>;

struct Listener(Arc<Heard>);

impl CommitListener for Listener {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        assert!(committed.iter().all(|group| batch[group.index].event_count() > 0));
        self.0.lock().unwrap().extend(committed.iter().map(|group| group.position));
    }
}

/// What an observer was told, a line a batch and a line a command.
#[derive(Default)]
pub struct Observed(Mutex<Vec<String>>);

impl Observed {
    /// What it was told since it was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn say(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn command(&self, command: &ObservedCommand<'_>) {
        self.say(format!("{} {}", command.kind.name(), command.outcome.name()));
    }
}

impl CommandObserver for Observed {
    fn settled(&self, batch: &ObservedBatch, commands: &[ObservedCommand<'_>]) {
        let ObservedBatch { groups, events, conflicts, retries, append, .. } = batch;
        self.say(format!("{append:?}: {groups} groups, {events} events, {conflicts} conflicts, {retries} retries"));
        let times = [batch.deciding_began, batch.deciding_ended, batch.append_began, batch.append_ended];
        assert!(times.is_sorted(), "{batch:?}");
        for command in commands {
            assert!(command.queued_at <= batch.deciding_ended, "{command:?} in {batch:?}");
            self.command(command);
        }
    }

    fn answered_at_once(&self, command: &ObservedCommand<'_>) {
        self.command(command);
    }
}

impl Node {
    pub fn on(store: &Arc<SlowStore>) -> Self {
        Self::with(store, |_| ())
    }

    pub fn with(store: &Arc<SlowStore>, change: impl FnOnce(&mut CommandLoopSettings)) -> Self {
        let mut settings = CommandLoopSettings::default();
        change(&mut settings);
        Self::over(store.clone(), store.clone(), settings)
    }

    pub fn over(store: Arc<dyn EventStore>, log: Arc<dyn EventLog>, settings: CommandLoopSettings) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let acknowledged = Arc::new(AcknowledgedLevels::new(100, Position::START));
        let heard = Arc::new(Heard::default());
        let observed = Arc::new(Observed::default());
        let ports = CommandLoopPorts {
            store,
            reservations: Arc::new(LogReservations::of(log)),
            clock: clock.clone(),
            ids: Arc::new(SequentialIds::default()),
            acknowledged: acknowledged.clone(),
            listener: Arc::new(Listener(heard.clone())),
            observer: observed.clone(),
        };
        let (commands, command_loop) = CommandLoop::new(ports, settings);
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(command_loop.run(async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await; // The node was dropped; the loop ends with its last sender.
            }
        }));
        Self { clock, acknowledged, heard, observed, commands, stop: Mutex::new(Some((stop, running))) }
    }

    /// Sends a request, and waits for its answer elsewhere.
    pub fn send(&self, request: Request) -> JoinHandle<Result<StockAnswer, CommandError>> {
        let commands = self.commands.clone();
        tokio::spawn(async move { commands.send_stock(request).await })
    }

    pub async fn ask(&self, request: Request) -> Result<StockAnswer, CommandError> {
        self.commands.send_stock(request).await
    }

    pub async fn order(&self, number: u128, command: order::Command) -> Result<order::OrderStatus, CommandError> {
        let answer = self.commands.send_order(order_request(number, command)).await?;
        Ok(answer.order.status())
    }

    pub async fn transfer(&self, number: u128, command: transfer::Command) -> Result<(u64, u64, u64), CommandError> {
        let ask = Ask::Transfer { transfer_id: TransferId::from_u128(number), command };
        let transfer = self.commands.send_transfer(Request::plain(ask)).await?.transfer;
        Ok((transfer.in_transit(), transfer.received(), transfer.cancelled()))
    }

    /// Ends the loop at once, wherever it is.
    pub fn crash(&self) {
        let (_, running) = self.stop.lock().unwrap().take().unwrap();
        running.abort();
    }

    /// Asks the loop to stop; the handle ends when it has.
    pub fn stop(&self) -> JoinHandle<()> {
        let (stop, running) = self.stop.lock().unwrap().take().unwrap();
        stop.send(()).unwrap();
        running
    }
}

/// Lets everything run that can.
pub async fn settled() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// A store in memory that can be held up, fail and lose.
pub struct SlowStore {
    inner: Arc<InMemoryEventStore>,
    appends_go: watch::Sender<bool>,
    loads_go: watch::Sender<bool>,
    appends_until_fault: AtomicU64,
    conflicts_always: AtomicBool,
    batches: Mutex<Vec<usize>>,
    pub loads: AtomicU64,
    pub snapshots: AtomicU64,
}

impl SlowStore {
    pub fn over(inner: InMemoryEventStore) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(inner),
            appends_go: watch::Sender::new(true),
            loads_go: watch::Sender::new(true),
            appends_until_fault: AtomicU64::new(u64::MAX),
            conflicts_always: AtomicBool::new(false),
            batches: Mutex::default(),
            loads: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
        })
    }

    /// The store itself, which nothing holds up.
    pub fn inner(&self) -> Arc<InMemoryEventStore> {
        Arc::clone(&self.inner)
    }

    pub fn hold_appends(&self) {
        self.appends_go.send_replace(false);
    }

    pub fn let_appends_go(&self) {
        self.appends_go.send_replace(true);
    }

    pub fn hold_loads(&self) {
        self.loads_go.send_replace(false);
    }

    pub fn let_loads_go(&self) {
        self.loads_go.send_replace(true);
    }

    /// The append after the next `others` does nothing, and nobody knows.
    pub fn fail_next_append(&self, others: u64) {
        self.appends_until_fault.store(others, Ordering::SeqCst);
    }

    /// Another node is always faster.
    pub fn conflict_always(&self) {
        self.conflicts_always.store(true, Ordering::SeqCst);
    }

    /// How many groups each append had.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

#[async_trait]
impl EventStore for SlowStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        self.batches.lock().unwrap().push(batch.len());
        self.appends_go.subscribe().wait_for(|go| *go).await.unwrap();
        if self.appends_until_fault.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(StoreError::OutcomeUnknown("injected".into()));
        }
        if self.conflicts_always.load(Ordering::SeqCst) {
            let lost = batch.iter().enumerate().map(|(place, group)| {
                let stream = group.streams[0].stream;
                match place {
                    0 => AppendOutcome::Conflict { stream, actual: 1 },
                    _ => AppendOutcome::Tainted { stream },
                }
            });
            return Ok(lost.collect());
        }
        self.inner.append(batch).await
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.loads_go.subscribe().wait_for(|go| *go).await.unwrap();
        self.inner.load(streams).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.snapshots.fetch_add(snapshots.len() as u64, Ordering::SeqCst);
        self.inner.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}

#[async_trait]
impl EventLog for SlowStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.inner.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.inner.appended()
    }
}

pub async fn log_of(log: &Arc<impl EventLog>) -> Vec<RecordedEvent> {
    log.read(Position::START, usize::MAX).await.unwrap()
}

/// A stock's level by its events, and by nothing else.
pub async fn fold(log: &Arc<impl EventLog>, number: u128) -> Level {
    let state = stock_events(log, number)
        .await
        .iter()
        .fold(Inventory::remembering(10), |state, (event, at)| evolve(state, event, *at));
    state.level()
}

async fn stock_events(log: &Arc<impl EventLog>, number: u128) -> Vec<(Event, Timestamp)> {
    let of_stock = log_of(log).await.into_iter().filter(|event| event.stream == StreamId::Inventory(stock(number)));
    let events = of_stock.map(|recorded| match recorded.event {
        DomainEvent::Inventory(event) => (event, recorded.recorded_at),
        other => panic!("{other:?}"),
    });
    events.collect()
}

/// The reservations that a stock has ever granted.
pub async fn held(log: &Arc<impl EventLog>, number: u128) -> BTreeSet<u128> {
    let events = stock_events(log, number).await;
    let reserved = events.iter().filter_map(|(event, _)| match event {
        Event::StockReserved { reservation_id, .. } => Some(reservation_id.uuid().as_u128()),
        _ => None,
    });
    reserved.collect()
}

pub fn stock(number: u128) -> StockId {
    StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(7) }
}

pub fn add(number: u128, units: i64) -> Request {
    let (quantity, reason) = (Quantity::new(units).unwrap(), Reason::new("delivery").unwrap());
    change(number, Command::Add { quantity, reason })
}

pub fn reserve(number: u128, id: u128, units: i64) -> Request {
    change(
        number,
        Command::Reserve(Reserve {
            reservation_id: ReservationId::from_u128(id),
            quantity: Quantity::new(units).unwrap(),
            customer_id: CustomerId::from_u128(9),
            hold_for: HoldFor::from_minutes(30).ok(),
            order_id: None,
        }),
    )
}

pub fn release(number: u128, id: u128) -> Request {
    let (reservation_id, reason) = (ReservationId::from_u128(id), Reason::new("left").unwrap());
    change(number, Command::Release(Release { reservation_id, reason }))
}

pub fn commit(number: u128, id: u128) -> Request {
    let (reservation_id, order_id) = (ReservationId::from_u128(id), OrderId::from_u128(1));
    change(number, Command::Commit(Commit { reservation_id, order_id, quantity: None }))
}

pub fn level(number: u128) -> Request {
    Request::plain(Ask::Level(stock(number)))
}

/// The same request under a key: what is asked tells requests apart.
pub fn keyed(key: u8, request: Request) -> Request {
    let asked = format!("{:?} {:?}", request.ask, request.condition);
    let mut request_hash = [0; 16];
    for (place, byte) in asked.bytes().enumerate() {
        request_hash[place % 16] ^= byte.rotate_left(u32::try_from(place / 16 % 8).unwrap());
    }
    Request { key: Some(RequestKey { append_id: [key; 16], request_hash }), ..request }
}

pub fn change(number: u128, command: Command) -> Request {
    Request::plain(Ask::Stock { stock_id: stock(number), command, is_fresh: false })
}

pub fn order_request(number: u128, command: order::Command) -> Request {
    Request::plain(Ask::Order { order_id: OrderId::from_u128(number), command, is_dry_run: false })
}

/// An order of these units of these stocks; its reservations have ids that nobody else uses.
pub fn place(asked: &[(u128, i64)]) -> order::Command {
    let asked: Vec<_> = asked.iter().map(|(number, units)| (stock(*number), Quantity::new(*units).unwrap())).collect();
    let fresh = || ReservationId::from_u128(u128::from(FRESH.fetch_add(1, Ordering::SeqCst)));
    let lines = OrderLines::summed(&asked, fresh).unwrap();
    order::Command::Place(Place {
        customer_id: CustomerId::from_u128(9),
        hold_for: HoldFor::from_minutes(30).ok(),
        lines,
    })
}

static FRESH: AtomicU64 = AtomicU64::new(1_000_000);

/// Units of a product on their way from the stock's store to another one's.
pub fn start(number: u128, units: i64) -> transfer::Command {
    let from = stock(number);
    let route = Route::new(from.product_id, from.store_id, StoreId::from_u128(8)).unwrap();
    let (quantity, reason) = (Quantity::new(units).unwrap(), Reason::new("rebalance").unwrap());
    transfer::Command::Start(Start { route, quantity, reason })
}

/// Sends many requests as one batch.
pub fn send_all(node: &Node, requests: Vec<Request>) -> JoinHandle<Result<Vec<Verdict>, CommandError>> {
    let commands = node.commands.clone();
    tokio::spawn(async move { commands.send_all(requests).await })
}
