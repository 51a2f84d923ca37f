//! The whole service under load: what `scripts/bench` runs.
//!
//! Programs are started anew for each round, in turn, the service and then what it is compared with; machines are noisy, and
//! both meet the same noise. First each load is run closed-loop, for how much is possible; then open-loop at half and at
//! four fifths of that, for how long it takes.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use inventory_benches::compare::compare;
use inventory_benches::flags::Flags;
use inventory_benches::machine::{Machine, Source};
use inventory_benches::results::{Run, Settings};
use inventory_benches::{plots, report};
use jiff::Timestamp;

use bench::Bench;
use scenario::SCENARIOS;

mod bench;
mod growth;
mod replay;
mod scenario;

const USAGE: &str = "\
Measures the service under load; scripts/bench builds what it needs, and says more.

Usage: load [--scenarios read,spread,…] [--stores sqlite,jsonl] [--rounds 5] [--seconds 4] [--stocks 1000]
            [--growth 10000,100000,1000000,5000000] [--baskets data/samples/baskets.csv]
            [--out target/bench/results] [--compare FILE]

Without --compare it is compared with the newest run in --out, or else in benches/results.";

const STORES: [&str; 2] = ["sqlite", "jsonl"];
/// What is kept under version control.
const KEPT: &str = "benches/results";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let names =
        ["--scenarios", "--stores", "--rounds", "--seconds", "--stocks", "--growth", "--baskets", "--out", "--compare"];
    let flags = Flags::from_command_line(USAGE, &names);
    let all: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).chain(["baskets", "growth"]).collect();
    let scenarios = list(&flags.value("--scenarios", all.join(",")));
    if let Some(unknown) = scenarios.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(format!("{unknown} is no scenario; there are {}", all.join(", ")).into());
    }
    let stores = list(&flags.value("--stores", STORES.join(",")));
    let stores: Vec<&'static str> = stores
        .iter()
        .map(|given| STORES.into_iter().find(|store| store == given).ok_or(format!("{given} is no event store")))
        .collect::<Result<_, _>>()?;
    let growth_events = list(&flags.value("--growth", "10000,100000,1000000,5000000".to_owned()));
    let baskets = flags.value("--baskets", PathBuf::from("data/samples/baskets.csv"));
    let settings = Settings {
        rounds: flags.value("--rounds", 5),
        load_s: flags.value("--seconds", 4.0),
        stocks: flags.value("--stocks", 1_000),
        growth_events: growth_events.iter().map(|events| events.parse()).collect::<Result<_, _>>()?,
        baskets: baskets.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let out = flags.value("--out", PathBuf::from("target/bench/results"));
    let earlier = earlier(&out, &flags.value("--compare", String::new()))?;

    let work = PathBuf::from("target/bench").join(format!("load.{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let start = Instant::now();
    let mut run = Run {
        started_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        source: Source::this(),
        machine: Machine::this(&work),
        settings,
        ..Run::default()
    };
    measure(&mut Bench::new(&mut run, &work)?, &scenarios, &baskets, &stores).inspect_err(|_| {
        eprintln!("load: what was measured, and what the programs have said, is in {}", work.display());
    })?;
    fs::remove_dir_all(&work)?;
    run.took_s = start.elapsed().as_secs_f64().round();
    publish(&run, earlier.as_ref(), &out)
}

fn measure(
    bench: &mut Bench<'_>,
    scenarios: &[String],
    baskets: &Path,
    stores: &[&'static str],
) -> Result<(), Box<dyn Error>> {
    for name in scenarios {
        match (name.as_str(), SCENARIOS.iter().find(|scenario| scenario.name == *name)) {
            (_, Some(scenario)) => scenario::run(bench, scenario, stores)?,
            ("baskets", None) => replay::run(bench, baskets, stores)?,
            _ => growth::run(bench, stores)?,
        }
        bench.run.write(bench.work)?; // What is measured isn't lost when the next one fails.
    }
    Ok(())
}

fn list(given: &str) -> Vec<String> {
    given.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The run to compare with, and its file.
fn earlier(out: &Path, given: &str) -> Result<Option<(PathBuf, Run)>, Box<dyn Error>> {
    if !given.is_empty() {
        let file = PathBuf::from(given);
        let run = Run::read(&file).map_err(|error| format!("{given}: {error}"))?;
        return Ok(Some((file, run)));
    }
    Ok(match Run::newest(out)? {
        Some(newest) => Some(newest),
        None => Run::newest(Path::new(KEPT))?,
    })
}

/// Writes the run, its table and its plots, and says what has moved.
fn publish(run: &Run, earlier: Option<&(PathBuf, Run)>, out: &Path) -> Result<(), Box<dyn Error>> {
    let file = run.write(out)?;
    let mut text = report::report(run);
    let drawn = plots::draw(run, out)?;
    if let Some((_, earlier)) = earlier {
        text.push_str(&report::comparison(earlier, run, &compare(earlier, run)));
    }
    println!("{text}");
    let mut page = format!("# Results\n\nWritten by `scripts/bench`.\n\n{text}");
    if !drawn.is_empty() {
        let plots: Vec<_> = drawn.iter().map(|plot| format!("![{}]({plot})", plot.trim_end_matches(".svg"))).collect();
        page.push_str("\n## Plots\n\n");
        page.push_str(&plots.join("\n\n"));
    }
    let table = out.join("README.md");
    fs::write(&table, page.trim_end().to_owned() + "\n")?;
    eprintln!("written: {}, {}, {}", file.display(), table.display(), drawn.join(", "));
    if let Some((earlier, _)) = earlier {
        eprintln!("compared with {}", earlier.display());
    }
    Ok(())
}
