//! Loads of a stock of 100,000 events, a second: with a snapshot that 100 events follow, and without one.
//!
//! Cold means that nobody has the state: it is loaded and folded, as the command loop does it. The file is open and in the page cache.
//! 1,000 reservations are live and 1,000 closed ones remembered, so the snapshot is of an ordinary stock's size. The limits read the same bytes:
//! the state's from a table (or a file) and the events that follow it along the chain (or line by line), and decode nothing.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::cell::LazyCell;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use criterion::SamplingMode;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, Clock, EventStore, ExpectedVersion, Metadata, NewEvent, Snapshot, StreamAppend,
};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::inventory::{Event, ReleaseCause, evolve};
use inventory_domain::{DomainEvent, Inventory};
use inventory_eventstore::state_codec::encode_state;
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings, SqliteEventStore, SqliteSettings};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use bare_limits::{RawFile, RawSqlite};
use measuring::Measuring;
use shop::{System, added, fresh_reservation, metadata, reason, reserved, stock, units};

mod bare_limits;
#[path = "examples/event_table/mod.rs"]
mod event_table;
mod measuring;
mod shop;

const EVENTS: u32 = 100_000;
const AFTER_SNAPSHOT: u32 = 100;
const LIVE: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("snapshots");
    let folder = measuring::folder()?;
    let history = LazyCell::new(history);
    let (with, without) = (true, false);
    let sqlite = [with, without].map(|is_kept| {
        let history = &history;
        LazyCell::new(move || Stock::sqlite(history, is_kept))
    });
    let jsonl = [with, without].map(|is_kept| {
        let history = &history;
        LazyCell::new(move || Stock::jsonl(history, is_kept))
    });
    let raw_sqlite = LazyCell::new(|| {
        let mut raw = RawSqlite::create(folder.path(), 1);
        for _ in 0..EVENTS / 1_000 {
            let rows = raw.in_turn(0, 1_000, 1);
            raw.append(&rows);
        }
        raw
    });
    let raw_file = LazyCell::new(|| RawFile::create(folder.path(), jsonl[0].folder.path()).unwrap());
    let state = LazyCell::new(|| encode_state(&fold(&history[..(EVENTS - AFTER_SNAPSHOT) as usize])));
    let raw_state = LazyCell::new(|| raw_state(folder.path(), &state));

    let pairs = [
        ("sqlite, snapshot", "raw SQLite, state and 100 rows"),
        ("jsonl, snapshot", "raw reads, state and 100 lines"),
        ("sqlite, no snapshot", "raw SQLite, all rows"),
        ("jsonl, no snapshot", "raw reads, all lines"),
        ("sqlite, snapshot", "sqlite, no snapshot"),
        ("jsonl, snapshot", "jsonl, no snapshot"),
    ];
    measuring.compare(&format!("cold load of {EVENTS} events"), 1, &pairs, |group| {
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.bench_function("sqlite, snapshot", |bencher| bencher.iter(|| sqlite[0].load(AFTER_SNAPSHOT)));
        group.bench_function("raw SQLite, state and 100 rows", |bencher| {
            bencher.iter(|| {
                let state = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
                let mut find = raw_state.prepare_cached("SELECT state FROM snapshots WHERE stream = 1").unwrap();
                (find.query_row([], state).unwrap(), raw_sqlite.read_end(0, AFTER_SNAPSHOT as usize))
            });
        });
        group.bench_function("jsonl, snapshot", |bencher| bencher.iter(|| jsonl[0].load(AFTER_SNAPSHOT)));
        let file = folder.path().join("state.json");
        fs::write(&file, &*state).unwrap();
        group.bench_function("raw reads, state and 100 lines", |bencher| {
            let end = u64::from(EVENTS - AFTER_SNAPSHOT);
            bencher.iter(|| (fs::read(&file).unwrap(), raw_file.read(end, 1, AFTER_SNAPSHOT.into()).unwrap()));
        });
        group.bench_function("sqlite, no snapshot", |bencher| bencher.iter(|| sqlite[1].load(EVENTS)));
        group.bench_function("raw SQLite, all rows", |bencher| bencher.iter(|| raw_sqlite.read_stream(0)));
        group.bench_function("jsonl, no snapshot", |bencher| bencher.iter(|| jsonl[1].load(EVENTS)));
        group.bench_function("raw reads, all lines", |bencher| {
            bencher.iter(|| raw_file.read(0, 1, EVENTS.into()).unwrap());
        });
    });
    measuring.report()
}

/// What has happened to the stock: reservations come, and the oldest goes when there are a thousand.
fn history() -> Vec<Event> {
    let (mut events, mut live) = (vec![added()], std::collections::VecDeque::new());
    while events.len() < EVENTS as usize {
        if live.len() < LIVE {
            let id = fresh_reservation();
            live.push_back(id);
            events.push(reserved(id, System.now()));
        } else if let Some(reservation_id) = live.pop_front() {
            let cause = ReleaseCause::Requested(reason());
            events.push(Event::StockReleased { reservation_id, quantity: units(1), cause });
        }
    }
    events
}

fn fold(events: &[Event]) -> Inventory {
    let now = System.now();
    events.iter().fold(Inventory::default(), |state, event| evolve(state, event, now))
}

fn raw_state(folder: &Path, state: &[u8]) -> Connection {
    let connection = Connection::open(folder.join("state.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute("CREATE TABLE snapshots (stream INTEGER PRIMARY KEY, state BLOB NOT NULL) STRICT", []).unwrap();
    connection.execute("INSERT INTO snapshots (stream, state) VALUES (1, ?1)", [state]).unwrap();
    connection
}

/// A store with this one stock.
struct Stock {
    store: Arc<dyn EventStore>,
    runtime: Runtime,
    folder: TempDir,
}

impl Stock {
    fn sqlite(history: &[Event], has_snapshot: bool) -> Self {
        let folder = measuring::folder().unwrap();
        let data = Arc::new(DataFolder::open(folder.path()).unwrap());
        let store = SqliteEventStore::open(data, &SqliteSettings::default(), Arc::new(System)).unwrap();
        Self::filled(store, folder, history, has_snapshot)
    }

    fn jsonl(history: &[Event], has_snapshot: bool) -> Self {
        let folder = measuring::folder().unwrap();
        let data = Arc::new(DataFolder::open(folder.path()).unwrap());
        let store = JsonlEventStore::open(data, &JsonlSettings::default(), Arc::new(System)).unwrap();
        Self::filled(store, folder, history, has_snapshot)
    }

    fn filled(store: Arc<dyn EventStore>, folder: TempDir, history: &[Event], has_snapshot: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (metadata, mut version) = (Arc::new(metadata()), 0);
        for events in history.chunks(1_000) {
            let group = group(events, version, &metadata);
            version += events.len() as u64;
            let outcomes = runtime.block_on(store.append(Arc::new(vec![group]))).unwrap();
            assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{outcomes:?}");
        }
        if has_snapshot {
            let inventory = fold(&history[..(EVENTS - AFTER_SNAPSHOT) as usize]);
            let position = Position(inventory.version());
            let snapshot = Snapshot { stock_id: stock(0), position, inventory };
            runtime.block_on(store.keep_snapshots(vec![snapshot])).unwrap();
        }
        Self { store, runtime, folder }
    }

    /// The state, for which so many events have to be folded.
    fn load(&self, events: u32) -> Inventory {
        let mut loaded = self.runtime.block_on(self.store.load(vec![stock(0).into()])).unwrap();
        let loaded = loaded.pop().unwrap();
        assert_eq!(loaded.events.len(), events as usize);
        let state = loaded.snapshot.map(|state| *state).unwrap_or_default();
        loaded.events.iter().fold(state, |state, past| match &past.event {
            DomainEvent::Inventory(event) => evolve(state, event, past.recorded_at),
            DomainEvent::Order(_) | DomainEvent::Transfer(_) => state,
        })
    }
}

fn group(events: &[Event], version: u64, metadata: &Arc<Metadata>) -> AppendGroup {
    let new = |event: &Event| NewEvent { event_id: EventId(Uuid::now_v7()), event: event.clone().into() };
    let (stream, events) = (StreamId::Inventory(stock(0)), events.iter().map(new).collect());
    let streams = vec![StreamAppend { stream, expected: ExpectedVersion::of(version), events }];
    AppendGroup { key: None, streams, recorded_at: System.now(), metadata: Arc::clone(metadata) }
}
