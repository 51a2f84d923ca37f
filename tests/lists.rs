//! Lists of reservations and of levels, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;

use inventory_tests::{Answer, Client, RunningService, id};
use serde_json::{Value, json};

#[test]
fn reservations_are_found_by_id_customer_order_and_state() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 100).status, 201);
    assert_eq!(client.add(2, 1, 100).status, 201);
    for (reservation, product, customer) in [(1, 1, 7), (2, 1, 7), (3, 2, 7), (4, 2, 8), (5, 1, 8)] {
        assert_eq!(reserve(&client, reservation, product, customer).status, 201);
    }
    let commit =
        json!({"product_id": id(1), "store_id": id(1), "reservation_id": id(2), "order_id": id(50), "quantity": 2});
    assert_eq!(client.post("commit", &commit).status, 200);
    let release = json!({"product_id": id(2), "store_id": id(1), "reservation_id": id(4), "reason": "cart abandoned"});
    assert_eq!(client.post("release", &release).status, 200);
    let lines = json!([{"product_id": id(1), "store_id": id(1), "quantity": 1}, {"product_id": id(2), "store_id": id(1), "quantity": 1}]);
    let order = client.post_with("/orders", &[], &json!({"order_id": id(60), "customer_id": id(9), "lines": lines}));
    let position = order.body["position"].as_u64().unwrap();
    let found = |filters: &str| {
        let answer = client.get(&format!("/api/v1/reservations?min_position={position}&{filters}"));
        assert_eq!(answer.status, 200, "{filters}: {answer:?}");
        let short = |one: &Value| {
            let id = one["reservation_id"].as_str().unwrap();
            (u128::from_str_radix(&id[id.len() - 12..], 16).unwrap(), one["state"].as_str().unwrap().to_owned())
        };
        answer.body["items"].as_array().unwrap().iter().map(short).collect::<Vec<_>>()
    };
    let state = |number: u128, state: &str| (number, state.to_owned());
    assert_eq!(
        found(&format!("customer_id={}", id(7))),
        [state(1, "active"), state(2, "committed"), state(3, "active")]
    );
    assert_eq!(found(&format!("customer_id={}&state=active", id(7))), [state(1, "active"), state(3, "active")]);
    assert_eq!(found(&format!("order_id={}", id(50))), [state(2, "committed")]);
    assert_eq!(found(&format!("order_id={}&customer_id={}", id(50), id(8))), []);
    assert_eq!(found("state=released"), [state(4, "released")]);
    assert_eq!(found("state=expired"), []);
    assert_eq!(found(&format!("reservation_id={}&state=active", id(5))), [state(5, "active")]);
    assert_eq!(found(&format!("customer_id={}", id(99))), []);
    assert_eq!(found(&format!("order_id={}", id(60))).len(), 2, "the order's lines");
    assert_eq!(found("").len(), 7);

    let committed = client.get(&format!("/api/v1/reservations/{}?min_position={position}", id(2)));
    let expected = json!({"reservation_id": id(2), "product_id": id(1), "store_id": id(1), "customer_id": id(7), "order_id": id(50),
        "state": "committed", "quantity": 3, "committed": 2, "ttl_minutes": 30});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&committed.body[field], value, "{field}");
    }
    assert!(committed.body["closed_at"].is_string() && committed.body["reserved_at"].is_string(), "{committed:?}");
    let active = client.get(&format!("/api/v1/reservations/{}", id(1)));
    assert_eq!((&active.body["closed_at"], &active.body["order_id"]), (&Value::Null, &Value::Null));
    assert_eq!(client.get(&format!("/api/v1/reservations/{}", id(77))).summary(), "404 reservation-not-found");
    assert_eq!(client.get("/api/v1/reservations/7").summary(), "422 invalid-request");
    let twice = reserve(&client, 1, 2, 7);
    let by_id = format!("/api/v1/reservations/{}?min_position={}", id(1), twice.body["position"]);
    assert_eq!(client.get(&by_id).summary(), "409 ambiguous", "another stock's, with the same id");
    assert_eq!(found(&format!("reservation_id={}", id(1))).len(), 2);
}

#[test]
fn a_store_shows_at_once_what_was_acknowledged() {
    // The read model lags behind on purpose.
    let service = RunningService::start_with(&[], &[("INVENTORY__PROJECTIONS__LINGER_MS", "300")]);
    let client = service.client();
    for product in [3, 1, 2, 9] {
        assert_eq!(client.add(product, 1, 10).status, 201);
        assert_eq!(client.add(product, 2, 2_000).status, 201);
        let levels = all(&client, &format!("/stores/{}/stock", id(1)), 2);
        let own = levels.iter().find(|level| level["product_id"] == id(product));
        assert_eq!(own.map(|level| &level["available"]), Some(&json!(10)), "{levels:?}");
        let low = all(&client, "/stock?below=11", 2);
        assert!(low.iter().any(|level| level["product_id"] == id(product)), "{low:?}");
    }
    let reserved = reserve(&client, 1, 3, 1);
    let levels = all(&client, &format!("/stores/{}/stock", id(1)), 3);
    assert_eq!(
        levels.iter().map(|level| &level["product_id"]).collect::<Vec<_>>(),
        [&json!(id(1)), &json!(id(2)), &json!(id(3)), &json!(id(9))]
    );
    let own = &levels[2];
    assert_eq!(
        (&own["available"], &own["reserved"], &own["version"]),
        (&json!(7), &json!(3), &reserved.body["version"])
    );
    assert_eq!(all(&client, &format!("/stores/{}/stock", id(77)), 3), Vec::<Value>::new(), "nobody has been there");
}

#[test]
fn what_is_low_is_found_by_any_number_and_by_store() {
    let service = RunningService::start();
    let client = service.client();
    for (product, store, units) in [(1, 1, 5), (2, 1, 50), (3, 1, 5_000), (1, 2, 3), (2, 2, 999), (3, 2, 1_000)] {
        assert_eq!(client.add(product, store, units).status, 201);
    }
    let low = |filters: &str| {
        let found = all(&client, &format!("/stock?consistency=strong&{filters}"), 2);
        found.iter().map(|level| level["available"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(low("below=4"), [3]);
    assert_eq!(low("below=5"), [3]);
    assert_eq!(low("below=6"), [5, 3], "by store, then product");
    assert_eq!(low("below=1000"), [5, 50, 3, 999]);
    assert_eq!(low("below=1001"), [5, 50, 3, 999, 1_000]);
    assert_eq!(low("below=1000000000000000"), [5, 50, 5_000, 3, 999, 1_000]);
    assert_eq!(low(&format!("below=1000&store_id={}", id(2))), [3, 999]);
    assert_eq!(low(&format!("below=1000&store_id={}", id(77))), [0_u64; 0]);
    assert_eq!(reserve(&client, 1, 2, 1).status, 201);
    assert_eq!(low(&format!("below=49&store_id={}", id(1))), [5, 47]);
    assert_eq!(client.add(1, 1, 500).status, 201);
    assert_eq!(low(&format!("below=49&store_id={}", id(1))), [47]);
}

#[test]
fn a_page_that_passes_over_much_may_be_short_and_says_where_to_go_on() {
    let service = RunningService::start_with(&[], &[("INVENTORY__READ_MODEL__LIST_ROWS_MAX", "5")]);
    let client = service.client();
    assert_eq!(client.add(1, 1, 1_000).status, 201);
    for reservation in 1..=20 {
        assert_eq!(reserve(&client, reservation, 1, 1).status, 201);
    }
    let release = json!({"product_id": id(1), "store_id": id(1), "reservation_id": id(18), "reason": "x"});
    let position = client.post("release", &release).body["position"].clone();
    let path = format!("/reservations?state=released&min_position={position}");
    let first = client.get(&format!("/api/v1{path}"));
    assert_eq!(first.body["items"], json!([]));
    assert!(first.body["next_cursor"].is_string());
    let found = all(&client, &path, 100);
    assert_eq!(found.iter().map(|one| &one["reservation_id"]).collect::<Vec<_>>(), [&json!(id(18))]);
}

#[test]
fn bad_questions_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    for product in 1..=3 {
        assert_eq!(client.add(product, 1, 10).status, 201);
        assert_eq!(reserve(&client, product, product, 1).status, 201);
    }
    let store = format!("/stores/{}/stock", id(1));
    let lists = ["/reservations", "/stock?below=100", &store, "/orders", "/transfers"];
    let get = |list: &str, query: &str| {
        let glue = if list.contains('?') { '&' } else { '?' };
        client.get(&format!("/api/v1{list}{glue}{query}"))
    };
    for list in lists {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=1001", "limit"),
            ("limit=99999999999999999999999", "limit"),
            ("limit=x", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=", "cursor"),
            ("cursor=x", "cursor"),
            ("cursor=%00", "cursor"),
            ("cursor=%F0%9F%8D%8E", "cursor"),
            (&format!("cursor={}", "0".repeat(4_000)), "cursor"),
            (&format!("cursor={}", "f".repeat(112)), "cursor"),
            ("min_version=1", "min_version"),
            ("below_=5", "below_"),
            ("Limit=5", "Limit"),
        ] {
            assert_eq!(refused(&get(list, query)), field, "{list} {query}");
        }
        let head = client.send("HEAD", &format!("/api/v1{list}"), &[], b"").unwrap();
        assert_eq!((head.status, head.body), (200, Value::Null));
        let path = list.split('?').next().unwrap_or_default();
        let deleted = client.send("DELETE", &format!("/api/v1{path}"), &[], b"").unwrap();
        assert_eq!(deleted.summary(), "405 method-not-allowed", "{path}");
        assert!(deleted.header("allow").is_some_and(|allow| allow.starts_with("GET, HEAD")), "{path}");
    }
    let by_id = format!("/api/v1/reservations/{}", id(1));
    let head = client.send("HEAD", &format!("{by_id}?consistency=strong"), &[], b"").unwrap();
    assert_eq!((head.status, head.body), (200, Value::Null));
    assert_eq!(client.send("POST", &by_id, &[], b"").unwrap().header("allow"), Some("GET, HEAD"));
    for (list, field) in [
        ("/reservations?state=sold", "state"),
        ("/reservations?state=", "state"),
        ("/reservations?state=Active", "state"),
        ("/reservations?customer_id=7", "customer_id"),
        ("/reservations?order_id=", "order_id"),
        ("/reservations?reservation_id=x", "reservation_id"),
        ("/reservations?store_id=00000000-0000-0000-0000-000000000001", "store_id"),
        ("/stock", "below"),
        ("/stock?below=", "below"),
        ("/stock?below=0", "below"),
        ("/stock?below=-1", "below"),
        ("/stock?below=1.5", "below"),
        ("/stock?below=1000000000000001", "below"),
        ("/stock?below=5&store_id=7", "store_id"),
        ("/stores/7/stock", "store_id"),
    ] {
        assert_eq!(refused(&client.get(&format!("/api/v1{list}"))), field, "{list}");
    }
    // Each list's own cursor goes on in it, and in no other list.
    let of_lists = [
        "/reservations?",
        "/reservations?state=active&",
        "/stock?below=100&",
        "/stock?below=101&",
        &format!("{store}?"),
    ];
    let cursors = of_lists.map(|list| {
        let answer = client.get(&format!("/api/v1{list}limit=1&consistency=strong"));
        answer.body["next_cursor"].as_str().unwrap().to_owned()
    });
    for (list, own) in of_lists.iter().zip(&cursors) {
        for cursor in &cursors {
            let answer = client.get(&format!("/api/v1{list}limit=1&cursor={cursor}"));
            assert_eq!(answer.status, if cursor == own { 200 } else { 422 }, "{list} {cursor}");
        }
    }
    let walked = all(&client, "/reservations", 1);
    let ids: BTreeSet<_> = walked.iter().map(|one| one["reservation_id"].as_str().unwrap()).collect();
    assert_eq!((walked.len(), ids.len()), (3, 3));
}

/// The whole list, page by page.
fn all(client: &Client, path: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    let glue = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = client.get(&format!("/api/v1{path}{glue}limit={limit}{cursor}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let items = answer.body["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{path}");
        found.extend(items.iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Three units of a product at store 1.
fn reserve(client: &Client, reservation: u128, product: u128, customer: u128) -> Answer {
    let (product, store, customer) = (id(product), id(1), id(customer));
    let body = json!({"product_id": product, "store_id": store, "quantity": 3, "customer_id": customer, "reservation_id": id(reservation)});
    client.post("reserve", &body)
}

/// The field that is refused.
#[track_caller]
fn refused(answer: &Answer) -> &str {
    assert_eq!(answer.summary(), "422 invalid-request");
    answer.body["errors"][0]["field"].as_str().unwrap_or_default()
}
