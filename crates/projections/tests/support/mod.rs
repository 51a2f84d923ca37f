//! A log in memory that commands are written to, and a runner that follows it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory_application::ports::{
    AppendGroup, AppendOutcome, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent, Projected,
    ProjectionListener, StockViews, StreamAppend,
};
use inventory_application::testing::{InMemoryEventStore, SequentialIds};
use inventory_application::{Position, StreamId, ports::IdSource};
use inventory_domain::inventory::{Command, decide, evolve};
use inventory_domain::{Inventory, Level, ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
use inventory_projections::{
    ProjectionControl, ProjectionRunner, ProjectionRunnerSettings, ReadModelSettings, RunnerStatus, SqliteReadModels,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Small, and quick to wake up.
pub const SETTINGS: ProjectionRunnerSettings = ProjectionRunnerSettings {
    page_events_max: 3,
    catch_up_page_events_max: 2,
    linger_ms: 0,
    poll_ms: 60_000,
    retry_delay_ms_max: 50,
};

/// A test that has waited so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has happened, by the write side's own account.
#[derive(Default)]
pub struct Shop {
    pub states: BTreeMap<StockId, Inventory>,
    ids: SequentialIds,
}

impl Shop {
    /// Decides one command and appends its events as one group; a refusal appends nothing.
    pub async fn write(&mut self, log: &InMemoryEventStore, stock_id: StockId, command: &Command, now: Timestamp) {
        let state = self.states.remove(&stock_id).unwrap_or_else(|| Inventory::remembering(100));
        let recorded_at = state.moment(now);
        let events = decide(&state, command, recorded_at).unwrap_or_default();
        let new = events
            .iter()
            .map(|event| NewEvent { event_id: self.ids.event_id(), event: event.clone().into() })
            .collect();
        let part = StreamAppend {
            stream: StreamId::Inventory(stock_id),
            expected: ExpectedVersion::of(state.version()),
            events: new,
        };
        let metadata = Arc::new(Metadata::default());
        let group = AppendGroup { key: None, streams: vec![part], recorded_at, metadata };
        let outcomes = log.append(Arc::new(vec![group])).await.unwrap();
        assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{outcomes:?}");
        let state = events.iter().fold(state, |state, event| evolve(state, event, recorded_at));
        self.states.insert(stock_id, state);
    }

    /// Puts units on the shelf.
    pub async fn add(&mut self, log: &InMemoryEventStore, number: u128, units: i64) {
        let (quantity, reason) = (Quantity::new(units).unwrap(), Reason::new("delivery").unwrap());
        self.write(log, stock(number), &Command::Add { quantity, reason }, Timestamp::from_millis(0)).await;
    }

    /// Every level that is not empty of events.
    pub fn levels(&self) -> BTreeMap<StockId, Level> {
        let filled = self.states.iter().filter(|(_, state)| state.version() > 0);
        filled.map(|(stock_id, state)| (*stock_id, state.level())).collect()
    }
}

/// A stock; odd and even numbers share a store, three in a row share a product.
pub fn stock(number: u128) -> StockId {
    StockId { product_id: ProductId::from_u128(number / 3), store_id: StoreId::from_u128(number % 3) }
}

pub fn open(path: &Path) -> Arc<SqliteReadModels> {
    let settings = ReadModelSettings {
        readers_max: 2,
        reader_wait_ms_max: 5_000,
        cache_kib: 1_024,
        checkpoint_ms: 20,
        wal_pages_max: 1_000,
        list_rows_max: 100,
    };
    SqliteReadModels::open(path, &settings).unwrap()
}

/// Every level that the read models show for the stocks 0 to 8, each query asked and both in agreement.
pub async fn shown(models: &SqliteReadModels) -> BTreeMap<StockId, Level> {
    let (mut by_stock, mut by_product) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..9 {
        let stock_id = stock(number);
        if let Some(level) = models.level(stock_id, Position::START).await.unwrap().value {
            by_stock.insert(stock_id, level);
        }
        for (store_id, level) in models.product(stock_id.product_id, Position::START).await.unwrap().value.iter() {
            by_product.insert(StockId { product_id: stock_id.product_id, store_id: *store_id }, *level);
        }
    }
    assert_eq!(by_stock, by_product, "the two read models agree");
    by_stock
}

/// A runner at work.
pub struct Follower {
    pub status: Box<dyn Fn() -> RunnerStatus>,
    pub checkpoint: watch::Receiver<Position>,
    pub checkpoint_of_levels: watch::Receiver<Position>,
    pub control: ProjectionControl,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Follower {
    pub fn start(log: &Arc<impl EventLog + 'static>, models: &Arc<SqliteReadModels>) -> Self {
        Self::start_with(log, models, SETTINGS, Arc::new(Nobody))
    }

    pub fn start_with(
        log: &Arc<impl EventLog + 'static>,
        models: &Arc<SqliteReadModels>,
        settings: ProjectionRunnerSettings,
        listener: Arc<dyn ProjectionListener>,
    ) -> Self {
        let runner = ProjectionRunner::new(log.clone(), models.clone(), listener, settings);
        let checkpoint_of_levels = runner.checkpoint_of("stock_levels");
        let (status, checkpoint, control) = (Box::new(runner.status()), runner.checkpoint(), runner.control());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(runner.run(async move { stopped.await.unwrap_or(()) }));
        Self { status, checkpoint, checkpoint_of_levels, control, stop, running }
    }

    pub async fn reaches(&mut self, position: Position) {
        let reached = self.checkpoint.wait_for(|reached| *reached >= position);
        timeout(PATIENCE, reached).await.expect("it gets there").unwrap();
    }

    /// Waits until a status is as wanted.
    pub async fn is(&self, wanted: impl Fn(&RunnerStatus) -> bool) -> RunnerStatus {
        let until_wanted = async {
            loop {
                let status = (self.status)();
                if wanted(&status) {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, until_wanted).await.expect("it gets there")
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

struct Nobody;

impl ProjectionListener for Nobody {
    fn projected(&self, _: Projected<'_>) {}
    fn rebuilt(&self, _: Position) {}
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<(Position, Vec<StockId>)>>, pub Mutex<Vec<Position>>);

impl ProjectionListener for Heard {
    fn projected(&self, step: Projected<'_>) {
        self.0.lock().unwrap().push((step.checkpoint, step.stocks.iter().map(|changed| changed.stock_id).collect()));
    }

    fn rebuilt(&self, checkpoint: Position) {
        self.1.lock().unwrap().push(checkpoint);
    }
}
