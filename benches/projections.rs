//! Events a second that all projections apply: read models are filled from nothing, a page and a transaction after the other.
//!
//! The log is made once, in `SQLite`, by the story that `examples/projection_apply` tells; reading and decoding it is part of what is measured, as in
//! the service. The limit: `SQLite` copies the rows that are there at the end into tables and indexes of the same form, in one
//! transaction, and is charged for as many events. `examples/projection_apply` measures a million of them.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::cell::LazyCell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{BatchSize, SamplingMode};
use inventory_application::Position;
use inventory_application::ports::{EventLog, Projected, ProjectionListener};
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};
use inventory_projections::{ProjectionRunner, ProjectionRunnerSettings, ReadModelSettings, SqliteReadModels};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use measuring::Measuring;
use story::{System, fill};

mod measuring;
#[path = "examples/story/mod.rs"]
mod story;

const EVENTS: u64 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("projections");
    for stocks in [1_000, 50_000] {
        let log = LazyCell::new(|| Log::of(stocks));
        let filled = LazyCell::new(|| log.fill_read_models(8_192));
        for page in [512, 8_192] {
            let group = format!("apply pages of {page}, {stocks} stocks");
            measuring.compare(&group, EVENTS, &[("all projections", "raw SQLite, rows copied")], |group| {
                group.sampling_mode(SamplingMode::Flat).sample_size(10);
                group.bench_function("all projections", |bencher| {
                    bencher.iter_with_large_drop(|| log.fill_read_models(page));
                });
                group.bench_function("raw SQLite, rows copied", |bencher| {
                    let statements = Statements::of(&file_in(&filled));
                    bencher.iter_batched(
                        || statements.empty_tables(),
                        |(folder, connection)| {
                            statements.copy(&connection);
                            (folder, connection)
                        },
                        BatchSize::PerIteration,
                    );
                });
            });
        }
    }
    measuring.report()
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("read.db")
}

/// A log of about as many events as are asked for.
struct Log {
    store: Arc<SqliteEventStore>,
    head: Position,
    runtime: Runtime,
    _folder: TempDir,
}

impl Log {
    fn of(stocks: u32) -> Self {
        let folder = measuring::folder().unwrap();
        let data = Arc::new(DataFolder::open(folder.path()).unwrap());
        let store = SqliteEventStore::open(data, &SqliteSettings::default(), Arc::new(System)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(fill(&store, EVENTS, stocks, false)).unwrap();
        Self { head: Position(EVENTS), store, runtime, _folder: folder }
    }

    /// New read models, in a folder of their own, that have every event.
    fn fill_read_models(&self, page: usize) -> TempDir {
        let folder = measuring::folder().unwrap();
        let settings = ReadModelSettings {
            readers_max: 1,
            reader_wait_ms_max: 5_000,
            cache_kib: 16_384,
            checkpoint_ms: 250,
            wal_pages_max: 64_000,
            list_rows_max: 1_000,
        };
        let bounds = ProjectionRunnerSettings {
            page_events_max: page,
            catch_up_page_events_max: page,
            linger_ms: 0,
            poll_ms: 1_000,
            retry_delay_ms_max: 1_000,
        };
        let models = SqliteReadModels::open(&file_in(&folder), &settings).unwrap();
        let log: Arc<dyn EventLog> = Arc::clone(&self.store) as _;
        let runner = ProjectionRunner::new(log, models, Arc::new(Nobody), bounds);
        let mut checkpoint = runner.checkpoint();
        self.runtime.block_on(async {
            let (stop, stopped) = oneshot::channel::<()>();
            let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
            checkpoint.wait_for(|reached| *reached >= self.head).await.unwrap();
            drop(stop);
            running.await.unwrap();
        });
        folder
    }
}

/// How the tables of read models are made, and filled from others of the same form.
struct Statements {
    file: PathBuf,
    tables: Vec<String>,
    forms: Vec<String>,
}

impl Statements {
    fn of(file: &Path) -> Self {
        let connection = Connection::open(file).unwrap();
        let column = |query: &str| -> Vec<String> {
            let mut find = connection.prepare(query).unwrap();
            let found = find.query_map([], |row| row.get(0)).unwrap();
            found.collect::<Result<_, _>>().unwrap()
        };
        let of_ours = "FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
        Self {
            file: file.to_owned(),
            tables: column(&format!("SELECT name {of_ours} AND type = 'table'")),
            forms: column(&format!("SELECT sql {of_ours} ORDER BY type = 'table' DESC")),
        }
    }

    fn empty_tables(&self) -> (TempDir, Connection) {
        let folder = measuring::folder().unwrap();
        let connection = Connection::open(file_in(&folder)).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "NORMAL").unwrap(); // As the read models have it.
        connection.execute_batch(&self.forms.join(";")).unwrap();
        connection.execute("ATTACH ?1 AS filled", [self.file.to_str()]).unwrap();
        (folder, connection)
    }

    fn copy(&self, connection: &Connection) {
        let copies: Vec<_> = self
            .tables
            .iter()
            .map(|table| format!("INSERT INTO main.\"{table}\" SELECT * FROM filled.\"{table}\";"))
            .collect();
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {} COMMIT;", copies.concat())).unwrap();
    }
}

struct Nobody;

impl ProjectionListener for Nobody {
    fn projected(&self, _: Projected<'_>) {}

    fn rebuilt(&self, _: Position) {}
}
