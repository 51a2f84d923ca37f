//! Each bug that is planted is found, within so many seeds, and for what it is.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use inventory_simulation::Flaw;
use support::run;

#[test]
fn a_store_that_ignores_versions_sells_too_much() {
    check(Flaw::IgnoresVersions, 40, "oversold");
}

#[test]
fn a_store_that_ignores_versions_appends_what_does_not_follow() {
    check(Flaw::IgnoresVersions, 10, "doesn't follow from what stood before");
}

#[test]
fn a_store_that_does_not_taint_appends_what_does_not_follow() {
    check(Flaw::DoesNotTaint, 40, "doesn't follow from what stood before");
}

#[test]
fn a_store_that_forgets_append_ids_does_things_twice() {
    check(Flaw::ForgetsAppendIds, 10, "has 2 effects");
}

#[test]
fn a_store_that_tears_groups_loses_units() {
    check(Flaw::TearsGroups, 10, "audit: ");
}

#[test]
fn a_store_that_loses_a_batch_has_acknowledged_what_is_not_there() {
    check(Flaw::LosesTheLastBatch, 20, "it is not in the log");
}

#[test]
fn a_store_that_says_that_nothing_has_happened_lies() {
    check(Flaw::SaysNothingHappened, 20, "was told NotDone, and has 1 effects");
}

#[test]
fn a_node_that_thinks_that_it_is_alone_refuses_what_could_be_done() {
    check(Flaw::SaysItIsExclusive, 20, "what it was refused for was true at no moment");
}

#[test]
fn a_node_that_thinks_that_it_is_alone_shows_what_is_past() {
    check(Flaw::SaysItIsExclusive, 20, "it had to be version");
}

#[test]
fn a_projection_that_skips_an_event_never_gets_there() {
    check(Flaw::SkipsAnEvent, 10, "isn't the fold of the log");
}

#[test]
fn a_cache_that_is_not_told_shows_what_is_past() {
    check(Flaw::LeavesTheCacheUntold, 40, "the node had acknowledged version");
}

#[test]
fn a_node_that_starts_without_a_mark_shows_what_is_past() {
    check(Flaw::ForgetsTheMark, 60, "the node had acknowledged version");
}

#[test]
fn an_expiry_process_that_stands_still_frees_nothing() {
    check(Flaw::StopsTheExpiryClock, 10, "ran out at");
}

#[track_caller]
fn check(flaw: Flaw, seeds: u64, finding: &str) {
    let is_found = |seed: &u64| run(*seed, Some(flaw)).findings.iter().any(|found| found.contains(finding));
    let found = (0..seeds).find(is_found);
    println!("{flaw:?} is found by seed {found:?}");
    assert!(found.is_some(), "{flaw:?} is not found within {seeds} seeds");
}
