//! Does a reader that says what it has written see it, every time?
//!
//! Several clients write to the same stocks of a running service and read at once, over HTTP: one stock by the version that the
//! write has answered, its product and the list of its store by the position. What is shown must not be older than what was written.

use std::error::Error;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use inventory_benches::flags::Flags;
use serde_json::{Value, json};
use ureq::Agent;
use uuid::Uuid;

const USAGE: &str = "\
Writes to a running service and reads what was written, and says how often it was not there.

Usage: read_your_writes [--url http://127.0.0.1:8080] [--tries 100000] [--clients 16] [--stocks 50]

Exits with 1 when a single read was older than the write before it, or failed.";

/// A list is asked for once in so many tries: it takes as long as the read model lags behind.
const LIST_EVERY: u64 = 10;

/// What the clients share.
struct Shared {
    base: String,
    products: Vec<Uuid>,
    store: Uuid,
    tries: u64,
    begun: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
    lists: AtomicU64,
    by_version: Mutex<Histogram<u64>>,
    by_position: Mutex<Histogram<u64>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::from_command_line(USAGE, &["--url", "--tries", "--clients", "--stocks"]);
    let base = flags.value("--url", "http://127.0.0.1:8080".to_owned());
    let (clients, stocks) = (flags.value("--clients", 16_usize), flags.value("--stocks", 50_usize));
    let shared = Arc::new(Shared {
        base: format!("{}/api/v1", base.trim_end_matches('/')),
        products: (0..stocks.max(1)).map(|_| Uuid::new_v4()).collect(),
        store: Uuid::new_v4(),
        tries: flags.value("--tries", 100_000),
        begun: AtomicU64::new(0),
        stale: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        lists: AtomicU64::new(0),
        by_version: Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
        by_position: Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
    });
    let start = Instant::now();
    let clients: Vec<_> = (0..clients.max(1))
        .map(|_| {
            thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.work()
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| "a client has panicked")?;
    }
    let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
    let (stale, failed, lists) = (count(&shared.stale), count(&shared.failed), count(&shared.lists));
    println!(
        "{} writes, each read by its version, {lists} also by their position as a product and in the list of the store: {stale} were not \
         there, {failed} failed, in {:.1} s",
        shared.tries,
        start.elapsed().as_secs_f64()
    );
    for (name, times) in [("by version", &shared.by_version), ("by position", &shared.by_position)] {
        let times = times.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |quantile| Duration::from_micros(times.value_at_quantile(quantile));
        println!("{name}: p50 {:?}, p99 {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
    }
    process::exit(i32::from(stale + failed > 0))
}

impl Shared {
    fn work(&self) {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
        let agent: Agent = config.build().into();
        loop {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            if number >= self.tries {
                return;
            }
            if let Err(error) = self.attempt(&agent, number)
                && self.failed.fetch_add(1, Ordering::SeqCst) < 10
            {
                eprintln!("{error}");
            }
        }
    }

    /// Writes once, and reads what was written.
    fn attempt(&self, agent: &Agent, number: u64) -> Result<(), Box<dyn Error>> {
        let place = usize::try_from(number)? % self.products.len();
        let (product, store) = (self.products[place], self.store);
        let body = json!({"product_id": product, "store_id": store, "quantity": 1, "reason": "read_your_writes"});
        let written = said(agent.post(format!("{}/inventory/stock", self.base)).send_json(&body)?)?;
        let (version, position) = (number_of(&written, "version")?, number_of(&written, "position")?);
        let stock = format!("/inventory/products/{product}/stores/{store}?min_version={version}");
        let level = self.read(agent, &stock, &self.by_version)?;
        self.judge(&stock, number_of(&level, "version")?, version);
        if number.is_multiple_of(LIST_EVERY) {
            self.lists.fetch_add(1, Ordering::SeqCst);
            let lists = [
                format!("/inventory/products/{product}?min_position={position}"),
                format!("/stores/{store}/stock?limit=1000&min_position={position}"),
            ];
            for list in lists {
                let shown = self.read(agent, &list, &self.by_position)?;
                let levels = shown.as_array().or_else(|| shown["items"].as_array()).ok_or("it is no list")?;
                let own = levels.iter().find(|level| level["product_id"] == json!(product));
                self.judge(&list, own.map_or(Ok(0), |level| number_of(level, "version"))?, version);
            }
        }
        Ok(())
    }

    fn read(&self, agent: &Agent, path: &str, times: &Mutex<Histogram<u64>>) -> Result<Value, Box<dyn Error>> {
        let start = Instant::now();
        let shown = said(agent.get(format!("{}{path}", self.base)).call()?)?;
        let micros = u64::try_from(start.elapsed().as_micros())?;
        times.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
        Ok(shown)
    }

    fn judge(&self, path: &str, shown: u64, written: u64) {
        if shown < written && self.stale.fetch_add(1, Ordering::SeqCst) < 10 {
            eprintln!("version {shown} at {path}, after {written} was written");
        }
    }
}

fn said(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, Box<dyn Error>> {
    let (status, body) = (answer.status(), answer.body_mut().read_json::<Value>()?);
    if status.is_success() { Ok(body) } else { Err(format!("{status}: {body}").into()) }
}

fn number_of(body: &Value, field: &str) -> Result<u64, Box<dyn Error>> {
    body[field].as_u64().ok_or_else(|| format!("there is no {field} in {body}").into())
}
