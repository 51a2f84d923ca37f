//! Clients that send what no client should, too slowly, or too much of it: they get their code, or are cut off, and nobody else notices.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use inventory_tests::RunningService;

const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections are tried at once, where the system allows that many files.
const CONNECTIONS: usize = 10_000;

/// Files that the test and the service need beside connections.
const OTHER_FILES: usize = 400;

/// What an idle connection may cost the service, in KiB.
const CONNECTION_KIB_MAX: usize = 32;

#[test]
fn odd_requests_get_their_code() {
    let service = RunningService::start_with(&[], &[("INVENTORY__SERVER__HEAD_WAIT_MS_MAX", "1500")]);
    let get = "GET /health HTTP/1.1\r\nhost: x\r\n";
    let headers = |count: usize| "h: x\r\n".repeat(count);
    for (name, request, status) in [
        ("a long header", format!("{get}a: {}\r\n\r\n", "x".repeat(60_000)), "200"),
        ("one that is too long", format!("{get}a: {}\r\n\r\n", "x".repeat(200_000)), "431"),
        ("many headers", format!("{get}{}\r\n", headers(80)), "200"),
        ("too many headers", format!("{get}{}\r\n", headers(200)), "431"),
        ("a long path", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(60_000)), "404"),
        ("one that is too long", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), "400"),
        ("half a head", "GET /health HTTP/1.1\r\nho".to_owned(), "408"),
        ("two lengths", format!("{get}content-length: 5\r\ncontent-length: 6\r\n\r\nhello"), "400"),
        (
            "a length and chunks",
            format!("{get}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
            "400",
        ),
        ("a negative length", format!("{get}content-length: -1\r\n\r\n"), "400"),
        ("a line that is no header", format!("{get}no header\r\n\r\n"), "400"),
        ("no host", "GET /health HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("two hosts", "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), "400"),
        ("a proxy's method", "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "404"),
        ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("an upgrade", format!("{get}upgrade: websocket\r\nconnection: upgrade\r\n\r\n"), "200"),
        ("odd bytes", format!("{get}authorization: Bearer \u{ff}\u{fe}\r\nx-request-id: \u{fe}\r\n\r\n"), "200"),
    ] {
        let mut connection = connect(&service);
        connection.write_all(request.as_bytes()).ok(); // It may be refused before all of it is sent.
        let answer = first_bytes(&mut connection);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    }
    assert_eq!(service.client().get("/health").status, 200);
}

#[test]
fn who_sends_a_byte_now_and_then_is_cut_off() {
    let service = RunningService::start_with(&[], &[("INVENTORY__SERVER__HEAD_WAIT_MS_MAX", "500")]);
    let mut slow: Vec<TcpStream> = (0..50).map(|_| connect(&service)).collect();
    for connection in &mut slow {
        connection.write_all(b"GET /health HTTP/1.1\r\nx: ").unwrap();
        connection.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    while !slow.is_empty() {
        assert!(Instant::now() < end, "{} are still connected", slow.len());
        slow.retain_mut(|connection| {
            connection.write_all(b"x").ok();
            match connection.read(&mut [0; 256]) {
                Ok(read) => read > 0, // 408, and then the end.
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        });
        assert_eq!(service.client().get("/health").status, 200, "others are answered meanwhile");
    }
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_off() {
    let service = RunningService::start_with(&[], &[("INVENTORY__SERVER__WRITE_WAIT_MS_MAX", "500")]);
    let mut connection = connect(&service);
    connection.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let end = Instant::now() + PATIENCE;
    // It asks for large answers and reads none of them: its own requests get stuck next, and then the connection breaks.
    let broken = loop {
        match connection.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n") {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break error,
            _ => assert!(Instant::now() < end, "it is still connected"),
        }
    };
    assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
    assert_eq!(service.client().get("/health").status, 200);
}

#[test]
fn thousands_of_idle_connections_hold_nobody_up() {
    let connections = CONNECTIONS.min(files_max().saturating_sub(OTHER_FILES));
    let wait = [("INVENTORY__SERVER__HEAD_WAIT_MS_MAX", "60000"), ("INVENTORY__SERVER__BACKLOG", "4096")];
    let service = RunningService::start_with(&[], &wait);
    assert_eq!(service.client().add(1, 1, 5).status, 201);
    let before = resident_kib(&service);
    let idle: Vec<TcpStream> = (0..connections).map(|_| connect(&service)).collect();
    for _ in 0..20 {
        assert_eq!(service.client().level(1, 1).level(), "5/0 v1", "a new connection is answered");
    }
    // Each of them works, too.
    for mut connection in idle.iter().step_by(97) {
        connection.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(first_bytes(&mut connection).starts_with("HTTP/1.1 200 "));
    }
    let grown = resident_kib(&service).saturating_sub(before);
    assert!(grown <= connections * CONNECTION_KIB_MAX, "{grown} KiB for {connections} connections");
    drop(idle);
    assert_eq!(service.client().add(1, 1, 5).level(), "10/0 v2");
    println!("{connections} connections, {grown} KiB");
}

fn connect(service: &RunningService) -> TcpStream {
    let connection = TcpStream::connect(service.url().replace("http://", "")).expect("it listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a fixture");
    connection
}

fn first_bytes(connection: &mut impl Read) -> String {
    let mut answer = [0; 512];
    let read = connection.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// How many files this process, and the service that it starts, may have open.
fn files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1_024)
}

fn resident_kib(service: &RunningService) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", service.process_id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("Linux tells")
}
