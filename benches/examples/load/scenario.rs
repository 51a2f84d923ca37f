//! Loads that are run at full speed, next to their ceiling, and then on the clock.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use hdrhistogram::Histogram;
use inventory_benches::compare::RATE;
use inventory_benches::generator::Pace;
use inventory_benches::program::{Kind, Program};
use inventory_benches::report::OF_SPREAD;
use inventory_benches::requests::{self, BATCH_COMMANDS_MAX, InTurn};
use inventory_benches::results::{Better, Curve, Subject, median};

use crate::bench::{Bench, subject};

/// A kind of load.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    connections: usize,
    /// Whether it is run on each event store, or on the default one alone.
    is_for_each_store: bool,
    ceiling: Option<Ceiling>,
    /// The same over many stocks, where it is on one: what a hot item costs.
    spread: Option<fn(u64) -> InTurn>,
    /// Commands in a request, where they are batches.
    batch: Option<u64>,
    /// The requests over so many stocks.
    requests: fn(u64) -> InTurn,
}

/// What a load is compared with.
#[derive(Clone, Copy)]
enum Ceiling {
    BareActix,
    OneWriter,
    /// Rows into `SQLite` in the layout of the service's own table, without HTTP.
    RawInserts,
}

impl Ceiling {
    /// The program that answers over HTTP, if one does, and its name.
    fn program(self) -> Option<(Kind, &'static str)> {
        match self {
            Self::BareActix => Some((Kind::BareActix, "bare_actix")),
            Self::OneWriter => Some((Kind::WriteCeiling, "write_ceiling")),
            Self::RawInserts => None,
        }
    }
}

pub(crate) const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "read",
        connections: 32,
        is_for_each_store: false,
        ceiling: Some(Ceiling::BareActix),
        spread: None,
        batch: None,
        requests: requests::levels,
    },
    Scenario {
        name: "spread",
        connections: 128,
        is_for_each_store: true,
        ceiling: Some(Ceiling::OneWriter),
        spread: None,
        batch: None,
        requests: requests::reserves,
    },
    Scenario {
        name: "hot",
        connections: 128,
        is_for_each_store: true,
        ceiling: Some(Ceiling::OneWriter),
        spread: Some(requests::reserves),
        batch: None,
        requests: |_| requests::reserves(1),
    },
    Scenario {
        name: "mixed",
        connections: 64,
        is_for_each_store: false,
        ceiling: None,
        spread: None,
        batch: None,
        requests: requests::mixed,
    },
    Scenario {
        name: "orders",
        connections: 64,
        is_for_each_store: true,
        ceiling: None,
        spread: None,
        batch: None,
        requests: |stocks| requests::orders(stocks, 10),
    },
    Scenario {
        name: "batch",
        connections: 2,
        is_for_each_store: true,
        ceiling: Some(Ceiling::RawInserts),
        spread: None,
        batch: Some(BATCH_COMMANDS_MAX),
        requests: requests::batches_of_reserves,
    },
];

/// The shares of what is possible at which latencies are measured.
const SHARES: [(&str, f64); 2] = [("50 %", 0.5), ("80 %", 0.8)];
/// How long a program is under load before its latencies count: a cold cache is no steady state.
const WARM_UP: Duration = Duration::from_secs(1);
/// What is kept of each round's latencies.
const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("longest", 100.0)];
/// What is kept of all rounds' latencies together.
const CURVE: [f64; 16] =
    [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99, 99.999, 100.0];

pub(crate) fn run(bench: &mut Bench<'_>, scenario: &Scenario, stores: &[&'static str]) -> Result<(), Box<dyn Error>> {
    let stores = if scenario.is_for_each_store { stores } else { &stores[..stores.len().min(1)] };
    let stocks = bench.run.settings.stocks;
    let load = CustomLoad {
        name: scenario.name,
        connections: scenario.connections,
        ceiling: scenario.ceiling,
        spread: scenario.spread.map(|spread| spread(stocks)),
        batch: scenario.batch,
        requests: (scenario.requests)(stocks),
        stock_up: requests::stock_up(stocks),
    };
    stores.iter().try_for_each(|store| load.run(bench, store))
}

/// A load with its requests.
pub(crate) struct CustomLoad {
    name: &'static str,
    connections: usize,
    ceiling: Option<Ceiling>,
    spread: Option<InTurn>,
    batch: Option<u64>,
    requests: InTurn,
    stock_up: InTurn,
}

impl CustomLoad {
    /// A load of single requests without a ceiling.
    pub(crate) fn new(name: &'static str, connections: usize, requests: InTurn, stock_up: InTurn) -> Self {
        Self { name, connections, ceiling: None, spread: None, batch: None, requests, stock_up }
    }

    pub(crate) fn run(&self, bench: &mut Bench<'_>, store: &'static str) -> Result<(), Box<dyn Error>> {
        let answers_per_second = self.at_full_speed(bench, store)?;
        self.on_the_clock(bench, store, answers_per_second)
    }

    /// Measures how much is possible, in turn with the ceiling, and returns the median of answers a second.
    fn at_full_speed(&self, bench: &mut Bench<'_>, store: &'static str) -> Result<f64, Box<dyn Error>> {
        let mut speeds = Vec::new();
        for round in 1..=bench.rounds() {
            eprintln!("{}, {store}, at full speed, round {round} of {}", self.name, bench.rounds());
            let of_service = subject(self.name, store, "service", "max");
            let mut service = bench.start_stocked(store, &self.stock_up)?;
            let time = bench.load_time();
            let mut requests = self.requests.clone();
            let measured =
                bench.load(&of_service, &mut service, self.connections, Pace::WhenAnswered, time, &mut requests)?;
            Bench::stop(service)?;
            let speed = measured.outcome.granted_per_second();
            speeds.push(speed);
            let (measure, done) = self.done_per_second(speed);
            bench.add(&of_service, measure, "1/s", Better::Higher, done);
            let each = measured.program_micros * speed / done;
            bench.add(&of_service, "processor time", "µs", Better::Lower, each);
            bench.add(&of_service, "generator", "cores", Better::Neither, measured.generator_cores);
            if let Some(ceiling) = self.ceiling {
                let most = self.ceiling_round(bench, store, ceiling)?;
                bench.add(&of_service, "of the ceiling", "", Better::Higher, done / most);
            }
            if let Some(spread) = &self.spread {
                let mut service = bench.start_stocked(store, &self.stock_up)?;
                let (pace, mut requests) = (Pace::WhenAnswered, spread.clone());
                let beside = bench.load(&of_service, &mut service, self.connections, pace, time, &mut requests)?;
                Bench::stop(service)?;
                bench.add(&of_service, OF_SPREAD, "", Better::Higher, speed / beside.outcome.granted_per_second());
            }
        }
        Ok(median(&speeds))
    }

    #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
    fn done_per_second(&self, answers_per_second: f64) -> (&'static str, f64) {
        match self.batch {
            None => ("answers", answers_per_second),
            Some(commands) => ("commands", answers_per_second * commands as f64),
        }
    }

    fn ceiling_round(&self, bench: &mut Bench<'_>, store: &str, ceiling: Ceiling) -> Result<f64, Box<dyn Error>> {
        let Some((kind, name)) = ceiling.program() else {
            let rows = raw_inserts(bench)?;
            bench.add(&subject(self.name, store, "raw inserts", "max"), "rows", "1/s", Better::Higher, rows);
            return Ok(rows);
        };
        let of_ceiling = subject(self.name, store, name, "max");
        let mut program = bench.start(kind)?;
        let (time, mut requests) = (bench.load_time(), self.requests.clone());
        let measured =
            bench.load(&of_ceiling, &mut program, self.connections, Pace::WhenAnswered, time, &mut requests)?;
        Bench::stop(program)?;
        let speed = measured.outcome.granted_per_second();
        bench.add(&of_ceiling, "answers", "1/s", Better::Higher, speed);
        bench.add(&of_ceiling, "processor time", "µs", Better::Lower, measured.program_micros);
        bench.add(&of_ceiling, "generator", "cores", Better::Neither, measured.generator_cores);
        Ok(speed)
    }

    /// Measures how long answers take when requests come at shares of `most` a second, whether or not there is an answer; of the ceiling
    /// at the same rates: it shows what the machine itself adds.
    fn on_the_clock(&self, bench: &mut Bench<'_>, store: &'static str, most: f64) -> Result<(), Box<dyn Error>> {
        let mut together: Vec<Option<Histogram<u64>>> = vec![None; SHARES.len()];
        for round in 1..=bench.rounds() {
            eprintln!("{}, {store}, on the clock, round {round} of {}", self.name, bench.rounds());
            let service = bench.start_stocked(store, &self.stock_up)?;
            for (all, latencies) in together.iter_mut().zip(self.clock_round(bench, service, "service", store, most)?) {
                match all {
                    Some(all) => all.add(&latencies)?,
                    None => *all = Some(latencies),
                }
            }
            if let Some((kind, name)) = self.ceiling.and_then(Ceiling::program) {
                let program = bench.start(kind)?;
                self.clock_round(bench, program, name, store, most)?;
            }
        }
        for ((share, _), latencies) in SHARES.into_iter().zip(together) {
            let latencies = latencies.ok_or("there was no round")?;
            let percentiles =
                CURVE.map(|percentile| (percentile, milliseconds(latencies.value_at_percentile(percentile))));
            let Subject { scenario, store, load, .. } = subject(self.name, store, "service", share);
            bench.run.curves.push(Curve { scenario, store, load, percentiles: percentiles.to_vec() });
        }
        Ok(())
    }

    /// One program at each share of `most`, once it is warm; returns the latencies.
    fn clock_round(
        &self,
        bench: &mut Bench<'_>,
        mut program: Program,
        name: &'static str,
        store: &'static str,
        most: f64,
    ) -> Result<Vec<Histogram<u64>>, Box<dyn Error>> {
        let mut all = Vec::new();
        let (cold, pace) = (subject(self.name, store, name, "warming up"), Pace::PerSecond(most * SHARES[0].1));
        bench.load(&cold, &mut program, self.connections, pace, WARM_UP, &mut self.requests.clone())?;
        for (share, part) in SHARES {
            let of_program = subject(self.name, store, name, share);
            let (pace, time) = (Pace::PerSecond(most * part), bench.load_time());
            let mut requests = self.requests.clone();
            let outcome = bench.load(&of_program, &mut program, self.connections, pace, time, &mut requests)?.outcome;
            program.wait_until_idle()?;
            for (measure, percentile) in PERCENTILES {
                let value = milliseconds(outcome.latency.value_at_percentile(percentile));
                bench.add(&of_program, measure, "ms", Better::Lower, value);
            }
            bench.add(&of_program, RATE, "1/s", Better::Neither, outcome.granted_per_second());
            all.push(outcome.latency);
        }
        Bench::stop(program)?;
        Ok(all)
    }
}

/// Rows a second that `SQLite` takes in full batches, in the layout of the service's own table.
fn raw_inserts(bench: &Bench<'_>) -> Result<f64, Box<dyn Error>> {
    let settings = &bench.run.settings;
    let output = Command::new(bench.binaries.join("examples/table_layouts"))
        .args(["--rounds", "1", "--seconds", &settings.load_s.to_string(), "--batch", &BATCH_COMMANDS_MAX.to_string()])
        .args(["--streams", &settings.stocks.to_string()])
        .arg("--data")
        .arg(bench.work)
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    // A row of its table: | streams | rows a commit | unique | chain | ratio |
    let chain = said.trim_end().lines().last().and_then(|row| row.split('|').nth(4)?.trim().parse().ok());
    chain.ok_or_else(|| format!("table_layouts has said: {said}{}", String::from_utf8_lossy(&output.stderr)).into())
}

#[allow(clippy::cast_precision_loss, reason = "latencies are below 2^53 µs")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
