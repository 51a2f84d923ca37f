//! Says in the log what becomes of the projections.

use std::time::Duration;

use inventory_projections::{ProjectionControl, ProjectionStatus, Rebuild, RunnerStatus};
use slog::{Logger, error, info, warn};

/// How often their status is looked at where they don't say that something has changed.
const STATUS_LOOK: Duration = Duration::from_secs(1);

/// Looks at the projections and says, once each, who has stopped or goes on, what was made anew, and what can't be read or written.
pub async fn tell_of_projections(projections: ProjectionControl, log: Logger) {
    let mut changes = projections.changes();
    let mut before = RunnerStatus::default();
    loop {
        changes.borrow_and_update();
        let now = projections.status();
        for projection in &now.projections {
            tell(before.projection(projection.name), projection, &log);
        }
        if let Some(cause) = now.failure.as_ref().filter(|_| now.failure != before.failure) {
            warn!(log, "projection_failed"; "cause" => cause);
        }
        before = now;
        // Whether something has changed or the time is over: it is looked at.
        drop(tokio::time::timeout(STATUS_LOOK, changes.changed()).await);
    }
}

fn tell(before: Option<&ProjectionStatus>, now: &ProjectionStatus, log: &Logger) {
    let (name, checkpoint) = (now.name, now.checkpoint.0);
    match (before.and_then(|before| before.stopped.as_ref()), &now.stopped) {
        (None, Some(cause)) => error!(log, "projection_stopped"; "projection" => name, "cause" => cause),
        (Some(_), None) => info!(log, "projection_goes_on"; "projection" => name, "position" => checkpoint),
        (Some(_), Some(_)) | (None, None) => (),
    }
    let was_running = before.is_some_and(ProjectionStatus::is_rebuilt_now);
    match &now.rebuild {
        Some(Rebuild::Running { .. }) if !was_running => info!(log, "rebuild_begun"; "projection" => name),
        Some(Rebuild::Running { .. }) | None => (),
        rebuild if before.is_some_and(|before| before.rebuild == *rebuild) => (),
        Some(Rebuild::Done { position }) => {
            info!(log, "rebuild_done"; "projection" => name, "position" => position.0);
        }
        Some(Rebuild::Failed { reason }) => error!(log, "rebuild_failed"; "projection" => name, "cause" => reason),
    }
}
