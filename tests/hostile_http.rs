//! Clients that mean no good: whatever comes over the wire, the answer is the contract's where there is one, nothing breaks, the next
//! client is served, and memory doesn't grow.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{RunningService, id};
use serde_json::{Value, json};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the service may have grown by after many rounds, in KiB: what an allocator keeps for a while, and no more.
const GROWTH_KIB_MAX: u64 = 48 * 1_024;

/// What a case is called, what is sent, and the status of each answer; a problem's kind stands behind its status.
type Case = (&'static str, Vec<u8>, &'static str);

#[test]
fn what_is_no_http_is_refused_and_breaks_nothing() {
    let service = RunningService::start();
    for case in no_http() {
        check(&service, &case);
    }
    assert_unharmed(&service);
}

#[test]
fn a_body_has_one_length_or_none() {
    let service = RunningService::start();
    for case in lengths() {
        check(&service, &case);
    }
    let level = service.client().level(1, 1);
    assert_eq!(level.level(), "5/0 v5", "what was smuggled behind another request was not done");
    assert_unharmed(&service);
}

#[test]
fn odd_requests_get_the_contracts_code() {
    let service = RunningService::start();
    for case in odd() {
        check(&service, &case);
    }
    assert_unharmed(&service);
}

#[test]
fn a_slow_client_is_cut_off_and_keeps_nobody_waiting() {
    // Short, but nobody who isn't slow takes so long, also where the machine has much else to do.
    let waits = [("INVENTORY__SERVER__HEAD_WAIT_MS_MAX", "1500"), ("INVENTORY__SERVER__BODY_WAIT_MS_MAX", "1500")];
    let service = RunningService::start_with(&[], &waits);
    let head = format!("{}x: ", post(""));
    let body = format!("{}\r\n", post("content-length: 100000\r\n"));
    let chunked = format!("{}\r\n", post("transfer-encoding: chunked\r\n"));
    // Each sends a byte now and then, for as long as it is let.
    thread::scope(|scope| {
        let slow = [("", "GET"), (head.as_str(), "a"), (body.as_str(), "["), (chunked.as_str(), "1\r\n[\r\n")];
        let slow = slow.map(|(at_once, drop_by_drop)| scope.spawn(|| trickle(&service, at_once, drop_by_drop)));
        assert_served(&service);
        let answers = slow.map(|slow| slow.join().expect("it is cut off"));
        for answer in &answers[..2] {
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
        for answer in &answers[2..] {
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("/problems/request-timeout"), "{answer}");
        }
    });
    assert_unharmed(&service);
}

#[test]
fn a_body_in_chunks_that_never_ends_is_not_waited_for_once_there_is_an_answer() {
    let service = RunningService::start();
    let chunked = |line: &str, chunks: &str| {
        format!("{line} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunks}").into_bytes()
    };
    for case in [
        ("nothing is there", chunked("POST /nope", "5\r\nhello\r\n"), "404 not-found"),
        ("no method", chunked("POST /health", ""), "405 method-not-allowed"),
        ("a question", chunked("GET /health", "5\r\nhel"), "200"),
        ("no JSON", chunked("POST /api/v1/inventory/stock", "5\r\nhello\r\n"), "415 unsupported-media-type"),
    ] {
        check(&service, &case);
    }
    // One that ends costs nobody the connection.
    let ended = [chunked("GET /health", "5\r\nhello\r\n0\r\n\r\n"), get("/health", "")].concat();
    check(&service, &("a body that ends", ended, "200 200"));
    assert_unharmed(&service);
}

#[test]
fn a_client_that_sends_no_more_gets_no_answer_or_one() {
    let service = RunningService::start();
    let good = command();
    for part in 1..good.len() {
        let mut connection = connect(&service);
        connection.write_all(&good.as_bytes()[..part]).expect("it listens");
        connection.shutdown(Shutdown::Write).expect("half of it can be closed");
        let answer = read(&mut connection);
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(["", "400", "408"].contains(&status.as_str()), "{part}: {answer}");
    }
    assert_eq!(service.client().level(1, 1).status, 404, "no half of a request was done");
    assert_unharmed(&service);
}

#[test]
fn memory_does_not_grow_with_hostile_clients() {
    let service = RunningService::start();
    let cases: Vec<Case> = [no_http(), lengths(), odd()].into_iter().flatten().collect();
    let mut before = 0;
    for round in 0..15 {
        for (_, sent, _) in &cases {
            let mut connection = connect(&service);
            // Half of them hang up in the middle, the others before the answer is read.
            let part = if round % 2 == 0 { sent.len() } else { sent.len() / 2 };
            connection.write_all(&sent[..part]).ok();
            drop(connection);
        }
        ask_and_never_read(&service);
        assert_served(&service);
        if round == 4 {
            before = resident_kib(&service);
        }
    }
    wait_until("memory returns", || resident_kib(&service) < before + GROWTH_KIB_MAX);
    assert_unharmed(&service);
}

#[test]
#[ignore = "needs `ulimit -n 20000` for the test and the service, and takes a while"]
fn ten_thousand_connections_keep_nobody_out() {
    let waits = [("INVENTORY__SERVER__HEAD_WAIT_MS_MAX", "60000"), ("INVENTORY__SERVER__BODY_WAIT_MS_MAX", "60000")];
    let service = RunningService::start_with(&[], &waits);
    let (files_before, kib_before) = (open_files(&service), resident_kib(&service));
    let unfinished = format!("{}x: ", post("content-length: 100\r\n"));
    let body = format!("{}\r\n[[[[", post("content-length: 1000000\r\n"));
    let connections: Vec<TcpStream> = (0..10_000)
        .map(|number| {
            let mut connection = connect(&service);
            // A third is idle, a third doesn't finish its head, a third its body.
            let sent = ["", &unfinished, &body][number % 3];
            connection.write_all(sent.as_bytes()).expect("it listens");
            connection
        })
        .collect();
    wait_until("all are accepted", || open_files(&service) >= files_before + connections.len());
    let kib_with = resident_kib(&service);
    let asked = Instant::now();
    assert_served(&service);
    assert_eq!(service.client().add(7, 7, 1).status, 201);
    eprintln!(
        "10,000 connections: {} KiB each; a new client was answered twice in {:?}",
        kib_with.saturating_sub(kib_before) / 10_000,
        asked.elapsed()
    );
    drop(connections);
    wait_until("all are closed", || open_files(&service) < files_before + 100);
    wait_until("memory returns", || resident_kib(&service) < kib_before + GROWTH_KIB_MAX);
    eprintln!("memory: {kib_before} KiB before, {kib_with} KiB with them, {} KiB after", resident_kib(&service));
    assert_unharmed(&service);
}

/// A good command: one unit for the first stock.
fn good_body() -> String {
    json!({"product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "hostile"}).to_string()
}

/// The beginning of a command's head.
fn post(more: &str) -> String {
    format!("POST /api/v1/inventory/stock HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}")
}

/// A command that says these things of its length, and closes the connection.
fn sized(headers: &str, body: &str) -> Vec<u8> {
    format!("{}connection: close\r\n\r\n{body}", post(headers)).into_bytes()
}

/// A question for this target, and these headers, that closes the connection.
fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

/// What the HTTP library refuses before there is a request: a bare status.
fn no_http() -> Vec<Case> {
    let line = |line: &str| format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes();
    let header = |bytes: &[u8]| {
        let head = &b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"[..];
        [head, bytes, &b"\r\n\r\n"[..]].concat()
    };
    let many =
        |count: usize| get("/health", &(0..count).fold(String::new(), |all, number| format!("{all}x{number}: y\r\n")));
    let long = |name: &'static str, bytes: usize, status| {
        (name, get("/health", &format!("x: {}\r\n", "a".repeat(bytes))), status)
    };
    vec![
        ("a TLS hello", [&b"\x16\x03\x01\x02\x00"[..], &[1; 200]].concat(), "400"),
        ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "400"),
        ("bytes", vec![0xff; 1_000], "400"),
        ("a megabyte of letters", vec![b'A'; 1 << 20], "431"),
        ("HTTP/0.9", b"GET /health\r\n\r\n".to_vec(), "400"),
        ("HTTP/1.2", line("GET /health HTTP/1.2"), "400"),
        ("HTTP/2.0", line("GET /health HTTP/2.0"), "400"),
        ("HTTP/9.9", line("GET /health HTTP/9.9"), "400"),
        ("http/1.1", line("GET /health http/1.1"), "400"),
        ("no target", line("GET  HTTP/1.1"), "400"),
        ("tabs", line("GET\t/health\tHTTP/1.1"), "400"),
        ("blanks before", line("  GET /health HTTP/1.1"), "400"),
        ("a method with a bracket", line("GE(T /health HTTP/1.1"), "400"),
        ("a control byte in the target", line("GET /h\x01 HTTP/1.1"), "400"),
        ("letters in the target that are not ASCII", line("GET /hä HTTP/1.1"), "400"),
        ("a broken address", line("GET http://[::1 HTTP/1.1"), "400"),
        ("a target of 100 KB", line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))), "400"),
        ("a target of a megabyte", line(&format!("GET /{} HTTP/1.1", "a".repeat(1 << 20))), "431"),
        ("10,000 parameters", get(&format!("/api/v1/orders?{}", "a12345=1&".repeat(10_000)), ""), "400"),
        ("no host", b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(), "400"),
        ("two hosts", header(b"host: y"), "400"),
        ("a control byte in a header", header(b"x: a\x01b"), "400"),
        ("a NUL in a header", header(b"x: a\x00b"), "400"),
        ("a NUL in a header's name", header(b"x\x00y: a"), "400"),
        ("a DEL in a header", header(b"x: a\x7fb"), "400"),
        ("a bare CR in a header", header(b"x: a\rb"), "400"),
        ("a folded header", header(b"x: a\r\n b"), "400"),
        ("a blank before the colon", header(b"x : a"), "400"),
        ("a header without a name", header(b": a"), "400"),
        ("a header without a colon", header(b"x"), "400"),
        ("a header's name that is not ASCII", header("ä: b".as_bytes()), "400"),
        ("120 headers", many(120), "431"),
        ("5,000 headers", many(5_000), "431"),
        long("a header of a megabyte", 1 << 20, "431"),
        ("garbage behind a request", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n\xff\xff\r\n\r\n".to_vec(), "200 400"),
    ]
}

/// Every way to say two things of a body's length, or none that makes sense. Five of them are good commands.
fn lengths() -> Vec<Case> {
    let body = good_body();
    let size = body.len();
    let chunked = |coding: &str| sized(&format!("transfer-encoding: {coding}\r\n"), "0\r\n\r\n");
    let length = |length: &str| sized(&format!("content-length: {length}\r\n"), &body);
    let chunks = |chunks: &str| sized("transfer-encoding: chunked\r\n", chunks);
    let smuggled = format!("0\r\n\r\n{}content-length: {size}\r\n\r\n{body}", post(""));
    vec![
        (
            "the same length twice",
            sized(&format!("content-length: {size}\r\ncontent-length: {size}\r\n"), &body),
            "400",
        ),
        ("two lengths", sized(&format!("content-length: {size}\r\ncontent-length: 5\r\n"), &body), "400"),
        ("a list of lengths", length(&format!("{size}, {size}")), "400"),
        ("a length with a plus", length(&format!("+{size}")), "400"),
        ("a length below zero", length("-1"), "400"),
        ("a length in hexadecimal", length("0x10"), "400"),
        ("no length", length(""), "400"),
        ("a length over 64 bits", length("99999999999999999999999"), "400"),
        ("the longest length", length("18446744073709551615"), "413 too-large"),
        (
            "a length and chunks",
            sized(&format!("content-length: {size}\r\ntransfer-encoding: chunked\r\n"), &smuggled),
            "400",
        ),
        (
            "chunks and a length",
            sized(&format!("transfer-encoding: chunked\r\ncontent-length: {size}\r\n"), &smuggled),
            "400",
        ),
        ("an unknown coding", chunked("xchunked"), "400"),
        ("chunks that are not last", chunked("chunked, identity"), "400"),
        ("chunks behind identity", chunked("identity, chunked"), "400"),
        ("chunks behind a control byte", chunked("\x0bchunked"), "400"),
        ("chunks twice", sized("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &smuggled), "400"),
        ("a chunk without a size", chunks(&format!("zz\r\n{body}\r\n0\r\n\r\n")), "400 malformed-json"),
        ("a chunk below zero", chunks(&format!("-1\r\n{body}\r\n0\r\n\r\n")), "400 malformed-json"),
        ("a chunk over 64 bits", chunks(&format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n")), "400 malformed-json"),
        ("a chunk without CR", chunks(&format!("{size:x}\n{body}\n0\n\n")), "400 malformed-json"),
        ("a chunk that is longer than it says", chunks(&format!("5\r\n{body}\r\n0\r\n\r\n")), "400 malformed-json"),
        ("garbage behind a command", format!("{}GARBAGE\r\n\r\n", command()).into_bytes(), "201 400"),
        ("one length", length(&size.to_string()), "201"),
        ("a chunk", chunks(&format!("{size:x}\r\n{body}\r\n0\r\n\r\n")), "201"),
        ("a chunk with something said of it", chunks(&format!("{size:x};a=b\r\n{body}\r\n0\r\n\r\n")), "201"),
        ("chunks with a trailer", chunks(&format!("{size:x}\r\n{body}\r\n0\r\nx: y\r\n\r\n")), "201"),
        ("a longer body than is taken", sized("content-length: 1048577\r\n", "[[[["), "413 too-large"),
        ("a terabyte", sized("content-length: 1099511627776\r\n", "[[[["), "413 too-large"),
        ("two megabytes, sent", sized("content-length: 2000000\r\n", &" ".repeat(2_000_000)), "413 too-large"),
        (
            "two megabytes in chunks",
            chunks(&format!("10000\r\n{}\r\n", " ".repeat(65_536)).repeat(32)),
            "413 too-large",
        ),
    ]
}

/// What is HTTP, and yet nothing that anybody means.
fn odd() -> Vec<Case> {
    let method = |method: &str, target: &str| {
        format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
    };
    let product = format!("/api/v1/inventory/products/{}", id(1));
    let with = |headers: &[u8]| {
        let head = post(&format!("connection: close\r\ncontent-length: {}\r\n", good_body().len()));
        [head.as_bytes(), headers, b"\r\n\r\n", good_body().as_bytes()].concat()
    };
    let json = |body: &str| sized(&format!("content-length: {}\r\n", body.len()), body);
    let cursor = |cursor: &str| get(&format!("/api/v1/orders?cursor={cursor}"), "");
    vec![
        ("an escape that is none", get("/%zz", ""), "404 not-found"),
        ("an escape that is cut off", get("/health%", ""), "404 not-found"),
        ("dots", get("/../../etc/passwd", ""), "404 not-found"),
        ("escaped dots", get("/%2e%2e/%2e%2e/etc/passwd", ""), "404 not-found"),
        ("two slashes", get("//health", ""), "404 not-found"),
        ("no slash", get("health", ""), "404 not-found"),
        ("60 KB of a path", get(&format!("/{}", "a".repeat(60_000)), ""), "404 not-found"),
        ("bytes that are no UTF-8", get("/api/v1/inventory/products/%ff%fe", ""), "422 invalid-request"),
        ("an escaped NUL", get("/api/v1/inventory/products/%00", ""), "422 invalid-request"),
        ("a broken escape in the query", get(&format!("{product}?x=%zz"), ""), "422 invalid-request"),
        ("7,000 parameters", get(&format!("/api/v1/orders?{}", "limit=1&".repeat(7_000)), ""), "422 invalid-request"),
        ("a cursor of nothing", cursor(""), "422 invalid-request"),
        ("a cursor of bytes", cursor("%00%ff"), "422 invalid-request"),
        ("a cursor that is too short", cursor("AAAA"), "422 invalid-request"),
        ("a long cursor", cursor(&"A".repeat(50_000)), "422 invalid-request"),
        ("an unknown method", method("FOO", "/health"), "405 method-not-allowed"),
        ("a long method", method(&"A".repeat(5_000), "/health"), "405 method-not-allowed"),
        ("a method in small letters", method("get", "/health"), "405 method-not-allowed"),
        ("TRACE", method("TRACE", "/health"), "405 method-not-allowed"),
        ("CONNECT", method("CONNECT", "evil:80"), "404 not-found"),
        ("a star", method("OPTIONS", "*"), "404 not-found"),
        ("another host's address", get("http://evil/health", ""), "200"),
        (
            "a host that is none",
            get("/health", "").iter().map(|byte| if *byte == b'x' { b'@' } else { *byte }).collect(),
            "200",
        ),
        ("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n".to_vec(), "200"),
        ("an upgrade", get("/health", "upgrade: websocket\r\nupgrade: h2c\r\n"), "200"),
        ("64 KB of a header", get("/health", &format!("x: {}\r\n", "a".repeat(65_000))), "200"),
        ("90 request ids", get("/health", &"x-request-id: y\r\n".repeat(90)), "200"),
        ("a body where none belongs", [get("/health", "content-length: 5\r\n"), b"hello".to_vec()].concat(), "200"),
        (
            "51 at once",
            "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
                .repeat(50)
                .into_bytes()
                .into_iter()
                .chain(get("/health", ""))
                .collect(),
            "200 x51",
        ),
        ("a key of bytes", with(b"idempotency-key: \xff"), "422 invalid-request"),
        ("a condition of bytes", with(b"if-match: \xff"), "422 invalid-request"),
        (
            "40 KB of conditions",
            with(format!("if-match: {}\"9\"", "\"1\",".repeat(10_000)).as_bytes()),
            "412 version-mismatch",
        ),
        ("a traceparent of bytes", get("/health", "traceparent: \u{ff}\r\ntracestate: ,,,=\r\n"), "200"),
        ("a squeezed body", with(b"content-encoding: gzip"), "415 unsupported-media-type"),
        ("200,000 brackets", json(&"[".repeat(200_000)), "400 malformed-json"),
        ("NULs", json("\0\0\0\0"), "400 malformed-json"),
    ]
}

/// A good command on a kept connection.
fn command() -> String {
    format!("{}content-length: {}\r\n\r\n{}", post(""), good_body().len(), good_body())
}

/// Sends it and looks at the answers; then somebody else is served.
#[track_caller]
fn check(service: &RunningService, (name, sent, expected): &Case) {
    let mut connection = connect(service);
    // An answer may come before all is sent, and then nobody listens any more.
    connection.write_all(sent).ok();
    let answers = read(&mut connection);
    let answers: Vec<String> = answers
        .replace("HTTP/1.0 ", "HTTP/1.1 ")
        .split("HTTP/1.1 ")
        .skip(1)
        .filter(|answer| !answer.starts_with("100"))
        .map(summary)
        .collect();
    let answers = match &answers[..] {
        [first, .., last] if answers.len() > 2 && first == last => format!("{first} x{}", answers.len()),
        answers => answers.join(" "),
    };
    assert_eq!(answers, *expected, "{name}");
    assert_served(service);
}

/// The status, and the problem's kind.
fn summary(answer: &str) -> String {
    let status = &answer[..3];
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let Ok(problem) = serde_json::from_str::<Value>(body) else { return status.to_owned() };
    match problem["type"].as_str() {
        Some(kind) => {
            assert!(answer.contains("content-type: application/problem+json"), "{answer}");
            assert_eq!(problem["status"].to_string(), status, "{answer}");
            assert!(
                answer.contains(&format!("x-request-id: {}", problem["instance"].as_str().unwrap_or_default())),
                "{answer}"
            );
            format!("{status} {}", kind.trim_start_matches("/problems/"))
        }
        None => status.to_owned(),
    }
}

/// Sends `at_once`, then `drop_by_drop` again and again, a byte every 20 ms; what it was told in the end.
fn trickle(service: &RunningService, at_once: &str, drop_by_drop: &str) -> String {
    let mut connection = connect(service);
    connection.write_all(at_once.as_bytes()).expect("it listens");
    let end = Instant::now() + PATIENCE;
    for byte in drop_by_drop.bytes().cycle() {
        if connection.write_all(&[byte]).is_err() || is_closed(&connection) {
            break;
        }
        assert!(Instant::now() < end, "it is never cut off");
        thread::sleep(Duration::from_millis(20));
    }
    read(&mut connection)
}

/// Whether the other side has said something, or has gone.
fn is_closed(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).expect("a socket");
    let peeked = connection.peek(&mut [0]);
    connection.set_nonblocking(false).expect("a socket");
    !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Asks for as much as the socket takes, and hangs up without having read any of it.
fn ask_and_never_read(service: &RunningService) {
    let mut connection = connect(service);
    connection.set_write_timeout(Some(Duration::from_millis(100))).expect("a socket");
    let question = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    for _ in 0..200 {
        if connection.write_all(&question).is_err() {
            return;
        }
    }
}

#[track_caller]
fn assert_served(service: &RunningService) {
    let mut connection = connect(service);
    connection.write_all(&get("/health", "")).expect("it listens");
    let answer = read(&mut connection);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Nothing has panicked, and nothing is said to have failed inside.
#[track_caller]
fn assert_unharmed(service: &RunningService) {
    assert_served(service);
    let said = service.errors();
    assert!(said.is_empty(), "on standard error: {said:?}");
    let log = service.log();
    let bad = |line: &&Value| line.is_string() || ["error", "critical"].iter().any(|level| line["level"] == *level);
    assert_eq!(log.iter().find(bad), None);
}

fn connect(service: &RunningService) -> TcpStream {
    let connection = TcpStream::connect(service.url().replace("http://", "")).expect("it listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
    connection
}

/// All that comes until the other side closes.
fn read(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
            panic!("neither an answer nor an end: {}", String::from_utf8_lossy(&answer))
        }
        _ => String::from_utf8_lossy(&answer).into_owned(), // Hung up on, after an answer or without one.
    }
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + 2 * PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never happens that {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn resident_kib(service: &RunningService) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process_id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn open_files(service: &RunningService) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", service.process_id())).expect("it runs").count()
}
