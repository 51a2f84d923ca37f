//! Many seeds, each of which keeps every promise that is checked. A seed that doesn't prints itself, and how to run it again.
//!
//! `SIMULATION_SEED=7` runs that one and prints all that happens in it; `SIMULATION_FROM=0 SIMULATION_SEEDS=10000` runs so many.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use inventory_simulation::Run;
use support::run;

/// Seeds of the short form.
const SEEDS: u64 = 200;

/// Findings that are printed of a seed.
const FINDINGS_SHOWN: usize = 5;

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let run = run(seed, None);
        run.trace.iter().for_each(|line| println!("{line}"));
        assert!(run.findings.is_empty(), "{}", told(&run));
        return;
    }
    let (from, seeds) = (number("SIMULATION_FROM").unwrap_or(0), number("SIMULATION_SEEDS").unwrap_or(SEEDS));
    let (next, failed) = (AtomicU64::new(from), Mutex::new(Vec::new()));
    let counts: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= from + seeds {
                return;
            }
            let run = run_again(seed);
            let mut counts = counts.lock().unwrap();
            run.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
            drop(counts);
            if !run.findings.is_empty() {
                println!("{}", told(&run));
                failed.lock().unwrap().push(seed);
            }
        }
    };
    thread::scope(|scope| (0..thread::available_parallelism().unwrap().get()).for_each(|_| drop(scope.spawn(work))));
    let counts = counts.into_inner().unwrap();
    println!("in {seeds} seeds from {from} on:");
    counts.iter().for_each(|(what, count)| println!("  {count:>9} {what}"));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {seeds} seeds failed: {failed:?}", failed.len());
    if seeds >= SEEDS {
        for what in MET {
            assert!(counts.get(what).is_some_and(|count| *count > 0), "no seed has met this: {what}");
        }
    }
}

/// One run; every now and then two, which have to be the same.
fn run_again(seed: u64) -> Run {
    let mut once = run(seed, None);
    if seed.is_multiple_of(50) {
        once.findings.extend(difference(&once, &run(seed, None)));
    }
    once
}

/// Where two runs of one seed are not the same.
fn difference(one: &Run, other: &Run) -> Option<String> {
    if (&one.trace, one.trace_hash) == (&other.trace, other.trace_hash) {
        return None;
    }
    let differing = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
    let counts = (one.trace.len(), other.trace.len());
    Some(format!("two runs of it differ: {counts:?} lines, first {differing:?}"))
}

#[test]
fn a_run_that_is_only_the_beginning_of_another_one_is_told_from_it() {
    let whole = run(0, None);
    let beginning = Run { trace: whole.trace[..whole.trace.len() / 2].to_vec(), ..whole.clone() };
    assert_eq!(difference(&whole, &whole.clone()), None);
    assert!(difference(&whole, &beginning).is_some() && difference(&beginning, &whole).is_some());
}

/// What so many seeds have to meet: a promise that was never put to the test wasn't kept.
const MET: [&str; 26] = [
    "appends refused",
    "appends unknown and done late",
    "appends unknown and not done",
    "appends unknown but done",
    "batches of clients",
    "clients that hung up",
    "conditions not met",
    "conflicts",
    "crashes",
    "disks lost",
    "expiries by the process",
    "expiries for a request",
    "forgotten reservations asked for",
    "groups of orders and transfers",
    "groups without events checked",
    "keys reused",
    "loads refused",
    "nodes cut off",
    "orderly ends",
    "orders expired for a request",
    "rebuilds",
    "repeats told the first answer",
    "requests contended for too often",
    "requests refused by a full queue",
    "snapshots kept",
    "tainted groups",
];

#[test]
fn a_seed_is_one_run_and_no_other() {
    for seed in 0..8 {
        let one = run(seed, None);
        assert_eq!(difference(&one, &run(seed, None)), None, "seed {seed}");
        assert_ne!(one.trace_hash, run(seed + 1_000, None).trace_hash, "another seed is another run");
    }
}

fn told(run: &Run) -> String {
    let shown: Vec<_> = run.findings.iter().take(FINDINGS_SHOWN).map(String::as_str).collect();
    let (seed, count) = (run.seed, run.findings.len());
    format!("seed {seed} has {count} findings:\n  {}\nrun it again: scripts/simulate --seed {seed}", shown.join("\n  "))
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text}")))
}
