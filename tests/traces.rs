//! Traces: what a collector is sent, what callers are told, and where the trace's id is found again.

#[path = "traces/collector.rs"]
mod collector;

use std::collections::BTreeSet;

use collector::Collector;
use inventory_tests::{Answer, RunningService, id};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;

#[test]
fn a_request_makes_a_span_below_its_callers() {
    let collector = Collector::start();
    let service = traced(&collector, &[]);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "rojo=1,congo=2"), ("x-request-id", "r-1")];
    let path = format!("/api/v1/inventory/products/{}/stores/{}?at=s3cret", id(1), id(2));
    let more = [("authorization", "Bearer s3cret"), ("user-agent", "shop/1.0")];
    let headers: Vec<_> = headers.into_iter().chain(more).collect();
    let answer = service.client().send("GET", &path, &headers, b"").unwrap();
    assert_eq!(answer.status, 422);
    let spans = collector.wait_for(TRACE, 1);
    let span = &spans[0];
    assert_eq!(answer.header("traceparent"), Some(format!("00-{TRACE}-{}-01", span.span_id).as_str()));
    assert_eq!(answer.header("tracestate"), Some("rojo=1,congo=2"));
    assert_eq!((span.parent.as_str(), span.kind, span.state.as_str()), (CALLER, SERVER, "rojo=1,congo=2"));
    assert_eq!(span.name, "GET /api/v1/inventory/products/{product_id}/stores/{store_id}");
    let address = service.url().replace("http://", "");
    let (host, port) = address.split_once(':').unwrap();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/inventory/products/{product_id}/stores/{store_id}"),
        ("http.response.status_code", "422"),
        ("url.path", path.split('?').next().unwrap()),
        ("url.scheme", "http"),
        ("server.address", host),
        ("server.port", port),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "shop/1.0"),
        ("inventory.request_id", "r-1"),
        ("inventory.problem", "invalid-request"),
    ] {
        assert_eq!(span.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!span.is_error && !span.attributes.contains_key("error.type"), "it is the client's error, not ours");
    for (key, value) in [("service.name", "inventory-test"), ("service.version", env!("CARGO_PKG_VERSION"))] {
        assert_eq!(span.resource.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(span.nanos.start < span.nanos.end && span.resource.contains_key("service.instance.id"));
    assert!(!format!("{span:?}").contains("s3cret"));
    let export = &collector.exports()[0];
    assert_eq!(export.path, "/v1/traces");
    assert_eq!(export.headers["content-type"], "application/x-protobuf");
    assert_eq!(export.headers["api-key"], "k3y");
    assert!(!format!("{:?}", service.log()).contains("k3y"));
}

#[test]
fn a_write_makes_spans_for_its_wait_its_batch_and_its_projection() {
    let collector = Collector::start();
    let mut service = traced(&collector, &[]);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "x"});
    let answer = service.client().post_with("/inventory/stock", &[("traceparent", &parent)], &stock);
    assert_eq!(answer.status, 201);
    let spans = collector.wait_for(TRACE, 5);
    let span = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {spans:#?}");
        found[0]
    };
    let server = span("POST /api/v1/inventory/stock");
    assert_eq!((server.parent.as_str(), server.attributes["http.response.status_code"].as_str()), (CALLER, "201"));
    let [wait, decide, append, projection] = ["queue wait", "decide", "append", "projection"].map(span);
    for part in [wait, decide, append, projection] {
        assert_eq!((&part.parent, part.kind), (&server.span_id, INTERNAL), "{part:?}");
        assert!(part.nanos.start <= part.nanos.end && !part.is_error, "{part:?}");
        assert_eq!(part.resource["service.name"], "inventory-test");
    }
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    assert_eq!(ids.len(), 5, "each has its own id");
    for (part, key, value) in [
        (decide, "inventory.command", "add"),
        (decide, "inventory.outcome", "granted"),
        (decide, "inventory.commands", "1"),
        (append, "inventory.batch.groups", "1"),
        (append, "inventory.batch.events", "1"),
        (projection, "inventory.position", "1"),
        (projection, "inventory.page.first_position", "1"),
        (projection, "inventory.page.last_position", "1"),
        (projection, "inventory.page.events", "1"),
    ] {
        assert_eq!(part.attributes.get(key).map(String::as_str), Some(value), "{key} of {part:?}");
    }
    assert_eq!(trace_ids_of_events(&service), [Value::from(TRACE)]);
    assert_eq!(service.wait_for("stock_added")["trace_id"], TRACE);
}

#[test]
fn a_refusal_and_a_batch_make_no_more_spans_than_they_need() {
    let collector = Collector::start();
    let service = traced(&collector, &[]);
    let client = service.client();
    let parent = |trace: &str| format!("00-{trace}-{CALLER}-01");
    let reserve = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "customer_id": id(2)});
    let refused = client.post_with("/inventory/reserve", &[("traceparent", &parent(TRACE))], &reserve);
    assert_eq!(refused.summary(), "409 insufficient-stock");
    let add =
        |store: u128| json!({"op": "add", "product_id": id(1), "store_id": id(store), "quantity": 1, "reason": "x"});
    let batch = json!({"commands": (1..=100).map(add).collect::<Vec<_>>()});
    let other = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(client.post_with("/batch", &[("traceparent", &parent(other))], &batch).status, 200);
    let spans = collector.wait_for(other, 5);
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["POST /api/v1/batch", "queue wait", "decide", "append", "projection"]));
    let decide = spans.iter().find(|span| span.name == "decide").unwrap();
    assert_eq!(decide.attributes["inventory.commands"], "100");
    let of_refusal = collector.wait_for(TRACE, 2);
    let names: Vec<&str> = of_refusal.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /api/v1/inventory/reserve", "queue wait"]);
    assert_eq!(of_refusal[1].attributes["inventory.outcome"], "rejected");
    assert_eq!(of_refusal[0].attributes["inventory.problem"], "insufficient-stock");
    assert_eq!((spans.len(), of_refusal.len()), (5, 2));
}

#[test]
fn a_malformed_traceparent_begins_a_new_trace() {
    let collector = Collector::start();
    let service = traced(&collector, &[]);
    let good = format!("00-{TRACE}-{CALLER}-01");
    for given in [
        &[][..],
        &[("traceparent", "")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        &[("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
        &[("traceparent", good.as_str()), ("traceparent", good.as_str())],
        &[("tracestate", "rojo=1")],
    ] {
        let answer = service.client().send("GET", "/health", given, b"").unwrap();
        let (trace_id, span_id, flags) = told(&answer).unwrap();
        assert_ne!(trace_id, TRACE, "{given:?}");
        assert_eq!((flags.as_str(), answer.header("tracestate")), ("03", None), "{given:?}");
        let spans = collector.wait_for(&trace_id, 1);
        assert_eq!((spans[0].parent.as_str(), &spans[0].span_id), ("", &span_id), "{given:?}");
    }
}

#[test]
fn what_is_not_sampled_has_an_id_and_no_span() {
    let collector = Collector::start();
    let service = traced(&collector, &[("SAMPLE_RATIO", "0")]);
    let client = service.client();
    let (own, _, flags) = told(&client.get("/health")).unwrap();
    assert_eq!(flags, "02");
    let told_no = format!("00-{TRACE}-{CALLER}-00");
    let (trace_id, _, flags) =
        told(&client.send("GET", "/health", &[("traceparent", &told_no)], b"").unwrap()).unwrap();
    assert_eq!((trace_id.as_str(), flags.as_str()), (TRACE, "00"));
    // The caller's decision holds; and as spans come in order, those before it would be here by then.
    let other = "0af7651916cd43dd8448eb211c80319c";
    let told_yes = format!("00-{other}-{CALLER}-01");
    assert_eq!(client.send("GET", "/health", &[("traceparent", &told_yes)], b"").unwrap().status, 200);
    collector.wait_for(other, 1);
    assert!(collector.spans().iter().all(|span| span.trace_id != own && span.trace_id != TRACE));
}

#[test]
fn nobody_can_have_more_recorded_than_the_bound() {
    let collector = Collector::start();
    let mut service = traced(&collector, &[("SAMPLED_REQUESTS_PER_S_MAX", "1")]);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let client = service.client();
    let flags: Vec<String> = (0..200)
        .map(|_| told(&client.send("GET", "/health", &[("traceparent", &parent)], b"").unwrap()).unwrap().2)
        .collect();
    let sampled = flags.iter().filter(|flags| *flags == "01").count();
    service.ask_to_stop();
    assert!(service.wait().success());
    assert_eq!(collector.spans().len(), sampled, "each that says so, and no other");
    assert!((1..200).contains(&sampled), "{sampled}");
}

#[test]
fn a_stop_sends_what_waits() {
    let collector = Collector::start();
    let mut service = traced(&collector, &[("BATCH_DELAY_MS", "60000")]);
    let client = service.client();
    for _ in 0..20 {
        assert_eq!(client.get("/health").status, 200);
    }
    assert_eq!(collector.exports().len(), 0);
    service.ask_to_stop();
    assert!(service.wait().success());
    assert_eq!(collector.spans().len(), 20);
}

#[test]
fn a_collector_that_fails_costs_spans_and_nothing_else() {
    let collector = Collector::start();
    collector.answer(400);
    let mut service = traced(&collector, &[("BATCH_SPANS_MAX", "1"), ("QUEUE_SPANS_MAX", "4")]);
    let client = service.client();
    for _ in 0..50 {
        assert_eq!(client.get("/health").status, 200);
    }
    let failed = service.wait_for("span_export_failed");
    assert!(failed["cause"].as_str().unwrap().contains("400"), "{failed}");
    collector.answer(200);
    assert_eq!(client.get("/health").status, 200);
    assert!(service.wait_for("span_export_works_again")["spans_lost"].is_u64());
    let metrics = client.get("/metrics").text;
    for end in ["exported", "dropped", "failed"] {
        let series = format!("inventory_spans_total{{end=\"{end}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok());
        assert!(count.is_some_and(|count| end == "dropped" || count > 0), "{end}: {count:?}");
    }
    let lines = service.log().iter().filter(|line| line["event"] == "span_export_failed").count();
    assert_eq!(lines, 1, "once in a while");
    service.ask_to_stop();
    assert!(service.wait().success());
}

#[test]
fn a_collector_that_is_not_there_holds_up_nobody() {
    let nobody = "http://127.0.0.1:9"; // The port of "discard", where nothing listens.
    let settings = [("INVENTORY__TELEMETRY__OTLP_ENDPOINT", nobody), ("INVENTORY__TELEMETRY__SAMPLE_RATIO", "1")];
    let mut service = RunningService::start_with(&[], &settings);
    assert_eq!(service.client().add(1, 1, 5).status, 201);
    service.ask_to_stop();
    assert!(service.wait().success());
    assert!(service.log().iter().any(|line| line["event"] == "span_export_failed"));
}

#[test]
fn where_nothing_is_recorded_the_callers_trace_is_honoured() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.get("/health").header("traceparent"), None);
    assert!(!client.get("/metrics").text.contains("inventory_spans"));
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "x"});
    let answer = client.post_with("/inventory/stock", &[("traceparent", &parent), ("tracestate", "a=b")], &stock);
    assert_eq!(answer.header("traceparent"), Some(parent.as_str()), "no span stands between");
    assert_eq!(answer.header("tracestate"), Some("a=b"));
    assert_eq!(trace_ids_of_events(&service), [Value::from(TRACE)]);
    assert_eq!(client.post_with("/inventory/stock", &[], &stock).header("traceparent"), None);
    assert_eq!(trace_ids_of_events(&service), [Value::from(TRACE), Value::Null]);
}

/// A service that records everything and sends it soon, with these other settings.
fn traced(collector: &Collector, settings: &[(&str, &str)]) -> RunningService {
    let all = [
        ("OTLP_ENDPOINT", collector.address()),
        ("OTLP_HEADERS", "api-key=k3y"),
        ("SERVICE_NAME", "inventory-test"),
        ("SAMPLE_RATIO", "1"),
        ("BATCH_DELAY_MS", "10"),
    ];
    let all: Vec<(String, &str)> =
        all.iter().chain(settings).map(|(name, value)| (format!("INVENTORY__TELEMETRY__{name}"), *value)).collect();
    RunningService::start_with(&[], &all.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>())
}

/// Trace, span and flags that an answer tells.
fn told(answer: &Answer) -> Option<(String, String, String)> {
    let parts: Vec<&str> = answer.header("traceparent")?.split('-').collect();
    let [version, trace_id, span_id, flags] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((version, trace_id.len(), span_id.len()), ("00", 32, 16));
    Some((trace_id.to_owned(), span_id.to_owned(), flags.to_owned()))
}

/// The trace ids in the metadata of the first stock's events.
fn trace_ids_of_events(service: &RunningService) -> Vec<Value> {
    let path = format!("/api/v1/inventory/products/{}/stores/{}/events", id(1), id(1));
    let events = service.client().get(&path).body["items"].clone();
    events.as_array().expect("events").iter().map(|event| event["metadata"]["trace_id"].clone()).collect()
}
