//! Everybody wants the last units: exactly as many get one as there are.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use inventory_tests::RunningService;

const UNITS: u64 = 1_000;
const CLIENTS: usize = 64;
const ATTEMPTS: usize = 2_000;

#[test]
fn sixty_four_clients_fight_for_the_last_thousand_units() {
    let service = RunningService::start();
    assert_eq!(service.client().add(1, 1, UNITS).status, 201);
    let left = Mutex::new(ATTEMPTS);
    let outcomes = Mutex::new(BTreeMap::<String, u64>::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let client = service.client();
                while take_one(&left) {
                    let outcome = client.try_reserve(1, 1, 1).unwrap().summary();
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                    // Nobody is ever shown more than there is, or less than what is acknowledged.
                    let level = client.level(1, 1).body;
                    assert_eq!(level["total"], UNITS);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let expected = [("201".to_owned(), UNITS), ("409 insufficient-stock".to_owned(), ATTEMPTS as u64 - UNITS)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    assert_eq!(service.client().level(1, 1).level(), format!("0/{UNITS} v{}", UNITS + 1));
    let service = service.kill_and_restart();
    assert_eq!(service.client().level(1, 1).level(), format!("0/{UNITS} v{}", UNITS + 1));
}

fn take_one(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().unwrap();
    let is_any = *left > 0;
    *left = left.saturating_sub(1);
    is_any
}
