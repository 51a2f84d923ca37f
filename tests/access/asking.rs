//! Requests with credentials, and what is looked for in answers and in the log.

use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{Answer, Client, RunningService, id};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn bearer(credential: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {credential}"))
}

pub(crate) fn ask(client: &Client, method: &str, path: &str, headers: &[(&'static str, String)]) -> Answer {
    send(client, method, path, headers, &Value::Null)
}

pub(crate) fn send(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&'static str, String)],
    body: &Value,
) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.send(method, path, &all, &body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

pub(crate) fn path_of_level() -> String {
    format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1))
}

#[track_caller]
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn logged(service: &RunningService, event: &str) -> bool {
    service.log().iter().any(|line| line["event"] == event)
}

#[track_caller]
pub(crate) fn assert_no_secrets(service: &RunningService, secrets: &[&str]) {
    let log = service.log();
    assert!(!log.is_empty());
    for line in log {
        let line = line.to_string();
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}
