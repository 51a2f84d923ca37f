//! Killed with SIGKILL under load, again and again: what was acknowledged is there, whole, and readers agree.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use inventory_tests::{Client, RunningService, id};
use serde_json::json;

const ROUNDS: u64 = 20;
const CLIENTS: u128 = 8;
const STOCKS: u128 = 16;

/// What one client was told.
#[derive(Default)]
struct Told {
    /// Reservations that were acknowledged, by stock and id.
    reserved: Vec<(u128, String)>,
    /// Reservations whose commit was acknowledged.
    committed: BTreeSet<String>,
    /// Reservations whose commit was asked for, with no answer.
    in_doubt: BTreeSet<String>,
}

#[test]
fn no_acknowledged_command_is_missing_after_a_kill() {
    let mut service = RunningService::start();
    for stock in 0..STOCKS {
        assert_eq!(service.client().add(stock, 1, 1_000_000_000).status, 201);
    }
    let mut all: Vec<Told> = (0..CLIENTS).map(|_| Told::default()).collect();
    for round in 0..ROUNDS {
        let is_over = AtomicBool::new(false);
        let clients: Vec<Client> = (0..CLIENTS).map(|_| service.client()).collect();
        thread::scope(|scope| {
            for ((number, client), told) in (0..CLIENTS).zip(clients).zip(&mut all) {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut stock = number;
                    while !is_over.load(Ordering::Relaxed) && buy(&client, stock % STOCKS, told) {
                        stock += 1;
                    }
                });
            }
            thread::sleep(Duration::from_millis(60 + (round * 37) % 150));
            service.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        service = service.kill_and_restart();
        check_levels(&service, &all, round);
    }
    assert!(all.iter().map(|told| told.reserved.len()).sum::<usize>() > 200, "there was load");
    check_reservations(&service.client(), &all);
}

/// Reserves one unit and commits every other reservation; false when the service is gone.
fn buy(client: &Client, stock: u128, told: &mut Told) -> bool {
    let Ok(answer) = client.try_reserve(stock, 1, 1) else { return false };
    assert_eq!(answer.status, 201, "{}", answer.body);
    let reservation = answer.body["reservation_id"].as_str().unwrap().to_owned();
    told.reserved.push((stock, reservation.clone()));
    if told.reserved.len().is_multiple_of(2) {
        let body = commit(stock, &reservation);
        let Ok(answer) = client.try_post("commit", &body) else {
            told.in_doubt.insert(reservation);
            return false;
        };
        assert_eq!(answer.status, 200, "{}", answer.body);
        told.committed.insert(reservation);
    }
    true
}

fn commit(stock: u128, reservation: &str) -> serde_json::Value {
    json!({"product_id": id(stock), "store_id": id(1), "reservation_id": reservation, "order_id": id(1)})
}

/// At least what was acknowledged is there, and at most that and what was in doubt; both views of a stock agree.
fn check_levels(service: &RunningService, all: &[Told], round: u64) {
    let client = service.client();
    for stock in 0..STOCKS {
        let level = client.level(stock, 1);
        assert_eq!(level.status, 200, "round {round}, stock {stock}: {}", level.body);
        let of_stock = |told: &&(u128, String)| told.0 == stock;
        let reserved: u64 = all.iter().map(|told| told.reserved.iter().filter(of_stock).count() as u64).sum();
        let sold = |ids: &BTreeSet<String>, told: &Told| {
            told.reserved.iter().filter(of_stock).filter(|(_, id)| ids.contains(id)).count() as u64
        };
        let committed: u64 = all.iter().map(|told| sold(&told.committed, told)).sum();
        let in_doubt: u64 = all.iter().map(|told| sold(&told.in_doubt, told)).sum();
        let is_sold = 1_000_000_000 - level.body["total"].as_u64().unwrap();
        assert!(
            (committed..=committed + in_doubt).contains(&is_sold),
            "round {round}, stock {stock}: {is_sold} sold, {committed} acknowledged, {in_doubt} in doubt"
        );
        let is_reserved = level.body["reserved"].as_u64().unwrap() + is_sold;
        // A reserve without an answer is known by nobody: at most one a client and round.
        let unknown = u64::try_from(CLIENTS).unwrap() * (round + 1);
        assert!(
            (reserved..=reserved + unknown).contains(&is_reserved),
            "round {round}, stock {stock}: {is_reserved} reserved, {reserved} acknowledged"
        );
        let product = client.get(&format!("/api/v1/inventory/products/{}", id(stock)));
        assert_eq!(product.body[0], level.body, "round {round}, stock {stock}");
        let again = client.post(
            "adjust",
            &json!({"product_id": id(stock), "store_id": id(1), "quantity": level.body["total"], "reason": "count"}),
        );
        assert_eq!(again.body["total"], level.body["total"], "the write side agrees: {}", again.body);
        assert_eq!(again.body["reserved"], level.body["reserved"], "the write side agrees: {}", again.body);
    }
}

/// Every acknowledged reservation is known, in the state that was acknowledged last.
fn check_reservations(client: &Client, all: &[Told]) {
    for told in all {
        // The stock remembers the last thousand that are closed; the load stays far below it.
        for (stock, reservation) in &told.reserved {
            let answer = client.post("commit", &commit(*stock, reservation)).summary();
            if told.committed.contains(reservation) {
                assert_eq!(answer, "409 reservation-committed", "{reservation}");
            } else if told.in_doubt.contains(reservation) {
                assert!(["200", "409 reservation-committed"].contains(&answer.as_str()), "{reservation}: {answer}");
            } else {
                assert_eq!(answer, "200", "{reservation}");
            }
        }
    }
}
