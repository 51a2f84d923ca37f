//! Follows the log from the checkpoints on, a page at a time, and tells whoever listens.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{EventLog, ProjectionListener};
use tokio::sync::{mpsc, watch};

use crate::following::Lane;
use crate::projection_control::ProjectionControl;
use crate::runner_status::{ProjectionStatus, RunnerStatus};
use crate::shared::Shared;
use crate::sqlite_read_models::SqliteReadModels;

/// The runner's bounds.
#[derive(Clone, Copy, Debug)]
pub struct ProjectionRunnerSettings {
    /// Events in one page, and so in one transaction, at most.
    pub page_events_max: usize,
    /// Likewise for one that catches up, or is made anew, while the others go on: they wait for so many.
    pub catch_up_page_events_max: usize,
    /// How long events gather before a page is read, in milliseconds: small pages cost the writes more.
    pub linger_ms: u64,
    /// How often the log is looked at when no hint comes, in milliseconds.
    pub poll_ms: u64,
    /// The longest wait before a failed read or write is tried again, in milliseconds.
    pub retry_delay_ms_max: u64,
}

/// Follows the log. It works in [`ProjectionRunner::run`]; its status and its checkpoints can be had at any time.
pub struct ProjectionRunner {
    shared: Arc<Shared>,
    rebuilds: mpsc::Receiver<Vec<usize>>,
    control: ProjectionControl,
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
        let projections = models.names().iter().zip(models.checkpoints());
        let projections = projections.map(|(name, checkpoint)| ProjectionStatus::new(name, checkpoint)).collect();
        let status = RunnerStatus { projections, ..RunnerStatus::default() };
        let shared = Arc::new(Shared::new(log, models, listener, settings, status));
        let (asked, rebuilds) = mpsc::channel(1); // One at a time: the status says whether one is on its way.
        let control = ProjectionControl::new(Arc::clone(&shared), asked);
        Self { shared, rebuilds, control }
    }

    /// How it is, now and later.
    pub fn status(&self) -> impl Fn() -> RunnerStatus + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.status_now()
    }

    /// How far the slowest projection is: every read model has every event up to there.
    #[must_use]
    pub fn checkpoint(&self) -> watch::Receiver<Position> {
        self.shared.watch(self.shared.models.names().to_vec())
    }

    /// How far the projection with this name is; a name that none has never gets anywhere.
    #[must_use]
    pub fn checkpoint_of(&self, name: &'static str) -> watch::Receiver<Position> {
        self.shared.watch(vec![name])
    }

    /// The way to have a read model made anew, or to have a projection that has stopped try again.
    #[must_use]
    pub fn control(&self) -> ProjectionControl {
        self.control.clone()
    }

    /// Follows the log until `stop` comes, and finishes the page in work. A read model that is being made anew then is given
    /// up; what there is of it is cleared away when the read models are next opened.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { shared, rebuilds, control } = self;
        drop(control); // Where nobody else has one, nobody will ask.
        let (stopping, stopped) = watch::channel(false);
        let lanes = async {
            tokio::join!(shared.follow(Lane::Front, stopped.clone()), shared.follow(Lane::Behind, stopped.clone()))
        };
        let (mut stop, mut lanes) = (pin!(stop), pin!(lanes));
        let mut rebuilds = Box::pin(shared.rebuild_what_is_asked(rebuilds));
        tokio::select! {
            biased;
            _ = &mut lanes => (),
            () = &mut rebuilds => (), // It never ends.
            () = &mut stop => {
                stopping.send_replace(true);
                drop(rebuilds); // It may have the turn that the last page waits for.
                lanes.await;
            }
        }
    }
}
