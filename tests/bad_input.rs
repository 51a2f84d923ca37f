//! Whatever a client sends, it gets the contract's code and the server stays up.

use std::io::{Read, Write};
use std::net::TcpStream;

use inventory_tests::{Client, RunningService, id};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn bad_bodies_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x"});
    let with = |field: &str, value: Value| {
        let mut body = stock.clone();
        body[field] = value;
        body.to_string()
    };
    let refused = |body: &str| post(&client, "stock", &[JSON], body.as_bytes());
    for body in ["", "{", "nothing", "{\"a\":1,}", "\u{0}", "[1,2", "{\"quantity\":01}"] {
        assert_eq!(refused(body), "400 malformed-json", "{body:?}");
    }
    assert_eq!(post(&client, "stock", &[JSON], b"{\"reason\":\"\xff\xfe\"}"), "400 malformed-json");
    for quantity in [
        json!(0),
        json!(-1),
        json!(1_000_000_001),
        json!(1.5),
        json!("1"),
        json!(null),
        json!([1]),
        json!(u64::MAX),
        json!(1e300),
    ] {
        assert_eq!(refused(&with("quantity", quantity.clone())), "422 invalid-request quantity", "{quantity}");
    }
    assert_eq!(
        refused(&with("quantity", json!(0)).replace(":0", ":99999999999999999999999999")),
        "422 invalid-request quantity"
    );
    for given in [json!("x"), json!(""), json!(7), json!(null), json!("00000000-0000-0000-0000-00000000000g")] {
        assert_eq!(refused(&with("product_id", given.clone())), "422 invalid-request product_id", "{given}");
    }
    for reason in [json!(""), json!("  "), json!("x".repeat(501)), json!(7)] {
        assert_eq!(refused(&with("reason", reason.clone())), "422 invalid-request reason", "{reason}");
    }
    assert_eq!(refused(&with("colour", json!("red"))), "422 invalid-request colour");
    assert_eq!(refused("{}"), "422 invalid-request product_id");
    assert_eq!(refused("[]"), "422 invalid-request ");
    assert_eq!(refused("\"x\""), "422 invalid-request ");
    assert_eq!(refused(&"[".repeat(200_000)), "400 malformed-json");
    for ttl in [json!(0), json!(1441), json!("5"), json!(-3), json!(0.5)] {
        let body =
            json!({"product_id": id(1), "store_id": id(1), "quantity": 1, "customer_id": id(1), "ttl_minutes": ttl});
        assert_eq!(
            post(&client, "reserve", &[JSON], body.to_string().as_bytes()),
            "422 invalid-request ttl_minutes",
            "{ttl}"
        );
    }
    let array = client.send("POST", "/api/v1/inventory/stock", &[("content-type", "application/json")], b"[]").unwrap();
    assert_eq!(array.body["detail"], "the body: must be an object");
    assert_eq!(client.level(1, 1).summary(), "404 stock-not-found", "nothing of it was done");
    assert_eq!(client.add(1, 1, 1_000_000_000).status, 201);
}

#[test]
fn bad_sizes_types_paths_and_methods_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    let good = json!({"product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x"}).to_string();
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(post(&client, "stock", &[JSON], large.as_bytes()), "413 too-large");
    for given in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json; charset=latin-1")],
    ] {
        assert_eq!(post(&client, "stock", given, good.as_bytes()), "415 unsupported-media-type", "{given:?}");
    }
    assert_eq!(
        post(&client, "stock", &[JSON, ("content-encoding", "gzip")], good.as_bytes()),
        "415 unsupported-media-type"
    );
    assert_eq!(post(&client, "stock", &[("content-type", "application/json; charset=utf-8")], good.as_bytes()), "201");
    for path in [
        "/",
        "/api/v1/inventory",
        "/api/v1/inventory/nothing",
        "/api/v2/inventory/stock",
        "/api/v1/inventory/stock/",
        "/%00",
        "/api/v1/../../etc/passwd",
    ] {
        assert_eq!(client.get(path).summary(), "404 not-found", "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/api/v1/inventory/stock", "POST"),
        ("DELETE", "/api/v1/inventory/reserve", "POST"),
        ("PUT", "/api/v1/inventory/commit", "POST"),
        ("PATCH", "/api/v1/inventory/adjust", "POST"),
        ("BREW", "/api/v1/inventory/release", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/health/ready", "GET, HEAD"),
        ("DELETE", "/api/v1/inventory/products/x", "GET, HEAD"),
        ("POST", "/api/v1/inventory/products/x/stores/y", "GET, HEAD"),
    ] {
        let answer = client.send(method, path, &[], b"").unwrap();
        assert_eq!(answer.summary(), "405 method-not-allowed", "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        assert!(answer.header("x-request-id").is_some(), "{method} {path}");
    }
    for path in [
        "/api/v1/inventory/products/x",
        "/api/v1/inventory/products/x/stores/y",
        "/api/v1/inventory/products/%F0%9F/stores/y",
    ] {
        assert_eq!(client.get(path).summary(), "422 invalid-request", "{path}");
    }
    for name in ["", "a b", "ä", "x\"y", &"x".repeat(200)] {
        let answer = client.send("GET", "/health", &[("x-request-id", name)], b"");
        if let Ok(answer) = answer {
            assert_ne!(answer.header("x-request-id"), Some(name));
            assert_eq!(answer.header("x-request-id").unwrap().len(), 36);
        }
    }
}

#[test]
fn what_nobody_knows_is_refused_and_not_ignored() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    let good = json!({"product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x"});
    assert_eq!(post(&client, "stock?x=1", &[JSON], good.to_string().as_bytes()), "422 invalid-request x");
    let path = format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1));
    assert_eq!(client.get(&format!("{path}?colour=red")).summary(), "422 invalid-request");
    assert_eq!(client.level(1, 1).level(), "5/0 v1", "nothing of it was done");
}

#[test]
fn what_is_not_http_leaves_the_server_up() {
    let service = RunningService::start();
    let address = service.url().replace("http://", "");
    for sent in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST /api/v1/inventory/stock HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{", b"GET /health HTTP/1.1\r\nhost: x\r\nx: \x00\r\n\r\n"] {
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.write_all(sent).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).ok();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(service.client().get("/health").status, 200);
    assert_eq!(service.client().add(1, 1, 5).status, 201);
}

#[test]
fn a_body_that_does_not_arrive_is_not_waited_for_without_end() {
    let service = RunningService::start_with(&[], &[("INVENTORY__SERVER__BODY_WAIT_MS_MAX", "100")]);
    let mut connection = TcpStream::connect(service.url().replace("http://", "")).unwrap();
    let head = "POST /api/v1/inventory/stock HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 1_024];
    let read = connection.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/request-timeout"), "{answer}");
}

/// The answer's status, the problem's kind, and the names of the fields in error.
fn post(client: &Client, command: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let answer = client.send("POST", &format!("/api/v1/inventory/{command}"), headers, body).expect("an answer");
    if answer.status >= 400 {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.body["status"], answer.status);
        assert_eq!(answer.body["instance"].as_str(), answer.header("x-request-id"));
    }
    match answer.body["errors"].as_array() {
        Some(errors) => {
            let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
            format!("{} {}", answer.summary(), fields.join(" "))
        }
        None => answer.summary(),
    }
}
