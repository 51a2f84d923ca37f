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

#[test]
fn every_operation_tells_of_methods_that_are_not_there_and_no_question_of_an_unknown_outcome() {
    let service = RunningService::start();
    let document = service.client().get("/openapi.json").body;
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let refused = &operation["responses"]["405"];
            let allow = &refused["headers"]["allow"]["$ref"];
            assert_eq!(*allow, "#/components/headers/Allow", "{method} {path}: {refused}");
            let is_question = method == "get" || path.ends_with("/availability");
            assert!(!is_question || operation["responses"].get("504").is_none(), "{method} {path}");
            operations += 1;
        }
    }
    assert!(operations > 20, "{operations}");
    let add = &document["paths"]["/api/v1/inventory/stock"]["post"]["responses"];
    assert!(add.get("504").is_some(), "a write has an outcome: {add}");
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
