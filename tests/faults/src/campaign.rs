//! The same work again and again, with another fault each time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use crate::appends::Run;
use crate::disk::Disk;
use crate::fault::{Aim, Fault, How};
use crate::power_cut::{PowerCut, Survival};
use crate::stores::Backend;
use crate::told::Fate;
use crate::trace::{Entry, Trace};

/// Runs at a time: most of a run is waiting for a repair.
const THREADS: usize = 16;

/// How thorough a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every n that changes something, each with one way to fail; what is left of a few moments.
    Short,
    /// Every n with every way to fail; what is left of every moment, in so many ways.
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
/// # Panics
///
/// With n and the way to fail, where the store did something wrong.
pub fn fail_every_change(backend: &dyn Backend, scope: Scope) -> u64 {
    let ways = |nth: u64| match scope {
        Scope::Short => {
            let place = usize::try_from(nth).unwrap_or(0) % How::ALL.len();
            How::ALL[place..=place].to_vec()
        }
        Scope::Long { .. } => How::ALL.to_vec(),
    };
    every_nth(|nth| ways(nth).into_iter().all(|how| run(backend, Fault { aim: Aim::Changes, nth, how }, scope)))
}

/// Has the n-th look at the disk fail, for every n (in a short campaign: every fourth) until the work gets through without it; returns
/// how many there were.
///
/// # Panics
///
/// With n, where the store did something wrong.
pub fn fail_every_read(backend: &dyn Backend, scope: Scope) -> u64 {
    let step = match scope {
        Scope::Short => 4,
        Scope::Long { .. } => 1,
    };
    every_nth(|nth| run(backend, Fault { aim: Aim::Reads, nth: nth * step, how: How::Fails }, scope)) * step
}

/// One run with one fault; whether it was met.
fn run(backend: &dyn Backend, fault: Fault, scope: Scope) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::over(folder.path());
    disk.fail(fault);
    let mut run = Run::new(backend, folder.path(), &disk);
    let done = run.go();
    assert_eq!(done, Ok(()), "{fault:?}");
    let met = disk.failed_at();
    disk.heal();
    let trace = disk.trace();
    let by_now = |number: usize| run.asked[number].fate;
    let moments: Vec<usize> = match (scope, met, fault.aim) {
        (_, _, Aim::Reads) | (_, None, _) => Vec::new(),
        (Scope::Short, Some(met), _) => {
            vec![met + 1 + usize::try_from(fault.nth % 7).unwrap_or(0), trace.entries.len()]
        }
        (Scope::Long { .. }, Some(met), _) => (met..met + 12).chain([trace.entries.len()]).collect(),
    };
    for steps in moments {
        let survivals = [Survival::Nothing, Survival::Some(fault.nth)];
        if let Err(problem) = check_left(&run, &trace, steps.min(trace.entries.len()), &survivals) {
            panic!("{fault:?}: {problem}");
        }
    }
    let reopened = run.check_in(folder.path(), by_now);
    assert_eq!(reopened, Ok(()), "{fault:?}: opened again");
    met.is_some()
}

/// Works without a fault, and cuts the power at every moment (in a short campaign: at some). `plant` may have the disk break its word.
///
/// # Errors
///
/// What was lost, or is half there, and when.
pub fn lose_power_everywhere(backend: &dyn Backend, scope: Scope, plant: impl FnOnce(&Disk)) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Disk::over(folder.path());
    plant(&disk);
    let mut run = Run::new(backend, folder.path(), &disk);
    run.go()?;
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
                loop {
                    let steps = usize::try_from(moments.fetch_add(every, Ordering::SeqCst)).unwrap_or(usize::MAX);
                    if steps > trace.entries.len() || lock(&problem).is_some() {
                        return;
                    }
                    let seeds = (0..seeds).map(|seed| Survival::Some(seed << 32 | steps as u64));
                    let survivals: Vec<Survival> = [Survival::Nothing].into_iter().chain(seeds).collect();
                    // A runtime of its own, but what was asked is the same.
                    let mut own = Run::new(backend, folder.path(), &disk);
                    own.asked.clone_from(&run.asked);
                    own.go_to(run.now());
                    if let Err(found) = check_left(&own, &trace, steps, &survivals) {
                        lock(&problem).get_or_insert(found);
                    }
                }
            });
        }
    });
    lock(&problem).take().map_or(Ok(trace.entries.len()), Err)
}

/// Opens what is left after so many steps, and checks it.
fn check_left(run: &Run<'_>, trace: &Trace, steps: usize, survivals: &[Survival]) -> Result<(), String> {
    let mut cut = PowerCut::new(trace);
    cut.step_to(steps);
    let acknowledged: Vec<u64> = trace.entries[..steps].iter().filter_map(mark).collect();
    let fate = |number: usize| match run.asked[number].fate {
        Fate::There if !acknowledged.contains(&(number as u64)) => Fate::WholeOrNot, // Later, or not told of yet.
        fate => fate,
    };
    // Keys are forgotten in the end, also by a batch that was on its way.
    let on_its_way = acknowledged.last().map_or(0, |last| usize::try_from(*last).unwrap_or(0) + 1);
    let now = run.now();
    run.go_to(run.asked.get(on_its_way).map_or(now, |asked| asked.at));
    for survival in survivals {
        let left = tempfile::tempdir().expect("a folder");
        cut.write_to(left.path(), *survival).map_err(|error| error.to_string())?;
        let _disk = Disk::over(left.path()); // So that nothing waits for a real disk.
        run.check_in(left.path(), fate).map_err(|problem| {
            format!("power lost after step {steps} of {}, {survival:?} is left: {problem}", trace.entries.len())
        })?;
    }
    run.go_to(now);
    Ok(())
}

fn mark(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Mark(number) => Some(*number),
        Entry::Done(_) | Entry::Failed(_) => None,
    }
}

/// Does it for 1, 2 and so on, some at a time, until it says false; returns for how many it said true.
fn every_nth(run: impl Fn(u64) -> bool + Sync) -> u64 {
    let (next, is_done, met) = (AtomicU64::new(1), AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    if run(next.fetch_add(1, Ordering::SeqCst)) {
                        met.fetch_add(1, Ordering::SeqCst);
                    } else {
                        is_done.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    met.load(Ordering::SeqCst)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
