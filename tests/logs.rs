//! The log of the real service: what is written of requests, how much of it, and that it gives nothing away.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_tests::{Client, RunningService};
use serde_json::{Value, json};

#[test]
fn one_request_in_so_many_is_logged_and_every_one_that_failed() {
    let service = RunningService::start_with(
        &[],
        &[("INVENTORY__LOG__REQUESTS_SAMPLE", "10"), ("INVENTORY__SERVER__WORKERS", "1")],
    );
    let client = service.client();
    for _ in 0..25 {
        assert_eq!(client.get("/health").status, 200);
    }
    let mut service = service;
    service.ask_to_stop();
    assert!(service.wait().success());
    let lines = requests(&service);
    assert_eq!(lines.len(), 3, "the first, and each tenth after it: {lines:?}");
    for line in lines {
        assert_eq!((&line["level"], &line["part"], &line["sample"]), (&"info".into(), &"requests".into(), &10.into()));
        assert_eq!(
            (&line["method"], &line["route"], &line["path"]),
            (&"GET".into(), &"/health".into(), &"/health".into())
        );
        assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &17.into()));
        assert!(line["duration_us"].is_u64() && line["request_id"].is_string(), "{line}");
        assert!(line.get("problem").is_none() && line.get("actor").is_none(), "what isn't there is left out: {line}");
    }
}

#[test]
fn a_slow_request_is_logged_whatever_the_sample() {
    let settings = [
        ("INVENTORY__LOG__REQUESTS_SAMPLE", "1000000"),
        ("INVENTORY__LOG__REQUESTS_SLOW_MS", "0"),
        ("INVENTORY__SERVER__WORKERS", "1"),
    ];
    let mut service = RunningService::start_with(&[], &settings);
    let client = service.client();
    let named = |number: u32| [("x-request-id".to_owned(), format!("r{number}"))];
    for number in 0..5 {
        let headers = named(number);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(client.send("GET", "/nowhere?token=secret", &headers, b"").unwrap().status, 404);
    }
    service.ask_to_stop();
    assert!(service.wait().success());
    let ids: Vec<Value> = requests(&service).into_iter().map(|line| line["request_id"].clone()).collect();
    assert_eq!(ids, ["r0", "r1", "r2", "r3", "r4"]);
    let first = &requests(&service)[0];
    assert_eq!(
        (&first["route"], &first["path"], &first["problem"]),
        (&"unmatched".into(), &"/nowhere".into(), &"not-found".into())
    );
    assert!(first.get("sample").is_none(), "{first}");
}

#[test]
fn an_operator_says_how_much_is_logged() {
    let settings = [("INVENTORY__LOG__REQUESTS_SAMPLE", "1"), ("INVENTORY__LOG__PARTS__EXPIRY", "error")];
    let mut service = RunningService::start_with(&[], &settings);
    let client = service.client();
    let of_settings = json!({"default": "info", "parts": {"expiry": "error"}});
    assert_eq!(client.get("/admin/log-levels").body, of_settings);
    let quiet = json!({"default": "warning", "parts": {"business_events": "info"}});
    let set = put(&client, &quiet);
    assert_eq!((set.status, &set.body), (200, &quiet));
    assert_eq!(client.get("/admin/log-levels").body, quiet);
    let log_of = |id: &str| client.send("GET", "/health", &[("x-request-id", id)], b"").unwrap().status;
    assert_eq!(log_of("unheard"), 200);
    assert_eq!(client.add(1, 1, 5).status, 201);
    assert_eq!(client.send("DELETE", "/admin/log-levels", &[], b"").unwrap().body, of_settings);
    assert_eq!(log_of("heard"), 200);
    for (body, problem) in [
        (json!({"default": "loud"}), "422 invalid-request"),
        (json!({"default": "info", "parts": {"kitchen": "info"}}), "422 invalid-request"),
        (json!({"default": "info", "parts": {"expiry": "loud"}}), "422 invalid-request"),
        (json!({"parts": {}}), "422 invalid-request"),
        (json!({"default": "info", "level": "info"}), "422 invalid-request"),
    ] {
        assert_eq!(put(&client, &body).summary(), problem, "{body}");
    }
    assert_eq!(client.get("/admin/log-levels").body, of_settings, "nothing of a refused change is done");
    service.ask_to_stop();
    assert!(service.wait().success());
    let log = service.log();
    let heard: Vec<&Value> =
        requests_of(&log).filter_map(|line| line["request_id"].as_str().map(|_| &line["request_id"])).collect();
    assert!(heard.contains(&&"heard".into()) && !heard.contains(&&"unheard".into()), "{heard:?}");
    assert!(log.iter().any(|line| line["event"] == "stock_added"), "{log:?}");
    let changes: Vec<_> = log.iter().filter(|line| line["event"] == "log_levels_changed").collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0]["levels"], "warning, business_events info");
}

fn put(client: &Client, body: &Value) -> inventory_tests::Answer {
    let json = [("content-type", "application/json")];
    client.send("PUT", "/admin/log-levels", &json, body.to_string().as_bytes()).unwrap()
}

fn requests(service: &RunningService) -> Vec<Value> {
    requests_of(&service.log()).cloned().collect()
}

fn requests_of(log: &[Value]) -> impl Iterator<Item = &Value> {
    log.iter().filter(|line| line["event"] == "request")
}
