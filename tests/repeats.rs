//! Idempotency-Key and If-Match on every write, over HTTP, over SIGKILL, from many clients at once.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::thread;

use inventory_tests::{Answer, RunningService, id};
use serde_json::{Value, json};

#[test]
fn a_repeat_of_any_write_gets_the_first_answer_also_after_a_kill() {
    let mut service = RunningService::start();
    let mut told: Vec<(String, Value, Answer)> = Vec::new();
    let stock = |fields: Value| with(json!({"product_id": id(1), "store_id": id(1)}), fields);
    let reservation = |number: u128, fields: Value| stock(with(json!({"reservation_id": id(number)}), fields));
    let line = json!({"product_id": id(1), "store_id": id(1), "quantity": 2});
    let order = |number: u128| json!({"order_id": id(number), "customer_id": id(9), "lines": [line, line]});
    let transfer = json!({"transfer_id": id(7), "product_id": id(1), "from_store_id": id(1), "to_store_id": id(2),
        "quantity": 5, "reason": "x"});
    let writes = [
        ("/inventory/stock", stock(json!({"quantity": 50, "reason": "x"}))),
        ("/inventory/reserve", stock(json!({"quantity": 3, "customer_id": id(9)}))),
        ("/inventory/reserve", reservation(1, json!({"quantity": 3, "customer_id": id(9)}))),
        ("/inventory/extend", reservation(1, json!({"ttl_minutes": 60}))),
        ("/inventory/commit", reservation(1, json!({"order_id": id(8)}))),
        ("/inventory/reserve", reservation(2, json!({"quantity": 3, "customer_id": id(9), "ttl_minutes": null}))),
        ("/inventory/release", reservation(2, json!({"reason": "x"}))),
        ("/inventory/adjust", stock(json!({"quantity": 40, "reason": "x"}))),
        ("/orders", order(5)),
        (&format!("/orders/{}/commit", id(5)), json!({})),
        ("/orders", order(6)),
        (&format!("/orders/{}/release", id(6)), json!({"reason": "left"})),
        ("/transfers", transfer),
        (&format!("/transfers/{}/receive", id(7)), json!({"quantity": 2})),
        (&format!("/transfers/{}/cancel", id(7)), json!({})),
    ];
    for (number, (path, body)) in writes.iter().enumerate() {
        let key = format!("write-{number}");
        let first = service.client().post_with(path, &[("idempotency-key", &key)], body);
        assert!(first.status < 300, "{path}: {}", first.body);
        assert_eq!(first.header("idempotent-replayed"), None, "{path}");
        told.push((key, (*body).clone(), first));
    }
    for round in ["live", "killed"] {
        for ((path, _), (key, body, first)) in writes.iter().zip(&told) {
            let quoted = format!("\"{key}\"");
            for key in [key.as_str(), &quoted] {
                let again = service.client().post_with(path, &[("idempotency-key", key)], body);
                assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}, {round}");
                assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path}, {round}");
                assert_eq!(again.header("etag"), first.header("etag"), "{path}, {round}");
            }
            let mut other = body.clone();
            other["reason"] = json!("another");
            if body.get("reason").is_some() {
                let reused = service.client().post_with(path, &[("idempotency-key", key)], &other);
                assert_eq!(reused.summary(), "422 idempotency-key-reused", "{path}, {round}");
            }
        }
        let elsewhere = service.client().post_with("/inventory/stock", &[("idempotency-key", "write-1")], &writes[0].1);
        assert_eq!(elsewhere.summary(), "422 idempotency-key-reused", "another route is another request");
        service = service.kill_and_restart();
    }
    let level = service.client().level(1, 1);
    assert_eq!(level.body["total"], 40 - 4 - 5 + 3);
}

#[test]
fn a_request_is_the_same_by_what_it_means() {
    let service = RunningService::start();
    let client = service.client();
    let key = [("idempotency-key", "k"), ("content-type", "application/json")];
    let raw = |body: String| client.send("POST", "/api/v1/inventory/stock", &key, body.as_bytes()).unwrap();
    let (product, store) = (id(1), id(2));
    let first = raw(format!(r#"{{"product_id":"{product}","store_id":"{store}","quantity":5,"reason":"x"}}"#));
    let spaced = raw(format!(
        "{{ \"reason\" : \" x \", \"quantity\": 5,\n \"store_id\":\"{}\", \"product_id\":\"{product}\" }}",
        store.to_uppercase()
    ));
    assert_eq!((spaced.status, spaced.body), (201, first.body));
    let customer = id(9);
    let reserve = json!({"product_id": product, "store_id": store, "quantity": 1, "customer_id": customer});
    let first = client.post_with("/inventory/reserve", &[("idempotency-key", "r")], &reserve);
    let with_default = with(reserve.clone(), json!({"ttl_minutes": 30, "reservation_id": null}));
    let again = client.post_with("/inventory/reserve", &[("idempotency-key", "r")], &with_default);
    assert_eq!(again.body, first.body, "a default that is written out means the same");
    let forever = with(reserve, json!({"ttl_minutes": null}));
    let other = client.post_with("/inventory/reserve", &[("idempotency-key", "r")], &forever);
    assert_eq!(other.summary(), "422 idempotency-key-reused");
    for bad in ["", "\"\"", "\"open", &"x".repeat(256)] {
        let answer = client.post_with("/inventory/reserve", &[("idempotency-key", bad)], &forever);
        assert_eq!(answer.summary(), "422 invalid-request", "{bad:?}");
        assert_eq!(answer.body["errors"][0]["field"], "Idempotency-Key");
    }
    let unprintable =
        client.send("POST", "/api/v1/inventory/reserve", &[key[1], ("idempotency-key", "ä")], b"{}").unwrap();
    assert_eq!(unprintable.summary(), "422 invalid-request");
}

#[test]
fn sixty_four_clients_with_one_key_have_one_effect() {
    let service = RunningService::start();
    assert_eq!(service.client().add(1, 1, 100).status, 201);
    let reserve = json!({"product_id": id(1), "store_id": id(1), "quantity": 2, "customer_id": id(9)});
    let answers: Vec<Answer> = thread::scope(|scope| {
        let ask = |client: inventory_tests::Client| {
            let reserve = &reserve;
            scope.spawn(move || client.post_with("/inventory/reserve", &[("idempotency-key", "hot")], reserve))
        };
        let all: Vec<_> = (0..64).map(|_| ask(service.client())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
    let firsts = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    assert_eq!(firsts, 1);
    assert_eq!(service.client().level(1, 1).level(), "98/2 v2");
}

#[test]
fn a_write_can_be_made_to_depend_on_the_version() {
    let service = RunningService::start();
    let client = service.client();
    let add = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "x"});
    let when = |tags: &str| client.post_with("/inventory/stock", &[("if-match", tags)], &add);
    for tags in ["*", "\"0\"", "\"1\""] {
        let refused = when(tags);
        assert_eq!(refused.summary(), "412 version-mismatch", "{tags}");
        assert_eq!(refused.body["current_version"], 0, "{tags}");
    }
    assert_eq!(client.add(1, 1, 5).header("etag"), Some("\"1\""));
    assert_eq!(when("\"2\", W/\"1\"").body["current_version"], 1, "a weak tag matches nothing");
    assert_eq!(when("\"7\",\"1\"").header("etag"), Some("\"2\""));
    assert_eq!(when("*").status, 201);
    for bad in ["3", "\"3", "W/3"] {
        assert_eq!(when(bad).body["errors"][0]["field"], "If-Match", "{bad}");
    }
    let both = |tag: &str| client.post_with("/inventory/stock", &[("if-match", tag), ("idempotency-key", "k")], &add);
    assert_eq!(both("\"3\"").header("etag"), Some("\"4\""));
    let again = both("\"3\"");
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")), "the key comes first");
    assert_eq!(both("\"4\"").summary(), "422 idempotency-key-reused", "another condition is another request");
    let order = json!({"order_id": id(3), "customer_id": id(9), "lines": [{"product_id": id(1), "store_id": id(1), "quantity": 1}]});
    assert_eq!(client.post_with("/orders", &[], &order).header("etag"), Some("\"1\""));
    let path = format!("/orders/{}/commit", id(3));
    assert_eq!(client.post_with(&path, &[("if-match", "\"2\"")], &json!({})).summary(), "412 version-mismatch");
    assert_eq!(client.post_with(&path, &[("if-match", "\"1\"")], &json!({})).status, 200);
}

#[allow(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}
