//! The generator against a real server, which stalls once.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use super::*;

const CONNECTIONS: usize = 4;
const STALL: Duration = Duration::from_secs(1);
/// Requests a second.
const RATE: f64 = 500.0;

/// What the server answers.
const GRANTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const REFUSED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

struct Gets;

impl Requests for Gets {
    fn write_next(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n");
    }
}

/// The whole server stops once for [`STALL`]: the answers of all connections wait, and five hundred more are due meanwhile. Who counts
/// from when it sent sees one slow answer a connection: it has each wait for all of the time at most, on any machine.
#[test]
fn a_server_that_stalls_is_charged_with_all_who_came_meanwhile() {
    let address = serve(Some(300), GRANTED);
    let pace = Pace::PerSecond(RATE);
    let load = Load { address, connections: CONNECTIONS, pace, until: Until::Answered(1_000) };
    let outcome = run(load, &mut Gets).unwrap();
    assert_eq!((outcome.granted, outcome.refused), (1_000, 0));

    let waited = |latency: &Histogram<u64>| {
        let each = latency.iter_recorded();
        each.map(|step| step.value_iterated_to() * step.count_since_last_iteration()).sum::<u64>()
    };
    let all_of_the_time = micros(outcome.took) * CONNECTIONS as u64;
    let (since_due, since_sent) = (waited(&outcome.latency), waited(&outcome.latency_since_sent));
    assert!(since_due > 2 * all_of_the_time, "{since_due} µs of {all_of_the_time}");
    // The planted bug, counting from when it was sent: it can't see it.
    assert!(since_sent < 2 * all_of_the_time, "{since_sent} µs of {all_of_the_time}");
}

#[test]
fn a_closed_loop_sends_as_many_as_are_asked_for() {
    let load = Load {
        address: serve(None, GRANTED),
        connections: CONNECTIONS,
        pace: Pace::WhenAnswered,
        until: Until::Answered(1_001),
    };
    let outcome = run(load, &mut Gets).unwrap();
    assert_eq!((outcome.granted, outcome.refused, outcome.latency.len()), (1_001, 0, 1_001));
}

#[test]
fn an_open_loop_sends_all_that_is_due_in_its_time() {
    let until = Until::Elapsed(Duration::from_millis(500));
    let address = serve(None, REFUSED);
    let load = Load { address, connections: CONNECTIONS, pace: Pace::PerSecond(200.0), until };
    let outcome = run(load, &mut Gets).unwrap();
    assert_eq!((outcome.granted, outcome.refused), (0, 100));
    assert!(outcome.refusal.unwrap().contains("503"));
}

#[test]
fn a_server_that_hangs_up_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || drop(listener.accept()));
    let load = Load { address, connections: 1, pace: Pace::WhenAnswered, until: Until::Answered(1) };
    assert!(matches!(run(load, &mut Gets), Err(LoadError::Broken { .. })));
}

/// A server that answers each request with `answer`; the one of this number stops it once.
fn serve(stall_at: Option<u64>, answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(RwLock::new(()));
    let count = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answered, count) = (stream.unwrap(), Arc::clone(&answered), Arc::clone(&count));
            thread::spawn(move || answer_all(stream, stall_at, answer, &answered, &count));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream, stall_at: Option<u64>, answer: &[u8], going: &RwLock<()>, count: &AtomicU64) {
    let mut request = [0; 1024];
    while let Ok(1..) = stream.read(&mut request) {
        if Some(count.fetch_add(1, Ordering::Relaxed) + 1) == stall_at {
            let _stopped = going.write().unwrap();
            thread::sleep(STALL);
        }
        let _going = going.read().unwrap();
        if stream.write_all(answer).is_err() {
            return; // The load is over.
        }
    }
}
