//! How fresh an answer is, where the client says how fresh it has to be, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::thread;

use inventory_tests::{Answer, Client, RunningService, id};
use serde_json::json;

/// Short, because what never comes is waited for as long.
const WAIT: (&str, &str) = ("INVENTORY__READS__CATCH_UP_MS_MAX", "200");

#[test]
fn a_reader_sees_its_own_writes() {
    let service = RunningService::start_with(&[], &[]);
    let client = service.client();
    for number in 1..=200 {
        let written = client.add(number % 7, 1, 1);
        let level = get(&client, &stock(number % 7), &format!("min_version={}", written.body["version"]));
        assert_eq!(level.level(), written.level());
        let at = format!("min_position={}", written.body["position"]);
        assert_eq!(get(&client, &stock(number % 7), &at).level(), written.level());
        let product = get(&client, &format!("/inventory/products/{}", id(number % 7)), &at);
        assert_eq!(product.body[0]["version"], written.body["version"]);
        let order = place(&client, number, number % 7);
        for fresh in [format!("min_position={}", order.body["position"]), "consistency=strong".to_owned()] {
            let listed = get(&client, "/orders", &format!("limit=1000&{fresh}"));
            let last = listed.body["items"].as_array().unwrap().last().unwrap();
            assert_eq!(last["order_id"], order.body["order_id"], "{fresh}");
        }
    }
}

#[test]
fn every_question_takes_a_position_and_a_consistency() {
    let service = RunningService::start_with(&[], &[WAIT]);
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    assert_eq!(place(&client, 1, 1).status, 201);
    let transfer = json!({"transfer_id": id(1), "product_id": id(1), "from_store_id": id(1), "to_store_id": id(2), "quantity": 1, "reason": "x"});
    let last = client.post_with("/transfers", &[], &transfer).body["position"].as_u64().unwrap();
    for path in questions() {
        for there in [
            "consistency=strong".to_owned(),
            "consistency=eventual".to_owned(),
            format!("min_position={last}"),
            format!("min_position={last}&consistency=strong"),
        ] {
            assert_eq!(get(&client, &path, &there).status, 200, "{path} {there}");
            let glue = if path.contains('?') { '&' } else { '?' };
            let head = client.send("HEAD", &format!("/api/v1{path}{glue}{there}"), &[], b"").unwrap();
            assert_eq!(head.status, 200, "HEAD {path} {there}");
        }
        for not_yet in [format!("min_position={}", last + 1), format!("min_position={}", i64::MAX)] {
            let answer = get(&client, &path, &not_yet);
            assert_eq!(answer.summary(), "503 read-model-behind", "{path} {not_yet}");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        for (wrong, field) in [
            ("min_position=-1", "min_position"),
            ("min_position=x", "min_position"),
            ("min_position=", "min_position"),
            ("min_position=%2B1", "min_position"),
            ("min_position=1.0", "min_position"),
            ("min_position=9223372036854775808", "min_position"),
            ("min_position=1&min_position=1", "min_position"),
            ("consistency=", "consistency"),
            ("consistency=Strong", "consistency"),
            ("consistency=linearizable", "consistency"),
            ("colour=red", "colour"),
        ] {
            assert_eq!(refused(&get(&client, &path, wrong)), field, "{path} {wrong}");
        }
    }
    let availability = json!({"product_id": id(1), "store_id": id(1), "required_quantity": 1});
    let ask = |query: &str| client.post(&format!("availability?{query}"), &availability).summary();
    assert_eq!(ask("consistency=strong"), "200");
    assert_eq!(ask("min_version=3"), "200");
    assert_eq!(ask("min_version=4"), "503 read-model-behind");
    assert_eq!(ask("min_position=x"), "422 invalid-request");
}

#[test]
fn what_is_one_thing_takes_a_version() {
    let service = RunningService::start_with(&[], &[WAIT]);
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    assert_eq!(place(&client, 1, 1).status, 201);
    let transfer = json!({"transfer_id": id(1), "product_id": id(1), "from_store_id": id(1), "to_store_id": id(2), "quantity": 1, "reason": "x"});
    assert_eq!(client.post_with("/transfers", &[], &transfer).status, 201);
    let of_one = [
        (stock(1), 3),
        (format!("{}/explain", stock(1)), 3),
        (format!("/orders/{}", id(1)), 1),
        (format!("/transfers/{}", id(1)), 1),
    ];
    for (path, version) in of_one {
        assert_eq!(get(&client, &path, &format!("min_version={version}")).status, 200, "{path}");
        for strong in ["", "&consistency=strong"] {
            let later = get(&client, &path, &format!("min_version={}{strong}", version + 1));
            assert_eq!(later.summary(), "503 read-model-behind", "{path}");
            assert_eq!(later.header("retry-after"), Some("1"));
        }
        for wrong in ["min_version=-1", "min_version=x", "min_version=", "min_version=18446744073709551616"] {
            assert_eq!(refused(&get(&client, &path, wrong)), "min_version", "{path} {wrong}");
        }
    }
    assert_eq!(get(&client, &stock(9), "min_version=0").summary(), "404 stock-not-found");
    assert_eq!(get(&client, &stock(9), "min_version=1").summary(), "503 read-model-behind", "it may come");
    for path in ["/orders", "/transfers", &format!("/inventory/products/{}", id(1)), &format!("{}/events", stock(1))] {
        assert_eq!(refused(&get(&client, path, "min_version=1")), "min_version", "{path} has none");
    }
    let past = get(&client, &stock(1), "at=2026-01-01T00:00:00Z&min_version=1");
    assert_eq!(refused(&past), "min_version");
}

#[test]
fn who_waits_is_told_as_soon_as_it_is_there() {
    let service = RunningService::start_with(&[], &[("INVENTORY__READS__CATCH_UP_MS_MAX", "30000")]);
    let client = service.client();
    let version = |answer: &Answer| answer.body["version"].as_u64();
    let waiting = [
        (stock(1), "min_version=2"),
        (stock(1), "min_position=2"),
        (format!("/orders/{}", id(1)), "min_version=1"),
        (format!("{}/events", stock(1)), "min_position=3"),
    ];
    let waiting = waiting.map(|(path, wanted)| {
        let client = client.clone();
        thread::spawn(move || get(&client, &path, wanted))
    });
    for _ in 0..2 {
        assert_eq!(client.add(1, 1, 1).status, 201);
    }
    assert_eq!(place(&client, 1, 1).status, 201);
    let [by_version, by_position, order, events] = waiting.map(|waiting| waiting.join().unwrap());
    assert!(version(&by_version) >= Some(2) && version(&by_position) >= Some(2), "{by_version:?} {by_position:?}");
    assert_eq!(order.body["state"], "active");
    assert_eq!(events.body["items"].as_array().unwrap().len(), 3);
}

#[test]
fn only_so_many_wait() {
    let settings = [("INVENTORY__READS__CATCH_UP_MS_MAX", "2000"), ("INVENTORY__READS__WAITING_MAX", "2")];
    let service = RunningService::start_with(&[], &settings);
    let client = service.client();
    for _ in 0..2 {
        let client = client.clone();
        thread::spawn(move || drop(client.send("GET", &format!("/api/v1{}?min_position=9", stock(1)), &[], b"")));
    }
    assert_eq!(client.add(2, 1, 1).status, 201);
    assert_eq!(get(&client, "/orders", "min_position=0").status, 200, "who need not wait is not counted");
    // The third is either refused, or finds a place that one of the two, which is still on its way, will be refused for.
    let mut refused = get(&client, "/orders", "min_position=2");
    while refused.summary() != "503 overloaded" {
        refused = get(&client, "/orders", "min_position=2");
    }
    assert!(refused.header("retry-after").is_some());
    assert_eq!(get(&client, &stock(2), "").status, 200);
}

/// Every question that a client can ask about what the test has made.
fn questions() -> Vec<String> {
    vec![
        stock(1),
        format!("{}/events", stock(1)),
        format!("{}/explain", stock(1)),
        format!("/inventory/products/{}", id(1)),
        format!("/orders/{}", id(1)),
        "/orders".to_owned(),
        format!("/transfers/{}", id(1)),
        "/transfers".to_owned(),
        "/reservations".to_owned(),
        format!("/stores/{}/stock", id(1)),
        "/stock?below=9".to_owned(),
    ]
}

fn stock(product: u128) -> String {
    format!("/inventory/products/{}/stores/{}", id(product), id(1))
}

fn get(client: &Client, path: &str, query: &str) -> Answer {
    let glue = if path.contains('?') { '&' } else { '?' };
    client.get(&format!("/api/v1{path}{glue}{query}"))
}

/// An order for one unit.
fn place(client: &Client, order: u128, product: u128) -> Answer {
    let lines = json!([{"product_id": id(product), "store_id": id(1), "quantity": 1}]);
    client.post_with("/orders", &[], &json!({"order_id": id(order), "customer_id": id(1), "lines": lines}))
}

/// The field that is refused.
#[track_caller]
fn refused(answer: &Answer) -> &str {
    assert_eq!(answer.summary(), "422 invalid-request");
    answer.body["errors"][0]["field"].as_str().unwrap_or_default()
}
