//! What becomes of the service as its log grows: writes, the time of a restart, memory, disk.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use inventory_benches::generator::Pace;
use inventory_benches::program::{Kind, Program};
use inventory_benches::requests::{self, Sales};
use inventory_benches::results::Better;

use crate::bench::{Bench, send_all, subject};

const CONNECTIONS: usize = 128;
/// A short log would be a long one after the load, so that its rounds begin anew and are short; a long one is filled once.
const SHORT_EVENTS_MAX: u64 = 100_000;
const LOAD_TIME_MAX: Duration = Duration::from_secs(2);

pub(crate) fn run(bench: &mut Bench<'_>, stores: &[&'static str]) -> Result<(), Box<dyn Error>> {
    for store in stores {
        for events in bench.run.settings.growth_events.clone() {
            at_size(bench, store, events)?;
        }
    }
    Ok(())
}

fn at_size(bench: &mut Bench<'_>, store: &'static str, events: u64) -> Result<(), Box<dyn Error>> {
    let stocks = bench.run.settings.stocks;
    let subject = subject("growth", store, "service", &format!("{events} events"));
    let (mut running, mut in_the_log) = (None, 0);
    for round in 1..=bench.rounds() {
        eprintln!("growth, {store}, {events} events, round {round} of {}", bench.rounds());
        let mut service = match running.take() {
            Some(service) if events > SHORT_EVENTS_MAX => service,
            earlier => {
                earlier.map_or(Ok(()), Bench::stop)?;
                in_the_log = events;
                fill(bench, store, events)?
            }
        };
        let time = bench.load_time().min(LOAD_TIME_MAX);
        let (pace, mut reserves) = (Pace::WhenAnswered, requests::reserves(stocks));
        let measured = bench.load(&subject, &mut service, CONNECTIONS, pace, time, &mut reserves)?;
        service.wait_until_idle()?;
        in_the_log += measured.outcome.granted;
        bench.add(&subject, "answers", "1/s", Better::Higher, measured.outcome.granted_per_second());
        #[allow(clippy::cast_precision_loss, reason = "millions of events")]
        bench.add(&subject, "events after", "", Better::Neither, in_the_log as f64);
        bench.add(&subject, "processor time", "µs", Better::Lower, measured.program_micros);
        bench.add(&subject, "anonymous memory", "MiB", Better::Lower, service.memory_mib("RssAnon")?);
        bench.add(&subject, "most resident", "MiB", Better::Lower, service.memory_mib("VmHWM")?);
        let folder = service.kill()?;
        #[allow(clippy::cast_precision_loss, reason = "millions of events")]
        let bytes_an_event = size_bytes(&folder.join("data"))? / in_the_log as f64;
        bench.add(&subject, "on disk", "bytes an event", Better::Lower, bytes_an_event);

        let restarted = Program::start(Kind::Service { store }, &bench.binaries, &folder)?;
        bench.add(&subject, "ready after", "s", Better::Lower, restarted.ready_after().as_secs_f64());
        restarted.wait_until_idle()?;
        bench.add(&subject, "anonymous after restart", "MiB", Better::Lower, restarted.memory_mib("RssAnon")?);
        running = Some(restarted);
    }
    running.map_or(Ok(()), Bench::stop)
}

/// A service with so many events in its log, that has applied them all.
fn fill(bench: &mut Bench<'_>, store: &'static str, events: u64) -> Result<Program, Box<dyn Error>> {
    let stocks = bench.run.settings.stocks;
    let service = bench.start_stocked(store, &requests::stock_up(stocks))?;
    let mut sales = Sales::new(stocks, events.saturating_sub(stocks));
    let count = sales.requests();
    send_all(&service, &mut sales, count)?;
    service.wait_until_idle()?;
    Ok(service)
}

/// What lies below a folder, in bytes.
#[allow(clippy::cast_precision_loss, reason = "a number for people")]
fn size_bytes(folder: &Path) -> io::Result<f64> {
    let mut size = 0.0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() { size_bytes(&entry.path())? } else { metadata.len() as f64 };
    }
    Ok(size)
}
