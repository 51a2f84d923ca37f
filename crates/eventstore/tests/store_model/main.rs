//! Every store answers as a list of events and a map of append ids would, whatever is asked of it in whatever order, and
//! however often it is closed and opened again.
//!
//! In reading order: `model` (the naive store), `operation` (what is asked), `machine` (both side by side), `backends` (the stores under
//! test), `flawed` (stores that get something wrong, which the machine has to notice).
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![allow(unreachable_pub, reason = "nobody sees a test from outside")]

mod backends;
mod flawed;
mod machine;
mod model;
mod operation;

use backends::{InMemory, Jsonl, Sqlite};
use flawed::{Flawed, Wrong};
use machine::{fails, holds};

#[test]
fn the_reference_store_answers_as_the_model_does() {
    holds::<InMemory>(256);
}

#[test]
fn sqlite_answers_as_the_model_does() {
    holds::<Sqlite>(32);
}

#[test]
fn jsonl_answers_as_the_model_does() {
    holds::<Jsonl>(32);
}

#[test]
fn taint_that_is_ignored_is_noticed() {
    fails::<Flawed<{ Wrong::IGNORES_TAINT }>>("what became of the groups");
}

#[test]
fn append_ids_that_do_not_outlast_the_store_are_noticed() {
    fails::<Flawed<{ Wrong::FORGETS_APPEND_IDS }>>("what became of the groups");
}

#[test]
fn append_ids_that_are_forgotten_within_a_day_are_noticed() {
    fails::<Flawed<{ Wrong::FORGETS_TOO_EARLY }>>("what became of the groups");
}

#[test]
fn events_that_do_not_outlast_the_store_are_noticed() {
    fails::<Flawed<{ Wrong::ACKNOWLEDGES_TOO_EARLY }>>("where the log ends");
}

#[test]
fn events_of_another_version_are_noticed() {
    fails::<Flawed<{ Wrong::PAGES_START_TOO_EARLY }>>("a page of a stream");
}

#[test]
fn a_snapshot_of_another_moment_is_noticed() {
    fails::<Flawed<{ Wrong::SNAPSHOTS_KNOW_THE_FUTURE }>>("the stream as it was");
}
