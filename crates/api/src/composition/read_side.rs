//! From the log to the answers: what keeps the read models up to date, who hears of it, and the questions.

use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{EventLog, ProjectionListener, StockViews};
use inventory_application::{
    AcknowledgedLevels, CatchUp, CommandSender, ListCheckpoints, ListQueries, RecentEvents, StockCheckpoints,
    StockListCheckpoints, StockListQueries, StockQueries,
};
use inventory_cache::CachedStockViews;
use inventory_eventstore::Seen;
use inventory_messaging::InProcessBus;
use inventory_projections::digests::furthest;
use inventory_projections::{
    OpenError, ProjectionRunner, SqliteReadModels, low_stock, orders, product_inventory, reservations, stock_levels,
    transfers,
};
use inventory_resilience::ResilientLists;

use super::adapter_settings::{cache_settings, runner_settings};
use crate::settings::Settings;
use crate::telemetry::write_spans::WriteSpans;

/// The name of the read models' file in the data folder.
pub(crate) const READ_MODELS_FILE: &str = "read_models.db";

/// How far the read models are, before anything is opened for good; `None` where there are none.
///
/// # Errors
///
/// [`OpenError`] where that can't be read: they may be the only ones that know of lost events.
pub(crate) fn seen_by_read_models(path: &Path) -> Result<Option<Seen>, OpenError> {
    Ok(furthest(path)?.map(|position| Seen { by: path.to_owned(), position }))
}

/// What keeps the read models up to date, and the newest events that it takes from memory.
pub(super) fn project(
    event_log: Arc<dyn EventLog>,
    models: Arc<SqliteReadModels>,
    bus: InProcessBus,
    settings: &Settings,
) -> (Arc<RecentEvents>, ProjectionRunner) {
    let recent = Arc::new(RecentEvents::new(event_log, settings.projections.recent_events_max));
    let runner = ProjectionRunner::new(Arc::clone(&recent) as _, models, Arc::new(bus), runner_settings(settings));
    (recent, runner)
}

/// The cache in front of these views.
pub(super) fn cached(
    views: Arc<dyn StockViews>,
    acknowledged: &Arc<AcknowledgedLevels>,
    settings: &Settings,
) -> Arc<CachedStockViews> {
    Arc::new(CachedStockViews::new(views, Arc::clone(acknowledged), cache_settings(settings)))
}

/// Who hears of what was projected. The cache hears first: a level that is no longer acknowledged here must not be found old there.
pub(super) fn bus_to(
    cached_views: Arc<dyn ProjectionListener>,
    acknowledged: Arc<dyn ProjectionListener>,
    write_spans: Option<&Arc<WriteSpans>>,
) -> InProcessBus {
    let mut listeners = vec![cached_views, acknowledged];
    listeners.extend(write_spans.map(|spans| Arc::clone(spans) as _));
    InProcessBus::new(listeners)
}

/// The questions about levels, each with how far its own read model is.
pub(super) fn levels(
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

/// The lists: of things by the read models alone, of levels with what is acknowledged here.
pub(super) fn lists(
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
