//! `inventory rebuild`: makes read models anew from the log, on a data folder that no service uses.

use std::sync::Arc;
use std::time::Duration;

use inventory_application::Position;
use inventory_application::ports::{Projected, ProjectionListener};
use inventory_eventstore::DataFolder;
use inventory_projections::{ControlError, ProjectionControl, ProjectionRunner, Rebuild, SqliteReadModels};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::MaintenanceError;
use crate::composition::{READ_MODELS_FILE, read_model_settings, runner_settings, seen_by_read_models};
use crate::opened_store::{OpenedStore, open_store};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::system::SystemClock;

/// How often the bar moves.
const LOOK: Duration = Duration::from_millis(100);

/// Makes the read model of this name anew, or all of them in one pass over the log; returns how far they are then.
///
/// What is cut off changes nothing: the present tables stay until new ones take their place in one transaction.
///
/// # Errors
///
/// [`MaintenanceError`] says what can't be had, or what doesn't fit.
pub async fn rebuild(
    settings: &Settings,
    name: Option<&str>,
    progress: Progress,
) -> Result<Position, MaintenanceError> {
    super::open_events(settings)?; // There has to be a log; none is made.
    let folder = Arc::new(DataFolder::open(&settings.data.dir)?);
    let path = folder.file(READ_MODELS_FILE);
    let seen = seen_by_read_models(&path).map_err(MaintenanceError::sqlite(&path))?;
    let store = open_store(Arc::clone(&folder), settings, Arc::new(SystemClock), seen.as_ref())?;
    let OpenedStore { log, control: store, .. } = store;
    let models = SqliteReadModels::open(&path, &read_model_settings(settings));
    let models = models.map_err(MaintenanceError::sqlite(&path))?;
    let names = match name {
        Some(name) => vec![name],
        None => models.names().to_vec(),
    };
    let mut bounds = runner_settings(settings);
    bounds.catch_up_page_events_max = bounds.page_events_max; // Nobody waits meanwhile.
    let runner = ProjectionRunner::new(log, Arc::clone(&models), Arc::new(Nobody), bounds);
    let control = runner.control();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = actix_web::rt::spawn(runner.run(async { drop(stopped.await) }));
    let done = match control.rebuild(&names) {
        Ok(()) => Ok(follow(&control, &names, progress).await),
        Err(refused) => Err(refused),
    };
    drop(stop);
    drop(running.await);
    store.close().await;
    let failed = |reason: String| MaintenanceError::Rebuild(reason);
    match done.map_err(|refused: ControlError| failed(refused.to_string()))? {
        Ok(position) => Ok(position),
        Err(reason) => Err(failed(reason)),
    }
}

/// Moves the bar until it is done, or has failed.
async fn follow(control: &ProjectionControl, names: &[&str], progress: Progress) -> Result<Position, String> {
    let phase = progress.phase("Read models", control.status().head.0);
    loop {
        let status = control.status();
        match status.projection(names[0]).and_then(|one| one.rebuild.clone()) {
            Some(Rebuild::Running { position }) => phase.set(position.0, status.head.0),
            Some(Rebuild::Done { position }) => return Ok(position),
            Some(Rebuild::Failed { reason }) => return Err(reason),
            None => (),
        }
        sleep(LOOK).await;
    }
}

/// Nobody keeps copies of rows here.
struct Nobody;

impl ProjectionListener for Nobody {
    fn projected(&self, _: Projected<'_>) {}

    fn rebuilt(&self, _: Position) {}
}
