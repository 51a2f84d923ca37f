//! Copies say that they are copies, and are better than nothing while the read model can't be read.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{RunningService, id};
use rusqlite::Connection;

#[test]
fn a_copy_tells_its_age_and_its_time() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    let copy = cached(|| client.level(1, 1));
    assert_eq!((copy.level(), copy.header("age")), ("5/0 v1".to_owned(), Some("0")));
    let status = copy.header("cache-status").unwrap();
    assert!(["inventory; hit; ttl=29", "inventory; hit; ttl=30"].contains(&status), "{status}");
    let known = [("if-none-match", copy.header("etag").unwrap())];
    let path = format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1));
    let unchanged = client.send("GET", &path, &known, b"").unwrap();
    assert_eq!((unchanged.status, unchanged.header("age").is_some()), (304, true));
    assert!(cached(|| client.get(&format!("/api/v1/inventory/products/{}", id(1)))).header("age").is_some());
    assert_eq!(client.add(1, 1, 5).header("cache-status"), None);
    assert_eq!(client.level(1, 1).level(), "10/0 v2", "whatever the cache has");
}

#[test]
fn what_this_node_has_written_needs_no_read() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    cached(|| client.level(1, 1));
    let before = misses(&service);
    assert_eq!(client.add(1, 1, 5).status, 201);
    assert_eq!(cached(|| client.level(1, 1)).level(), "10/0 v2");
    assert_eq!(misses(&service), before, "the level that was acknowledged takes the place of the old copy");
}

/// Questions that the cache could not answer, so far.
fn misses(service: &RunningService) -> u64 {
    let text = service.client().get("/metrics").text;
    let value = text.lines().find_map(|line| line.strip_prefix("inventory_cache_misses_total ")?.parse().ok());
    value.unwrap()
}

#[test]
fn while_the_read_model_is_broken_an_old_copy_is_shown_as_such() {
    let settings = [
        ("INVENTORY__CACHE__TTL_MS", "50"),
        ("INVENTORY__RESILIENCE__TRIES_MAX", "1"),
        ("INVENTORY__RESILIENCE__FAILURES_TO_OPEN", "2"),
    ];
    let service = RunningService::start_with(&[], &settings);
    let client = service.client();
    assert_eq!((client.add(1, 1, 5).status, client.add(2, 1, 7).status), (201, 201));
    cached(|| client.level(1, 1));
    break_stock_levels(&service);
    thread::sleep(Duration::from_millis(60)); // The copy's time.
    for _ in 0..4 {
        let stale = client.level(1, 1);
        assert_eq!((stale.level().as_str(), stale.header("age")), ("5/0 v1", Some("0")));
        assert_eq!(stale.header("cache-status"), Some("inventory; hit; ttl=-0; detail=stale"));
    }
    let health = client.get("/health/ready");
    assert_eq!((health.status, &health.body["status"]), (200, &"degraded".into()), "{}", health.body);
    assert!(health.body.to_string().contains("read_models"), "{}", health.body);
    let nothing = client.level(2, 1);
    assert_eq!((nothing.summary().as_str(), nothing.header("retry-after")), ("503 unavailable", Some("1")));
    assert_eq!(client.add(1, 1, 1).status, 201, "writes don't need it");
    assert_eq!(client.level(1, 1).level(), "6/0 v2", "what is acknowledged here is shown");
}

/// The answer, once it comes from the cache.
fn cached(ask: impl Fn() -> inventory_tests::Answer) -> inventory_tests::Answer {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        assert_eq!(answer.status, 200);
        if answer.header("cache-status").is_some() {
            return answer;
        }
        assert!(Instant::now() < end, "it never comes from the cache");
        thread::sleep(Duration::from_millis(5));
    }
}

fn break_stock_levels(service: &RunningService) {
    let models = Connection::open(service.data().join("read_models.db")).unwrap();
    models.busy_timeout(Duration::from_secs(10)).unwrap();
    models.execute_batch("DROP TABLE stock_levels").unwrap();
}
