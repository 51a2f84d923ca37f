//! Units that move between stores, and counts that come late, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{RunningService, id};
use serde_json::{Value, json};

#[test]
fn units_leave_travel_and_arrive_in_parts() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 9).status, 201);
    let started = client.post_with("/transfers", &[], &transfer(1, 5));
    assert_eq!(started.status, 201, "{}", started.body);
    assert_eq!((&started.body["state"], &started.body["in_transit"]), (&json!("in_transit"), &json!(5)));
    assert_eq!((client.level(1, 1).level(), client.level(1, 2).status), ("4/0 v2".into(), 404));
    assert_eq!(client.post_with("/transfers", &[], &transfer(1, 5)).status, 201, "the same again");
    assert_eq!(client.post_with("/transfers", &[], &transfer(1, 4)).summary(), "409 transfer-exists");
    assert_eq!(client.post_with("/transfers", &[], &transfer(2, 5)).summary(), "409 insufficient-stock");
    let receive = |body: Value| client.post_with(&format!("/transfers/{}/receive", id(1)), &[], &body);
    assert_eq!(receive(json!({"quantity": 2})).body["in_transit"], 3);
    assert_eq!(receive(json!({"quantity": 4})).summary(), "422 exceeds-transfer");
    assert_eq!(client.level(1, 2).level(), "2/0 v1");
    let cancelled = client.send("POST", &format!("/api/v1/transfers/{}/cancel", id(1)), &[], b"").unwrap();
    assert_eq!((&cancelled.body["state"], &cancelled.body["cancelled"]), (&json!("cancelled"), &json!(3)));
    assert_eq!(client.level(1, 1).level(), "7/0 v3");
    assert_eq!(receive(json!({})).summary(), "409 transfer-cancelled");
    assert_eq!(client.post_with("/transfers", &[], &transfer(3, 7)).status, 201);
    let path = format!("/transfers/{}/receive", id(3));
    assert_eq!(client.send("POST", &format!("/api/v1{path}"), &[], b"").unwrap().body["state"], "received");
    assert_eq!(client.post_with(&path, &[], &json!({})).summary(), "409 transfer-received");
    assert_eq!(client.level(1, 2).level(), "9/0 v2");
    let shown = client.get(&format!("/api/v1/transfers/{}", id(1)));
    assert_eq!((shown.status, shown.header("etag")), (200, Some("\"3\"")));
    assert_eq!(client.get(&format!("/api/v1/transfers/{}", id(9))).summary(), "404 transfer-not-found");
    eventually(|| {
        let list = client.get(&format!("/api/v1/transfers?product_id={}&state=received", id(1)));
        list.body["items"].as_array().is_some_and(|items| items.len() == 1 && items[0]["transfer_id"] == id(3))
    });
}

#[test]
fn bad_transfers_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    let mut same = transfer(1, 5);
    same["to_store_id"] = same["from_store_id"].clone();
    let refused = client.post_with("/transfers", &[], &same);
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!("to_store_id")));
    for (field, value) in [("quantity", json!(0)), ("reason", json!("")), ("product_id", json!("x")), ("x", json!(1))] {
        let mut bad = transfer(1, 5);
        bad[field] = value;
        assert_eq!(client.post_with("/transfers", &[], &bad).body["errors"][0]["field"], field);
    }
    for path in [format!("/transfers/{}/receive", id(1)), format!("/transfers/{}/cancel", id(1))] {
        assert_eq!(client.post_with(&path, &[], &json!({})).summary(), "404 transfer-not-found");
    }
    assert_eq!(client.post_with(&format!("/transfers/{}/receive", id(1)), &[], &json!({"quantity": 0})).status, 422);
    assert_eq!(client.get("/api/v1/transfers?state=lost").summary(), "422 invalid-request");
}

#[test]
fn a_late_count_keeps_what_has_happened_since() {
    let service = RunningService::start();
    let client = service.client();
    let adjust = |fields: Value| {
        let mut body = json!({"product_id": id(1), "store_id": id(1), "reason": "count"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        client.post("adjust", &body)
    };
    let added = client.add(1, 1, 10);
    assert_eq!(added.status, 201);
    let path = format!("/api/v1/inventory/products/{}/stores/{}/events", id(1), id(1));
    let counted_at = client.get(&path).body["items"][0]["recorded_at"].as_str().unwrap().to_owned();
    thread::sleep(Duration::from_millis(5));
    assert_eq!(client.add(1, 1, 7).status, 201);
    let late = adjust(json!({"quantity": 8, "counted_at": counted_at}));
    assert_eq!((late.status, late.level()), (200, "15/0 v3".into()), "two were missing, seven came since");
    assert_eq!(client.get(&path).body["items"][2]["data"]["counted_at"], counted_at);
    assert_eq!(adjust(json!({"quantity": 8})).level(), "8/0 v4");
    let a_day_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24)).to_string();
    assert_eq!(adjust(json!({"quantity": 8, "counted_at": null})).level(), "8/0 v5");
    assert_eq!(adjust(json!({"quantity": 0, "counted_at": a_day_ago})).level(), "8/0 v6", "nothing was there");
    for bad in [json!("2999-01-01T00:00:00Z"), json!("2001-01-01T00:00:00Z"), json!("yesterday"), json!(7)] {
        let refused = adjust(json!({"quantity": 8, "counted_at": bad}));
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!("counted_at")), "{bad}");
    }
    let reserve = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "customer_id": id(9)});
    assert_eq!(client.post("reserve", &reserve).status, 201);
    assert_eq!(adjust(json!({"quantity": 4})).summary(), "409 below-reserved");
    assert_eq!(adjust(json!({"quantity": 5})).level(), "0/5 v8", "it merges with the live reservation");
}

fn transfer(number: u128, quantity: u64) -> Value {
    json!({"transfer_id": id(number), "product_id": id(1), "from_store_id": id(1), "to_store_id": id(2),
        "quantity": quantity, "reason": "rebalance"})
}

fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "it doesn't come to hold");
        thread::sleep(Duration::from_millis(5));
    }
}
