//! A node: command loop, projections, expiry and queries, wired as the service wires them; it can crash and come back.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{
    Clock, Due, IdSource, ProductLevels, ProjectionListener, RecalledReservation, ReservationViews, StockViews,
    Unobserved, ViewError, Viewed,
};
use inventory_application::{
    AcknowledgedLevels, CatchUp, CommandLoop, CommandSender, EventId, ExpiryProcess, Position, RecentEvents,
    StockCheckpoints, StockQueries,
};
use inventory_cache::CachedStockViews;
use inventory_domain::{Level, ProductId, ReservationId, StockId, Timestamp};
use inventory_messaging::InProcessBus;
use inventory_projections::{ProjectionControl, ProjectionRunner, SqliteReadModels};
use inventory_projections::{product_inventory, reservations, stock_levels};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::chance::Chance;
use crate::flaw::Flaw;
use crate::node_store::NodeStore;
use crate::plan::{CATCH_UP, EXPIRY, READ_MODELS};
use crate::world::{World, lock};

/// One of the nodes.
pub(crate) struct Node {
    pub(crate) number: usize,
    world: Arc<World>,
    chance: Chance,
    clock: Arc<NodeClock>,
    folder: TempDir,
    /// Which file the read models are in; another one after the node has lost its disk.
    disks: AtomicU64,
    lives: AtomicU64,
    /// Lives that ended because the node was asked to: whoever they owed an answer has it.
    pub(crate) ended_well: Mutex<Vec<u64>>,
    life: Mutex<Option<Life>>,
}

/// What ends with a crash.
struct Life {
    number: u64,
    commands: CommandSender,
    queries: StockQueries,
    control: ProjectionControl,
    checkpoint: watch::Receiver<Position>,
    store: Arc<NodeStore>,
    /// The expiry process, the command loop and the projections, in the order in which they are stopped.
    workers: Vec<Worker>,
}

struct Worker {
    name: &'static str,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Worker {
    fn start<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        work: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped = Box::pin(async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await; // The node has crashed.
            }
        });
        Self { name, stop, task: tokio::spawn(work(stopped)) }
    }
}

impl Node {
    pub(crate) fn new(world: Arc<World>, number: usize, chance: Chance) -> Self {
        let skews = (0..8).map(|_| chance.between(-world.plan.skew_ms_max..=world.plan.skew_ms_max)).collect();
        let clock = Arc::new(NodeClock { world: Arc::clone(&world), skews });
        let (disks, lives, ended_well, life) =
            (AtomicU64::new(0), AtomicU64::new(0), Mutex::default(), Mutex::default());
        Self { number, world, chance, clock, folder: folder(), disks, lives, ended_well, life }
    }

    /// Where its read models are.
    pub(crate) fn read_models(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.disks.load(Ordering::SeqCst)))
    }

    /// Starts it, as the service's composition does.
    pub(crate) fn start(&self) {
        let world = &self.world;
        let number = self.lives.fetch_add(1, Ordering::SeqCst);
        world.say(|| format!("node {}: starts", self.number));
        let store = Arc::new(NodeStore::new(Arc::clone(world), self.number, self.chance.fork()));
        let models = {
            let (chance, delay_ms_max) = (self.chance.fork(), world.plan.delay_ms_max / 4);
            let pause = Arc::new(move || chance.millis(delay_ms_max));
            SqliteReadModels::open_unthreaded(&self.read_models(), &READ_MODELS, pause).unwrap()
        };
        let views =
            Arc::new(FlakyViews { models: Arc::clone(&models), world: Arc::clone(world), chance: self.chance.fork() });
        let mark = if world.flaw == Some(Flaw::ForgetsTheMark) { Position::START } else { world.head() };
        let acknowledged = Arc::new(AcknowledgedLevels::new(world.plan.acknowledged_max, mark));
        let cached = Arc::new(CachedStockViews::new(
            Arc::clone(&views) as Arc<dyn StockViews>,
            Arc::clone(&acknowledged),
            world.plan.cache,
        ));
        let mut listeners: Vec<Arc<dyn ProjectionListener>> = vec![Arc::clone(&acknowledged) as _];
        if world.flaw != Some(Flaw::LeavesTheCacheUntold) {
            listeners.insert(0, Arc::clone(&cached) as _);
        }
        let bus = Arc::new(InProcessBus::new(listeners));
        let recent = Arc::new(RecentEvents::new(Arc::clone(&store) as _, world.plan.recent_events_max));
        let runner = ProjectionRunner::new(Arc::clone(&recent) as _, models, bus, world.plan.runner);
        let ports = CommandLoopPorts {
            store: Arc::clone(&store) as _,
            reservations: Arc::clone(&views) as _,
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::new(Ids { prefix: (self.number as u64 + 1) << 32 | number, next: AtomicU64::new(0) }),
            acknowledged: Arc::clone(&acknowledged),
            listener: recent,
            observer: Arc::new(Unobserved),
        };
        let (commands, command_loop) = CommandLoop::new(ports, world.plan.command_loop);
        let jitter = self.chance.fork();
        let command_loop = command_loop.with_jitter(move |_| jitter.number());
        let checkpoints = StockCheckpoints {
            levels: runner.checkpoint_of(stock_levels::NAME),
            products: runner.checkpoint_of(product_inventory::NAME),
        };
        let catch_up = CatchUp::new(Arc::clone(&store) as _, CATCH_UP);
        let queries = StockQueries::new(acknowledged, cached, commands.clone(), checkpoints, catch_up);
        let expiry_clock: Arc<dyn Clock> = if world.flaw == Some(Flaw::StopsTheExpiryClock) {
            Arc::new(StoppedClock(self.clock.now()))
        } else {
            Arc::clone(&self.clock) as _
        };
        let due = runner.checkpoint_of(reservations::NAME);
        let expiry = ExpiryProcess::new(views, commands.clone(), expiry_clock, due, EXPIRY);
        let (control, checkpoint) = (runner.control(), runner.checkpoint());
        let failed = {
            let world = Arc::clone(world);
            move |_| world.count("expiry passes that came to nothing")
        };
        let workers = vec![
            Worker::start("expiry", |stop| expiry.run(stop, failed)),
            Worker::start("command loop", |stop| command_loop.run(stop)),
            Worker::start("projections", |stop| runner.run(stop)),
        ];
        *lock(&self.life) = Some(Life { number, commands, queries, control, checkpoint, store, workers });
    }

    /// Ends it at once: what waits for a store or a timer never goes on.
    pub(crate) async fn crash(&self) {
        let Some(life) = lock(&self.life).take() else { return };
        self.world.say(|| format!("node {}: crashes", self.number));
        self.world.count("crashes");
        for Worker { name, task, .. } in life.workers {
            task.abort();
            self.joined(name, task).await;
        }
        self.world.lose_the_last_batch().await.unwrap();
        if self.chance.one_in(5) {
            self.world.count("disks lost");
            self.disks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&self) {
        let Some(life) = lock(&self.life).take() else { return };
        self.world.say(|| format!("node {}: is asked to end", self.number));
        self.world.count("orderly ends");
        for Worker { name, stop, task } in life.workers {
            stop.send(()).ok(); // Whoever has ended by itself is found below.
            self.joined(name, task).await;
        }
        lock(&self.ended_well).push(life.number);
    }

    async fn joined(&self, name: &str, task: JoinHandle<()>) {
        if let Err(error) = task.await
            && error.is_panic()
        {
            self.world.find(format!("node {}: the {name} has panicked: {error}", self.number));
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        lock(&self.life).is_some()
    }

    /// The way to its command loop, and which of its lives that is.
    pub(crate) fn commands(&self) -> Option<(CommandSender, u64)> {
        lock(&self.life).as_ref().map(|life| (life.commands.clone(), life.number))
    }

    pub(crate) fn queries(&self) -> Option<StockQueries> {
        lock(&self.life).as_ref().map(|life| life.queries.clone())
    }

    /// How far the slowest of its read models is.
    pub(crate) fn checkpoint(&self) -> Option<watch::Receiver<Position>> {
        lock(&self.life).as_ref().map(|life| life.checkpoint.clone())
    }

    /// Why projections of it have stopped.
    pub(crate) fn stopped_projections(&self) -> Vec<String> {
        let Some(status) = lock(&self.life).as_ref().map(|life| life.control.status()) else { return Vec::new() };
        let stopped = status.projections.into_iter().filter_map(|one| Some(format!("{}: {}", one.name, one.stopped?)));
        stopped.collect()
    }

    /// Has some of its read models made anew.
    pub(crate) fn rebuild(&self) {
        let Some(control) = lock(&self.life).as_ref().map(|life| life.control.clone()) else { return };
        let names: Vec<&str> = control.status().projections.iter().map(|one| one.name).collect();
        let chosen: Vec<&str> = names.into_iter().filter(|_| self.chance.one_in(2)).collect();
        self.world.say(|| format!("node {}: makes anew {chosen:?}", self.number));
        if !chosen.is_empty() && control.rebuild(&chosen).is_ok() {
            self.world.count("rebuilds");
        }
    }

    /// Keeps it from the store for a while.
    pub(crate) fn cut_off(&self) {
        let milliseconds = self.chance.between(20..=400);
        self.world.say(|| format!("node {}: is cut off for {milliseconds} ms", self.number));
        if let Some(life) = &*lock(&self.life) {
            life.store.cut_off(milliseconds);
            self.world.count("nodes cut off");
        }
    }
}

/// In memory, where the system has a place for that: nothing here is about the disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The wall clock, off by something else every now and then.
struct NodeClock {
    world: Arc<World>,
    skews: Vec<i64>,
}

/// How long a clock is off by the same, in milliseconds of work.
const SKEW_MS: i64 = 300;

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let place = usize::try_from(self.world.elapsed_ms() / SKEW_MS).unwrap_or(0) % self.skews.len();
        Timestamp::from_millis(self.world.wall().millis() + self.skews[place])
    }
}

struct StoppedClock(Timestamp);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Ids that no other node and no other life has.
struct Ids {
    prefix: u64,
    next: AtomicU64,
}

impl IdSource for Ids {
    fn event_id(&self) -> EventId {
        EventId(Uuid::from_u64_pair(self.prefix, self.next.fetch_add(1, Ordering::SeqCst)))
    }
}

/// Read models that can't be read now and then.
struct FlakyViews {
    models: Arc<SqliteReadModels>,
    world: Arc<World>,
    chance: Chance,
}

impl FlakyViews {
    fn check(&self) -> Result<(), ViewError> {
        if !self.world.is_calm() && self.chance.one_in(self.world.plan.one_fault_in) {
            return Err(ViewError("injected".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl StockViews for FlakyViews {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        self.check()?;
        self.models.level(stock_id, at_least).await
    }

    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        self.check()?;
        self.models.product(product_id, at_least).await
    }
}

#[async_trait]
impl ReservationViews for FlakyViews {
    async fn recall(&self, stock_id: StockId, reservation_id: ReservationId) -> Result<RecalledReservation, ViewError> {
        self.check()?;
        self.world.count("forgotten reservations asked for");
        self.models.recall(stock_id, reservation_id).await
    }

    async fn due(&self, now: Timestamp, reservations_max: usize) -> Result<Vec<Due>, ViewError> {
        self.check()?;
        self.models.due(now, reservations_max).await
    }
}
