//! Runs a seed in simulated time.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use inventory_simulation::{Flaw, Run, simulate};

/// One run, on this thread.
pub fn run(seed: u64, flaw: Option<Flaw>) -> Run {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(simulate(seed, flaw))
}
