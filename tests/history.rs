//! A stock's events, its level at any time, what is behind its numbers, and what runs out by itself, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{RunningService, id};
use serde_json::{Value, json};

#[test]
fn every_change_is_on_record() {
    let service = RunningService::start();
    let client = service.client();
    for quantity in 1..=5 {
        assert_eq!(client.add(1, 1, quantity).status, 201);
        thread::sleep(Duration::from_millis(3));
    }
    let reserve = json!({"product_id": id(1), "store_id": id(1), "quantity": 2, "customer_id": id(9)});
    let headers = [("idempotency-key", "buy-1"), ("x-request-id", "req-1")];
    let reserved = client.post_with("/inventory/reserve", &headers, &reserve);
    let path = format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1));
    let all = client.get(&format!("{path}/events"));
    let events = all.body["items"].as_array().unwrap();
    assert_eq!(events.len(), 6);
    assert_eq!(all.body["next_cursor"], Value::Null);
    let last = &events[5];
    assert_eq!(last["event_type"], "StockReservedEvent");
    assert_eq!(last["stream_id"], format!("inventory-{}-{}", id(1), id(1)));
    assert_eq!((&last["version"], &last["position"]), (&json!(6), &reserved.body["position"]));
    assert_eq!(last["data"]["reservation_id"], reserved.body["reservation_id"]);
    assert_eq!(last["metadata"]["request_id"], "req-1");
    assert_eq!(last["metadata"]["idempotency_key"], "buy-1");
    let page = client.get(&format!("{path}/events?from_version=3&limit=2"));
    assert_eq!(versions(&page.body), [3, 4]);
    let next = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(versions(&client.get(&format!("{path}/events?limit=2&cursor={next}")).body), [5, 6]);
    assert_eq!(versions(&client.get(&format!("{path}/events?from_version=7")).body), [0; 0]);
    for query in ["from_version=0", "from_version=x", "limit=0", &format!("from_version=1&cursor={next}"), "cursor=7"] {
        assert_eq!(client.get(&format!("{path}/events?{query}")).summary(), "422 invalid-request", "{query}");
    }
    assert_eq!(client.get(&path.replace(&id(1), &id(2))).summary(), "404 stock-not-found");
    assert_eq!(client.get(&format!("{}/events", path.replace(&id(1), &id(2)))).summary(), "404 stock-not-found");

    let mut total = 0;
    for (event, quantity) in events.iter().zip(1..=5) {
        total += quantity;
        let at = event["recorded_at"].as_str().unwrap();
        let then = client.get(&format!("{path}?at={at}"));
        assert_eq!(then.level(), format!("{total}/0 v{quantity}"), "at {at}");
    }
    assert_eq!(client.get(&format!("{path}?at=2020-01-01T00:00:00Z")).summary(), "404 stock-not-found");
    assert_eq!(client.get(&format!("{path}?at=2999-01-01T00:00:00Z")).summary(), "422 invalid-request");
    assert_eq!(client.get(&format!("{path}?at=noon")).summary(), "422 invalid-request");

    let explained = client.get(&format!("{path}/explain?limit=2"));
    assert_eq!(explained.level(), "13/2 v6");
    assert_eq!(explained.body["live_reservations"], 1);
    assert_eq!(explained.body["reservations"][0]["reservation_id"], reserved.body["reservation_id"]);
    let last: Vec<_> =
        explained.body["last_events"].as_array().unwrap().iter().map(|event| &event["version"]).collect();
    assert_eq!(last, [&json!(6), &json!(5)]);
}

/// The shortest hold is a minute, so this test takes one.
#[test]
fn what_runs_out_is_free_within_a_second_also_after_a_kill() {
    let service = RunningService::start();
    let client = service.client();
    for product in 1..=3 {
        assert_eq!(client.add(product, 1, 10).status, 201);
    }
    let reserve = |product: u128| {
        let body = json!({"product_id": id(product), "store_id": id(1), "quantity": 4, "customer_id": id(9), "ttl_minutes": 1});
        client.post("reserve", &body)
    };
    let first = reserve(1);
    let line = |product: u128| json!({"product_id": id(product), "store_id": id(1), "quantity": 3});
    let order = json!({"order_id": id(1), "customer_id": id(9), "ttl_minutes": 1, "lines": [line(2), line(3)]});
    assert_eq!(client.post_with("/orders", &[], &order).status, 201);
    let kept = reserve(2);
    let extend = json!({"product_id": id(2), "store_id": id(1), "reservation_id": kept.body["reservation_id"], "ttl_minutes": 5});
    assert_eq!(client.post("extend", &extend).status, 200);
    let start = Instant::now();
    let service = service.kill_and_restart();
    let client = service.client();
    let is_free = |product: u128, reserved: u64| client.level(product, 1).body["reserved"] == reserved;
    thread::sleep(Duration::from_secs(55));
    assert!(is_free(1, 4) && is_free(2, 7) && is_free(3, 3), "not before the deadline");
    while !(is_free(1, 0) && is_free(2, 4) && is_free(3, 0)) {
        assert!(start.elapsed() < Duration::from_secs(90), "it isn't freed");
        thread::sleep(Duration::from_millis(20));
    }
    let events = client.get(&format!("/api/v1/inventory/products/{}/stores/{}/events", id(1), id(1))).body;
    let freed = &events["items"][2];
    assert_eq!((&freed["event_type"], &freed["data"]["cause"]), (&json!("StockReleasedEvent"), &json!("expired")));
    let millis = |text: &Value| {
        let time = text.as_str().unwrap().split('T').nth(1).unwrap().trim_end_matches('Z').replace('.', ":");
        let parts: Vec<u64> = time.split(':').map(|part| part.parse().unwrap()).collect();
        ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1_000 + parts[3]
    };
    let late = (millis(&freed["recorded_at"]) + 86_400_000 - millis(&first.body["expires_at"])) % 86_400_000;
    assert!(late < 1_000, "{late} ms after the deadline");
    assert_eq!(client.get(&format!("/api/v1/orders/{}", id(1))).body["state"], "expired");
}

fn versions(body: &Value) -> Vec<u64> {
    body["items"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()).collect()
}
