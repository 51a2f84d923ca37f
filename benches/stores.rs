//! Events a second into each store and out of it, over batches of 1 to 4,096 and over 1, 1,000 and 100,000 streams.
//!
//! - `append`: a batch of groups of one reservation each, on streams that are drawn, until the store says that all are on the disk.
//!   Beside it: the same rows put into `SQLite` in the same layout (`raw SQLite`), and as many bytes as the journal takes written into a file
//!   that is allocated, and synced (`raw fdatasync`).
//! - `load`: all events of so many streams at once, without snapshots; 100,000 events in all. Beside it: the same rows, walked
//!   along the same chain and decoded by nobody; the same lines, read one by one.
//! - `read the log`: pages of 8,192 events.
//!
//! Both stores are as the service opens them, but for the readable file of each stock, which is written behind the journal: its
//! cost would fall on whatever is measured next. Everything is in the page cache. Not measured: decisions, keys, building the groups.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::cell::{Cell, LazyCell, RefCell};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{Bencher, BenchmarkGroup, SamplingMode};
use inventory_application::Position;
use inventory_application::ports::{AppendGroup, AppendOutcome, EventLog, EventStore};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings, SqliteEventStore, SqliteSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use bare_limits::{RawFile, RawSqlite};
use measuring::Measuring;
use shop::{Draw, Streams, System};

mod bare_limits;
#[path = "examples/event_table/mod.rs"]
mod event_table;
mod measuring;
mod shop;

const STREAMS: [u32; 3] = [1, 1_000, 100_000];
const BATCHES: [usize; 5] = [1, 8, 64, 512, 4_096];
/// Events in a log that is read.
const EVENTS: u32 = 100_000;
const PAGE: u32 = 8_192;
/// Groups in an append that fills a log.
const FILLING: usize = 4_096;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("stores");
    for streams in STREAMS {
        appends(&mut measuring, streams)?;
    }
    for streams in STREAMS {
        loads(&mut measuring, streams)?;
    }
    measuring.report()
}

/// Each stream has an event before it is measured.
fn appends(measuring: &mut Measuring, streams: u32) -> Result<(), Box<dyn Error>> {
    let folder = measuring::folder()?;
    let sqlite = LazyCell::new(|| RefCell::new(Store::sqlite(streams, streams)));
    let jsonl = LazyCell::new(|| RefCell::new(Store::jsonl(streams, streams.max(2))));
    let raw_sqlite = LazyCell::new(|| RefCell::new(raw_sqlite(&folder, streams, streams)));
    let raw_file =
        LazyCell::new(|| RefCell::new(RawFile::create(folder.path(), jsonl.borrow().folder.path()).unwrap()));
    for batch in BATCHES {
        let group = format!("append {batch} over {streams} streams");
        let pairs = [("sqlite", "raw SQLite"), ("jsonl", "raw fdatasync")];
        measuring.compare(&group, batch as u64, &pairs, |group| {
            group.sampling_mode(SamplingMode::Flat);
            timed(group, "sqlite", || sqlite.borrow_mut().append(batch));
            timed(group, "raw SQLite", || {
                let mut raw = raw_sqlite.borrow_mut();
                let rows = raw.drawn(batch);
                took(|| raw.append(&rows))
            });
            timed(group, "jsonl", || jsonl.borrow_mut().append(batch));
            timed(group, "raw fdatasync", || {
                let mut raw = raw_file.borrow_mut();
                let lines = raw.lines(batch);
                took(|| raw.append(&lines).unwrap())
            });
        });
    }
    Ok(())
}

/// Events lie in the log in turn, as many of each stream.
fn loads(measuring: &mut Measuring, streams: u32) -> Result<(), Box<dyn Error>> {
    let folder = measuring::folder()?;
    let sqlite = LazyCell::new(|| Store::sqlite(streams, EVENTS));
    let jsonl = LazyCell::new(|| Store::jsonl(streams, EVENTS));
    let raw_sqlite = LazyCell::new(|| raw_sqlite(&folder, streams, EVENTS));
    let raw_file = LazyCell::new(|| RawFile::create(folder.path(), jsonl.folder.path()).unwrap());
    let each = u64::from(EVENTS / streams);
    let pairs = [("sqlite", "raw SQLite"), ("jsonl", "raw reads")];
    for batch in BATCHES.into_iter().filter(|batch| *batch <= streams as usize) {
        let mut draw = Draw::among(streams);
        let mut first = move || draw.next();
        let group = format!("load {batch} of {streams} streams");
        measuring.compare(&group, each * batch as u64, &pairs, |group| {
            group.sample_size(10);
            let drawn = |first: u32| (first..).take(batch).map(move |number| number % streams);
            group.bench_function("sqlite", |bencher| bencher.iter(|| sqlite.load(drawn(first()), each)));
            group.bench_function("raw SQLite", |bencher| {
                bencher.iter(|| drawn(first()).map(|stream| raw_sqlite.read_stream(stream)).sum::<usize>());
            });
            group.bench_function("jsonl", |bencher| bencher.iter(|| jsonl.load(drawn(first()), each)));
            group.bench_function("raw reads", |bencher| {
                let read = |stream: u32| raw_file.read(stream.into(), streams.into(), each).unwrap();
                bencher.iter(|| drawn(first()).map(read).sum::<u64>());
            });
        });
    }
    if streams == 1_000 {
        let after = Cell::new(0);
        let next = || after.replace((after.get() + u64::from(PAGE)) % u64::from(EVENTS - PAGE));
        measuring.compare("read the log, pages of 8192", u64::from(PAGE), &pairs, |group| {
            group.sample_size(10);
            group.bench_function("sqlite", |bencher| bencher.iter(|| sqlite.read_page(next())));
            group.bench_function("raw SQLite", |bencher| {
                bencher.iter(|| raw_sqlite.read_page(next().cast_signed(), PAGE));
            });
            group.bench_function("jsonl", |bencher| bencher.iter(|| jsonl.read_page(next())));
            group.bench_function("raw reads", |bencher| {
                bencher.iter(|| black_box(raw_file.read_page(next(), u64::from(PAGE)).unwrap()));
            });
        });
    }
    Ok(())
}

/// Measures what says itself how long it took.
fn timed(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut act: impl FnMut() -> Duration) {
    group.bench_function(name, |bencher: &mut Bencher<'_>| {
        bencher.iter_custom(|times| (0..times).map(|_| act()).sum());
    });
}

fn took<T>(act: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(act());
    begun.elapsed()
}

fn raw_sqlite(folder: &TempDir, streams: u32, events: u32) -> RawSqlite {
    let mut raw = RawSqlite::create(folder.path(), streams);
    for first in (0..events).step_by(FILLING) {
        let rows = raw.in_turn(first, FILLING.min((events - first) as usize), streams);
        raw.append(&rows);
    }
    raw
}

/// An event store in a folder that goes with it.
struct Store {
    store: Arc<dyn EventStore>,
    log: Arc<dyn EventLog>,
    streams: Streams,
    runtime: Runtime,
    folder: TempDir,
}

impl Store {
    fn sqlite(streams: u32, events: u32) -> Self {
        let folder = measuring::folder().unwrap();
        let data = Arc::new(DataFolder::open(folder.path()).unwrap());
        let store = SqliteEventStore::open(data, &SqliteSettings::default(), Arc::new(System)).unwrap();
        Self::filled(Arc::clone(&store) as _, store, folder, streams, events)
    }

    fn jsonl(streams: u32, events: u32) -> Self {
        let folder = measuring::folder().unwrap();
        let data = Arc::new(DataFolder::open(folder.path()).unwrap());
        let settings = JsonlSettings { stream_files: false, ..JsonlSettings::default() };
        let store = JsonlEventStore::open(data, &settings, Arc::new(System)).unwrap();
        Self::filled(Arc::clone(&store) as _, store, folder, streams, events)
    }

    /// With so many events, in turn on the streams.
    fn filled(store: Arc<dyn EventStore>, log: Arc<dyn EventLog>, folder: TempDir, streams: u32, events: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut filled = Self { store, log, streams: Streams::new(streams), runtime, folder };
        for first in (0..events).step_by(FILLING) {
            let groups = filled.streams.in_turn(first.into(), FILLING.min((events - first) as usize));
            filled.hand_over(groups);
        }
        filled
    }

    fn append(&mut self, batch: usize) -> Duration {
        let groups = self.streams.drawn(batch);
        self.hand_over(groups)
    }

    fn hand_over(&self, groups: Vec<AppendGroup>) -> Duration {
        let groups = Arc::new(groups);
        let begun = Instant::now();
        let outcomes = self.runtime.block_on(self.store.append(groups)).unwrap();
        let took = begun.elapsed();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, AppendOutcome::Appended { .. })), "{outcomes:?}");
        took
    }

    /// Loads streams of so many events each.
    fn load(&self, streams: impl Iterator<Item = u32>, each: u64) -> usize {
        let streams: Vec<_> = streams.map(|stream| self.streams.id(stream)).collect();
        let loaded = self.runtime.block_on(self.store.load(streams)).unwrap();
        assert!(loaded.iter().all(|stream| stream.events.len() as u64 == each));
        loaded.len()
    }

    fn read_page(&self, after: u64) -> usize {
        let page = self.runtime.block_on(self.log.read(Position(after), PAGE as usize)).unwrap();
        assert_eq!(page.len(), PAGE as usize);
        page.len()
    }
}
