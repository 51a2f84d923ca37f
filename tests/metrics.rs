//! `/metrics` on the real service: what was done is counted.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::fs;

use inventory_tests::{Client, RunningService, id, path_of};
use serde_json::{Value, json};

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

/// An alert on a metric that isn't there never fires, and a panel stays empty; neither says so.
#[test]
fn alerts_and_dashboard_name_what_is_there() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!((client.add(1, 1, 5).status, client.get("/nowhere").status), (201, 404));
    let metrics = Metrics::of(&client);
    let families: BTreeSet<&str> =
        metrics.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in ["config/prometheus-alerts.yml", "config/prometheus-alerts.test.yml", "config/grafana-dashboard.json"] {
        let text = fs::read_to_string(path_of(file)).unwrap();
        let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let named: BTreeSet<&str> =
            words.filter(|word| word.starts_with("inventory_") || word.starts_with("process_")).collect();
        assert!(named.len() > 5, "{file}");
        for name in named {
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            assert!(families.contains(family) || families.contains(name), "{file} names {name}, which isn't there");
        }
    }
    let panels = serde_json::from_str::<Value>(&fs::read_to_string(path_of("config/grafana-dashboard.json")).unwrap());
    let named = panels.unwrap().to_string();
    for family in families {
        assert!(named.contains(family), "no panel shows {family}");
    }
}

#[test]
fn a_projection_passes_everything_and_applies_what_concerns_it() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    let order = json!({"customer_id": id(9), "lines": [{"product_id": id(1), "store_id": id(1), "quantity": 1}]});
    let placed = client.post_with("/orders", &[], &order);
    assert_eq!(placed.status, 201);
    let orders = format!("/api/v1/orders?customer_id={}&min_position=3", id(9));
    assert_eq!(client.get(&orders).status, 200, "the read models have all three events");
    let metrics = Metrics::of(&client);
    for (projection, applied) in [("stock_levels", 2.0), ("reservations", 2.0), ("orders", 1.0), ("transfers", 0.0)] {
        let value = |name: &str| metrics.value(&format!(r#"inventory_projection_{name}{{projection="{projection}"}}"#));
        let passed = value("events_passed_total");
        assert_eq!((passed, value("events_applied_total")), (Some(3.0), Some(applied)), "{projection}");
        assert_eq!((value("position"), value("lag_events"), value("lag_seconds")), (Some(3.0), Some(0.0), Some(0.0)));
        assert_eq!((value("stopped"), value("rebuilding")), (Some(0.0), Some(0.0)));
    }
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
