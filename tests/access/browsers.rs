//! What browsers are told: which pages may call, and what not to do with an answer.

use inventory_tests::RunningService;

use crate::asking::{ask, path_of_level};

#[test]
fn pages_of_allowed_origins_may_call() {
    let service = RunningService::start_with(&[], &[("INVENTORY__CORS__ALLOWED_ORIGINS", "https://shop.example")]);
    let client = service.client();
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin.to_owned()),
            ("access-control-request-method", "POST".to_owned()),
            ("access-control-request-headers", "authorization, content-type, idempotency-key".to_owned()),
        ];
        ask(&client, "OPTIONS", "/api/v1/inventory/stock", &headers)
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert!(allowed.header("x-request-id").is_some());
    let refused = preflight("https://evil.example");
    assert_eq!(refused.summary(), "403 origin-not-allowed");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert!(refused.header("x-request-id").is_some());

    let call = |origin: &str| ask(&client, "GET", &path_of_level(), &[("origin", origin.to_owned())]);
    let answer = call("https://shop.example");
    assert_eq!(answer.summary(), "404 stock-not-found");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in [
        "etag",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "idempotent-replayed",
        "retry-after",
        "age",
        "cache-status",
    ] {
        assert!(exposed.split(',').any(|known| known.trim() == name), "{name} in {exposed}");
    }
    assert_eq!(call("https://evil.example").header("access-control-allow-origin"), None);

    let closed = RunningService::start();
    let answer = ask(&closed.client(), "GET", &path_of_level(), &[("origin", "https://shop.example".to_owned())]);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let open = RunningService::start_with(&[], &[("INVENTORY__CORS__ALLOWED_ORIGINS", "*")]);
    let answer = ask(&open.client(), "GET", &path_of_level(), &[("origin", "https://x.example".to_owned())]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[test]
fn every_answer_tells_browsers_what_not_to_do() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    for (method, path, cache) in [
        ("GET", path_of_level().as_str(), "private, no-cache"),
        ("GET", "/api/v1/orders", "no-store"),
        ("GET", "/nothing", "no-store"),
        ("POST", "/api/v1/inventory/stock", "no-store"),
        ("GET", "/health", "no-store"),
    ] {
        let answer = ask(&client, method, path, &[]);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
}
