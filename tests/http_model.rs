//! Random requests over real HTTP, one after the other, and a naive model that says what each answer has to be.
//!
//! `PROPTEST_CASES` sets how many sequences are tried (48 if nothing is said), `PROPTEST_RNG_SEED` which ones. What is found is
//! shrunk to a few requests and printed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[path = "http_model/bugs.rs"]
mod bugs;
#[path = "http_model/checks.rs"]
mod checks;
#[path = "http_model/steps.rs"]
mod steps;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inventory_tests::RunningService;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use self::bugs::{Bug, Line};
use self::steps::{Expected, Step};

/// Steps in one sequence, at most.
const STEPS_MAX: usize = 30;

const CASES: u32 = 48;

#[test]
fn every_answer_is_what_the_naive_model_says() {
    let service = RunningService::start();
    let cases = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    if let Err(error) = search(&service, cases, None) {
        panic!("{error}");
    }
}

#[test]
fn a_wrong_rule_is_found_and_shrunk_to_what_shows_it() {
    let service = RunningService::start();
    for (bug, steps_needed) in [
        (Bug::SellsTheWholeReservation, 3),
        (Bug::ForgetsKeys, 2),
        (Bug::IgnoresConditions, 1),
        (Bug::HoldsOneLineOfAnOrder, 2),
        (Bug::ShowsOneUnitMore, 1),
        (Bug::ReceivesTwice, 3),
    ] {
        let found = search(&service, 10_000, Some(bug)).expect_err(&format!("{bug:?} goes unnoticed"));
        let TestError::Fail(reason, (_, steps, _)) = *found else { panic!("{bug:?}: {found}") };
        // One more may be left: shrinking ends where no one step can be left out alone.
        assert!(steps.len() <= steps_needed + 1, "{bug:?}: {reason}, shown by {steps:#?}");
    }
}

type Sequence = (Expected, Vec<Step>, Option<Arc<AtomicUsize>>);

/// Looks for a sequence whose answers are not what the model says, and shrinks it.
fn search(service: &RunningService, cases: u32, bug: Option<Bug>) -> Result<(), Box<TestError<Sequence>>> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    let mut runner = match bug {
        None => TestRunner::new(config),
        // The same sequences each time: whether a planted bug is found, and how it is shown, is no matter of luck.
        Some(_) => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let client = service.client();
    let found = runner.run(&Expected::sequential_strategy(1..=STEPS_MAX), |(mut expected, steps, seen)| {
        let line = Line::new(&client, bug);
        for step in steps {
            if let Some(seen) = &seen {
                seen.fetch_add(1, Ordering::SeqCst); // What comes after the first wrong answer is dropped at once.
            }
            expected = Expected::apply(expected, &step);
            line.send(&step)
                .and_then(|answers| checks::check_answers(&step, &answers, &expected))
                .and_then(|()| checks::check_shown(&line, &step, &expected))
                .map_err(TestCaseError::fail)?;
        }
        checks::check_everything(&line, &expected).map_err(TestCaseError::fail)
    });
    found.map_err(Box::new)
}
