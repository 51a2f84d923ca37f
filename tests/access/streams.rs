//! Event streams end with the credentials that they were asked for with.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use inventory_tests::{RunningService, id};
use serde_json::json;

use crate::asking::{PATIENCE, bearer, send};
use crate::key_file::{KeyFile, ON};
use crate::signer::{SECRET, Signer, claims};

/// The last chunk of an answer.
const END_OF_STREAM: &str = "0\r\n\r\n";

#[test]
fn a_stream_ends_with_the_token_that_it_was_asked_for_with() {
    let settings = [ON, ("INVENTORY__TOKENS__HS256_SECRET", SECRET), ("INVENTORY__TOKENS__LEEWAY_S", "0")];
    let service = RunningService::start_with(&[], &settings);
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:read", 5));
    assert!(read_until(&mut listen(&service, &token), END_OF_STREAM).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_stream_ends_when_its_credentials_are_taken_away() {
    let keys = KeyFile::new();
    let kept = keys.add("kept", "write", None);
    let before = fs::read_to_string(keys.path()).unwrap();
    let gone = keys.add("gone", "read", None);
    let secret = keys.path().with_file_name("secret");
    fs::write(&secret, SECRET).unwrap();
    let service = keys.start(&[("INVENTORY__TOKENS__HS256_SECRET_FILE", secret.to_str().unwrap())]);
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:read", 3_600));
    let [mut of_kept, mut of_gone, mut of_token] = [&kept, &gone, &token].map(|shown| listen(&service, shown));
    for stream in [&mut of_kept, &mut of_gone, &mut of_token] {
        read_until(stream, "retry:");
    }
    let client = service.client();
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "delivery"});
    let add = || send(&client, "POST", "/api/v1/inventory/stock", &[bearer(&kept)], &stock).status;

    fs::write(keys.path(), before).unwrap();
    read_until(&mut of_gone, END_OF_STREAM);
    assert_eq!(add(), 201);
    for stream in [&mut of_kept, &mut of_token] {
        assert!(!read_until(stream, "delivery").contains(END_OF_STREAM), "it goes on");
    }
    fs::write(&secret, format!("{SECRET}, and another one")).unwrap();
    read_until(&mut of_token, END_OF_STREAM);
    assert_eq!(add(), 201);
    assert!(!read_until(&mut of_kept, "delivery").contains(END_OF_STREAM), "it goes on");
}

/// Asks for the events as they come.
fn listen(service: &RunningService, credential: &str) -> TcpStream {
    let mut connection = TcpStream::connect(service.url().replace("http://", "")).expect("the service listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a fixture");
    let request =
        format!("GET /api/v1/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("the service listens");
    connection
}

/// What comes until `text` does.
#[track_caller]
fn read_until(connection: &mut TcpStream, text: &str) -> String {
    let (mut answer, end) = (String::new(), Instant::now() + PATIENCE);
    while !answer.contains(text) {
        assert!(Instant::now() < end, "no {text:?} in time: {answer}");
        let mut piece = [0; 1_024];
        let read = connection.read(&mut piece).unwrap_or_else(|error| panic!("no {text:?}: {error}: {answer}"));
        assert!(read > 0, "cut off before {text:?}: {answer}");
        answer.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    answer
}
