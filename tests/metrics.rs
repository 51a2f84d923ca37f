//! `/metrics` on the real service: what was done is counted.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_tests::{Client, RunningService, id};
use serde_json::json;

#[test]
fn what_was_done_is_counted() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    for (number, status) in [(1, 201), (2, 201), (3, 409)] {
        let reserve = json!({"product_id": id(1), "store_id": id(1), "quantity": 2, "customer_id": id(9),
            "reservation_id": id(number)});
        assert_eq!(client.post("reserve", &reserve).status, status);
    }
    assert_eq!(client.get("/api/v1/inventory/products/none").status, 422);
    assert_eq!(client.get("/nowhere").status, 404);
    let metrics = Metrics::of(&client);
    let count = "inventory_http_request_duration_seconds_count";
    for (series, expected) in [
        (format!(r#"{count}{{method="POST",route="/api/v1/inventory/reserve",status="2xx"}}"#), 2.0),
        (format!(r#"{count}{{method="POST",route="/api/v1/inventory/reserve",status="4xx"}}"#), 1.0),
        (format!(r#"{count}{{method="GET",route="/api/v1/inventory/products/{{product_id}}",status="4xx"}}"#), 1.0),
        (format!(r#"{count}{{method="GET",route="unmatched",status="4xx"}}"#), 1.0),
        (r#"inventory_problems_total{problem="insufficient-stock"}"#.to_owned(), 1.0),
        (r#"inventory_problems_total{problem="not-found"}"#.to_owned(), 1.0),
        (r#"inventory_problems_total{problem="invalid-request"}"#.to_owned(), 1.0),
        (r#"inventory_commands_total{kind="add",outcome="granted"}"#.to_owned(), 1.0),
        (r#"inventory_commands_total{kind="reserve",outcome="granted"}"#.to_owned(), 2.0),
        (r#"inventory_commands_total{kind="reserve",outcome="rejected"}"#.to_owned(), 1.0),
        ("inventory_events_appended_total".to_owned(), 3.0),
        ("inventory_log_head_position".to_owned(), 3.0),
        ("inventory_queue_commands".to_owned(), 0.0),
        (r#"inventory_node_condition{condition="ready"}"#.to_owned(), 1.0),
        (r#"inventory_breaker_state{breaker="event_store"}"#.to_owned(), 0.0),
        ("inventory_http_requests_in_flight".to_owned(), 1.0),
    ] {
        assert_eq!(metrics.value(&series), Some(expected), "{series} in {}", metrics.0);
    }
    assert!(metrics.value("process_resident_memory_bytes").unwrap() > 1e6);
    assert!(metrics.value("inventory_commit_seconds_sum").unwrap() > 0.0);
}

/// What the service tells Prometheus.
struct Metrics(String);

impl Metrics {
    fn of(client: &Client) -> Self {
        let answer = client.get("/metrics");
        assert_eq!(answer.status, 200);
        Self(answer.text)
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}
