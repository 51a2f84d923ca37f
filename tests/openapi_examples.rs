//! The examples in the OpenAPI document, sent to the service in the order in which they stand there: each is granted.

use std::io::{Read, Write};
use std::net::TcpStream;

use inventory_tests::{Client, RunningService};
use serde_json::{Value, json};

/// Answers that don't end, so that a client that reads to the end waits for ever.
const ENDLESS: &[&str] = &["streamEvents"];

#[test]
fn every_example_in_the_document_is_granted() {
    let service = RunningService::start();
    let client = service.client();
    let text = document(&service);
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = in_reading_order(&document["paths"], &text);
    let (mut commands, mut questions) = (0, 0);
    for (path, item) in &paths {
        for method in ["post", "put"] {
            let Some(operation) = item.get(method) else { continue };
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            for (name, example) in examples.as_object().into_iter().flatten() {
                granted(&client, &method.to_uppercase(), &filled(path, operation), operation, &example["value"], name);
                commands += 1;
            }
        }
    }
    for (path, item) in &paths {
        let Some(operation) = item.get("get") else { continue };
        if ENDLESS.contains(&operation["operationId"].as_str().unwrap()) {
            continue;
        }
        granted(&client, "GET", &filled(path, operation), operation, &Value::Null, "");
        questions += 1;
    }
    assert!(commands >= 20 && questions >= 20, "{commands} commands and {questions} questions were tried");
}

/// The document as it is written: once it is read, its order is lost.
fn document(service: &RunningService) -> String {
    let mut connection = TcpStream::connect(service.url().replace("http://", "")).expect("a connection");
    connection.write_all(b"GET /openapi.json HTTP/1.0\r\n\r\n").expect("a request that is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).expect("a body")
}

/// The paths in the order in which a reader meets them.
fn in_reading_order<'a>(paths: &'a Value, text: &str) -> Vec<(&'a str, &'a Value)> {
    let mut paths: Vec<_> =
        paths.as_object().expect("paths").iter().map(|(path, item)| (path.as_str(), item)).collect();
    paths.sort_by_key(|(path, _)| text.find(&format!("\"{path}\":{{")).expect("a path of the document"));
    paths
}

/// Sends an example and sees a success that the document knows.
#[track_caller]
fn granted(client: &Client, method: &str, path: &str, operation: &Value, body: &Value, name: &str) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
    let answer = client.send(method, path, headers, &body).expect("an answer");
    let status = answer.status.to_string();
    assert!(answer.status < 300, "{method} {path} {name}: {} {}", answer.summary(), answer.body);
    assert!(operation["responses"].get(&status).is_some(), "{method} {path} {name}: {status} isn't in the document");
}

/// The path with the examples of its variables, and of the query parameters that have to be given.
fn filled(path: &str, operation: &Value) -> String {
    let mut filled = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let Some(name) = parameter["name"].as_str() else { continue };
        let example =
            [&parameter["example"], &parameter["schema"]["examples"][0]].into_iter().find(|one| !one.is_null());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match parameter["in"].as_str() {
            Some("path") => {
                let example = example.unwrap_or_else(|| panic!("{path}: {name} has no example"));
                filled = filled.replace(&format!("{{{name}}}"), &text(example));
            }
            Some("query") if parameter["required"] == json!(true) => {
                let example = example.unwrap_or_else(|| panic!("{path}: {name} has no example"));
                query.push(format!("{name}={}", text(example)));
            }
            _ => (),
        }
    }
    if query.is_empty() { filled } else { format!("{filled}?{}", query.join("&")) }
}
