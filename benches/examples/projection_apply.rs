//! Events a second that all projections apply: a log of mixed events is made once, and the read models are filled from it, several
//! times from nothing.
//!
//! As in the service, the log is read and decoded from `SQLite` on another thread, pages and bounds are those of the settings, and
//! ids are `UUIDv7`, so new ones are nearly in order.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory_application::Position;
use inventory_application::ports::{EventLog, Projected, ProjectionListener};
use inventory_benches::flags::Flags;
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};
use inventory_projections::{ProjectionRunner, ProjectionRunnerSettings, ReadModelSettings, SqliteReadModels};
use tikv_jemallocator::Jemalloc;
use tokio::sync::oneshot;

use story::{System, fill};

mod story;

/// As in the service.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const USAGE: &str = "\
Makes a log of adds, reservations, sales, releases and orders, fills all read models from it, and prints events a second.

Usage: projection_apply [--events 1000000] [--stocks 1000] [--runs 5] [--page 32768] [--cache-kib 16384] [--wal-pages 64000] [--ids ordered|random]
                        [--data target/]

A log that an earlier call has made with the same figures is used again. --ids: whether reservations have ids in the order of time, as
the service makes them, or random ones, as clients may.";

#[allow(clippy::cast_precision_loss, reason = "a rate is no count")]
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    let names = ["--events", "--stocks", "--runs", "--page", "--cache-kib", "--wal-pages", "--ids", "--data"];
    let flags = Flags::from_command_line(USAGE, &names);
    let (events, stocks): (u64, u32) = (flags.value("--events", 1_000_000), flags.value("--stocks", 1_000));
    let ids = flags.value("--ids", "ordered".to_owned());
    let cache_kib = flags.value("--cache-kib", 16_384);
    let settings = ReadModelSettings {
        readers_max: 1,
        reader_wait_ms_max: 5_000,
        cache_kib,
        checkpoint_ms: 250,
        wal_pages_max: flags.value("--wal-pages", 64_000),
        list_rows_max: 1_000,
    };
    let page = flags.value("--page", 32_768);
    let folder =
        flags.value("--data", PathBuf::from("target")).join(format!("projection_apply.{events}.{stocks}.{ids}"));
    fs::create_dir_all(&folder)?;
    let store = SqliteEventStore::open(
        Arc::new(DataFolder::open(&folder)?),
        &SqliteSettings { log_page_events_max: page, ..SqliteSettings::default() },
        Arc::new(System),
    )?;
    if store.head().await? < Position(events) {
        fill(&store, events, stocks, ids == "random").await?;
    }
    let head = store.head().await?;
    let mut rates = Vec::new();
    for _ in 0..flags.value("--runs", 5) {
        let took = apply(&store, &folder, &settings, page, head).await?;
        rates.push(head.0 as f64 / took.as_secs_f64());
        println!("{:.0} events/s", rates.last().copied().unwrap_or_default());
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
    println!("{head} events, {stocks} stocks, {ids} ids, pages of {page}: {median:.0} events/s");
    store.close().await;
    Ok(())
}

/// Fills new read models up to `head`.
async fn apply(
    store: &Arc<SqliteEventStore>,
    folder: &Path,
    settings: &ReadModelSettings,
    page: usize,
    head: Position,
) -> Result<Duration, Box<dyn Error>> {
    for name in ["read.db", "read.db-wal", "read.db-shm"] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => (),
        }
    }
    let models = SqliteReadModels::open(&folder.join("read.db"), settings)?;
    let bounds = ProjectionRunnerSettings {
        page_events_max: page,
        catch_up_page_events_max: page,
        linger_ms: 10,
        poll_ms: 1_000,
        retry_delay_ms_max: 1_000,
    };
    let runner = ProjectionRunner::new(Arc::clone(store) as _, models, Arc::new(Nobody), bounds);
    let mut checkpoint = runner.checkpoint();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = Instant::now();
    let running = tokio::spawn(runner.run(async { drop(stopped.await) }));
    checkpoint.wait_for(|reached| *reached >= head).await?;
    let took = begun.elapsed();
    drop(stop);
    running.await?;
    Ok(took)
}

struct Nobody;

impl ProjectionListener for Nobody {
    fn projected(&self, _: Projected<'_>) {}

    fn rebuilt(&self, _: Position) {}
}
