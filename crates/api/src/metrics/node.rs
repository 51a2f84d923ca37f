//! What the node's parts know of themselves, asked for when somebody looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inventory_application::{CommandSender, EventFeed, ExpiryStatus, Position};
use inventory_cache::{CacheStatistics, CachedStockViews};
use inventory_projections::RunnerStatus;
use inventory_resilience::{BreakerState, CircuitBreaker};

use super::{Metrics, MetricsError, number};
use crate::health::{Condition, Health, PartCondition};
use crate::logging::DroppedLines;
use crate::logging::business_events::BusinessEvents;
use crate::server::Drain;
use crate::system::now;
use crate::telemetry::Telemetry;

/// The parts that are asked.
pub struct Watched {
    /// The way to the write side.
    pub commands: CommandSender,
    /// Where the log ends.
    pub head: Box<dyn Fn() -> Position + Send + Sync>,
    /// How the projections are.
    pub projections: Arc<dyn Fn() -> RunnerStatus + Send + Sync>,
    /// What has run out.
    pub expiry: Arc<ExpiryStatus>,
    /// The cache.
    pub cache: Arc<CachedStockViews>,
    /// The breakers, by what they stand in front of.
    pub breakers: Vec<(&'static str, Arc<CircuitBreaker>)>,
    /// Who listens to events.
    pub feed: EventFeed,
    /// What records traces.
    pub telemetry: Telemetry,
    /// How the node is.
    pub health: Arc<Health>,
    /// The requests in work.
    pub drain: Drain,
    /// The lines for what is committed.
    pub business_events: Arc<BusinessEvents>,
    /// The other lines that were not written.
    pub dropped_lines: Arc<DroppedLines>,
}

/// Has all of it measured.
///
/// # Errors
///
/// When a name is wrong or taken.
pub fn measure(metrics: &Metrics, watched: Watched) -> Result<(), MetricsError> {
    let Watched { commands, head, projections, expiry, cache, breakers, feed, telemetry, .. } = watched;
    let Watched { health, drain, business_events, dropped_lines, .. } = watched;
    write_side(metrics, commands)?;
    read_side(metrics, head, &projections)?;
    cached(metrics, cache)?;
    let failed = Arc::clone(&expiry);
    let behind = Arc::clone(&expiry);
    metrics.gauge(
        "inventory_expiries_due",
        "Reservations and orders that the last look found past their deadlines, at most expiry.reservations_max.",
        move || number(expiry.due() as u64),
    )?;
    metrics.gauge("inventory_expiry_behind_seconds", "How long ago all that had run out was freed.", move || {
        behind.behind_for().as_secs_f64()
    })?;
    metrics.counter(
        "inventory_expiry_failures_total",
        "Passes over what has run out that came to nothing.",
        move || failed.failures(),
    )?;
    metrics.gauges(
        "inventory_breaker_state",
        "How a circuit breaker stands: 0 closed, 1 half-open, 2 open.",
        "breaker",
        move || breakers.iter().map(|(name, breaker)| (*name, state(breaker.state()))).collect(),
    )?;
    node(metrics, health, drain)?;
    listeners(metrics, feed)?;
    spans(metrics, &telemetry)?;
    metrics.counters(
        "inventory_log_lines_dropped_total",
        "Log lines that were not written, because their queue was full.",
        "queue",
        move || vec![("business_events", number(business_events.dropped())), ("lines", number(dropped_lines.count()))],
    )
}

fn write_side(metrics: &Metrics, commands: CommandSender) -> Result<(), MetricsError> {
    let (bound, refused) = (commands.clone(), commands.clone());
    metrics.gauge("inventory_queue_commands", "Commands that are waiting or in work.", move || {
        number(commands.queue_depth() as u64)
    })?;
    metrics.gauge("inventory_queue_commands_max", "Commands that may be waiting or in work.", move || {
        number(bound.queue_depth_max() as u64)
    })?;
    metrics.counter(
        "inventory_commands_refused_total",
        "Commands that found the queue full; nothing was done.",
        move || refused.refused(),
    )
}

fn read_side(
    metrics: &Metrics,
    head: Box<dyn Fn() -> Position + Send + Sync>,
    projections: &Arc<dyn Fn() -> RunnerStatus + Send + Sync>,
) -> Result<(), MetricsError> {
    let head: Arc<dyn Fn() -> Position + Send + Sync> = head.into();
    let log_head = Arc::clone(&head);
    metrics.gauge("inventory_log_head_position", "The position of the last event.", move || number(log_head().0))?;
    let status = Arc::clone(projections);
    metrics.gauges(
        "inventory_projection_position",
        "The position of the last event that a projection has taken in.",
        "projection",
        move || status().projections.iter().map(|one| (one.name, number(one.checkpoint.0))).collect(),
    )?;
    let status = Arc::clone(projections);
    metrics.gauges(
        "inventory_projection_lag_events",
        "Events in the log that a projection has not taken in yet.",
        "projection",
        move || {
            let projections = status().projections; // First, or a projection could be ahead of the head.
            let head = head();
            projections.iter().map(|one| (one.name, number(head.0.saturating_sub(one.checkpoint.0)))).collect()
        },
    )?;
    let status = Arc::clone(projections);
    metrics.gauges(
        "inventory_projection_lag_seconds",
        "For about how long the oldest event that a projection lacks has waited for it; 0 where it lacks none.",
        "projection",
        move || {
            let (status, now) = (status(), now());
            status.projections.iter().map(|one| (one.name, status.lag(one, now).as_secs_f64())).collect()
        },
    )?;
    let status = Arc::clone(projections);
    metrics.counters(
        "inventory_projection_events_passed_total",
        "Events that a projection has gone past; those of a rebuild are not counted.",
        "projection",
        move || status().projections.iter().map(|one| (one.name, number(one.events_passed))).collect(),
    )?;
    let status = Arc::clone(projections);
    metrics.counters(
        "inventory_projection_events_applied_total",
        "Events in streams that a projection reads, whether they change it or not; those of a rebuild are not counted.",
        "projection",
        move || status().projections.iter().map(|one| (one.name, number(one.events_applied))).collect(),
    )?;
    let status = Arc::clone(projections);
    metrics.gauges(
        "inventory_projection_rebuilding",
        "1 where a read model is being made anew.",
        "projection",
        move || status().projections.iter().map(|one| (one.name, flag(one.is_rebuilt_now()))).collect(),
    )?;
    let status = Arc::clone(projections);
    metrics.gauges(
        "inventory_projection_stopped",
        "1 where a projection has met an event that it can't apply, and waits for somebody.",
        "projection",
        move || status().projections.iter().map(|one| (one.name, flag(one.stopped.is_some()))).collect(),
    )
}

fn cached(metrics: &Metrics, cache: Arc<CachedStockViews>) -> Result<(), MetricsError> {
    let statistics: Arc<dyn Fn() -> CacheStatistics + Send + Sync> = Arc::new(move || cache.statistics());
    let now = Arc::clone(&statistics);
    metrics.counter("inventory_cache_hits_total", "Questions that the cache has answered.", move || now().hits)?;
    let now = Arc::clone(&statistics);
    metrics
        .counter("inventory_cache_misses_total", "Questions that the cache had to hand on.", move || now().misses)?;
    let now = Arc::clone(&statistics);
    metrics.counter(
        "inventory_cache_shared_reads_total",
        "Misses that were given what somebody else was already reading.",
        move || now().shared,
    )?;
    let now = Arc::clone(&statistics);
    metrics.counter(
        "inventory_cache_stale_answers_total",
        "Misses that were answered with a value past its time, because the read models could not be read.",
        move || now().stale,
    )?;
    let now = Arc::clone(&statistics);
    metrics.seconds(
        "inventory_cache_hit_age_seconds_total",
        "How old the answers from the cache were, all together.",
        move || now().hit_age.as_secs_f64(),
    )?;
    metrics.gauge("inventory_cache_entries", "Values in the cache.", move || number(statistics().entries as u64))
}

fn listeners(metrics: &Metrics, feed: EventFeed) -> Result<(), MetricsError> {
    let slow = feed.clone();
    metrics.gauge("inventory_event_listeners", "Who listens to events as they happen.", move || {
        number(feed.listeners() as u64)
    })?;
    metrics.counter(
        "inventory_event_listener_overflows_total",
        "How often a listener has had to go back to the log, because it took its events too slowly.",
        move || slow.overflows(),
    )
}

/// Nothing, where no spans are made.
fn spans(metrics: &Metrics, telemetry: &Telemetry) -> Result<(), MetricsError> {
    let Some(counts) = telemetry.counts() else { return Ok(()) };
    let read = |count: &AtomicU64| number(count.load(Ordering::Relaxed));
    metrics.counters(
        "inventory_spans_total",
        "Spans by what became of them: exported, dropped for want of room, or failed at the collector.",
        "end",
        move || {
            vec![
                ("exported", read(&counts.exported)),
                ("dropped", read(&counts.dropped)),
                ("failed", read(&counts.failed)),
            ]
        },
    )
}

fn node(metrics: &Metrics, health: Arc<Health>, drain: Drain) -> Result<(), MetricsError> {
    let parts = Arc::clone(&health);
    metrics.gauges(
        "inventory_node_condition",
        "1 for how the node is: ready, degraded or not_ready.",
        "condition",
        move || {
            let now = health.report().condition;
            let condition = |name, condition| (name, flag(now == condition));
            vec![
                condition("ready", Condition::Ready),
                condition("degraded", Condition::Degraded),
                condition("not_ready", Condition::NotReady),
            ]
        },
    )?;
    metrics.gauges(
        "inventory_part_condition",
        "How a part of the node is: 0 fine, 1 degraded, 2 down.",
        "part",
        move || {
            let level = |condition| match condition {
                PartCondition::Fine => 0.0,
                PartCondition::Degraded(_) => 1.0,
                PartCondition::Down(_) => 2.0,
            };
            parts.parts().iter().map(|part| (part.name, level((part.condition)()))).collect()
        },
    )?;
    metrics.gauge("inventory_http_requests_in_flight", "Requests that are being answered.", move || {
        number(drain.in_work() as u64)
    })
}

const fn state(state: BreakerState) -> f64 {
    match state {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    }
}

const fn flag(is_set: bool) -> f64 {
    if is_set { 1.0 } else { 0.0 }
}
