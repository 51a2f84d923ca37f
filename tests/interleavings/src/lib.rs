//! Runs a scenario in many schedules that `shuttle` chooses: who goes on at every lock, channel and wait is its choice.
//!
//! The packages `application` and `cache` beside this one build the sources of the service's crates of these names with the
//! locks, channels and tasks of `shuttle` in the place of the real ones (`tokio` beside them has what `shuttle` lacks). Time doesn't pass: a sleep is over as soon as its task
//! is chosen, and a timeout never comes, so that no poll saves who has missed a wake-up. A schedule in which everybody waits
//! for ever is a failure. What is not tried: memory orders weaker than sequential consistency.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// Changes of priority in a schedule that has priorities.
const DEPTH: usize = 3;

/// How many schedules of each kind are tried: `INTERLEAVINGS`, or `usual` where it isn't set.
///
/// # Panics
///
/// Where it is no number, or none at all would be tried.
#[must_use]
pub fn schedules(usual: usize) -> usize {
    let asked = std::env::var_os("INTERLEAVINGS");
    asked.map_or(usual, |text| count(&text.to_string_lossy()).unwrap_or_else(|problem| panic!("{problem}")))
}

/// A count of schedules.
///
/// # Errors
///
/// Says that it is no number, or none at all would be tried.
pub fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("INTERLEAVINGS has to be a number from 1 on, not {text}"))
}

/// Runs `scenario` in random schedules, and in such as give tasks priorities that change a few times, as many of each kind.
///
/// # Panics
///
/// Where the scenario does, or everybody waits for ever; the schedule is printed then, for `shuttle::replay`.
pub fn explore(schedules: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    run(RandomScheduler::new(schedules), &scenario);
    run(PctScheduler::new(DEPTH, schedules), &scenario);
}

/// Runs a scenario with a flaw in it until a schedule shows it, and says how. The schedules are always the same.
#[must_use]
pub fn find(schedules: usize, scenario: impl Fn() + Send + Sync + 'static) -> Option<String> {
    let scenario = Arc::new(scenario);
    let at_random = || run(RandomScheduler::new_from_seed(1, schedules), &scenario);
    let by_priority = || run(PctScheduler::new_from_seed(1, DEPTH, schedules), &scenario);
    let found = catch_unwind(AssertUnwindSafe(at_random)).and_then(|()| catch_unwind(AssertUnwindSafe(by_priority)));
    let panic = found.err()?;
    let said = panic.downcast_ref::<String>().cloned();
    Some(said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
}

fn run<S: Scheduler + 'static>(scheduler: S, scenario: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    let scenario = Arc::clone(scenario);
    Runner::new(scheduler, config).run(move || scenario());
}
