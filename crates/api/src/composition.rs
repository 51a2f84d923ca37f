//! The composition root: the one place that knows which adapter stands behind which port.
//!
//! In reading order: [`compose`], `read_side` (from the log to the answers), `background` (what works behind the services), `health`,
//! `adapter_settings`, `error`.

mod adapter_settings;
mod background;
mod error;
mod health;
mod read_side;

use std::io;
use std::sync::Arc;

use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{CommandObserver, CommitListener, EventLog, EventStore, StockViews};
use inventory_application::{
    AcknowledgedLevels, CatchUp, CommandLoop, CommandSender, EventFeed, ExpiryProcess, HistoryQueries, ListQueries,
    Position, StockListQueries, StockQueries,
};
use inventory_eventstore::{DataFolder, DroppedBatch, Seen};
use inventory_messaging::CommitBus;
use inventory_projections::{ProjectionControl, SqliteReadModels, reservations};
use inventory_resilience::{
    CircuitBreaker, GuardedViews, ResilientEventStore, ResilientLists, ResilientStockViews, RetryPolicy,
};
use slog::{Logger, error, warn};

use self::adapter_settings::{
    breaker_settings, catch_up_settings, command_loop_settings, event_feed_settings, expiry_settings, retry_settings,
};
use self::background::{Background, Worker};
use self::health::health_of;
use self::read_side::{bus_to, cached, levels, lists, project};
use crate::health::Health;
use crate::logging::Log;
use crate::logging::business_events::BusinessEvents;
use crate::logging::levels::{LogLevels, LogPart, part_log};
use crate::metrics::node::Watched;
use crate::metrics::{Metrics, node};
use crate::opened_store::{OpenedStore, StoreControl, files_of, open_store};
use crate::server::Drain;
use crate::settings::Settings;
use crate::system::{SystemClock, TimeOrderedIds};
use crate::telemetry::Telemetry;
use crate::telemetry::write_spans::WriteSpans;
use crate::wire::events::ServerSentEvents;

pub(crate) use self::adapter_settings::{read_model_settings, runner_settings};
pub use self::error::CompositionError;
pub(crate) use self::read_side::{READ_MODELS_FILE, seen_by_read_models};

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

impl Services {
    /// Finishes what was accepted and closes the stores, the write side first.
    pub async fn close(self, log: &Logger) {
        self.background.stop(&self.business_events, log).await;
        self.telemetry.close(log).await;
    }
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
    let unreadable = |source| CompositionError::ReadModels { path: path.clone(), source };
    let seen = seen_by_read_models(&path).map_err(unreadable)?;
    let store = open_store(Arc::clone(&folder), settings, Arc::new(SystemClock), seen.as_ref())?;
    let OpenedStore { events, log: event_log, history, control, dropped } = store;
    tell_of_dropped(dropped, log);
    tell_of_failures(&*control, log);
    let head = event_log.head().await.map_err(CompositionError::EventLog)?;
    let models = SqliteReadModels::open(&path, &read_model_settings(settings)).map_err(unreadable)?;

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
    let health = Arc::new(health_of(drain.clone(), Arc::clone(&control), store_breaker, views_breaker, status));
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

/// Says in the log what fails in the event store and is nobody's answer, for as long as it is open.
fn tell_of_failures(store: &dyn StoreControl, log: &Logger) {
    let (mut failure, log) = (store.failure(), log.clone());
    tokio::spawn(async move {
        while failure.changed().await.is_ok() {
            if let Some(failure) = &*failure.borrow_and_update() {
                error!(log, "event_store_failed"; "cause" => failure.as_ref());
            }
        }
    });
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
