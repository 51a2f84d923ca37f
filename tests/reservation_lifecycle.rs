//! A reservation's life over HTTP, on the real service.

use inventory_tests::{Answer, RunningService, id};
use serde_json::{Value, json};

#[test]
fn units_are_added_reserved_committed_and_released() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.level(1, 1).summary(), "404 stock-not-found");
    assert_eq!(client.get(&format!("/api/v1/inventory/products/{}", id(1))).summary(), "404 stock-not-found");
    assert_eq!(reserve(&service, "a", 1, json!({})).summary(), "409 insufficient-stock");

    let added = client.add(1, 1, 10);
    assert_eq!((added.status, added.level()), (201, "10/0 v1".into()));
    assert_eq!(added.body["total"], 10);
    assert_eq!(added.body["position"], 1);
    assert_eq!(added.body["message"], "Stock added");
    assert_eq!(added.header("etag"), Some("\"1\""));

    let reserved = reserve(&service, "a", 4, json!({}));
    assert_eq!((reserved.status, reserved.level()), (201, "6/4 v2".into()));
    assert!(reserved.body["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(reserve(&service, "b", 3, json!({"ttl_minutes": null})).body["expires_at"], Value::Null);
    assert_eq!(client.level(1, 1).level(), "3/7 v3");

    let refused = reserve(&service, "c", 4, json!({}));
    assert_eq!(refused.summary(), "409 insufficient-stock");
    assert_eq!((&refused.body["requested"], &refused.body["available"]), (&json!(4), &json!(3)));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.body["instance"].as_str(), refused.header("x-request-id"));

    let extended = change(&service, "extend", "a", json!({"ttl_minutes": 60}));
    assert_eq!((extended.status, extended.level()), (200, "3/7 v4".into()));
    assert_ne!(extended.body["expires_at"], reserved.body["expires_at"]);

    let committed = change(&service, "commit", "a", json!({"order_id": id(9), "quantity": 1}));
    assert_eq!((committed.status, committed.level()), (200, "6/3 v6".into()));
    assert_eq!(committed.body["position"], 6);
    let released = change(&service, "release", "b", json!({"reason": "changed their mind"}));
    assert_eq!((released.status, released.level()), (200, "9/0 v7".into()));

    assert_eq!(change(&service, "commit", "a", json!({"order_id": id(9)})).summary(), "409 reservation-committed");
    assert_eq!(change(&service, "commit", "b", json!({"order_id": id(9)})).summary(), "409 reservation-released");
    assert_eq!(change(&service, "commit", "z", json!({"order_id": id(9)})).summary(), "404 reservation-not-found");
    assert_eq!(reserve(&service, "d", 2, json!({})).status, 201);
    let too_many = change(&service, "commit", "d", json!({"order_id": id(9), "quantity": 3}));
    assert_eq!(too_many.summary(), "422 exceeds-reservation");

    let service = service.kill_and_restart();
    assert_eq!(service.client().level(1, 1).level(), "7/2 v8");
    assert_eq!(change(&service, "commit", "b", json!({"order_id": id(9)})).summary(), "409 reservation-released");
}

#[test]
fn the_same_reservation_again_holds_once() {
    let service = RunningService::start();
    assert_eq!(service.client().add(1, 1, 10).status, 201);
    let first = reserve(&service, "a", 4, json!({}));
    let again = reserve(&service, "a", 4, json!({}));
    assert_eq!((again.status, &again.body), (201, &first.body));
    for other in [
        json!({"quantity": 5}),
        json!({"ttl_minutes": 31}),
        json!({"customer_id": id(2)}),
        json!({"ttl_minutes": null}),
    ] {
        assert_eq!(reserve(&service, "a", 4, other.clone()).summary(), "409 reservation-exists", "{other}");
    }
    assert_eq!(change(&service, "commit", "a", json!({"order_id": id(9)})).status, 200);
    assert_eq!(reserve(&service, "a", 4, json!({})).summary(), "409 reservation-exists");
}

#[test]
fn a_count_corrects_the_level() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 10).status, 201);
    assert_eq!(reserve(&service, "a", 4, json!({})).status, 201);
    let adjust = |quantity: i64| {
        let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": quantity, "reason": "count"});
        client.post("adjust", &stock)
    };
    assert_eq!(adjust(7).level(), "3/4 v3");
    assert_eq!(adjust(3).summary(), "409 below-reserved");
    assert_eq!(change(&service, "release", "a", json!({"reason": "x"})).status, 200);
    assert_eq!(adjust(0).level(), "0/0 v5");
    assert_eq!(adjust(1_000_000_000_000_000).level(), "1000000000000000/0 v6");
    assert_eq!(client.add(1, 1, 1).summary(), "409 stock-limit-exceeded");
}

#[test]
fn levels_are_shown_a_stock_and_a_product_at_a_time() {
    let service = RunningService::start();
    let client = service.client();
    for store in [3, 1, 2] {
        assert_eq!(client.add(1, store, 10 * u64::try_from(store).unwrap()).status, 201);
    }
    let levels = client.get(&format!("/api/v1/inventory/products/{}", id(1)));
    let shown = levels.body.as_array().unwrap().iter();
    let shown: Vec<_> = shown.map(|level| (level["store_id"].as_str().unwrap(), &level["total"])).collect();
    assert_eq!(shown, [(id(1).as_str(), &json!(10)), (id(2).as_str(), &json!(20)), (id(3).as_str(), &json!(30))]);

    let path = format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1));
    let level = client.get(&path);
    assert_eq!(level.header("etag"), Some("\"1\""));
    let when_new = |known: &str| client.send("GET", &path, &[("if-none-match", known)], b"").unwrap();
    assert_eq!(
        (when_new("\"1\"").status, when_new("W/\"1\"").status, when_new("\"7\", \"1\"").status),
        (304, 304, 304)
    );
    assert_eq!((when_new("\"2\"").status, when_new("*").status), (200, 304));
    assert_eq!(client.send("HEAD", &path, &[], b"").unwrap().status, 200);

    let ask = |product: u128, quantity: u64| {
        let body = json!({"product_id": id(product), "store_id": id(1), "required_quantity": quantity});
        client.post("availability", &body).body
    };
    assert_eq!(ask(1, 10), json!({"available": true, "current_stock": 10, "required": 10}));
    assert_eq!(ask(1, 11), json!({"available": false, "current_stock": 10, "required": 11}));
    assert_eq!(ask(7, 1), json!({"available": false, "current_stock": 0, "required": 1}));
}

#[test]
fn every_business_event_is_one_line_of_the_log_and_carries_no_reason() {
    let mut service = RunningService::start();
    let body = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "a-secret-word"});
    let headers = [("content-type", "application/json"), ("x-request-id", "my-request-1")];
    let added =
        service.client().send("POST", "/api/v1/inventory/stock", &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(added.header("x-request-id"), Some("my-request-1"));
    let line = service.wait_for("stock_added");
    assert_eq!((&line["request_id"], &line["quantity"]), (&json!("my-request-1"), &json!(5)));
    assert_eq!((&line["product_id"], &line["store_id"]), (&json!(id(1)), &json!(id(1))));
    assert_eq!((&line["level"], line["timestamp"].as_str().unwrap().len()), (&json!("info"), 24));
    service.ask_to_stop();
    assert!(service.wait().success());
    for line in service.log() {
        assert!(line.is_object(), "{line}");
        assert!(!line.to_string().contains("a-secret-word"), "{line}");
    }
}

/// Reserves on stock 1 of store 1 with a reservation id made of `name`; `fields` wins over the rest.
fn reserve(service: &RunningService, name: &str, quantity: u64, fields: Value) -> Answer {
    let mut body = json!({
        "product_id": id(1), "store_id": id(1), "quantity": quantity, "customer_id": id(1), "reservation_id": named(name),
    });
    merge(&mut body, fields);
    service.client().post("reserve", &body)
}

/// Changes the reservation with the id made of `name`.
fn change(service: &RunningService, command: &str, name: &str, fields: Value) -> Answer {
    let mut body = json!({"product_id": id(1), "store_id": id(1), "reservation_id": named(name)});
    merge(&mut body, fields);
    service.client().post(command, &body)
}

fn named(name: &str) -> String {
    id(1000 + u128::from(name.as_bytes()[0]))
}

fn merge(body: &mut Value, fields: Value) {
    if let (Value::Object(body), Value::Object(fields)) = (body, fields) {
        body.extend(fields);
    }
}
