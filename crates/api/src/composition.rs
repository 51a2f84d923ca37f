//! The composition root: the one place that knows which adapter stands behind which port.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{
    CommandObserver, CommitListener, EventLog, EventStore, ProjectionListener, StockViews, StoreError,
};
use inventory_application::{
    AcknowledgedLevels, CatchUp, CatchUpSettings, CommandLoop, CommandLoopSettings, CommandSender, EventFeed,
    EventFeedSettings, ExpiryProcess, ExpirySettings, HistoryQueries, ListCheckpoints, ListQueries, Position,
    RecentEvents, StockCheckpoints, StockListCheckpoints, StockListQueries, StockQueries,
};
use inventory_cache::{CacheSettings, CachedStockViews};
use inventory_eventstore::{DataFolder, DataFolderError, DroppedBatch, LostEvents, Seen};
use inventory_messaging::{CommitBus, InProcessBus};
use inventory_projections::digests::ReadModelFile;
use inventory_projections::{
    ProjectionControl, ProjectionRunner, ProjectionRunnerSettings, ReadModelSettings, SqliteReadModels, low_stock,
    orders, product_inventory, reservations, stock_levels, transfers,
};
use inventory_resilience::{
    BreakerSettings, BreakerState, CircuitBreaker, GuardedViews, ResilientEventStore, ResilientLists,
    ResilientStockViews, RetryPolicy, RetrySettings,
};
use slog::{Logger, error, warn};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::health::{Health, Part, PartCondition};
use crate::logging::Log;
use crate::logging::business_events::{BusinessEvents, BusinessEventsWriter};
use crate::logging::levels::{LogLevels, LogPart, part_log};
use crate::logging::projections::tell_of_projections;
use crate::metrics::node::Watched;
use crate::metrics::{Metrics, MetricsError, node};
use crate::opened_store::{OpenStoreError, OpenedStore, StoreControl, files_of, open_store};
use crate::server::Drain;
use crate::settings::Settings;
use crate::system::{SystemClock, TimeOrderedIds};
use crate::telemetry::write_spans::WriteSpans;
use crate::telemetry::{ExporterError, Telemetry};
use crate::wire::events::ServerSentEvents;

/// The name of the read models' file in the data folder.
pub(crate) const READ_MODELS_FILE: &str = "read_models.db";

/// What handlers and the command line work with.
pub struct Services {
    /// The way to the write side.
    pub commands: CommandSender,
    /// The read side.
    pub queries: StockQueries,
    /// The log's own answers.
    pub history: HistoryQueries,
    /// The log for those who follow it.
    pub feed: EventFeed,
    /// Lists of orders, transfers and reservations.
    pub lists: ListQueries,
    /// Lists of levels.
    pub stock_lists: StockListQueries,
    /// Where the log ended when the services were started.
    pub head_at_start: Position,
    /// What an operator may ask of the projections.
    pub projections: ProjectionControl,
    /// How the node is.
    pub health: Arc<Health>,
    /// Whether the node is going down.
    pub drain: Drain,
    /// What records traces.
    pub telemetry: Telemetry,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// How much is logged.
    pub log_levels: Arc<LogLevels>,
    /// The lines for what is committed.
    pub business_events: Arc<BusinessEvents>,
    background: Background,
}

/// What works behind the services, in the order in which it has to end.
struct Background {
    expiry: Worker,
    command_loop: Worker,
    projections: Worker,
    event_feed: Worker,
    business_log: BusinessEventsWriter,
    store: Arc<dyn StoreControl>,
}

/// Why the services can't be put together.
#[derive(Debug, Error)]
pub enum CompositionError {
    /// The data folder can't be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The event store can't be opened.
    #[error(transparent)]
    EventStore(#[from] OpenStoreError),
    /// The event store can't be read.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    EventLog(StoreError),
    /// The read models can't be opened.
    #[error("{path}: {source}", path = path.display())]
    ReadModels {
        /// Their file.
        path: PathBuf,
        /// Why.
        source: inventory_projections::OpenError,
    },
    /// The log was put back to an earlier state, and the read models were not.
    #[error(transparent)]
    LostEvents(#[from] LostEvents),
    /// Traces can't be recorded.
    #[error(transparent)]
    Telemetry(#[from] ExporterError),
    /// Something can't be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A thread can't be started.
    #[error("a thread can't be started: {0}")]
    Thread(#[from] io::Error),
}

/// Puts the services together and starts what works behind them.
///
/// # Errors
///
/// [`CompositionError`] says what can't be had.
pub async fn compose(settings: &Settings, lines: &Log) -> Result<Services, CompositionError> {
    let log = &lines.logger;
    let folder = Arc::new(DataFolder::open(&settings.data.dir)?);
    let path = folder.file(READ_MODELS_FILE);
    let seen = seen_by_read_models(&path);
    let store = open_store(Arc::clone(&folder), settings, Arc::new(SystemClock), seen.as_ref())?;
    let OpenedStore { events, log: event_log, history, control, dropped } = store;
    tell_of_dropped(dropped, log);
    let head = event_log.head().await.map_err(CompositionError::EventLog)?;
    let models = SqliteReadModels::open(&path, &read_model_settings(settings))
        .map_err(|source| CompositionError::ReadModels { path: path.clone(), source })?;

    let retry = RetryPolicy::new(retry_settings(settings));
    let store_breaker = Arc::new(CircuitBreaker::new(breaker_settings(settings)));
    let views_breaker = Arc::new(CircuitBreaker::new(breaker_settings(settings)));
    let resilient_store: Arc<dyn EventStore> =
        Arc::new(ResilientEventStore::new(events, Arc::clone(&store_breaker), retry));
    let guard = GuardedViews::new(Arc::clone(&views_breaker), retry);
    let resilient_views = ResilientStockViews::new(Arc::clone(&models) as Arc<dyn StockViews>, guard.clone());
    let resilient_lists = Arc::new(ResilientLists::new(Arc::clone(&models), guard));
    let acknowledged = Arc::new(AcknowledgedLevels::new(settings.reads.acknowledged_levels_max, head));
    let cached_views = cached(Arc::new(resilient_views), &acknowledged, settings);

    let telemetry = Telemetry::start(&settings.telemetry, &part_log(log, LogPart::Telemetry))?;
    let write_spans = telemetry.write_spans(settings.telemetry.unprojected_requests_max);

    let bus = bus_to(Arc::clone(&cached_views) as _, Arc::clone(&acknowledged) as _, write_spans.as_ref());
    let catch_up = CatchUp::new(Arc::clone(&event_log), catch_up_settings(settings));
    let appended = event_log.appended();
    let (feed, event_feed) = follow(Arc::clone(&event_log), settings, log)?;
    let (recent, runner) = project(event_log, Arc::clone(&models), bus, settings);
    let status = runner.status();
    let furthest = status().projections.iter().map(|projection| projection.checkpoint).max().unwrap_or_default();
    Seen { by: path, position: furthest }.check(&files_of(settings).path_in(&settings.data.dir), head)?;

    let metrics = Metrics::new()?;
    let (business_events, business_log) = BusinessEvents::start(&settings.log, Arc::clone(&lines.levels), log)?;
    let ports = CommandLoopPorts {
        store: Arc::clone(&resilient_store),
        reservations: Arc::clone(&models) as _,
        clock: Arc::new(SystemClock),
        ids: Arc::new(TimeOrderedIds),
        acknowledged: Arc::clone(&acknowledged),
        listener: commit_bus(recent, Arc::clone(&business_events) as _, Arc::new(feed.clone()), write_spans.as_ref()),
        observer: observers(metrics.commands(), write_spans.as_ref()),
    };
    let (commands, command_loop) = CommandLoop::new(ports, command_loop_settings(settings));
    let (lists, stock_lists) = lists(&runner, resilient_lists, Arc::clone(&acknowledged), &catch_up);
    let queries = levels(&runner, &cached_views, acknowledged, &commands, &catch_up);
    let closed_remembered = settings.command_loop.closed_reservations_remembered;
    let history = HistoryQueries::new(
        resilient_store,
        history,
        commands.clone(),
        Arc::new(SystemClock),
        catch_up,
        closed_remembered,
    );
    let expiry = ExpiryProcess::new(
        Arc::clone(&models) as _,
        commands.clone(),
        Arc::new(SystemClock),
        runner.checkpoint_of(reservations::NAME),
        expiry_settings(settings),
    );

    let drain = Drain::default();
    let breakers = vec![("event_store", Arc::clone(&store_breaker)), ("read_models", Arc::clone(&views_breaker))];
    let health = Arc::new(health(drain.clone(), Arc::clone(&control), store_breaker, views_breaker, status));
    let watched = Watched {
        commands: commands.clone(),
        head: Box::new(move || *appended.borrow()),
        projections: Arc::new(runner.status()),
        expiry: expiry.status(),
        cache: cached_views,
        breakers,
        feed: feed.clone(),
        telemetry: telemetry.clone(),
        health: Arc::clone(&health),
        drain: drain.clone(),
        business_events: Arc::clone(&business_events),
        dropped_lines: Arc::clone(&lines.dropped),
    };
    node::measure(&metrics, watched)?;

    let projections = runner.control();
    let background = Background::start(command_loop, runner, expiry, event_feed, business_log, control, log)?;
    Ok(Services {
        commands,
        queries,
        history,
        lists,
        feed,
        projections,
        stock_lists,
        head_at_start: head,
        health,
        drain,
        telemetry,
        metrics,
        log_levels: Arc::clone(&lines.levels),
        business_events,
        background,
    })
}

/// The questions about levels, each with how far its own read model is.
fn levels(
    runner: &ProjectionRunner,
    views: &Arc<CachedStockViews>,
    acknowledged: Arc<AcknowledgedLevels>,
    commands: &CommandSender,
    catch_up: &CatchUp,
) -> StockQueries {
    let checkpoints = StockCheckpoints {
        levels: runner.checkpoint_of(stock_levels::NAME),
        products: runner.checkpoint_of(product_inventory::NAME),
    };
    StockQueries::new(acknowledged, Arc::clone(views) as _, commands.clone(), checkpoints, catch_up.clone())
}

impl Background {
    fn start(
        command_loop: CommandLoop,
        runner: ProjectionRunner,
        expiry: ExpiryProcess,
        event_feed: Worker,
        business_log: BusinessEventsWriter,
        store: Arc<dyn StoreControl>,
        log: &Logger,
    ) -> io::Result<Self> {
        let told = (runner.control(), part_log(log, LogPart::Projections));
        let command_loop = Worker::start("command-loop", |stop| command_loop.run(stop))?;
        let projections = Worker::start("projections", move |stop| async move {
            let (control, log) = told;
            let watched = tell_of_projections(control, log);
            tokio::select! {
                () = runner.run(stop) => (),
                () = watched => (),
            }
        })?;
        let expiry_log = part_log(log, LogPart::Expiry);
        let expiry = Worker::start("expiry", move |stop| {
            expiry.run(stop, move |cause| warn!(expiry_log, "expiry_failed"; "cause" => cause))
        })?;
        Ok(Self { expiry, command_loop, projections, event_feed, business_log, store })
    }
}

/// The lists: of things by the read models alone, of levels with what is acknowledged here.
fn lists(
    runner: &ProjectionRunner,
    views: Arc<ResilientLists<SqliteReadModels>>,
    acknowledged: Arc<AcknowledgedLevels>,
    catch_up: &CatchUp,
) -> (ListQueries, StockListQueries) {
    let checkpoints = ListCheckpoints {
        orders: runner.checkpoint_of(orders::NAME),
        transfers: runner.checkpoint_of(transfers::NAME),
        reservations: runner.checkpoint_of(reservations::NAME),
    };
    let lists = ListQueries::new(Arc::clone(&views) as _, Arc::clone(&views) as _, checkpoints, catch_up.clone());
    let checkpoints = StockListCheckpoints {
        levels: runner.checkpoint_of(stock_levels::NAME),
        low: runner.checkpoint_of(low_stock::NAME),
    };
    (lists, StockListQueries::new(acknowledged, views, checkpoints, catch_up.clone()))
}

/// Says in the log that the event store has dropped its unfinished end, if it has.
fn tell_of_dropped(dropped: Option<DroppedBatch>, log: &Logger) {
    if let Some(DroppedBatch { file, offset, bytes }) = dropped {
        let file = file.display().to_string();
        warn!(log, "unfinished_batch_dropped"; "file" => file, "offset" => offset, "bytes" => bytes);
    }
}

/// The log for those who follow it.
fn follow(event_log: Arc<dyn EventLog>, settings: &Settings, log: &Logger) -> io::Result<(EventFeed, Worker)> {
    let (feed, broadcaster) = EventFeed::new(event_log, Arc::new(ServerSentEvents), event_feed_settings(settings));
    let log = part_log(log, LogPart::Events);
    let worker = Worker::start("event-feed", |stop| {
        broadcaster.run(stop, move |cause| warn!(log, "event_feed_failed"; "cause" => cause))
    })?;
    Ok((feed, worker))
}

/// What keeps the read models up to date, and the newest events that it takes from memory.
fn project(
    event_log: Arc<dyn EventLog>,
    models: Arc<SqliteReadModels>,
    bus: InProcessBus,
    settings: &Settings,
) -> (Arc<RecentEvents>, ProjectionRunner) {
    let recent = Arc::new(RecentEvents::new(event_log, settings.projections.recent_events_max));
    let runner = ProjectionRunner::new(Arc::clone(&recent) as _, models, Arc::new(bus), runner_settings(settings));
    (recent, runner)
}

/// Who hears of what was committed.
fn commit_bus(
    recent: Arc<dyn CommitListener>,
    business_events: Arc<dyn CommitListener>,
    feed: Arc<dyn CommitListener>,
    write_spans: Option<&Arc<WriteSpans>>,
) -> Arc<dyn CommitListener> {
    let mut listeners = vec![recent, business_events, feed];
    listeners.extend(write_spans.map(|spans| Arc::clone(spans) as _));
    Arc::new(CommitBus::new(listeners))
}

/// Who measures what the command loop does.
fn observers(metrics: Arc<dyn CommandObserver>, write_spans: Option<&Arc<WriteSpans>>) -> Arc<dyn CommandObserver> {
    let mut observers = vec![metrics];
    observers.extend(write_spans.map(|spans| Arc::clone(spans) as _));
    Arc::new(observers)
}

/// The cache in front of these views.
fn cached(
    views: Arc<dyn StockViews>,
    acknowledged: &Arc<AcknowledgedLevels>,
    settings: &Settings,
) -> Arc<CachedStockViews> {
    Arc::new(CachedStockViews::new(views, Arc::clone(acknowledged), cache_settings(settings)))
}

/// Who hears of what was projected. The cache hears first: a level that is no longer acknowledged here must not be found old there.
fn bus_to(
    cached_views: Arc<dyn ProjectionListener>,
    acknowledged: Arc<dyn ProjectionListener>,
    write_spans: Option<&Arc<WriteSpans>>,
) -> InProcessBus {
    let mut listeners = vec![cached_views, acknowledged];
    listeners.extend(write_spans.map(|spans| Arc::clone(spans) as _));
    InProcessBus::new(listeners)
}

/// How far the read models are, if that can be read before anything is opened for good.
pub(crate) fn seen_by_read_models(path: &Path) -> Option<Seen> {
    let position = ReadModelFile::open(path).and_then(|file| file.furthest()).ok()?;
    Some(Seen { by: path.to_owned(), position })
}

/// What the node's health is made of.
fn health(
    drain: Drain,
    store: Arc<dyn StoreControl>,
    store_breaker: Arc<CircuitBreaker>,
    views_breaker: Arc<CircuitBreaker>,
    status: impl Fn() -> inventory_projections::RunnerStatus + Send + Sync + 'static,
) -> Health {
    Health::new(
        drain,
        vec![
            part("event_store", move || match (store.is_poisoned(), store_breaker.state()) {
                (true, _) => PartCondition::Down("a commit has failed, the file is being checked"),
                (false, BreakerState::Open) => PartCondition::Down("too many calls have failed"),
                (false, BreakerState::Closed | BreakerState::HalfOpen) => {
                    store.is_degraded().map_or(PartCondition::Fine, |problem| PartCondition::Degraded(problem.into()))
                }
            }),
            part("read_models", move || match views_breaker.state() {
                BreakerState::Open => PartCondition::Degraded("too many calls have failed".into()),
                BreakerState::Closed | BreakerState::HalfOpen => PartCondition::Fine,
            }),
            part("projections", move || {
                let status = status();
                let stopped = status.projections.iter().filter(|projection| !projection.is_running());
                let stopped: Vec<&str> = stopped.map(|projection| projection.name).collect();
                if !stopped.is_empty() {
                    PartCondition::Degraded(format!("{} can't go on", stopped.join(", ")).into())
                } else if status.failure.is_some() {
                    PartCondition::Degraded("the log or the read models can't be reached".into())
                } else {
                    PartCondition::Fine
                }
            }),
        ],
    )
}

impl Services {
    /// Finishes what was accepted and closes the stores, the write side first.
    pub async fn close(self, log: &Logger) {
        let Background { expiry, command_loop, projections, event_feed, business_log, store } = self.background;
        expiry.stop(log).await;
        command_loop.stop(log).await;
        projections.stop(log).await;
        event_feed.stop(log).await;
        store.close().await; // Before the log, whose reader may take its time.
        self.business_events.close();
        business_log.finish(log);
        self.telemetry.close(log).await;
    }
}

/// A thread with a runtime of its own, and the way to end it.
struct Worker {
    name: &'static str,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start<F: Future<Output = ()>>(
        name: &'static str,
        work: impl FnOnce(Stopped) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let body = move || runtime.block_on(work(Box::pin(async move { drop(stopped.await) })));
        Ok(Self { name, stop, thread: thread::Builder::new().name(name.into()).spawn(body)? })
    }

    async fn stop(self, log: &Logger) {
        let Self { name, stop, thread } = self;
        stop.send(()).ok(); // Whoever has ended already needs no telling.
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            error!(log, "worker_ended_early"; "worker" => name);
        }
    }
}

/// Comes when a worker is to end.
type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn part(name: &'static str, condition: impl Fn() -> PartCondition + Send + Sync + 'static) -> Part {
    Part { name, condition: Box::new(condition) }
}

fn command_loop_settings(settings: &Settings) -> CommandLoopSettings {
    let section = &settings.command_loop;
    CommandLoopSettings {
        queue_commands_max: section.queue_commands_max,
        queue_wait_ms_max: section.queue_wait_ms_max,
        batch_commands_max: section.batch_commands_max,
        states_max: section.states_max,
        loads_max: section.loads_max,
        closed_reservations_remembered: section.closed_reservations_remembered,
        snapshot_every_events: section.snapshot_every_events,
        snapshot_reservations_max: section.snapshot_reservations_max,
        conflict_tries_max: section.conflict_tries_max,
        conflict_delay_ms_max: section.conflict_delay_ms_max,
    }
}

fn catch_up_settings(settings: &Settings) -> CatchUpSettings {
    let section = &settings.reads;
    CatchUpSettings { wait_ms_max: section.catch_up_ms_max, waiting_max: section.waiting_max }
}

pub(crate) fn read_model_settings(settings: &Settings) -> ReadModelSettings {
    let section = &settings.read_model;
    ReadModelSettings {
        readers_max: section.readers_max,
        reader_wait_ms_max: section.reader_wait_ms_max,
        cache_kib: section.cache_kib,
        checkpoint_ms: section.checkpoint_ms,
        wal_pages_max: section.wal_pages_max,
        list_rows_max: section.list_rows_max,
    }
}

pub(crate) fn runner_settings(settings: &Settings) -> ProjectionRunnerSettings {
    let section = &settings.projections;
    ProjectionRunnerSettings {
        page_events_max: section.page_events_max,
        catch_up_page_events_max: section.catch_up_page_events_max,
        linger_ms: section.linger_ms,
        poll_ms: section.poll_ms,
        retry_delay_ms_max: section.retry_delay_ms_max,
    }
}

fn event_feed_settings(settings: &Settings) -> EventFeedSettings {
    let section = &settings.events;
    EventFeedSettings {
        page_events_max: section.page_events_max,
        look_events_max: section.look_events_max,
        reads_max: section.reads_max,
        read_wait_ms_max: section.read_wait_ms_max,
        listeners_max: section.listeners_max,
        listener_bytes_max: section.listener_bytes_max,
        waiting_bytes_max: section.waiting_bytes_max,
        queue_batches_max: section.queue_batches_max,
        linger_ms: section.linger_ms,
        poll_ms: section.poll_ms,
    }
}

fn expiry_settings(settings: &Settings) -> ExpirySettings {
    let section = &settings.expiry;
    ExpirySettings {
        poll_ms: section.poll_ms,
        reservations_max: section.reservations_max,
        reservations_of_stock_max: section.reservations_of_stock_max,
        catch_up_ms_max: section.catch_up_ms_max,
    }
}

fn cache_settings(settings: &Settings) -> CacheSettings {
    let section = &settings.cache;
    // The settings' check has seen that neither is 0.
    let at_least_one = |given| NonZeroUsize::new(given).unwrap_or(NonZeroUsize::MIN);
    CacheSettings {
        entries_max: at_least_one(section.entries_max),
        ttl_ms: section.ttl_ms,
        stale_ms_max: section.stale_ms_max,
        floors_max: at_least_one(section.floors_max),
    }
}

fn breaker_settings(settings: &Settings) -> BreakerSettings {
    let section = &settings.resilience;
    BreakerSettings { failures_to_open: section.failures_to_open, open_for_ms: section.open_for_ms }
}

fn retry_settings(settings: &Settings) -> RetrySettings {
    let section = &settings.resilience;
    RetrySettings {
        tries_max: section.tries_max,
        first_delay_ms: section.first_delay_ms,
        delay_multiplier: section.delay_multiplier,
        delay_ms_max: section.delay_ms_max,
        jitter: section.jitter,
    }
}
