//! Requests a second over one connection that is kept alive, each sent when the one before it is answered.
//!
//! The service is the built binary with its defaults, in a process of its own; so are the limits: `bare actix` answers a level with the same bytes
//! from memory, `write_ceiling` makes a reservation's event durable in one `SQLite` table without any rule. With one connection it is the way there
//! and back that is measured, and one commit for each write; `scripts/bench` measures many connections.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]

use std::cell::LazyCell;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use criterion::SamplingMode;
use inventory_benches::generator::Requests;
use inventory_benches::program::{Kind, Program, build};
use inventory_benches::requests::{InTurn, levels, reserves, stock_up};
use tempfile::TempDir;

use measuring::Measuring;

mod measuring;

const STOCKS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("http");
    let binaries = LazyCell::new(|| build(&["bare_actix", "write_ceiling"]).unwrap());
    measuring.compare("GET one level", 1, &[("sqlite", "bare actix")], |group| {
        group.sampling_mode(SamplingMode::Flat);
        for (name, kind) in [("sqlite", Kind::Service { store: "sqlite" }), ("bare actix", Kind::BareActix)] {
            let mut client = None;
            let mut asked = levels(STOCKS);
            group.bench_function(name, |bencher| {
                let client = client.get_or_insert_with(|| Client::of(kind, &binaries));
                bencher.iter(|| client.ask(&mut asked));
            });
        }
    });
    measuring.compare("POST one reserve", 1, &[("sqlite", "write_ceiling"), ("jsonl", "write_ceiling")], |group| {
        group.sampling_mode(SamplingMode::Flat);
        for (name, kind) in [
            ("sqlite", Kind::Service { store: "sqlite" }),
            ("jsonl", Kind::Service { store: "jsonl" }),
            ("write_ceiling", Kind::WriteCeiling),
        ] {
            let mut client = None;
            let mut asked = reserves(STOCKS);
            group.bench_function(name, |bencher| {
                let client = client.get_or_insert_with(|| Client::of(kind, &binaries));
                bencher.iter(|| client.ask(&mut asked));
            });
        }
    });
    measuring.report()
}

/// A program with a connection to it.
struct Client {
    stream: TcpStream,
    sent: Vec<u8>,
    answer: Vec<u8>,
    _program: Program,
    _folder: TempDir,
}

impl Client {
    /// Starts a program, and fills the service's stocks.
    fn of(kind: Kind, binaries: &Path) -> Self {
        let folder = measuring::folder().unwrap();
        let program = Program::start(kind, binaries, folder.path()).unwrap();
        let stream = TcpStream::connect(program.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client =
            Self { stream, sent: Vec::new(), answer: vec![0; 1 << 20], _program: program, _folder: folder };
        if matches!(kind, Kind::Service { .. }) {
            let mut asked = stock_up(STOCKS);
            for _ in 0..asked.count() {
                client.ask(&mut asked);
            }
        }
        client
    }

    /// Sends the next request, and reads its whole answer.
    fn ask(&mut self, asked: &mut InTurn) -> usize {
        self.sent.clear();
        asked.write_next(&mut self.sent);
        self.stream.write_all(&self.sent).unwrap();
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.answer[length..]).unwrap();
            assert!(read > 0, "the connection was closed");
            length += read;
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(body) = head.parse(&self.answer[..length]).unwrap() else { continue };
            let status = head.code.unwrap();
            assert!((200..300).contains(&status), "{}", String::from_utf8_lossy(&self.answer[..length]));
            let said = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length")).unwrap();
            let said: usize = str::from_utf8(said.value).unwrap().parse().unwrap();
            if length >= body + said {
                return length;
            }
        }
    }
}
