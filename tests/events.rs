//! The whole log over HTTP: by pages, and live.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use inventory_tests::{Block, Client, EventStream, RunningService, fill, id};
use serde_json::{Value, json};

const STREAM: &str = "/api/v1/events/stream";

/// What makes the heartbeats of a test come soon.
const QUICK: [(&str, &str); 1] = [("INVENTORY__EVENTS__HEARTBEAT_MS", "50")];

#[test]
fn pages_follow_one_another_to_the_end_of_the_log() {
    let service = RunningService::start();
    let client = service.client();
    let empty = client.get("/api/v1/events");
    assert_eq!(empty.body, json!({"items": [], "next_cursor": null, "next_after": 0}));
    fill(&client);
    let whole = all(&client, "limit=1000");
    assert_eq!(positions(&whole), (1..=whole.len() as u64).collect::<Vec<_>>());
    let path = format!("/api/v1/inventory/products/{}/stores/{}/events?limit=1000", id(1), id(1));
    let of_stock: Vec<_> = whole.iter().filter(|event| of_product(event, 1)).cloned().collect();
    assert_eq!(json!(of_stock), client.get(&path).body["items"], "as the stock's own list has them");
    for limit in [1, 7, 100] {
        assert_eq!(all(&client, &format!("limit={limit}")), whole, "by {limit}");
    }
    let after = client.get("/api/v1/events?after=5&limit=2").body;
    assert_eq!((positions(after["items"].as_array().unwrap()), &after["next_after"]), (vec![6, 7], &json!(7)));
    let (first, second) =
        (client.get("/api/v1/events?limit=3").body, client.get("/api/v1/events?after=3&limit=3").body);
    let by_cursor = client.get(&format!("/api/v1/events?limit=3&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!(by_cursor.body, second);
}

#[test]
fn a_filter_lets_through_what_it_says_and_a_page_is_never_the_end_by_itself() {
    let service = RunningService::start_with(&[], &[("INVENTORY__EVENTS__LOOK_EVENTS_MAX", "50")]);
    let client = service.client();
    fill(&client);
    let whole = all(&client, "limit=1000");
    let check = |filter: &str, wanted: &dyn Fn(&Value) -> bool| {
        let expected: Vec<_> = whole.iter().filter(|event| wanted(event)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < whole.len(), "{filter}");
        assert_eq!(all(&client, &format!("limit=9&{filter}")), expected, "{filter}");
    };
    check(&format!("product_id={}", id(3)), &|event| of_product(event, 3));
    let stream = format!("inventory-{}-{}", id(3), id(2));
    check(&format!("store_id={}", id(2)), &|event| event["stream_id"] == stream);
    check(&format!("store_id={}&product_id={}", id(2), id(3)), &|event| event["stream_id"] == stream);
    check("type=OrderPlacedEvent", &|event| event["event_type"] == "OrderPlacedEvent");
    let types = ["StockAddedEvent", "TransferReceivedEvent"];
    check(&format!("type={}", types.join(",")), &|event| types.contains(&event["event_type"].as_str().unwrap()));
    let nothing = client.get(&format!("/api/v1/events?product_id={}", id(99))).body;
    assert_eq!(nothing["items"], json!([]));
    let next = nothing["next_after"].as_u64().unwrap();
    assert!((50..whole.len() as u64).contains(&next) && nothing["next_cursor"].is_string(), "{nothing}");
}

#[test]
fn what_can_not_be_asked_is_refused() {
    let service = RunningService::start_with(&[], &[("INVENTORY__EVENTS__LISTENERS_MAX", "1")]);
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    let cursor = client.get("/api/v1/events?limit=1").body["next_cursor"].as_str().unwrap().to_owned();
    for (query, field) in [
        ("after=-1".to_owned(), "after"),
        ("after=x".to_owned(), "after"),
        ("after=2".to_owned(), "after"),
        (format!("after=0&cursor={cursor}"), "after"),
        (format!("cursor={cursor}&type=StockAddedEvent"), "cursor"),
        ("cursor=7".to_owned(), "cursor"),
        ("limit=0".to_owned(), "limit"),
        ("type=".to_owned(), "type"),
        ("type=StockAddedEvent,Other".to_owned(), "type"),
        ("type=StockAddedEvent&type=StockAddedEvent".to_owned(), "type"),
        ("product_id=7".to_owned(), "product_id"),
        ("store_id=".to_owned(), "store_id"),
        ("product=7".to_owned(), "product"),
    ] {
        let refused = client.get(&format!("/api/v1/events?{query}"));
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!(field)), "{query}");
        if !query.contains("cursor") && field != "limit" {
            let refused = client.get(&format!("{STREAM}?{query}"));
            assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!(field)), "stream {query}");
        }
    }
    for last in ["x", "-1", "+1", "2", "1,2", "18446744073709551616", ""] {
        let refused = client.send("GET", STREAM, &[("last-event-id", last)], b"").unwrap();
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (422, &json!("last-event-id")), "{last:?}");
    }
    for path in ["/api/v1/events", STREAM] {
        assert_eq!(client.send("POST", path, &[], b"").unwrap().summary(), "405 method-not-allowed");
        assert_eq!(client.send("HEAD", path, &[], b"").unwrap().status, 200);
    }
    let only = EventStream::open(&service.url(), STREAM, &[]);
    let refused = client.get(STREAM);
    assert_eq!((refused.summary().as_str(), refused.header("retry-after")), ("503 overloaded", Some("1")));
    drop(only);
}

#[test]
fn a_listener_hears_what_happens_from_then_on() {
    let service = RunningService::start_with(&[], &QUICK);
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    let mut stream = EventStream::open(&service.url(), STREAM, &[]);
    let headers = ["content-type", "cache-control", "x-accel-buffering"].map(|name| stream.header(name).unwrap());
    assert_eq!((stream.status, headers), (200, ["text/event-stream", "no-cache", "no"]));
    assert!(stream.header("x-request-id").is_some());
    let first = stream.next_block().unwrap();
    assert_eq!(first, Block { id: Some(1), retry: Some(2_000), ..Block::default() });
    let quiet = stream.next_block().unwrap();
    assert_eq!(quiet, Block { id: Some(1), ..Block::default() });
    assert_eq!(client.add(2, 1, 7).status, 201);
    let heard = stream.next_event().unwrap();
    assert_eq!((heard.id, heard.event.as_deref()), (Some(2), Some("StockAddedEvent")));
    assert_eq!(heard.data.unwrap(), client.get("/api/v1/events?after=1").body["items"][0]);
}

#[test]
fn a_filtered_listener_is_told_how_far_the_log_is() {
    let service = RunningService::start_with(&[], &QUICK);
    let client = service.client();
    let path = format!("{STREAM}?product_id={}&type=StockAddedEvent", id(3));
    let mut stream = EventStream::open(&service.url(), &path, &[]);
    fill(&client);
    let end = all(&client, "limit=1000").len() as u64;
    let heard = stream.events_until(end);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].id < stream.last_id, "a heartbeat has moved it on");
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let service = RunningService::start_with(&[], &QUICK);
    let client = service.client();
    fill(&client);
    let whole = all(&client, "limit=1000");
    let end = whole.len() as u64;
    for after in (0..=end).step_by(37) {
        let by_query = format!("{STREAM}?after={after}");
        let by_header = [("last-event-id", after.to_string())];
        let by_header: Vec<_> = by_header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (path, headers) in
            [(by_query.as_str(), &[][..]), (STREAM, &by_header), ("/api/v1/events/stream?after=0", &by_header)]
        {
            let mut stream = EventStream::open(&service.url(), path, headers);
            let heard = stream.events_until(end);
            assert_eq!(data(&heard), whole[usize::try_from(after).unwrap()..], "{path} {headers:?}");
        }
    }
}

#[test]
fn a_service_that_is_killed_loses_its_listeners_nothing() {
    let mut service = RunningService::start_with(&[], &QUICK);
    let filter = format!("{STREAM}?type=StockReservedEvent&product_id={}", id(1));
    assert_eq!(service.client().add(1, 1, 1_000_000).status, 201);
    assert_eq!(service.client().add(2, 1, 1_000_000).status, 201);
    let (mut heard_of_all, mut heard_of_one) = (Vec::new(), Vec::new());
    let (mut last_of_all, mut last_of_one) = (2u64, 2u64);
    for _ in 0..3 {
        let is_over = AtomicBool::new(false);
        let url = service.url();
        thread::scope(|scope| {
            for product in [1, 2, 1] {
                let (client, is_over) = (service.client(), &is_over);
                scope.spawn(
                    move || {
                        while !is_over.load(Ordering::Relaxed) && client.try_reserve(product, 1, 1).is_ok() {}
                    },
                );
            }
            let listen = |path: &str, last: &mut u64, heard: &mut Vec<Block>| {
                let mut stream = EventStream::open(&url, path, &[("last-event-id", &last.to_string())]);
                let until = *last + 150;
                heard.extend(stream.events_until(until));
                *last = stream.last_id.unwrap();
            };
            listen(STREAM, &mut last_of_all, &mut heard_of_all);
            listen(&filter, &mut last_of_one, &mut heard_of_one);
            service.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        service = service.restart();
    }
    let whole = all(&service.client(), "limit=1000&after=2");
    let end = whole.len() as u64 + 2;
    let mut stream = EventStream::open(&service.url(), STREAM, &[("last-event-id", &last_of_all.to_string())]);
    heard_of_all.extend(stream.events_until(end));
    assert_eq!(data(&heard_of_all), whole);
    let mut stream = EventStream::open(&service.url(), &filter, &[("last-event-id", &last_of_one.to_string())]);
    heard_of_one.extend(stream.events_until(end));
    let wanted: Vec<_> = whole.into_iter().filter(|event| of_product(event, 1)).collect();
    assert_eq!(data(&heard_of_one), wanted);
}

#[test]
fn many_listeners_hear_the_same_while_many_write() {
    let service = RunningService::start_with(&[], &QUICK);
    let client = service.client();
    assert_eq!(client.add(1, 1, 1_000_000).status, 201);
    let mut streams: Vec<_> = (0..30).map(|_| EventStream::open(&service.url(), STREAM, &[])).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(service.client().try_reserve(1, 1, 1).unwrap().status, 201);
                }
            });
        }
    });
    let whole = all(&client, "limit=1000&after=1");
    assert_eq!(whole.len(), 400);
    for stream in &mut streams {
        assert_eq!(data(&stream.events_until(401)), whole);
    }
}

#[test]
fn a_stop_ends_the_streams_and_does_not_wait_for_them() {
    let mut service = RunningService::start();
    let mut streams: Vec<_> = (0..5).map(|_| EventStream::open(&service.url(), STREAM, &[])).collect();
    for stream in &mut streams {
        assert!(stream.next_block().is_some());
    }
    assert_eq!(service.client().add(1, 1, 5).status, 201);
    for stream in &mut streams {
        assert_eq!(stream.next_event().and_then(|event| event.id), Some(1));
    }
    service.ask_to_stop();
    assert!(service.wait().success());
    for stream in &mut streams {
        assert_eq!(stream.next_block(), None);
    }
    assert!(!service.log().iter().any(|line| line["event"] == "drain_gave_up"));
}

#[test]
fn a_listener_that_takes_nothing_is_cut_and_holds_up_nobody() {
    let settings = [
        ("INVENTORY__SERVER__WRITE_WAIT_MS_MAX", "300"),
        ("INVENTORY__EVENTS__LISTENER_BYTES_MAX", "65536"),
        ("INVENTORY__EVENTS__HEARTBEAT_MS", "100"),
    ];
    let service = RunningService::start_with(&[], &settings);
    let client = service.client();
    let slow = EventStream::open(&service.url(), STREAM, &[]);
    let mut brisk = EventStream::open(&service.url(), STREAM, &[]);
    let listeners = || {
        let metrics = client.get("/metrics").text;
        let line = metrics.lines().find(|line| line.starts_with("inventory_event_listeners ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(listeners(), 2);
    let command =
        json!({"op": "add", "product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x".repeat(500)});
    let batch = json!({"commands": vec![command; 4_000]});
    let mut end = 0;
    // More than the buffers of both ends of a connection take.
    while listeners() == 2 {
        assert!(end < 1_000_000, "it isn't cut");
        assert_eq!(client.post_with("/batch", &[], &batch).status, 200);
        end += 4_000;
        brisk.events_until(end);
    }
    assert_eq!(listeners(), 1);
    drop(slow);
}

/// The whole list, page after page by `next_after`.
fn all(client: &Client, query: &str) -> Vec<Value> {
    let (query, mut after) = match query.split_once("&after=") {
        Some((query, after)) => (query, after.parse().unwrap()),
        None => (query, 0u64),
    };
    let (mut events, mut seen) = (Vec::new(), BTreeSet::new());
    loop {
        let page = client.get(&format!("/api/v1/events?{query}&after={after}"));
        assert_eq!(page.status, 200, "{}", page.body);
        events.extend(page.body["items"].as_array().unwrap().iter().cloned());
        after = page.body["next_after"].as_u64().unwrap();
        if page.body["next_cursor"].is_null() {
            return events;
        }
        assert!(seen.insert(after), "it goes on");
    }
}

fn positions(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["position"].as_u64().unwrap()).collect()
}

fn of_product(event: &Value, product: u128) -> bool {
    event["stream_id"].as_str().unwrap().starts_with(&format!("inventory-{}-", id(product)))
}

fn data(events: &[Block]) -> Vec<Value> {
    events.iter().map(|event| event.data.clone().unwrap()).collect()
}
