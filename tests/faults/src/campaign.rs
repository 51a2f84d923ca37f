//! The same work again and again, with another fault each time.

use std::env;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use inventory_application::ports::RecordedEvent;
use inventory_application::testing::ManualClock;

use crate::again::{Again, ONLY};
use crate::disk::Disk;
use crate::fault::{Aim, Fault, How};
use crate::power_cut::{PowerCut, Survival};
use crate::stores::{Backend, Opened, START, new_folder, open, runtime};
use crate::told::read_all;
use crate::trace::{Entry, Trace};
use crate::{lock, usize_of};

/// Runs at a time: each waits for its store now and then, so a few more than a small machine has cores.
const THREADS: usize = 4;

/// Random parts of what wasn't synced, of which each is left where the power goes after a fault, in a long campaign. Always so many: one
/// step that is done again, alone, comes to the same.
const PARTS_AFTER: u64 = 4;

/// Work on a store in a folder, on the disk that stands over it: says what was wrong, or how to check what the work has left.
pub type Work<'a> = dyn Fn(&Path, &Arc<Disk>) -> Result<Check<'a>, String> + Sync + 'a;

/// Opens what is left of the work in a folder, and checks it. Where the power has gone in the middle of the work, the second argument
/// has the points that it had marked by then: only what was acknowledged up to there has to be there.
pub type Check<'a> = Box<dyn Fn(&Path, Option<&[u64]>) -> Result<(), String> + Sync + 'a>;

/// How thorough a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every n that changes something, each with one way to fail, and every fourth that looks; what is left at every fifth moment.
    Short,
    /// Every n with every way to fail; what is left at every moment, in so many ways.
    Long {
        /// Ways in which a part of what wasn't synced is left.
        seeds: u64,
    },
    /// Every n that changes something, in this way, and what is left right after it: for planted bugs that show in no other.
    Way(How),
    /// One step alone, where the campaign has it.
    Only(Again),
}

impl Scope {
    /// What `INVENTORY_FAULTS_ONLY` or `INVENTORY_FAULTS_SEEDS` asks for; the short one where neither is set.
    #[must_use]
    pub fn asked_for() -> Self {
        if let Ok(step) = env::var(ONLY) {
            return Self::Only(step.parse().expect(ONLY));
        }
        match env::var("INVENTORY_FAULTS_SEEDS") {
            Ok(seeds) => Self::Long { seeds: seeds.parse().expect("INVENTORY_FAULTS_SEEDS is a number") },
            Err(_) => Self::Short,
        }
    }

    /// Whether so many steps are as many as the campaign has to have had. One that was asked for alone has been there: where it
    /// wasn't, the campaign has failed.
    #[must_use]
    pub fn is_enough(self, steps: u64, more_than: u64) -> bool {
        steps > more_than || matches!(self, Self::Only(_))
    }

    /// Fails where one step was asked for alone, such as this kind of campaign has, and `done` says that it never came.
    fn has_come(self, is_of_this_kind: impl Fn(Again) -> bool, done: u64) -> Result<(), String> {
        match self {
            Self::Only(step) if is_of_this_kind(step) && done == 0 => Err(step.never_came()),
            _ => Ok(()),
        }
    }

    /// Every so many operations of a kind one fails.
    fn every(self, aim: Aim) -> usize {
        match (self, aim) {
            (Self::Short, Aim::Reads) => 4,
            (Self::Short, Aim::Syncs) => 3,
            _ => 1,
        }
    }

    /// The moments after a sync has failed at which the process is killed, and at which looks of the next start the kernel forgets.
    fn kills_and_looks(self, sync: u64, met: usize) -> Vec<(usize, Box<dyn Iterator<Item = u64>>)> {
        let looks = |first: u64, step: usize| -> Box<dyn Iterator<Item = u64>> { Box::new((first..).step_by(step)) };
        match self {
            Self::Short => vec![(met + 1 + usize_of(sync % 4), looks(1 + sync % 5, 5))],
            Self::Long { .. } => (met + 1..met + 5).map(|steps| (steps, looks(1, 1))).collect(),
            Self::Only(Again::Forgets { steps, look, .. }) => vec![(steps, Box::new([look].into_iter()))],
            Self::Way(_) | Self::Only(_) => Vec::new(),
        }
    }

    /// Which operations of a kind fail.
    fn places(self, aim: Aim) -> Box<dyn Iterator<Item = u64> + Send> {
        let every = self.every(aim);
        match self {
            Self::Short | Self::Long { .. } | Self::Way(_) => Box::new((every as u64..).step_by(every)),
            Self::Only(Again::Fault(fault)) if fault.aim == aim => Box::new([fault.nth].into_iter()),
            Self::Only(Again::Forgets { sync, .. }) if aim == Aim::Syncs => Box::new([sync].into_iter()),
            Self::Only(_) => Box::new([].into_iter()),
        }
    }

    /// In which ways the n-th fails.
    fn ways(self, aim: Aim, nth: u64) -> Vec<How> {
        match (self, aim) {
            (Self::Only(Again::Fault(fault)), _) => vec![fault.how],
            (Self::Way(how), _) => vec![how],
            (_, Aim::Reads | Aim::Syncs) => vec![How::Fails],
            (Self::Short, Aim::Changes) => vec![How::ALL[usize_of(nth) % How::ALL.len()]],
            (_, Aim::Changes) => How::ALL.to_vec(),
        }
    }

    /// The moments at which the power goes.
    fn moments(self, end: usize) -> Box<dyn Iterator<Item = usize> + Send> {
        match self {
            Self::Short => Box::new((0..=end).step_by(5)),
            Self::Long { .. } => Box::new(0..=end),
            Self::Only(Again::PowerCut { steps, .. }) => {
                Box::new([steps].into_iter().filter(move |steps| *steps <= end))
            }
            Self::Way(_) | Self::Only(_) => Box::new([].into_iter()),
        }
    }

    /// What is left then.
    fn survivals(self, steps: usize) -> Vec<Survival> {
        let some = |seed| Survival::Some(seed << 32 | steps as u64);
        match self {
            Self::Short => vec![Survival::Nothing, some(0)],
            Self::Long { seeds } => [Survival::Nothing].into_iter().chain((0..seeds).map(some)).collect(),
            Self::Only(Again::PowerCut { survival, .. }) => vec![survival],
            Self::Way(_) | Self::Only(_) => Vec::new(),
        }
    }

    /// What is left at a moment after the n-th operation has failed.
    fn survivals_after(self, nth: u64) -> Vec<Survival> {
        let parts = match self {
            Self::Short | Self::Way(_) => 1,
            Self::Long { .. } | Self::Only(_) => PARTS_AFTER,
        };
        let some = |part| Survival::Some(part << 32 | nth);
        [Survival::Nothing].into_iter().chain((0..parts).map(some)).collect()
    }

    /// The moments after a change has failed at which the power goes as well.
    fn moments_after(self, fault: Fault, met: usize, trace: &Trace) -> Vec<usize> {
        let next = after_next_mark(trace, met);
        let ends = [next, trace.entries.len()];
        let mut moments: Vec<usize> = match (self, fault.aim) {
            (_, Aim::Reads | Aim::Syncs) => Vec::new(),
            (Self::Short, _) if fault.nth.is_multiple_of(3) => {
                [met + 1 + usize_of(fault.nth % 7)].into_iter().chain(ends).collect()
            }
            (Self::Short, _) => Vec::new(),
            (Self::Way(_), _) => vec![met + 1],
            (Self::Long { .. } | Self::Only(_), _) => {
                // What was wrong may first be missed when more has been done on top of it.
                let second = after_next_mark(trace, next);
                let later = [second, after_next_mark(trace, second)];
                (met..met + 8).chain((met + 8..met + 18).step_by(2)).chain(ends).chain(later).collect()
            }
        };
        moments.retain(|steps| *steps <= trace.entries.len());
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// Has the n-th change of the disk fail, for every n until the work gets through without it; returns how many there were.
///
/// # Errors
///
/// What the store did wrong, with n and the way to fail; or that the change that alone should fail never came.
pub fn fail_every_change(work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    fail_every(Aim::Changes, work, scope)
}

/// Has the n-th look at the disk fail, for every n (in a short campaign: every fourth) until the work gets through without it; returns
/// how many there were.
///
/// # Errors
///
/// What the store did wrong, with n; or that the look that alone should fail never came.
pub fn fail_every_read(work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    fail_every(Aim::Reads, work, scope)
}

fn fail_every(aim: Aim, work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    let nth_fails = |(): &mut (), nth: u64| {
        let mut is_met = true;
        for how in scope.ways(aim, nth) {
            let fault = Fault { aim, nth, how };
            is_met &= run(work, fault, scope).map_err(|problem| Again::Fault(fault).told(&problem))?;
        }
        Ok(is_met)
    };
    let met = side_by_side(scope.places(aim), || (), nth_fails)?;
    scope.has_come(|step| matches!(step, Again::Fault(fault) if fault.aim == aim), met)?;
    Ok(met * scope.every(aim) as u64)
}

/// One run with one fault; whether it was met.
fn run(work: &Work<'_>, fault: Fault, scope: Scope) -> Result<bool, String> {
    let folder = new_folder();
    let disk = Disk::over(folder.path());
    disk.fail(fault);
    let check = work(folder.path(), &disk)?;
    let met = disk.failed_at();
    disk.heal();
    let trace = disk.trace();
    let mut cut = PowerCut::new(&trace);
    for steps in met.into_iter().flat_map(|met| scope.moments_after(fault, met, &trace)) {
        cut.step_to(steps);
        for survival in scope.survivals_after(fault.nth) {
            let left = check_left(&check, &trace, &cut, steps, survival);
            left.map_err(|problem| format!("power lost after step {steps}, {survival:?} is left: {problem}"))?;
        }
    }
    check(folder.path(), None).map_err(|problem| format!("opened again: {problem}"))?;
    Ok(met.is_some())
}

/// Works without a fault, and cuts the power at every moment (in a short campaign: at every fifth); returns how many there were. `plant`
/// may have the disk break its word.
///
/// # Errors
///
/// What was lost, or is half there, and when; or that the step after which alone the power should go never came.
pub fn lose_power_everywhere(work: &Work<'_>, scope: Scope, plant: impl FnOnce(&Disk)) -> Result<u64, String> {
    let folder = new_folder();
    let disk = Disk::over(folder.path());
    plant(&disk);
    let check = work(folder.path(), &disk)?;
    at_every_moment(&disk.trace(), scope, |cut, steps, survival| check_left(&check, cut.trace(), cut, steps, survival))
}

/// Works without a fault, kills the process at every moment (in a short campaign: at every fifth), starts it again, and has it show what
/// is there; then the power goes. Returns how many moments there were. `plant` may have the disk break its word from the start on.
///
/// # Errors
///
/// What was shown and is gone, and when; or that the step after which alone the power should go never came.
pub fn lose_power_after_a_kill(
    backend: &dyn Backend,
    work: &Work<'_>,
    scope: Scope,
    plant: impl Fn(&Disk) + Sync,
) -> Result<u64, String> {
    let folder = new_folder();
    let disk = Disk::over(folder.path());
    drop(work(folder.path(), &disk)?);
    at_every_moment(&disk.trace(), scope, |cut, _, survival| {
        let killed = new_folder();
        let disk = Disk::after_kill(cut, killed.path()).map_err(|error| error.to_string())?;
        plant(&disk);
        start_and_lose_power(backend, killed.path(), &disk, survival).map(drop)
    })
}

/// Works without a fault, has what is left copied to another disk by a program that syncs nothing, starts there, and has it show what is
/// there; then the power goes. Returns how many events were shown. `plant` may have the other disk break its word.
///
/// # Errors
///
/// What was shown and is gone.
pub fn lose_power_after_a_copy(
    backend: &dyn Backend,
    work: &Work<'_>,
    plant: impl FnOnce(&Disk),
) -> Result<usize, String> {
    let (folder, copied) = (new_folder(), new_folder());
    let disk = Disk::over(folder.path());
    drop(work(folder.path(), &disk)?);
    let trace = disk.trace();
    let mut cut = PowerCut::new(&trace);
    cut.step_to(trace.entries.len());
    let disk = Disk::after_a_copy(&cut, copied.path()).map_err(|error| error.to_string())?;
    plant(&disk);
    start_and_lose_power(backend, copied.path(), &disk, Survival::Nothing)
}

/// Has a start show what is there, before the power goes and after it; returns how many events that is.
fn start_and_lose_power(
    backend: &dyn Backend,
    folder: &Path,
    disk: &Disk,
    survival: Survival,
) -> Result<usize, String> {
    let left = new_folder();
    let (before, opened) = shown(backend, folder)?;
    let trace = disk.trace();
    drop(opened);
    let mut cut = PowerCut::new(&trace);
    cut.step_to(trace.entries.len());
    cut.write_to(left.path(), survival).map_err(|error| error.to_string())?;
    let _disk = Disk::over(left.path());
    still_shown(backend, left.path(), &before)?;
    Ok(before.len())
}

/// Opens what the power has left, which has to have what was shown before.
fn still_shown(backend: &dyn Backend, folder: &Path, before: &[RecordedEvent]) -> Result<(), String> {
    let (after, _opened) = shown(backend, folder)?;
    if after.starts_with(before) {
        return Ok(());
    }
    Err(format!("at a start {} events were shown, and then without power {} others", before.len(), after.len()))
}

/// Has the n-th sync fail, for every n (in a short campaign: every third) until the work gets through without it, and kills the process
/// soon after; at the next start, the kernel forgets what the sync has left at the n-th look at the disk, for every n (in a short campaign:
/// every fifth); then the power goes. Returns how many looks there were.
///
/// # Errors
///
/// What was lost, or is half there, with the sync and the look; or that the step that alone is asked for never came.
pub fn forget_at_every_look(backend: &dyn Backend, work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    let looks = AtomicU64::new(0);
    let nth_fails = |(): &mut (), sync: u64| {
        let folder = new_folder();
        let disk = Disk::over(folder.path());
        disk.fail(Fault { aim: Aim::Syncs, nth: sync, how: How::Fails });
        let check = work(folder.path(), &disk)?;
        let Some(met) = disk.failed_at() else { return Ok(false) };
        let trace = disk.trace();
        for (steps, at) in scope.kills_and_looks(sync, met) {
            for look in at {
                let is_met = forgets(backend, &check, &trace, steps, look);
                if !is_met.map_err(|problem| Again::Forgets { sync, steps, look }.told(&problem))? {
                    break;
                }
                looks.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(true)
    };
    side_by_side(scope.places(Aim::Syncs), || (), nth_fails)?;
    let looks = looks.into_inner();
    scope.has_come(|step| matches!(step, Again::Forgets { .. }), looks)?;
    Ok(looks)
}

/// Starts after a kill, and has the kernel forget at this look; whether the start had so many.
fn forgets(backend: &dyn Backend, check: &Check<'_>, trace: &Trace, steps: usize, look: u64) -> Result<bool, String> {
    let mut cut = PowerCut::new(trace);
    cut.step_to(steps);
    let killed = new_folder();
    let disk = Disk::after_kill(&cut, killed.path()).map_err(|error| error.to_string())?;
    disk.forget_at_look(look);
    let (before, opened) = shown(backend, killed.path())?;
    drop(opened);
    if !disk.has_forgotten() {
        return Ok(false);
    }
    let started = disk.trace();
    let mut cut = PowerCut::new(&started);
    cut.step_to(started.entries.len());
    let marks: Vec<u64> = trace.entries[..steps.min(trace.entries.len())].iter().filter_map(mark).collect();
    let left = new_folder();
    cut.write_to(left.path(), Survival::Nothing).map_err(|error| error.to_string())?;
    let _disk = Disk::over(left.path());
    still_shown(backend, left.path(), &before)?;
    check(left.path(), Some(&marks)).map_err(|problem| format!("power lost after the start: {problem}"))?;
    check(killed.path(), Some(&marks)).map_err(|problem| format!("started: {problem}"))?;
    Ok(true)
}

/// Opens a store, and has it show what is there.
fn shown(backend: &dyn Backend, folder: &Path) -> Result<(Vec<RecordedEvent>, Opened), String> {
    let opened = open(backend, folder, &Arc::new(ManualClock::at(START)))?;
    let log = runtime().block_on(read_all(&opened)).map_err(|error| format!("the log can't be read: {error:?}"))?;
    Ok((log, opened))
}

/// Opens what is left after so many steps, and checks it.
fn check_left(
    check: &Check<'_>,
    trace: &Trace,
    cut: &PowerCut<'_>,
    steps: usize,
    survival: Survival,
) -> Result<(), String> {
    let marks: Vec<u64> = trace.entries[..steps].iter().filter_map(mark).collect();
    let left = new_folder();
    cut.write_to(left.path(), survival).map_err(|error| error.to_string())?;
    let _disk = Disk::over(left.path()); // So that nothing waits for a real disk.
    check(left.path(), Some(&marks))
}

/// The first moment after `steps` at which something was acknowledged: it rests on what is left by then.
fn after_next_mark(trace: &Trace, steps: usize) -> usize {
    let next = trace.entries[steps..].iter().position(|entry| mark(entry).is_some());
    next.map_or(trace.entries.len(), |next| steps + next + 1)
}

fn mark(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Mark(number) => Some(*number),
        Entry::Done(_) | Entry::Failed(_) | Entry::Forgotten => None,
    }
}

/// Cuts the power at the moments that `scope` asks for, and looks at what is left; returns how many moments there are.
fn at_every_moment(
    trace: &Trace,
    scope: Scope,
    look: impl Fn(&PowerCut<'_>, usize, Survival) -> Result<(), String> + Sync,
) -> Result<u64, String> {
    let end = trace.entries.len();
    let power_goes = |cut: &mut PowerCut<'_>, steps: usize| {
        cut.step_to(steps);
        for survival in scope.survivals(steps) {
            look(cut, steps, survival).map_err(|problem| Again::PowerCut { steps, survival }.told(&problem))?;
        }
        Ok(true)
    };
    let done = side_by_side(scope.moments(end), || PowerCut::new(trace), power_goes)?;
    scope.has_come(|step| matches!(step, Again::PowerCut { .. }), done)?;
    Ok(end as u64)
}

/// Runs with each of `numbers`, some at a time, until one says false; returns how many said true. Each thread starts from a state of
/// its own, and goes on from it.
fn side_by_side<N: Send, S>(
    numbers: impl Iterator<Item = N> + Send,
    start: impl Fn() -> S + Sync,
    run: impl Fn(&mut S, N) -> Result<bool, String> + Sync,
) -> Result<u64, String> {
    let (numbers, is_done, done) = (Mutex::new(numbers), AtomicBool::new(false), AtomicU64::new(0));
    let problem = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut state = start();
                while !is_done.load(Ordering::SeqCst) {
                    let Some(number) = lock(&numbers).next() else { return };
                    match run(&mut state, number) {
                        Ok(true) => {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(false) => is_done.store(true, Ordering::SeqCst),
                        Err(found) => {
                            lock(&problem).get_or_insert(found);
                            is_done.store(true, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    lock(&problem).take().map_or_else(|| Ok(done.load(Ordering::SeqCst)), Err)
}

/// The tests of a store: every campaign on every work, and planted bugs that these find. A store with fewer changes, reads and steps
/// than it is said to have has not been put through anything.
#[macro_export]
macro_rules! campaigns {
    (
        store: $store:expr,
        appends: more than $changes:literal changes, $reads:literal reads, $steps:literal steps, $looks:literal looks,
        commands: more than $client_changes:literal changes, $client_reads:literal reads, $client_steps:literal steps,
    ) => {
        #[test]
        fn whatever_change_fails_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
            $crate::campaigns!(@test fail_every_change(&$crate::appends(&$store)), $changes);
        }

        #[test]
        fn whatever_read_fails_nothing_wrong_is_served() {
            $crate::campaigns!(@test fail_every_read(&$crate::appends(&$store)), $reads);
        }

        #[test]
        fn whenever_the_power_goes_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
            $crate::campaigns!(@test lose_power_everywhere(&$crate::appends(&$store)), $steps, |_| ());
        }

        #[test]
        fn whatever_change_fails_every_client_was_told_what_is_there() {
            $crate::campaigns!(@test fail_every_change(&$crate::commands(&$store)), $client_changes);
        }

        #[test]
        fn whatever_read_fails_every_client_was_told_what_is_there() {
            $crate::campaigns!(@test fail_every_read(&$crate::commands(&$store)), $client_reads);
        }

        #[test]
        fn whenever_the_power_goes_what_a_client_was_told_is_there() {
            $crate::campaigns!(@test lose_power_everywhere(&$crate::commands(&$store)), $client_steps, |_| ());
        }

        #[test]
        fn what_a_start_after_a_kill_shows_outlasts_a_power_cut() {
            let store = $store;
            $crate::campaigns!(@test lose_power_after_a_kill(&store, &$crate::appends(&store)), $steps, |_| ());
        }

        #[test]
        fn what_a_start_on_a_copy_shows_outlasts_a_power_cut() {
            let store = $store;
            let shown = $crate::lose_power_after_a_copy(&store, &$crate::appends(&store), |_| ());
            let shown = shown.unwrap_or_else(|problem| panic!("{problem}"));
            assert!(shown > 10, "{shown} events are too few");
            let plant = |disk: &$crate::Disk| disk.swallow_syncs(|_| true);
            let lost = $crate::lose_power_after_a_copy(&store, &$crate::appends(&store), plant);
            lost.expect_err("a planted bug: a start syncs nothing");
        }

        #[test]
        fn a_start_rests_on_nothing_that_the_kernel_may_forget() {
            let store = $store;
            let scope = $crate::Scope::asked_for();
            let met = $crate::forget_at_every_look(&store, &$crate::appends(&store), scope);
            let met = met.unwrap_or_else(|problem| panic!("{problem}"));
            assert!(scope.is_enough(met, $looks), "{met} are too few");
        }

        /// Planted bugs. Which of the runs, that go side by side, is the first to find one isn't said: some see it by what is shown.
        #[test]
        fn a_store_that_is_wrong_about_an_unknown_outcome_is_found() {
            use $crate::{Flaw, How};
            let found = |flaw, how| {
                let store = $crate::Planted($store, flaw);
                let scope = $crate::Scope::Way(how);
                [
                    $crate::fail_every_change(&$crate::appends(&store), scope),
                    $crate::fail_every_change(&$crate::commands(&store), scope),
                ]
                .map(|found| found.expect_err("it wasn't found"))
            };
            let assert_says = |problems: [String; 2], any_of: &[&str]| {
                for problem in problems {
                    assert!(any_of.iter().any(|words| problem.contains(words)), "{problem}");
                }
            };
            assert_says(
                found(Flaw::CallsUnknownNothing, How::Lies),
                &["had not happened, and", "events are shown", "was NotThere, and"],
            );
            assert_says(found(Flaw::CallsUnknownDone, How::Fails), &["was acknowledged", "events are shown"]);
            assert_says(
                found(Flaw::ShowsNothingAfterUnknown, How::Fails),
                &["it can't be loaded", "a reader was refused"],
            );
            assert_says(
                found(Flaw::AcknowledgesUnrepaired, How::Breaks),
                &["was acknowledged on a disk that takes nothing"],
            );
        }

        /// A planted bug.
        #[test]
        fn a_store_that_calls_what_cannot_be_read_damaged_is_found() {
            let store = $crate::Planted($store, $crate::Flaw::CallsUnreadableDamaged);
            let scope = $crate::Scope::Short;
            for found in [
                $crate::fail_every_read(&$crate::appends(&store), scope),
                $crate::fail_every_read(&$crate::commands(&store), scope),
            ] {
                let problem = found.expect_err("it wasn't found");
                assert!(problem.contains("Damaged("), "{problem}");
            }
        }
    };
    (@test $campaign:ident($($on:expr),*), $more_than:literal $(, $plant:expr)?) => {
        let scope = $crate::Scope::asked_for();
        let met = $crate::$campaign($($on,)* scope $(, $plant)?).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(scope.is_enough(met, $more_than), "{met} are too few");
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;
    use crate::vfs;

    #[test]
    fn a_step_that_is_asked_for_alone_and_never_comes_is_a_failure() {
        vfs::install();
        let write = |folder: &Path, disk: &Arc<Disk>| -> Result<Check<'_>, String> {
            let connection = rusqlite::Connection::open(folder.join("test.db"));
            // Where it fails, this work has nothing to say.
            drop(connection.and_then(|it| it.execute_batch("CREATE TABLE numbers (number INTEGER)")));
            disk.mark(1);
            Ok(Box::new(|_, _| Ok(())))
        };
        let campaign = |step: &str| {
            let scope = Scope::Only(step.parse().unwrap());
            let (changes, reads) = (fail_every_change(&write, scope), fail_every_read(&write, scope));
            changes.and(reads).and(lose_power_everywhere(&write, scope, |_| ()))
        };
        for step in ["Changes:1:Fails", "Reads:1:Fails", "Power:1:Nothing", "Power:0:3"] {
            campaign(step).unwrap();
        }
        for step in ["Changes:99999:Fails", "Changes:0:Fails", "Reads:99999:Fails", "Power:99999:Nothing"] {
            let problem = campaign(step).unwrap_err();
            assert!(problem.starts_with(&format!("{step} never came")), "{problem}");
        }
    }
}
