//! What the command loop tells of itself.

use std::sync::{Arc, OnceLock};

use inventory_application::ports::{
    AppendEnd, CommandKind, CommandObserver, CommandOutcome, ObservedBatch, ObservedCommand,
};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::{MetricsError, number};

/// Groups in a batch: powers of four up to the largest batch by default.
const BATCH_BOUNDS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 8_192.0];

/// Seconds in the write side: a commit takes about a millisecond on a disk that keeps its word.
const TIME_BOUNDS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Counts commands and batches. The command loop alone writes to it, so nobody waits for anybody.
pub struct CommandMetrics {
    by_kind_and_outcome: IntCounterVec,
    /// The same, found without a look-up, as far as they were needed.
    commands: [[OnceLock<IntCounter>; CommandOutcome::ALL.len()]; CommandKind::ALL.len()],
    queue_wait: Histogram,
    batch_groups: Histogram,
    deciding: Histogram,
    appending: Histogram,
    events: IntCounter,
    conflicts: IntCounter,
    retries: IntCounter,
    failed_appends: IntCounterVec,
}

impl CommandMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Arc<Self>, MetricsError> {
        let by_kind_and_outcome = Opts::new("inventory_commands_total", "Commands by kind and by what became of them.");
        let by_kind_and_outcome = IntCounterVec::new(by_kind_and_outcome, &["kind", "outcome"])?;
        registry.register(Box::new(by_kind_and_outcome.clone()))?;
        let failed_appends = Opts::new(
            "inventory_append_failures_total",
            "Batches that the event store has failed on, by how it failed.",
        );
        let failed_appends = IntCounterVec::new(failed_appends, &["end"])?;
        registry.register(Box::new(failed_appends.clone()))?;
        for end in [AppendEnd::Unavailable, AppendEnd::OutcomeUnknown, AppendEnd::Damaged] {
            failed_appends.with_label_values(&[name_of(end)]); // So that the first failure shows as a rise from 0.
        }
        let histogram = |name: &str, help: &str, bounds: &[f64]| -> Result<Histogram, MetricsError> {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, MetricsError> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Arc::new(Self {
            by_kind_and_outcome,
            commands: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            queue_wait: histogram(
                "inventory_queue_wait_seconds",
                "How long the longest waiting command of a batch had been on the queue when it was decided.",
                &TIME_BOUNDS,
            )?,
            batch_groups: histogram(
                "inventory_batch_groups",
                "Groups of events in a batch, about one a command.",
                &BATCH_BOUNDS,
            )?,
            deciding: histogram("inventory_decide_seconds", "How long deciding a batch took.", &TIME_BOUNDS)?,
            appending: histogram(
                "inventory_commit_seconds",
                "How long the event store took to make a batch durable, or to fail.",
                &TIME_BOUNDS,
            )?,
            events: counter("inventory_events_appended_total", "Events that this node has added to the log.")?,
            conflicts: counter("inventory_conflicts_total", "Groups of events that lost to another writer.")?,
            retries: counter("inventory_command_retries_total", "Commands that were decided again.")?,
            failed_appends,
        }))
    }

    fn count(&self, command: &ObservedCommand<'_>) {
        let counter = self.commands[command.kind as usize][command.outcome as usize]
            .get_or_init(|| self.by_kind_and_outcome.with_label_values(&[command.kind.name(), command.outcome.name()]));
        counter.inc();
    }
}

impl CommandObserver for CommandMetrics {
    fn settled(&self, batch: &ObservedBatch, commands: &[ObservedCommand<'_>]) {
        commands.iter().for_each(|command| self.count(command));
        if let Some(first) = commands.iter().map(|command| command.queued_at).min() {
            self.queue_wait.observe(batch.deciding_began.saturating_duration_since(first).as_secs_f64());
        }
        self.batch_groups.observe(number(batch.groups as u64));
        self.deciding.observe((batch.deciding_ended - batch.deciding_began).as_secs_f64());
        self.appending.observe((batch.append_ended - batch.append_began).as_secs_f64());
        self.events.inc_by(batch.events as u64);
        self.conflicts.inc_by(batch.conflicts as u64);
        self.retries.inc_by(batch.retries as u64);
        if batch.append != AppendEnd::Answered {
            self.failed_appends.with_label_values(&[name_of(batch.append)]).inc();
        }
    }

    fn answered_at_once(&self, command: &ObservedCommand<'_>) {
        self.count(command);
    }
}

const fn name_of(end: AppendEnd) -> &'static str {
    match end {
        AppendEnd::Answered => "answered",
        AppendEnd::Unavailable => "unavailable",
        AppendEnd::OutcomeUnknown => "outcome_unknown",
        AppendEnd::Damaged => "damaged",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inventory_application::ports::Metadata;
    use tokio::time::Instant;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_batch_is_taken_down() {
        let metrics = Metrics::new().unwrap();
        let (began, metadata) = (Instant::now(), Metadata::default());
        let command =
            |kind, outcome| ObservedCommand { kind, outcome, queued_at: began, tries: 0, metadata: &metadata };
        let after = |ms| began + Duration::from_millis(ms);
        let batch = ObservedBatch {
            deciding_began: after(2),
            deciding_ended: after(3),
            append_began: after(3),
            append_ended: after(7),
            groups: 3,
            events: 2,
            conflicts: 1,
            retries: 1,
            append: AppendEnd::Answered,
        };
        let commands = [
            command(CommandKind::Reserve, CommandOutcome::Granted),
            command(CommandKind::Reserve, CommandOutcome::Granted),
        ];
        metrics.commands().settled(&batch, &commands);
        metrics.commands().answered_at_once(&command(CommandKind::OrderPlace, CommandOutcome::Rejected));
        metrics.commands().settled(&ObservedBatch { append: AppendEnd::OutcomeUnknown, ..batch }, &[]);
        let text = metrics.text().unwrap();
        for line in [
            r#"inventory_commands_total{kind="reserve",outcome="granted"} 2"#,
            r#"inventory_commands_total{kind="order_place",outcome="rejected"} 1"#,
            r#"inventory_append_failures_total{end="outcome_unknown"} 1"#,
            r#"inventory_append_failures_total{end="damaged"} 0"#,
            r#"inventory_queue_wait_seconds_bucket{le="0.001"} 0"#,
            r#"inventory_queue_wait_seconds_bucket{le="0.0025"} 1"#,
            r#"inventory_commit_seconds_bucket{le="0.0025"} 0"#,
            r#"inventory_commit_seconds_bucket{le="0.005"} 2"#,
            "inventory_batch_groups_sum 6",
            "inventory_events_appended_total 4",
            "inventory_conflicts_total 2",
            "inventory_command_retries_total 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
