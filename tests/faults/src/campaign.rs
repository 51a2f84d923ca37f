//! The same work again and again, with another fault each time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, thread};

use inventory_application::testing::ManualClock;

use crate::disk::Disk;
use crate::fault::{Aim, Fault, How};
use crate::lock;
use crate::power_cut::{PowerCut, Survival};
use crate::stores::{Backend, Opened, START, open, runtime};
use crate::told::read_all;
use crate::trace::{Entry, Trace};

/// Runs at a time: most of a run is waiting for a repair.
const THREADS: usize = 16;

/// Threads of the process above which a run waits.
const THREADS_LEFT_MAX: usize = 8_000;

/// Work on a store in a folder, on the disk that stands over it: says what was wrong, or how to check what the work has left.
pub type Work<'a> = dyn Fn(&Path, &Arc<Disk>) -> Result<Check<'a>, String> + Sync + 'a;

/// Opens what is left of the work in a folder, and checks it. Where the power has gone in the middle of the work, the second argument
/// has the points that it had marked by then: only what was acknowledged up to there has to be there.
pub type Check<'a> = Box<dyn Fn(&Path, Option<&[u64]>) -> Result<(), String> + Sync + 'a>;

/// How thorough a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every n that changes something, each with one way to fail; what is left at a few moments.
    Short,
    /// Every n with every way to fail; what is left at every moment, in so many ways.
    Long {
        /// Ways in which a part of what wasn't synced is left.
        seeds: u64,
    },
}

impl Scope {
    /// What `INVENTORY_FAULTS_SEEDS` asks for; the short one where it isn't set.
    #[must_use]
    pub fn asked_for() -> Self {
        match env::var("INVENTORY_FAULTS_SEEDS") {
            Ok(seeds) => Self::Long { seeds: seeds.parse().expect("INVENTORY_FAULTS_SEEDS is a number") },
            Err(_) => Self::Short,
        }
    }
}

/// Has the n-th change of the disk fail, for every n until the work gets through without it; returns how many there were.
///
/// # Errors
///
/// What the store did wrong, with n and the way to fail.
pub fn fail_every_change(work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    let ways = |nth: u64| match scope {
        Scope::Short => {
            let place = usize::try_from(nth).unwrap_or(0) % How::ALL.len();
            How::ALL[place..=place].to_vec()
        }
        Scope::Long { .. } => How::ALL.to_vec(),
    };
    every_nth(|nth| {
        let mut is_met = true;
        for how in ways(nth) {
            let fault = Fault { aim: Aim::Changes, nth, how };
            is_met &= run(work, fault, scope).map_err(|problem| format!("{fault:?}: {problem}"))?;
        }
        Ok(is_met)
    })
}

/// Has the n-th look at the disk fail, for every n (in a short campaign: every fourth) until the work gets through without it; returns
/// how many there were.
///
/// # Errors
///
/// What the store did wrong, with n.
pub fn fail_every_read(work: &Work<'_>, scope: Scope) -> Result<u64, String> {
    let step = match scope {
        Scope::Short => 4,
        Scope::Long { .. } => 1,
    };
    let met = every_nth(|nth| {
        let fault = Fault { aim: Aim::Reads, nth: nth * step, how: How::Fails };
        run(work, fault, scope).map_err(|problem| format!("{fault:?}: {problem}"))
    })?;
    Ok(met * step)
}

/// One run with one fault; whether it was met.
fn run(work: &Work<'_>, fault: Fault, scope: Scope) -> Result<bool, String> {
    wait_for_threads();
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::over(folder.path());
    disk.fail(fault);
    let check = work(folder.path(), &disk)?;
    let met = disk.failed_at();
    disk.heal();
    let trace = disk.trace();
    let end = trace.entries.len();
    let mut moments: Vec<usize> = match (scope, met, fault.aim) {
        (_, None, _) | (_, _, Aim::Reads) => Vec::new(),
        (Scope::Short, Some(met), _) if fault.nth.is_multiple_of(3) => {
            vec![met + 1 + usize::try_from(fault.nth % 7).unwrap_or(0), after_next_mark(&trace, met), end]
        }
        (Scope::Short, Some(_), _) => Vec::new(),
        (Scope::Long { .. }, Some(met), _) => (met..met + 4).chain([after_next_mark(&trace, met), end]).collect(),
    };
    moments.sort_unstable();
    let mut cut = PowerCut::new(&trace);
    for steps in moments.into_iter().filter(|steps| *steps <= end) {
        cut.step_to(steps);
        check_left(&check, &trace, &cut, steps, &[Survival::Nothing, Survival::Some(fault.nth)])?;
    }
    check(folder.path(), None).map_err(|problem| format!("opened again: {problem}"))?;
    Ok(met.is_some())
}

/// Works without a fault, and cuts the power at every moment (in a short campaign: at every fifth); returns how many there were. `plant`
/// may have the disk break its word.
///
/// # Errors
///
/// What was lost, or is half there, and when.
pub fn lose_power_everywhere(work: &Work<'_>, scope: Scope, plant: impl FnOnce(&Disk)) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::over(folder.path());
    plant(&disk);
    let check = work(folder.path(), &disk)?;
    let trace = disk.trace();
    let (every, seeds) = match scope {
        Scope::Short => (5, 1),
        Scope::Long { seeds } => (1, seeds),
    };
    let moments = AtomicU64::new(0);
    let problem = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut cut = PowerCut::new(&trace);
                loop {
                    let steps = usize::try_from(moments.fetch_add(every, Ordering::SeqCst)).unwrap_or(usize::MAX);
                    if steps > trace.entries.len() || lock(&problem).is_some() {
                        return;
                    }
                    cut.step_to(steps);
                    let seeds = (0..seeds).map(|seed| Survival::Some(seed << 32 | steps as u64));
                    let survivals: Vec<Survival> = [Survival::Nothing].into_iter().chain(seeds).collect();
                    if let Err(found) = check_left(&check, &trace, &cut, steps, &survivals) {
                        lock(&problem).get_or_insert(found);
                    }
                }
            });
        }
    });
    lock(&problem).take().map_or(Ok(trace.entries.len()), Err)
}

/// Works without a fault, kills the process at every moment (in a short campaign: at every fifth), starts it again, and has it show what
/// is there; then the power goes. Returns how many moments there were.
///
/// # Errors
///
/// What was shown and is gone, and when.
pub fn lose_power_after_a_kill(backend: &dyn Backend, work: &Work<'_>, scope: Scope) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::over(folder.path());
    drop(work(folder.path(), &disk)?);
    let trace = disk.trace();
    let every = match scope {
        Scope::Short => 5,
        Scope::Long { .. } => 1,
    };
    let clock = Arc::new(ManualClock::at(START));
    let runtime = runtime();
    let shown = |folder: &Path| -> Result<(usize, Opened), String> {
        let opened = open(backend, folder, &clock)?;
        let log = runtime.block_on(read_all(&opened)).map_err(|error| format!("the log can't be read: {error:?}"))?;
        Ok((log.len(), opened))
    };
    for steps in (0..=trace.entries.len()).step_by(every) {
        let (killed, left) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let disk = Disk::after_kill(&trace, steps, killed.path()).map_err(|error| error.to_string())?;
        let (before, opened) = shown(killed.path())?;
        let trace = disk.trace();
        drop(opened);
        let mut cut = PowerCut::new(&trace);
        cut.step_to(trace.entries.len());
        cut.write_to(left.path(), Survival::Nothing).map_err(|error| error.to_string())?;
        let _disk = Disk::over(left.path());
        let (after, _opened) = shown(left.path())?;
        if after < before {
            return Err(format!(
                "killed after step {steps}, {before} events were shown; without power {after} are left"
            ));
        }
    }
    Ok(trace.entries.len())
}

/// Opens what is left after so many steps, in each of these ways, and checks it.
fn check_left(
    check: &Check<'_>,
    trace: &Trace,
    cut: &PowerCut<'_>,
    steps: usize,
    survivals: &[Survival],
) -> Result<(), String> {
    let marks: Vec<u64> = trace.entries[..steps].iter().filter_map(mark).collect();
    for survival in survivals {
        wait_for_threads();
        let left = tempfile::tempdir().expect("a folder");
        cut.write_to(left.path(), *survival).map_err(|error| error.to_string())?;
        let _disk = Disk::over(left.path()); // So that nothing waits for a real disk.
        check(left.path(), Some(&marks)).map_err(|problem| {
            format!("power lost after step {steps} of {}, {survival:?} is left: {problem}", trace.entries.len())
        })?;
    }
    Ok(())
}

/// Waits until the process has not too many threads: a pool of connections that is gone has some left for up to 30 seconds.
fn wait_for_threads() {
    while fs::read_dir("/proc/self/task").map_or(0, Iterator::count) > THREADS_LEFT_MAX {
        thread::sleep(Duration::from_millis(200));
    }
}

/// The first moment after `steps` at which something was acknowledged: it rests on what is left by then.
fn after_next_mark(trace: &Trace, steps: usize) -> usize {
    let next = trace.entries[steps..].iter().position(|entry| mark(entry).is_some());
    next.map_or(trace.entries.len(), |next| steps + next + 1)
}

fn mark(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Mark(number) => Some(*number),
        Entry::Done(_) | Entry::Failed(_) => None,
    }
}

/// Does it for 1, 2 and so on, some at a time, until it says false; returns for how many it said true.
fn every_nth(run: impl Fn(u64) -> Result<bool, String> + Sync) -> Result<u64, String> {
    let (next, is_done, met) = (AtomicU64::new(1), AtomicBool::new(false), AtomicU64::new(0));
    let problem = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    match run(next.fetch_add(1, Ordering::SeqCst)) {
                        Ok(true) => {
                            met.fetch_add(1, Ordering::SeqCst);
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
    lock(&problem).take().map_or_else(|| Ok(met.load(Ordering::SeqCst)), Err)
}
