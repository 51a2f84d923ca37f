//! Follows the log from the checkpoints on, a page at a time, and tells whoever listens.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inventory_application::Position;
use inventory_application::ports::{EventLog, Projected, ProjectionListener, RecordedEvent};
use inventory_domain::StockId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::projection::ProjectionError;
use crate::sqlite_read_models::{Applied, SqliteReadModels};

/// The first wait before a failed read or write is tried again; it doubles up to the setting.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// The runner's bounds.
#[derive(Clone, Copy, Debug)]
pub struct ProjectionRunnerSettings {
    /// Events in one page, and so in one transaction, at most.
    pub page_events_max: usize,
    /// How long events gather before a page is read, in milliseconds: small pages cost the writes more.
    pub linger_ms: u64,
    /// How often the log is looked at when no hint comes, in milliseconds.
    pub poll_ms: u64,
    /// The longest wait before a failed read or write is tried again, in milliseconds.
    pub retry_delay_ms_max: u64,
}

/// How the runner is.
#[derive(Clone, Debug, Default)]
pub struct RunnerStatus {
    /// Each projection: its name, how far it is, and why it has stopped, if it has.
    pub projections: Vec<ProjectionStatus>,
    /// Where the log ended when it was last looked at.
    pub head: Position,
    /// Since when the slowest running projection has been behind the head; `None` when it isn't.
    pub behind_since: Option<Instant>,
    /// Why the last read or write failed, where it did.
    pub failure: Option<String>,
}

/// How one projection is.
#[derive(Clone, Debug)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// How far it is.
    pub checkpoint: Position,
    /// Why it has stopped, if it has.
    pub stopped: Option<String>,
}

/// Follows the log. It works in [`ProjectionRunner::run`]; its status and its checkpoint can be had at any time.
pub struct ProjectionRunner {
    log: Arc<dyn EventLog>,
    models: Arc<SqliteReadModels>,
    listener: Arc<dyn ProjectionListener>,
    settings: ProjectionRunnerSettings,
    status: Arc<Mutex<RunnerStatus>>,
    checkpoint: watch::Sender<Position>,
    /// How far each projection is, in the order of the status.
    checkpoints: Vec<watch::Sender<Position>>,
}

impl ProjectionRunner {
    /// A runner that does nothing yet.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        models: Arc<SqliteReadModels>,
        listener: Arc<dyn ProjectionListener>,
        settings: ProjectionRunnerSettings,
    ) -> Self {
        let checkpoints = models.checkpoints();
        let lowest = checkpoints.iter().copied().min().unwrap_or_default();
        let each = checkpoints.iter().map(|checkpoint| watch::Sender::new(*checkpoint)).collect();
        let projections = models.names().iter().zip(checkpoints);
        let projections = projections.map(|(&name, checkpoint)| ProjectionStatus { name, checkpoint, stopped: None });
        let status = RunnerStatus { projections: projections.collect(), ..RunnerStatus::default() };
        let (status, checkpoint) = (Arc::new(Mutex::new(status)), watch::Sender::new(lowest));
        Self { log, models, listener, settings, status, checkpoint, checkpoints: each }
    }

    /// How it is, now and later.
    pub fn status(&self) -> impl Fn() -> RunnerStatus + Send + Sync + use<> {
        let status = Arc::clone(&self.status);
        move || lock(&status).clone()
    }

    /// How far the slowest projection is: every read model has every event up to there.
    #[must_use]
    pub fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    /// How far the projection with this name is; a name that none has never gets anywhere.
    #[must_use]
    pub fn checkpoint_of(&self, name: &str) -> watch::Receiver<Position> {
        let place = lock(&self.status).projections.iter().position(|one| one.name == name);
        place.map_or_else(|| watch::channel(Position::START).1, |place| self.checkpoints[place].subscribe())
    }

    /// Follows the log until `stop` comes, and finishes the page in work.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, mut stopped) = watch::channel(false);
        let follow = async {
            self.follow(&mut stopped).await;
        };
        let mut stop = pin!(stop);
        let mut follow = pin!(follow);
        tokio::select! {
            () = &mut follow => (),
            () = &mut stop => {
                stopping.send_replace(true);
                follow.await;
            }
        }
    }

    async fn follow(&self, stop: &mut watch::Receiver<bool>) {
        let mut hint = self.log.appended();
        let linger = Duration::from_millis(self.settings.linger_ms);
        let mut retry_delay = RETRY_DELAY_MIN;
        while !*stop.borrow() {
            // Marked as seen before the log is read: what comes after the read wakes the wait below.
            let head = *hint.borrow_and_update();
            match self.step(head).await {
                Ok(Progress::FullPage) => retry_delay = RETRY_DELAY_MIN,
                Ok(Progress::Page) => {
                    retry_delay = RETRY_DELAY_MIN;
                    unless_stopped(stop, sleep(linger)).await;
                }
                Ok(Progress::CaughtUp) => {
                    retry_delay = RETRY_DELAY_MIN;
                    let poll = Duration::from_millis(self.settings.poll_ms);
                    // A writer that has gone gives no more hints; polling goes on.
                    let wait = async {
                        match timeout(poll, hint.changed()).await {
                            Ok(Ok(())) => sleep(linger).await,
                            Ok(Err(_)) => sleep(poll).await,
                            Err(_) => (),
                        }
                    };
                    unless_stopped(stop, wait).await;
                }
                Err(failure) => {
                    lock(&self.status).failure = Some(failure);
                    unless_stopped(stop, sleep(retry_delay)).await;
                    let longest = Duration::from_millis(self.settings.retry_delay_ms_max);
                    retry_delay = (retry_delay * 2).min(longest.max(RETRY_DELAY_MIN));
                }
            }
        }
    }

    /// Reads a page and applies it.
    async fn step(&self, head: Position) -> Result<Progress, String> {
        let (after, running) = {
            let status = lock(&self.status);
            let of_running = status.projections.iter().filter(|one| one.stopped.is_none());
            let after = of_running.map(|one| one.checkpoint).min();
            (after, status.projections.iter().map(|one| one.stopped.is_none()).collect::<Vec<bool>>())
        };
        let Some(after) = after else { return Ok(Progress::CaughtUp) }; // All have stopped.
        let events = self.log.read(after, self.settings.page_events_max).await.map_err(|error| error.to_string())?;
        if events.is_empty() {
            let mut status = lock(&self.status);
            (status.head, status.behind_since, status.failure) = (after, None, None);
            return Ok(Progress::CaughtUp);
        }
        let is_full = events.len() >= self.settings.page_events_max;
        self.note_head(head.max(events.last().map_or(head, |event| event.position)));
        let (models, events) = (Arc::clone(&self.models), Arc::new(events));
        let page = Arc::clone(&events);
        let applied = spawn_blocking(move || models.apply(after, &page, &running));
        let results = applied.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.announce(&events, results);
        Ok(if is_full { Progress::FullPage } else { Progress::Page })
    }

    fn note_head(&self, head: Position) {
        let mut status = lock(&self.status);
        status.head = status.head.max(head);
        status.behind_since.get_or_insert_with(Instant::now);
    }

    /// Takes down what became of the page, then tells everybody.
    fn announce(&self, events: &[RecordedEvent], results: Vec<Applied>) {
        let reached: Vec<Position> = {
            let mut status = lock(&self.status);
            let mut failure = None;
            for (one, result) in status.projections.iter_mut().zip(results) {
                match result {
                    Ok(checkpoint) => one.checkpoint = checkpoint,
                    Err(error @ (ProjectionError::Inapplicable { .. } | ProjectionError::OwnershipLost(_))) => {
                        one.stopped = Some(error.to_string());
                    }
                    Err(ProjectionError::Unavailable(error)) => failure = Some(error.to_string()),
                }
            }
            status.failure = failure;
            let of_running = status.projections.iter().filter(|one| one.stopped.is_none());
            if of_running.map(|one| one.checkpoint).min().is_none_or(|slowest| slowest >= status.head) {
                status.behind_since = None;
            }
            status.projections.iter().map(|one| one.checkpoint).collect()
        };
        let lowest = reached.iter().copied().min().unwrap_or_default();
        let mut stocks: Vec<StockId> = events.iter().filter_map(|event| event.stream.stock_id()).collect();
        stocks.sort_unstable();
        stocks.dedup();
        self.listener.projected(Projected { checkpoint: lowest, stocks: &stocks });
        self.checkpoint.send_replace(lowest);
        for (checkpoint, reached) in self.checkpoints.iter().zip(reached) {
            checkpoint.send_if_modified(|before| std::mem::replace(before, reached) != reached);
        }
    }
}

/// What a step has found.
enum Progress {
    /// As many events as it asked for: there may be more at once.
    FullPage,
    /// Fewer.
    Page,
    /// None.
    CaughtUp,
}

async fn unless_stopped(stop: &mut watch::Receiver<bool>, wait: impl Future<Output = ()>) {
    tokio::select! {
        () = wait => (),
        // An error means that nobody can stop it any more; it goes on until it is dropped.
        Ok(_) = stop.wait_for(|is_stopping| *is_stopping) => (),
    }
}

fn lock(status: &Mutex<RunnerStatus>) -> MutexGuard<'_, RunnerStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
