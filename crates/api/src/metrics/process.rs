//! The process: its build, its start, its memory, its time and its files, under the names that everybody uses.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntGauge, Opts};

use super::{Metrics, MetricsError, number};

/// Ticks in a second, as Linux counts a process's time for others on every processor.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where the ticks in user mode stand in `/proc/self/stat`, counted from what follows the name; those in the kernel are next.
const USER_TICKS: usize = 11;

pub(super) fn measure(metrics: &Metrics) -> Result<(), MetricsError> {
    let build = Opts::new("inventory_build_info", "Always 1; the label says which version runs.");
    let build = IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION")))?;
    build.set(1);
    metrics.registry.register(Box::new(build))?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    metrics.gauge("process_start_time_seconds", "When the process has started, since 1970.", move || started)?;
    metrics.gauge("process_resident_memory_bytes", "Memory that the process holds.", || {
        status("VmRSS:").map_or(f64::NAN, |kib| number(kib * 1024))
    })?;
    metrics.gauge("process_open_fds", "Files and connections that the process has open.", || {
        fs::read_dir("/proc/self/fd").map_or(f64::NAN, |open| number(open.count() as u64))
    })?;
    metrics.gauge("process_threads", "Threads of the process.", || status("Threads:").map_or(f64::NAN, number))?;
    metrics.seconds("process_cpu_seconds_total", "Processor time that the process has used.", || {
        cpu_seconds().unwrap_or(f64::NAN)
    })
}

/// The number behind a name in `/proc/self/status`.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?; // The name may have spaces in it.
    let mut ticks = after_name.split_whitespace().skip(USER_TICKS).map_while(|ticks| ticks.parse::<u64>().ok());
    Some(number(ticks.next()? + ticks.next()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_its_memory_and_its_time() {
        assert!(status("VmRSS:").unwrap() > 1_000, "KiB");
        assert!(status("Threads:").unwrap() >= 1);
        let before = cpu_seconds().unwrap();
        let mut spent = 0u64;
        while cpu_seconds().unwrap() < before + 0.05 {
            spent = std::hint::black_box(spent + 1);
        }
    }
}
