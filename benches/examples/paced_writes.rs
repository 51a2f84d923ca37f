//! Writes at a steady rate over HTTP, in small batches, and tells how late the answers were and, if asked, how late the read side was.
//!
//! The load is open-loop: a batch is due when the rate says so, whether or not the one before is answered, and its latency
//! counts from then.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use inventory_benches::flags::Flags;
use serde_json::Value;
use ureq::Agent;

const USAGE: &str = "\
Reserves units at a steady rate, over the stocks that benches/wrk/fill_stocks.lua fills.

Usage: paced_writes --url http://127.0.0.1:8080 [--rate 20000] [--batch 50] [--connections 8] [--seconds 10] [--stocks 1000] [--lag no|yes]

--lag yes asks for a product with ?min_position= of the last answer, over and over, and prints how long that took from
the answer on: at most so far is the read side behind.";

#[derive(Clone, Copy)]
struct Load {
    rate: f64,
    batch: u64,
    connections: u64,
    duration: Duration,
    stocks: u64,
}

/// What the writers share.
#[derive(Default)]
struct Done {
    granted: AtomicU64,
    refused: AtomicU64,
    /// Where the log ended by the last answer, and when that came.
    last: Mutex<Option<(u64, Instant)>>,
    is_over: AtomicBool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let names = ["--url", "--rate", "--batch", "--connections", "--seconds", "--stocks", "--lag"];
    let flags = Flags::from_command_line(USAGE, &names);
    let url: String = flags.value("--url", "http://127.0.0.1:8080".to_owned());
    let load = Load {
        rate: flags.value("--rate", 20_000.0),
        batch: flags.value("--batch", 50),
        connections: flags.value("--connections", 8),
        duration: Duration::from_secs_f64(flags.value("--seconds", 10.0)),
        stocks: flags.value("--stocks", 1_000),
    };
    let has_lag = flags.value("--lag", "no".to_owned()) == "yes";
    let (done, started) = (Done::default(), Instant::now());
    let (mut late, mut lag) = (histogram()?, None);
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let (done, url) = (&done, url.as_str());
        let writers: Vec<_> =
            (0..load.connections).map(|number| scope.spawn(move || write(url, load, number, started, done))).collect();
        let probe = has_lag.then(|| scope.spawn(move || probe(url, load, done)));
        for writer in writers {
            late.add(writer.join().map_err(|_| "a writer has panicked")??)?;
        }
        done.is_over.store(true, Ordering::Relaxed);
        lag = probe.map(|probe| probe.join().map_err(|_| "the probe has panicked")?).transpose()?;
        Ok(())
    })?;
    let granted = done.granted.load(Ordering::Relaxed);
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = granted as f64 / started.elapsed().as_secs_f64();
    println!("{granted} granted, {} refused, {rate:.0}/s", done.refused.load(Ordering::Relaxed));
    println!("latency of a batch: {}", quantiles(&late));
    if let Some(lag) = lag {
        println!("read side behind the answer: {}, {} probes", quantiles(&lag), lag.len());
    }
    Ok(())
}

/// Sends every `connections`-th batch when it is due.
fn write(url: &str, load: Load, number: u64, started: Instant, done: &Done) -> Result<Histogram<u64>, String> {
    let (agent, mut late) = (agent(), histogram().map_err(|error| error.to_string())?);
    let address = format!("{url}/api/v1/batch");
    #[allow(clippy::cast_precision_loss, reason = "batches of a benchmark")]
    let due_at = |place: u64| started + Duration::from_secs_f64(place as f64 * load.batch as f64 / load.rate);
    let mut place = number;
    while due_at(place) < started + load.duration {
        let due = due_at(place);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer: Value = agent
            .post(&address)
            .content_type("application/json")
            .send(body(load, place))
            .and_then(|mut answer| answer.body_mut().read_json())
            .map_err(|error| error.to_string())?;
        let now = Instant::now();
        late.saturating_record(micros(now.saturating_duration_since(due)));
        let results = answer["results"].as_array().ok_or("the answer has no results")?;
        let (granted, refused): (Vec<_>, Vec<_>) = results.iter().partition(|result| result["status"] == 201);
        done.granted.fetch_add(granted.len() as u64, Ordering::Relaxed);
        done.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
        if let Some(position) = granted.iter().filter_map(|result| result["position"].as_u64()).max() {
            let mut last = done.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|(known, _)| position > known) {
                *last = Some((position, now));
            }
        }
        place += load.connections;
    }
    Ok(late)
}

/// How long after an answer the read side has what was answered.
fn probe(url: &str, load: Load, done: &Done) -> Result<Histogram<u64>, String> {
    let (agent, mut lag) = (agent(), histogram().map_err(|error| error.to_string())?);
    let mut seen = 0;
    while !done.is_over.load(Ordering::Relaxed) {
        let last = *done.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((position, answered)) = last.filter(|(position, _)| *position > seen) else {
            thread::sleep(Duration::from_micros(200));
            continue;
        };
        seen = position;
        let (product, _) = stock(position % load.stocks);
        let address = format!("{url}/api/v1/inventory/products/{product}?min_position={position}");
        agent.get(&address).call().map_err(|error| format!("{address}: {error}"))?;
        lag.saturating_record(micros(answered.elapsed()));
    }
    Ok(lag)
}

fn body(load: Load, place: u64) -> String {
    let mut body = r#"{"commands":["#.to_owned();
    for number in place * load.batch..(place + 1) * load.batch {
        let (product, store) = stock(number % load.stocks);
        let comma = if number == place * load.batch { "" } else { "," };
        let written = write!(
            body,
            r#"{comma}{{"op":"reserve","product_id":"{product}","store_id":"{store}","quantity":1,"customer_id":"00000000-0000-4000-a000-000000000001"}}"#
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    body.push_str("]}");
    body
}

/// The ids of benches/wrk/stocks.lua.
fn stock(number: u64) -> (String, &'static str) {
    (format!("00000000-0000-4000-8000-{number:012x}"), "00000000-0000-4000-9000-000000000001")
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(30))).build().into()
}

/// Microseconds up to a minute, to three digits.
fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, 60_000_000, 3)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn quantiles(histogram: &Histogram<u64>) -> String {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds for people")]
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), at(0.999), at(1.0))
}
