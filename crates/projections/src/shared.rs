//! What the lanes of the runner and those who ask it share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory_application::Position;
use inventory_application::ports::{ChangedStock, EventLog, Projected, ProjectionListener, RecordedEvent};
use tokio::sync::watch;

use crate::projection_runner::ProjectionRunnerSettings;
use crate::runner_status::RunnerStatus;
use crate::sqlite_read_models::SqliteReadModels;
use crate::{product_inventory, stock_levels};

/// What listeners are told of: the levels.
const LEVELS: [&str; 2] = [stock_levels::NAME, product_inventory::NAME];

pub(crate) struct Shared {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) models: Arc<SqliteReadModels>,
    pub(crate) listener: Arc<dyn ProjectionListener>,
    pub(crate) settings: ProjectionRunnerSettings,
    status: Mutex<RunnerStatus>,
    watches: Mutex<Vec<Watch>>,
    /// Held for a page, from its transaction to the last listener: they come one after the other, and in turn, so a projection
    /// that is made anew doesn't keep the others waiting for longer than a page of it.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Counts up when a projection stops or goes on, when a rebuild begins or ends, and when one is elsewhere than it was.
    pub(crate) interventions: watch::Sender<u64>,
}

/// Who waits for some of the projections.
struct Watch {
    names: Vec<&'static str>,
    slowest: watch::Sender<Position>,
}

impl Shared {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        models: Arc<SqliteReadModels>,
        listener: Arc<dyn ProjectionListener>,
        settings: ProjectionRunnerSettings,
        status: RunnerStatus,
    ) -> Self {
        Self {
            log,
            models,
            listener,
            settings,
            status: Mutex::new(status),
            watches: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            interventions: watch::Sender::new(0),
        }
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, RunnerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status as of now: the log may have gone on since it was last read.
    pub(crate) fn status_now(&self) -> RunnerStatus {
        let head = *self.log.appended().borrow();
        let mut status = self.status().clone();
        status.head = status.head.max(head);
        for one in &mut status.projections {
            one.lag_events = status.head.0.saturating_sub(one.checkpoint.0);
        }
        status
    }

    /// Follows the slowest of the projections of these names.
    pub(crate) fn watch(&self, names: Vec<&'static str>) -> watch::Receiver<Position> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = watch::Sender::new(slowest_of(&self.status(), &names));
        let receiver = slowest.subscribe();
        watches.push(Watch { names, slowest });
        receiver
    }

    /// Has every lane look again at what there is to do.
    pub(crate) fn intervene(&self) {
        self.interventions.send_modify(|count| *count += 1);
    }

    /// Does something with the read models, on a thread that may wait.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SqliteReadModels) -> T + Send + 'static,
    ) -> Result<T, String> {
        let models = Arc::clone(&self.models);
        self.models.disk_work.run(move || work(&models)).await.map_err(|error| error.to_string())
    }

    /// Has the write-ahead log taken into the file, where it is time; nobody waits for it.
    pub(crate) fn keep_log_short(&self) {
        let short_log = Arc::clone(&self.models.short_log);
        if short_log.is_due() {
            self.models.disk_work.start(move || short_log.keep());
        }
    }

    /// Tells everybody that the projections of `moved` have taken a step over these events.
    pub(crate) fn tell(&self, events: &[RecordedEvent], moved: &[&'static str]) {
        if moved.iter().any(|name| LEVELS.contains(name)) {
            let changed =
                |event: &RecordedEvent| Some(ChangedStock { stock_id: event.stream.stock_id()?, last: event.position });
            let mut stocks: Vec<ChangedStock> = events.iter().filter_map(changed).collect();
            stocks.sort_unstable();
            // Of those that are alike the later one stays.
            stocks.dedup_by(|later, kept| {
                let is_same = later.stock_id == kept.stock_id;
                if is_same {
                    kept.last = later.last;
                }
                is_same
            });
            self.listener.projected(Projected { checkpoint: self.levels(), stocks: &stocks });
        }
        self.tell_watches();
    }

    /// Tells everybody that tables were made anew: any row may be another one.
    pub(crate) fn tell_rebuilt(&self) {
        self.listener.rebuilt(self.levels());
        self.tell_watches();
    }

    /// How far the slower of the read models of levels is.
    fn levels(&self) -> Position {
        slowest_of(&self.status(), &LEVELS)
    }

    fn tell_watches(&self) {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for Watch { names, slowest } in &*watches {
            let now = slowest_of(&self.status(), names);
            slowest.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
    }
}

fn slowest_of(status: &RunnerStatus, names: &[&'static str]) -> Position {
    let wanted = status.projections.iter().filter(|one| names.contains(&one.name));
    wanted.map(|one| one.checkpoint).min().unwrap_or_default()
}
