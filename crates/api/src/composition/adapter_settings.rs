//! The settings as each part of the service wants them.

use std::num::NonZeroUsize;

use inventory_application::{CatchUpSettings, CommandLoopSettings, EventFeedSettings, ExpirySettings};
use inventory_cache::CacheSettings;
use inventory_projections::{ProjectionRunnerSettings, ReadModelSettings};
use inventory_resilience::{BreakerSettings, RetrySettings};

use crate::settings::Settings;

pub(super) fn command_loop_settings(settings: &Settings) -> CommandLoopSettings {
    let section = &settings.command_loop;
    CommandLoopSettings {
        queue_commands_max: section.queue_commands_max,
        queue_wait_ms_max: section.queue_wait_ms_max,
        batch_commands_max: section.batch_commands_max,
        states_max: section.states_max,
        loads_max: section.loads_max,
        closed_reservations_remembered: section.closed_reservations_remembered,
        snapshot_every_events: section.snapshot_every_events,
        snapshot_reservations_max: section.snapshot_reservations_max,
        conflict_tries_max: section.conflict_tries_max,
        conflict_delay_ms_max: section.conflict_delay_ms_max,
    }
}

pub(super) fn catch_up_settings(settings: &Settings) -> CatchUpSettings {
    let section = &settings.reads;
    CatchUpSettings { wait_ms_max: section.catch_up_ms_max, waiting_max: section.waiting_max }
}

pub(crate) fn read_model_settings(settings: &Settings) -> ReadModelSettings {
    let section = &settings.read_model;
    ReadModelSettings {
        readers_max: section.readers_max,
        reader_wait_ms_max: section.reader_wait_ms_max,
        cache_kib: section.cache_kib,
        checkpoint_ms: section.checkpoint_ms,
        wal_pages_max: section.wal_pages_max,
        list_rows_max: section.list_rows_max,
    }
}

pub(crate) fn runner_settings(settings: &Settings) -> ProjectionRunnerSettings {
    let section = &settings.projections;
    ProjectionRunnerSettings {
        page_events_max: section.page_events_max,
        catch_up_page_events_max: section.catch_up_page_events_max,
        linger_ms: section.linger_ms,
        poll_ms: section.poll_ms,
        retry_delay_ms_max: section.retry_delay_ms_max,
    }
}

pub(super) fn event_feed_settings(settings: &Settings) -> EventFeedSettings {
    let section = &settings.events;
    EventFeedSettings {
        page_events_max: section.page_events_max,
        look_events_max: section.look_events_max,
        reads_max: section.reads_max,
        read_wait_ms_max: section.read_wait_ms_max,
        listeners_max: section.listeners_max,
        listener_bytes_max: section.listener_bytes_max,
        waiting_bytes_max: section.waiting_bytes_max,
        queue_batches_max: section.queue_batches_max,
        linger_ms: section.linger_ms,
        poll_ms: section.poll_ms,
    }
}

pub(super) fn expiry_settings(settings: &Settings) -> ExpirySettings {
    let section = &settings.expiry;
    ExpirySettings {
        poll_ms: section.poll_ms,
        reservations_max: section.reservations_max,
        reservations_of_stock_max: section.reservations_of_stock_max,
        catch_up_ms_max: section.catch_up_ms_max,
    }
}

pub(super) fn cache_settings(settings: &Settings) -> CacheSettings {
    let section = &settings.cache;
    // The settings' check has seen that neither is 0.
    let at_least_one = |given| NonZeroUsize::new(given).unwrap_or(NonZeroUsize::MIN);
    CacheSettings {
        entries_max: at_least_one(section.entries_max),
        ttl_ms: section.ttl_ms,
        stale_ms_max: section.stale_ms_max,
        floors_max: at_least_one(section.floors_max),
    }
}

pub(super) fn breaker_settings(settings: &Settings) -> BreakerSettings {
    let section = &settings.resilience;
    BreakerSettings { failures_to_open: section.failures_to_open, open_for_ms: section.open_for_ms }
}

pub(super) fn retry_settings(settings: &Settings) -> RetrySettings {
    let section = &settings.resilience;
    RetrySettings {
        tries_max: section.tries_max,
        first_delay_ms: section.first_delay_ms,
        delay_multiplier: section.delay_multiplier,
        delay_ms_max: section.delay_ms_max,
        jitter: section.jitter,
    }
}
