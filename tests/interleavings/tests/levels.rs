//! No level that is shown is older than one that was shown or acknowledged before: commands, projections, the acknowledged
//! levels, the cache and queries together, in random schedules.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use inventory_application::ports::{
    ChangedStock, EventLog, ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    AcknowledgedLevels, CatchUp, CatchUpSettings, CommandSender, Freshness, Position, RecentEvents, StockCheckpoints,
    StockQueries,
};
use inventory_cache::{CacheSettings, CachedStockViews};
use inventory_domain::{Level, ProductId, StockId};
use inventory_interleavings::{explore, find, schedules};
use shuttle::future::block_on;
use shuttle::rand::Rng;
use shuttle::sync::Mutex;
use support::{add, command_loop, stock};
use tokio::sync::watch;
use tokio::task::yield_now;

/// Writers, each on a stock of its own; each sends so many commands.
const WRITERS: u64 = 2;
const COMMANDS: u64 = 2;
const READERS: u64 = 2;

/// How often a slow read lets others go first, at most.
const SLOW_MAX: u32 = 24;

#[test]
fn no_level_is_older_than_one_that_was_shown_or_acknowledged_before() {
    let [hits, shared] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let counted = [hits.clone(), shared.clone()];
    explore(schedules(1_000), move || {
        let cache = std::cell::OnceCell::new();
        levels(|source, acknowledged| cache.get_or_init(|| real_cache(source, acknowledged)).clone(), Told::CacheFirst);
        let statistics = cache.get().unwrap().statistics();
        counted[0].fetch_add(statistics.hits, Ordering::Relaxed);
        counted[1].fetch_add(statistics.shared, Ordering::Relaxed);
    });
    for count in [hits, shared] {
        assert!(count.load(Ordering::Relaxed) > 0, "some schedule comes by everything");
    }
}

#[test]
fn a_cache_that_takes_in_what_was_read_before_a_change_is_found() {
    let found =
        find(5_000, || levels(|source, _| Arc::new(NoFloors { source, kept: Mutex::default() }), Told::CacheFirst));
    assert!(found.unwrap().contains("is older than"));
}

#[test]
fn acknowledged_levels_that_go_before_the_cache_has_heard_are_found() {
    let found = find(5_000, || levels(|source, acknowledged| real_cache(source, acknowledged), Told::CacheLast));
    assert!(found.unwrap().contains("is older than"));
}

/// In which order a step of the read models is told.
#[derive(Clone, Copy)]
enum Told {
    CacheFirst,
    CacheLast,
}

trait Cache: StockViews + ProjectionListener {}

impl<T: StockViews + ProjectionListener> Cache for T {}

/// Small, so that floors and values have to make room.
fn real_cache(source: Arc<Rows>, acknowledged: Arc<AcknowledgedLevels>) -> Arc<CachedStockViews> {
    let one = std::num::NonZeroUsize::MIN;
    let settings = CacheSettings { entries_max: one, ttl_ms: 3_600_000, stale_ms_max: 0, floors_max: one };
    Arc::new(CachedStockViews::new(source, acknowledged, settings))
}

/// Two writers, two readers, and what is between them.
fn levels(cache: impl Fn(Arc<Rows>, Arc<AcknowledgedLevels>) -> Arc<dyn Cache>, told: Told) {
    let store = Arc::new(InMemoryEventStore::exclusive());
    let recent = Arc::new(RecentEvents::new(store.clone(), 2));
    // So few that one sometimes has to go before the read models have it.
    let acknowledged = Arc::new(AcknowledgedLevels::new(1, Position::START));
    let (commands, command_loop) = command_loop(&store, recent.clone(), acknowledged.clone(), |_| ());
    let rows = Arc::new(Rows::default());
    let cache = cache(rows.clone(), acknowledged.clone());
    let listeners: [Arc<dyn ProjectionListener>; 2] = match told {
        Told::CacheFirst => [cache.clone(), acknowledged.clone()],
        Told::CacheLast => [acknowledged.clone(), cache.clone()],
    };
    let (checkpoint, reached) = watch::channel(Position::START);
    let checkpoints = StockCheckpoints { levels: reached.clone(), products: reached };
    let catch_up = CatchUp::new(store, CatchUpSettings { wait_ms_max: 3_600_000, waiting_max: 10 });
    let queries = StockQueries::new(acknowledged, cache, commands.clone(), checkpoints, catch_up);
    let shown: Arc<[AtomicU64]> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    block_on(async move {
        let working = tokio::spawn(command_loop.run(pending()));
        let mut tasks = vec![tokio::spawn(project(recent, rows, listeners, checkpoint))];
        for number in 0..WRITERS {
            tasks.push(tokio::spawn(write(number, commands.clone(), queries.clone(), shown.clone())));
        }
        for reader in 0..READERS {
            let (queries, shown) = (queries.clone(), shown.clone());
            tasks.push(tokio::spawn(async move {
                for look in 0..4 {
                    show((reader + look / 2) % WRITERS, Freshness::ANY, &queries, &shown).await;
                }
            }));
        }
        drop((commands, queries));
        for task in tasks {
            task.await.unwrap();
        }
        working.await.unwrap(); // Nobody is left who could send.
    });
}

async fn write(number: u64, commands: CommandSender, queries: StockQueries, shown: Arc<[AtomicU64]>) {
    for _ in 0..COMMANDS {
        let answer = commands.send_stock(add(number)).await.unwrap();
        let shown_of = &shown[usize::try_from(number).unwrap()];
        shown_of.fetch_max(answer.level.version, Ordering::SeqCst);
        // Who waits for the read models is woken when they are there.
        show(number, Freshness { min_position: answer.position, ..Freshness::ANY }, &queries, &shown).await;
    }
}

async fn show(number: u64, wanted: Freshness, queries: &StockQueries, shown: &[AtomicU64]) {
    let shown_of = &shown[usize::try_from(number).unwrap()];
    let before = shown_of.load(Ordering::SeqCst);
    let level = queries.level(stock(number), wanted).await.unwrap().value;
    let version = level.map_or(0, |level| level.version);
    assert!(version >= before, "version {version} of stock {number} is older than {before}");
    shown_of.fetch_max(version, Ordering::SeqCst);
}

/// A read model: rows, and up to where they are true.
#[derive(Default)]
struct Rows(Mutex<(HashMap<StockId, Level>, Position)>);

#[async_trait]
impl StockViews for Rows {
    async fn level(&self, stock_id: StockId, _: Position) -> Result<Row, ViewError> {
        let viewed = {
            let rows = self.0.lock().unwrap();
            Viewed::fresh(rows.0.get(&stock_id).copied(), rows.1)
        };
        // What was read is on its way, for as long as others take for a whole step.
        for _ in 0..shuttle::rand::thread_rng().gen_range(0..SLOW_MAX) {
            yield_now().await;
        }
        Ok(viewed)
    }

    async fn product(&self, _: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        unreachable!("nobody asks")
    }
}

/// Follows the log as the runner does: the hint is marked as seen before the log is read.
async fn project(
    log: Arc<RecentEvents>,
    rows: Arc<Rows>,
    listeners: [Arc<dyn ProjectionListener>; 2],
    checkpoint: watch::Sender<Position>,
) {
    let (mut hint, mut done) = (log.appended(), Position::START);
    while done < Position(WRITERS * COMMANDS) {
        hint.borrow_and_update();
        let events = log.read(done, 1).await.unwrap();
        let Some(last) = events.last() else {
            hint.changed().await.unwrap();
            continue;
        };
        done = last.position;
        let mut stocks = Vec::new();
        {
            let mut rows = rows.0.lock().unwrap();
            for event in &events {
                let stock_id = event.stream.stock_id().unwrap();
                let level = Level { quantity: event.version, reserved: 0, version: event.version };
                rows.0.insert(stock_id, level);
                stocks.push(ChangedStock { stock_id, last: event.position });
            }
            rows.1 = done;
        }
        for listener in &listeners {
            listener.projected(Projected { checkpoint: done, stocks: &stocks });
        }
        checkpoint.send_replace(done);
    }
}

type Row = Viewed<Option<Level>>;

/// The planted flaw: it drops what has changed, and takes in whatever comes later.
struct NoFloors {
    source: Arc<Rows>,
    /// Values, and up to where it has heard.
    kept: Mutex<(HashMap<StockId, Row>, Position)>,
}

#[async_trait]
impl StockViews for NoFloors {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Row, ViewError> {
        let found = {
            let kept = self.kept.lock().unwrap();
            kept.0.get(&stock_id).map(|found| Viewed { as_of: found.as_of.max(kept.1), ..found.clone() })
        };
        match found.filter(|found| found.as_of >= at_least) {
            Some(found) => Ok(found),
            None => {
                let viewed = self.source.level(stock_id, at_least).await?;
                self.kept.lock().unwrap().0.insert(stock_id, viewed.clone());
                Ok(viewed)
            }
        }
    }

    async fn product(&self, _: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        unreachable!("nobody asks")
    }
}

impl ProjectionListener for NoFloors {
    fn projected(&self, step: Projected<'_>) {
        let mut kept = self.kept.lock().unwrap();
        for changed in step.stocks {
            kept.0.remove(&changed.stock_id);
        }
        kept.1 = step.checkpoint;
    }

    fn rebuilt(&self, _: Position) {
        unreachable!("nothing is made anew")
    }
}
