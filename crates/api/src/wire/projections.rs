//! How the projections are, as an operator sees it.

use inventory_domain::Timestamp;
use inventory_projections::{ProjectionStatus, Rebuild, RunnerStatus};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use super::schemas;

/// Every projection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projections)]
pub struct ProjectionsBody {
    items: Vec<ProjectionBody>,
}

/// A projection: it follows the log, and keeps a read model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projection)]
pub struct ProjectionBody {
    name: &'static str,
    /// `running`, or `stopped` at an event that it can't apply.
    #[schema(schema_with = state)]
    state: &'static str,
    /// Events up to here are in its read model.
    position: u64,
    /// Where the log ends.
    head: u64,
    /// Events that are not in its read model yet.
    lag_events: u64,
    /// How long the oldest of them has waited, about.
    lag_seconds: f64,
    /// Why it has stopped.
    stopped_because: Option<String>,
    /// The last time since the start that the read model was made anew.
    rebuild: Option<RebuildBody>,
}

/// What becomes of a read model that is made anew, or has become of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rebuild)]
pub struct RebuildBody {
    /// `running`; `done`: the new tables serve; `failed`: the old ones do.
    #[schema(schema_with = rebuild_state)]
    state: &'static str,
    /// Events up to here are in the new tables.
    position: Option<u64>,
    /// Why it came to nothing.
    failed_because: Option<String>,
}

const STATES: [(&str, ()); 2] = [("running", ()), ("stopped", ())];

fn state() -> ObjectBuilder {
    schemas::choice(&STATES)
}

fn rebuild_state() -> ObjectBuilder {
    schemas::choice(&[("running", ()), ("done", ()), ("failed", ())])
}

impl ProjectionsBody {
    /// All of them.
    #[must_use]
    pub fn new(status: &RunnerStatus, now: Timestamp) -> Self {
        Self { items: status.projections.iter().map(|one| ProjectionBody::new(status, one, now)).collect() }
    }
}

impl ProjectionBody {
    /// One of them.
    #[must_use]
    pub fn new(status: &RunnerStatus, projection: &ProjectionStatus, now: Timestamp) -> Self {
        let [(running, ()), (stopped, ())] = STATES;
        Self {
            name: projection.name,
            state: if projection.is_running() { running } else { stopped },
            position: projection.checkpoint.0,
            head: status.head.0,
            lag_events: projection.lag_events,
            lag_seconds: status.lag(projection, now).as_secs_f64(),
            stopped_because: projection.stopped.clone(),
            rebuild: projection.rebuild.as_ref().map(RebuildBody::new),
        }
    }
}

impl RebuildBody {
    fn new(rebuild: &Rebuild) -> Self {
        match rebuild {
            Rebuild::Running { position } => {
                Self { state: "running", position: Some(position.0), failed_because: None }
            }
            Rebuild::Done { position } => Self { state: "done", position: Some(position.0), failed_because: None },
            Rebuild::Failed { reason } => {
                Self { state: "failed", position: None, failed_because: Some(reason.clone()) }
            }
        }
    }
}
