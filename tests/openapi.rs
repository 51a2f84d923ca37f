//! The OpenAPI document tells the truth about the service that serves it.

use std::collections::BTreeSet;

use inventory_tests::RunningService;
use serde_json::Value;

#[test]
fn a_path_has_the_methods_that_the_document_says() {
    let service = RunningService::start();
    let client = service.client();
    let document = client.get("/openapi.json");
    assert_eq!(document.status, 200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    let paths = document.body["paths"].as_object().unwrap();
    assert!(paths.len() > 20);
    for (path, item) in paths {
        let mut methods: BTreeSet<String> = item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        let refused = client.send("BREW", &filled(path), &[], b"").unwrap();
        assert_eq!(refused.summary(), "405 method-not-allowed", "{path}");
        let methods: Vec<String> = methods.into_iter().collect();
        assert_eq!(refused.header("allow"), Some(methods.join(", ").as_str()), "{path}");
    }
}

/// The path with something in the place of its variables.
fn filled(path: &str) -> String {
    let parts = path.split('{').enumerate().map(|(place, part)| match part.split_once('}') {
        Some((_, rest)) if place > 0 => format!("x{rest}"),
        _ => part.to_owned(),
    });
    parts.collect()
}

#[test]
fn the_document_is_sent_once_to_who_has_it() {
    let service = RunningService::start();
    let client = service.client();
    for path in ["/openapi.json", "/swagger", "/redoc"] {
        let first = client.get(path);
        assert_eq!(first.status, 200, "{path}");
        let again = client.send("GET", path, &[("if-none-match", first.header("etag").unwrap())], b"").unwrap();
        assert_eq!((again.status, again.body), (304, Value::Null), "{path}");
    }
}
