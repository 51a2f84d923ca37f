//! What every event store owes, as checks that each adapter runs on itself.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use inventory_application::testing::{InMemoryEventStore, check_event_store};
//! # async fn example() {
//! check_event_store(async || Arc::new(InMemoryEventStore::exclusive())).await;
//! # }
//! ```
//!
//! In reading order: `subject` (the store under test, and the notation of the checks), then the checks by theme.

mod append_ids;
mod appending;
mod concurrency;
mod conflicts;
mod history;
mod reading_the_log;
mod round_trips;
mod subject;
mod taint;
mod wake_up;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use self::subject::Subject;
use crate::ports::{EventHistory, EventLog, EventStore};

/// Runs every check, each on a fresh store from `make`.
///
/// # Panics
///
/// When the store fails a check; the message starts with the name of the check.
pub async fn check_event_store<S>(make: impl AsyncFn() -> Arc<S>)
where
    S: EventStore + EventLog + EventHistory + 'static,
{
    macro_rules! run {
        ($($theme:ident: $($check:ident)*;)*) => {$($(
            run(stringify!($check), Subject::new(make().await), $theme::$check).await;
        )*)*};
    }
    run! {
        appending:
            versions_count_from_one
            positions_follow_the_order_of_the_groups
            a_group_may_follow_another_on_its_stream
            an_unknown_stream_is_at_version_zero
            streams_are_loaded_in_the_order_asked_for
            product_and_store_both_tell_streams_apart
            an_empty_batch_is_nothing
            a_big_batch_on_one_stream
            a_big_batch_on_a_thousand_streams;
        conflicts:
            a_wrong_version_is_a_conflict
            a_group_is_all_or_nothing
            a_group_without_events_checks_and_adds_nothing
            versions_are_compared_with_what_the_batch_has_added;
        taint:
            a_conflict_taints_its_streams
            taint_is_passed_on
            taint_ends_with_the_batch
            a_pipelined_command_does_not_oversell
            a_known_append_id_taints;
        append_ids:
            a_repeat_gets_the_first_answer
            the_append_id_is_looked_up_before_taint_and_versions
            a_repeat_within_the_batch_gets_the_first_answer
            another_request_under_the_same_id_is_told_so
            a_group_that_was_not_appended_is_not_remembered
            a_group_without_events_is_remembered
            append_ids_that_start_alike_are_not_the_same
            results_may_be_empty_or_long
            a_lookup_leaves_nothing;
        history:
            pages_add_up_to_the_stream
            orders_and_transfers_are_streams_too
            a_snapshot_shortens_the_history
            a_stream_can_be_seen_as_it_was;
        reading_the_log:
            pages_add_up_to_the_log
            a_page_never_splits_a_group
            the_end_of_the_log_is_an_empty_page
            the_head_is_the_last_position;
        wake_up:
            an_append_is_seen_by_whoever_waits
            who_subscribes_before_reading_misses_nothing;
        concurrency:
            one_of_many_wins_each_version
            one_of_many_repeats_is_the_first
            a_reader_never_sees_a_gap;
        round_trips:
            every_event_comes_back_as_it_was
            metadata_comes_back_as_it_was;
    }
}

/// Runs one check in a task of its own, to put its name before whatever it panics with.
async fn run<F>(name: &str, subject: Subject, check: impl FnOnce(Arc<Subject>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let subject = Arc::new(subject);
    let checked = check(Arc::clone(&subject));
    let task = tokio::spawn(async move {
        checked.await;
        subject.log_and_streams_agree().await;
    });
    if let Err(failed) = task.await {
        panic!("{name}: {}", message(failed.into_panic().as_ref()));
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
