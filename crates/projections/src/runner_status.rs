//! How the runner and each projection are.

use std::time::Duration;

use inventory_application::Position;
use inventory_domain::Timestamp;
use tokio::time::Instant;

/// How the runner is.
#[derive(Clone, Debug, Default)]
pub struct RunnerStatus {
    /// Each projection.
    pub projections: Vec<ProjectionStatus>,
    /// Where the log ends, as far as is known here.
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
    /// Events that it has gone past since the start; those of a rebuild are not counted.
    pub events_passed: u64,
    /// Those of them in streams that it reads, whether or not they change it.
    pub events_applied: u64,
    /// Events that it hasn't applied yet.
    pub lag_events: u64,
    /// When about the oldest of them was recorded, where one of them has been read.
    pub oldest_unapplied: Option<Timestamp>,
    /// What has become of the last time that it was made anew, since the start.
    pub rebuild: Option<Rebuild>,
}

/// A read model is made anew, or was, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// It is on its way.
    Running {
        /// Events up to here are in the new table.
        position: Position,
    },
    /// The new table serves.
    Done {
        /// How far it was when it began to.
        position: Position,
    },
    /// The old table serves on.
    Failed {
        /// Why.
        reason: String,
    },
}

impl RunnerStatus {
    /// How long the oldest event that `projection` lacks has waited for it, about.
    #[must_use]
    pub fn lag(&self, projection: &ProjectionStatus, now: Timestamp) -> Duration {
        if projection.lag_events == 0 {
            return Duration::ZERO;
        }
        let since_recorded = projection.oldest_unapplied.map(|recorded_at| {
            let millis = now.millis().saturating_sub(recorded_at.millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        });
        since_recorded.or_else(|| self.behind_since.map(|since| since.elapsed())).unwrap_or_default()
    }

    /// The projection of this name.
    #[must_use]
    pub fn projection(&self, name: &str) -> Option<&ProjectionStatus> {
        self.projections.iter().find(|projection| projection.name == name)
    }
}

impl ProjectionStatus {
    pub(crate) fn new(name: &'static str, checkpoint: Position) -> Self {
        let (events_passed, events_applied, lag_events) = (0, 0, 0);
        let (stopped, oldest_unapplied, rebuild) = (None, None, None);
        Self { name, checkpoint, stopped, events_passed, events_applied, lag_events, oldest_unapplied, rebuild }
    }

    /// Whether it goes on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.stopped.is_none()
    }

    /// Whether it is being made anew.
    #[must_use]
    pub fn is_rebuilt_now(&self) -> bool {
        matches!(self.rebuild, Some(Rebuild::Running { .. }))
    }
}
