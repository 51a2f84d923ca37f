//! Orders over HTTP: all lines or none, whatever is sent.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{Client, RunningService, id};
use serde_json::{Value, json};

#[test]
fn an_order_is_held_sold_and_freed_as_one() {
    let service = RunningService::start();
    let client = service.client();
    for product in 1..=3 {
        assert_eq!(client.add(product, 1, 10).status, 201);
    }
    let placed = client.post_with("/orders", &[], &order(1, &[(1, 2), (2, 3), (1, 1)]));
    assert_eq!(placed.status, 201, "{}", placed.body);
    assert_eq!(placed.body["state"], "active");
    assert_eq!(placed.body["lines"].as_array().unwrap().len(), 2, "lines of one stock are summed");
    assert_eq!(placed.body["lines"][0]["quantity"], 3);
    let reservations: BTreeSet<&str> =
        placed.body["lines"].as_array().unwrap().iter().map(|line| line["reservation_id"].as_str().unwrap()).collect();
    assert_eq!(reservations.len(), 2);
    assert!(placed.body["expires_at"].is_string() && placed.body["position"].is_number());
    assert_eq!((client.level(1, 1).level(), client.level(2, 1).level()), ("7/3 v2".into(), "7/3 v2".into()));
    let line = client.post(
        "release",
        &json!({"product_id": id(1), "store_id": id(1), "reason": "x",
        "reservation_id": placed.body["lines"][0]["reservation_id"]}),
    );
    assert_eq!(line.summary(), "409 belongs-to-order");
    let again = client.post_with("/orders", &[], &order(1, &[(1, 3), (2, 3)]));
    assert_eq!((again.status, &again.body["lines"]), (201, &placed.body["lines"]), "the same content again");
    assert_eq!(client.post_with("/orders", &[], &order(1, &[(1, 4)])).summary(), "409 order-exists");
    let committed = client.post_with(&format!("/orders/{}/commit", id(1)), &[], &json!({}));
    assert_eq!((committed.status, &committed.body["state"]), (200, &json!("committed")));
    assert_eq!((client.level(1, 1).level(), client.level(2, 1).level()), ("7/0 v3".into(), "7/0 v3".into()));
    let empty = client.send("POST", &format!("/api/v1/orders/{}/release", id(1)), &[], b"").unwrap();
    assert_eq!(empty.summary(), "409 order-committed", "a body may be missing");
    let again = client.post_with("/orders", &[], &order(1, &[(1, 3), (2, 3)]));
    assert_eq!(
        (again.status, &again.body["state"]),
        (201, &json!("committed")),
        "the same content is shown as it stands"
    );
    assert_eq!((client.level(1, 1).level(), client.level(2, 1).level()), ("7/0 v3".into(), "7/0 v3".into()));
    assert_eq!(client.post_with("/orders", &[], &order(2, &[(3, 1)])).status, 201);
    let released = client.post_with(&format!("/orders/{}/release", id(2)), &[], &json!({"reason": "left"}));
    assert_eq!(released.body["state"], "released");
    assert_eq!(client.post_with(&format!("/orders/{}/commit", id(2)), &[], &json!({})).summary(), "409 order-released");
    assert_eq!(
        client.post_with(&format!("/orders/{}/commit", id(9)), &[], &json!({})).summary(),
        "404 order-not-found"
    );
    let shown = client.get(&format!("/api/v1/orders/{}", id(1)));
    assert_eq!((shown.status, &shown.body["state"], shown.header("etag")), (200, &json!("committed"), Some("\"2\"")));
    let known = client.send("GET", &format!("/api/v1/orders/{}", id(1)), &[("if-none-match", "\"2\"")], b"").unwrap();
    assert_eq!(known.status, 304);
    assert_eq!(client.get(&format!("/api/v1/orders/{}", id(9))).summary(), "404 order-not-found");
}

#[test]
fn a_shortfall_is_told_line_by_line_and_nothing_is_held() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    assert_eq!(client.add(2, 1, 5).status, 201);
    for path in ["/orders", "/orders?dry_run=true"] {
        let short = client.post_with(path, &[], &order(1, &[(1, 3), (2, 6), (1, 3), (3, 1), (2, 1)]));
        assert_eq!(short.summary(), "409 insufficient-stock", "{}", short.body);
        let lines: Vec<_> = short.body["shortfalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                (line["product_id"].clone(), line["requested"].as_u64().unwrap(), line["available"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(lines, [(json!(id(1)), 6, 5), (json!(id(2)), 7, 5), (json!(id(3)), 1, 0)]);
    }
    let dry = client.post_with("/orders?dry_run=true", &[], &order(1, &[(1, 5), (2, 5)]));
    assert_eq!((dry.status, &dry.body["state"]), (200, &json!("active")));
    assert_eq!(client.get(&format!("/api/v1/orders/{}", id(1))).status, 404, "nothing is held");
    assert_eq!(client.level(1, 1).level(), "5/0 v1");
    assert_eq!(client.post_with("/orders?dry_run=maybe", &[], &order(1, &[(1, 5)])).summary(), "422 invalid-request");
}

#[test]
fn bad_orders_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    let lines = |count: usize| vec![json!({"product_id": id(1), "store_id": id(1), "quantity": 1}); count];
    let with_lines = |lines: Vec<Value>| json!({"customer_id": id(9), "lines": lines});
    let post = |body: Value| {
        let answer = client.post_with("/orders", &[], &body);
        format!("{} {}", answer.summary(), answer.body["errors"][0]["field"].as_str().unwrap_or_default())
    };
    assert_eq!(post(with_lines(lines(501))), "422 invalid-request lines");
    assert_eq!(post(with_lines(lines(0))), "422 invalid-request lines");
    assert_eq!(post(json!({"lines": lines(1)})), "422 invalid-request customer_id");
    assert_eq!(post(json!({"customer_id": id(9)})), "422 invalid-request lines");
    let mut bad = lines(3);
    bad[2]["quantity"] = json!(0);
    assert_eq!(post(with_lines(bad)), "422 invalid-request lines[2].quantity");
    let mut much = lines(2);
    much[0]["quantity"] = json!(1_000_000_000);
    assert_eq!(post(with_lines(much)), "422 invalid-request lines[1].quantity");
    let mut odd = lines(1);
    odd[0]["colour"] = json!("red");
    assert_eq!(post(with_lines(odd)), "422 invalid-request lines[0].colour");
    assert_eq!(post(with_lines(lines(500))), "409 insufficient-stock ");
    assert_eq!(client.add(1, 1, 1_000).status, 201);
    let all = client.post_with("/orders", &[], &with_lines(lines(500)));
    assert_eq!((all.status, &all.body["lines"][0]["quantity"]), (201, &json!(500)));
    let path = format!("/orders/{}/commit", all.body["order_id"].as_str().unwrap());
    assert_eq!(client.post_with(&path, &[], &json!({"x": 1})).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/orders/x/commit", &[], &json!({})).summary(), "422 invalid-request");
    assert_eq!(client.send("DELETE", "/api/v1/orders", &[], b"").unwrap().header("allow"), Some("GET, HEAD, POST"));
}

#[test]
fn orders_are_listed_by_customer_and_state_in_pages() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 100).status, 201);
    for number in 1..=7 {
        let mut body = order(number, &[(1, 1)]);
        body["customer_id"] = json!(id(100 + number % 2));
        assert_eq!(client.post_with("/orders", &[], &body).status, 201);
    }
    for number in [2, 3, 4] {
        assert_eq!(client.post_with(&format!("/orders/{}/commit", id(number)), &[], &json!({})).status, 200);
    }
    let ids = |query: &str| list(&client, "orders", query);
    eventually(|| ids("state=committed") == [id(2), id(3), id(4)]);
    assert_eq!(ids(""), (1..=7).map(id).collect::<Vec<_>>());
    assert_eq!(ids("limit=2"), (1..=7).map(id).collect::<Vec<_>>());
    assert_eq!(ids(&format!("customer_id={}", id(101))), [1, 3, 5, 7].map(id));
    assert_eq!(ids(&format!("customer_id={}&state=active&limit=1", id(100))), [id(6)]);
    let first = client.get("/api/v1/orders?limit=2");
    let cursor = first.body["next_cursor"].as_str().unwrap();
    for query in [format!("state=active&limit=2&cursor={cursor}"), "cursor=x".into(), format!("cursor={cursor}0")] {
        let refused = client.get(&format!("/api/v1/orders?{query}"));
        assert_eq!(refused.body["errors"][0]["field"], "cursor", "{query}");
    }
    for query in ["state=lost", "customer_id=7", "limit=0", "limit=1001", "colour=red", "limit=1&limit=2"] {
        assert_eq!(client.get(&format!("/api/v1/orders?{query}")).summary(), "422 invalid-request", "{query}");
    }
}

/// What is held by many orders over the same stocks is never a part of one, whoever looks.
#[test]
fn no_reader_sees_a_part_of_an_order() {
    let service = RunningService::start();
    let client = service.client();
    for store in 1..=4 {
        assert_eq!(client.add(1, store, 1_000_000).status, 201);
    }
    let lines: Vec<_> =
        (1..=4).map(|store| json!({"product_id": id(1), "store_id": id(store), "quantity": 1})).collect();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (client, lines, is_over) = (service.client(), &lines, &is_over);
            scope.spawn(move || {
                for _ in 0..150 {
                    let body = json!({"customer_id": id(9), "lines": lines});
                    assert_eq!(client.post_with("/orders", &[], &body).status, 201);
                }
                is_over.store(true, std::sync::atomic::Ordering::SeqCst);
            });
        }
        let mut seen = BTreeSet::new();
        while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
            let levels = client.get(&format!("/api/v1/inventory/products/{}", id(1)));
            let reserved: BTreeSet<u64> =
                levels.body.as_array().unwrap().iter().map(|level| level["reserved"].as_u64().unwrap()).collect();
            assert_eq!(reserved.len(), 1, "{}", levels.body);
            seen.extend(reserved);
        }
        assert!(seen.len() > 3, "there was something to see");
    });
}

fn order(number: u128, lines: &[(u128, u64)]) -> Value {
    let line = |(product, quantity): &(u128, u64)| json!({"product_id": id(*product), "store_id": id(1), "quantity": quantity});
    json!({"order_id": id(number), "customer_id": id(9), "lines": lines.iter().map(line).collect::<Vec<_>>()})
}

/// The ids of a whole list, page by page.
fn list(client: &Client, what: &str, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/{what}?{query}{cursor}"));
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["order_id"].as_str().unwrap().to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("{}cursor={next}", if query.is_empty() { "" } else { "&" }),
            None => return ids,
        }
    }
}

fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "it doesn't come to hold");
        thread::sleep(Duration::from_millis(5));
    }
}
