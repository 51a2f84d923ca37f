//! How many events a second each table layout takes, over the number of streams and of events a transaction.
//!
//! The layouts take turns on fresh files, because a machine's speed changes from minute to minute: trust the ratio.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use inventory_benches::flags::Flags;
use uuid::Uuid;

use event_table::{EventTable, Layout, NewEvent, Pragmas};

mod event_table;

const USAGE: &str = "\
Measures rows a second of both table layouts and prints a Markdown table.

Usage: table_layouts [--data target/] [--rounds 5] [--seconds 1.5] [--pragmas default|tuned] [--streams N] [--batch N]

--streams and --batch ask for one number of streams or events a transaction, in place of several.

The files go into a folder of their own below --data and are removed.";

const STREAM_COUNTS: [u32; 3] = [1, 1_000, 100_000];
const BATCH_SIZES: [usize; 3] = [64, 512, 4096];
/// Any moment will do: 2025-11-24T00:00:00Z.
const RECORDED_AT: i64 = 1_763_942_400_000;

/// As long as what the service writes for a reservation.
const DATA: &str = concat!(
    r#"{"reservation_id":"019a8f0e-7c3b-7d52-9e1a-5b6c7d8e9f00","quantity":1,"#,
    r#""customer_id":"00000000-0000-4000-a000-000000000001","ttl_minutes":30}"#,
);
const METADATA: &str = r#"{"request_id":"019a8f0e-7c3b-7d52-9e1a-5b6c7d8e9f00","actor":"anonymous","schema":1}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let flags =
        Flags::from_command_line(USAGE, &["--data", "--rounds", "--seconds", "--pragmas", "--streams", "--batch"]);
    let rounds: usize = flags.value("--rounds", 5);
    let span = Duration::try_from_secs_f64(flags.value("--seconds", 1.5))?;
    let pragmas = flags.value("--pragmas", Pragmas::Default);
    let folder = TemporaryFolder::create(&flags.value("--data", PathBuf::from("target")))?;

    println!("Rows a second, WAL, synchronous=FULL, {pragmas:?} pragmas; medians of {rounds} rounds of {span:?}.\n");
    println!("| streams | rows a transaction | unique index | chain | chain / unique |");
    println!("|---:|---:|---:|---:|---:|");
    for streams in chosen(flags.value("--streams", 0), &STREAM_COUNTS) {
        for batch_size in chosen(flags.value("--batch", 0), &BATCH_SIZES) {
            let (mut unique, mut chain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                let measure = |layout| rows_a_second(&folder.0, layout, pragmas, streams, batch_size, span);
                let (of_unique, of_chain) = (measure(Layout::Unique)?, measure(Layout::Chain)?);
                unique.push(of_unique);
                chain.push(of_chain);
                ratios.push(of_chain / of_unique);
            }
            let (unique, chain, ratio) = (median(unique), median(chain), median(ratios));
            println!("| {streams} | {batch_size} | {unique:.0} | {chain:.0} | {ratio:.2} |");
        }
    }
    Ok(())
}

/// The one number that is asked for, or all.
fn chosen<T: Copy + Default + PartialEq>(asked: T, all: &[T]) -> Vec<T> {
    if asked == T::default() { all.to_vec() } else { vec![asked] }
}

/// Fills a fresh log for the time of `span`.
fn rows_a_second(
    folder: &Path,
    layout: Layout,
    pragmas: Pragmas,
    streams: u32,
    batch_size: usize,
    span: Duration,
) -> Result<f64, Box<dyn Error>> {
    let folder = TemporaryFolder::create(folder)?;
    let mut table = EventTable::create(&folder.0.join("events.db"), layout, pragmas)?;
    let mut draw = StreamDraw { state: 0, streams };
    let mut events: Vec<_> = (0..batch_size)
        .map(|_| NewEvent { stream: 0, event_id: Uuid::now_v7(), data: DATA.to_owned(), metadata: METADATA.to_owned() })
        .collect();
    let mut rows = 0;
    let start = Instant::now();
    while start.elapsed() < span {
        for event in &mut events {
            event.stream = draw.next();
        }
        rows = table.append(RECORDED_AT, &events)?.last().map_or(rows, |last| last.position);
    }
    Ok(f64::from(u32::try_from(rows)?) / start.elapsed().as_secs_f64())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Streams in an order that is the same in every run and has no pattern that an index could profit from.
struct StreamDraw {
    state: u64,
    streams: u32,
}

impl StreamDraw {
    fn next(&mut self) -> u32 {
        // Knuth's generator (MMIX); its high bits are the good ones.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) % u64::from(self.streams)) as u32
    }
}

/// A folder that goes when it is dropped.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create(parent: &Path) -> io::Result<Self> {
        let folder = parent.join(format!("table_layouts-{}", process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}
