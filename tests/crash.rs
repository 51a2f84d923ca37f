//! Killed with SIGKILL under a mixed load, again and again: what was acknowledged is there, what wasn't is there whole or not at all,
//! repeats have one effect, and the read models are what a fresh replay makes of the log.
//!
//! The long form is `scripts/torture`. `TORTURE_SEED` sets the first seed, `TORTURE_ROUNDS` how many rounds the long form has.
//! Clients, deaths and how much is done before them follow from the seed; where exactly in its work a process dies doesn't.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[path = "crash/account.rs"]
mod account;
#[path = "crash/answers.rs"]
mod answers;
#[path = "crash/asking.rs"]
mod asking;
#[path = "crash/ending.rs"]
mod ending;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/life.rs"]
mod life;
#[path = "crash/log_event.rs"]
mod log_event;
#[path = "crash/planted.rs"]
mod planted;
#[path = "crash/proof.rs"]
mod proof;
#[path = "crash/read_models.rs"]
mod read_models;
#[path = "crash/seeds.rs"]
mod seeds;
#[path = "crash/shopper.rs"]
mod shopper;

use std::env;
use std::time::Instant;

use self::life::{Figures, GRANTED_A_ROUND, Life};

/// Rounds that one data folder lives through.
const ROUNDS_OF_A_LIFE: u64 = 10;

#[test]
fn nothing_is_lost_or_done_twice_in_ten_rounds() {
    met_everything(&live(seed().unwrap_or(1), ROUNDS_OF_A_LIFE));
}

#[test]
#[ignore = "it takes many minutes: scripts/torture"]
fn nothing_is_lost_or_done_twice_in_the_long_run() {
    let rounds = env::var("TORTURE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    let started = Instant::now();
    let mut all = Figures::default();
    for seed in seed().unwrap_or(1).. {
        let rest: u64 = rounds - all.rounds;
        if rest == 0 {
            break;
        }
        all.add(&live(seed, rest.min(ROUNDS_OF_A_LIFE)));
        println!("seed {seed}: {} rounds, {:.0} s", all.rounds, started.elapsed().as_secs_f64());
    }
    println!("{all:#?}");
    met_everything(&all);
}

/// What was never met can't have been proved. None of it hangs on how fast the machine is.
fn met_everything(figures: &Figures) {
    let Figures { rounds, endings, counts, granted_before, expired, .. } = *figures;
    assert!(counts.granted >= granted_before + rounds * GRANTED_A_ROUND.start, "there was load: {figures:#?}");
    assert!(counts.unknown >= endings.under_load(), "each kill met somebody who waited for an answer: {figures:#?}");
    assert!(counts.told_again > 0 && expired > 0, "something was asked again, and something ran out: {figures:#?}");
    assert!(endings.least() >= rounds / ROUNDS_OF_A_LIFE, "every ending came about: {figures:#?}");
}

fn seed() -> Option<u64> {
    env::var("TORTURE_SEED").ok()?.parse().ok()
}

/// A life of so many rounds that follows from the seed.
fn live(seed: u64, rounds: u64) -> Figures {
    let life = || {
        let mut life = Life::begin(seed)?;
        (0..rounds).try_for_each(|round| life.round().map_err(|error| format!("round {round}: {error}")))?;
        life.finish()
    };
    life().unwrap_or_else(|error| {
        let store = env::var("INVENTORY_TEST_STORE").unwrap_or_else(|_| "sqlite".into());
        panic!("{error}\nonce more: SEED={seed} ROUNDS={rounds} STORE={store} ./scripts/torture crash")
    })
}
