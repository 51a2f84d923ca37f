//! What all scenarios do: start programs, load them, keep what came out.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inventory_benches::generator::{self, Load, Outcome, Pace, Requests, Until};
use inventory_benches::program::{Kind, Program, cpu_time, machine_time};
use inventory_benches::requests::InTurn;
use inventory_benches::results::{Better, Run, Subject};

/// A run under way.
pub(crate) struct Bench<'a> {
    pub(crate) run: &'a mut Run,
    /// Where cargo has put the programs.
    pub(crate) binaries: PathBuf,
    pub(crate) work: &'a Path,
    folders: usize,
}

/// What a load has cost and given.
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    /// Processor time of the program, for each answer.
    pub(crate) program_micros: f64,
    /// Cores that the generator has kept busy.
    pub(crate) generator_cores: f64,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(run: &'a mut Run, work: &'a Path) -> Result<Self, Box<dyn Error>> {
        let this = env::current_exe()?; // <profile>/examples/load
        let binaries = this.ancestors().nth(2).map(Path::to_owned).unwrap_or_default();
        Ok(Self { run, binaries, work, folders: 0 })
    }

    pub(crate) fn rounds(&self) -> usize {
        self.run.settings.rounds
    }

    pub(crate) fn load_time(&self) -> Duration {
        Duration::from_secs_f64(self.run.settings.load_s)
    }

    /// Starts a program on an empty folder.
    pub(crate) fn start(&mut self, kind: Kind) -> Result<Program, Box<dyn Error>> {
        self.folders += 1;
        Ok(Program::start(kind, &self.binaries, &self.work.join(self.folders.to_string()))?)
    }

    /// Starts the service on an empty folder, puts units into stocks, and waits until it has nothing left to do.
    pub(crate) fn start_stocked(&mut self, store: &'static str, stock_up: &InTurn) -> Result<Program, Box<dyn Error>> {
        let service = self.start(Kind::Service { store })?;
        send_all(&service, &mut stock_up.clone(), stock_up.count())?;
        service.wait_until_idle()?;
        Ok(service)
    }

    /// Ends a program and removes its folder.
    pub(crate) fn stop(program: Program) -> Result<(), Box<dyn Error>> {
        Ok(fs::remove_dir_all(program.kill()?)?)
    }

    /// Runs a load for the time of the settings, and measures it.
    pub(crate) fn load(
        &mut self,
        subject: &Subject,
        program: &mut Program,
        connections: usize,
        pace: Pace,
        time: Duration,
        requests: &mut dyn Requests,
    ) -> Result<Measured, Box<dyn Error>> {
        let (cpu, own, all) = (program.cpu_time()?, cpu_time("self")?, machine_time()?);
        let load = Load { address: program.address(), connections, pace, until: Until::Elapsed(time) };
        let outcome = generator::run(load, requests).map_err(|error| match program.ended() {
            Some(status) => format!("{} has ended in the middle of a load: {status}", subject.program).into(),
            None => Box::<dyn Error>::from(error),
        })?;
        let all = machine_time()?.saturating_sub(all);
        let (cpu, own) = (program.cpu_time()?.saturating_sub(cpu), cpu_time("self")?.saturating_sub(own));
        self.run.others_cores.push(all.saturating_sub(cpu + own).as_secs_f64() / outcome.took.as_secs_f64());
        if let Some(refusal) = &outcome.refusal {
            let Subject { scenario, store, program, load, .. } = subject;
            let all = outcome.granted + outcome.refused;
            self.run
                .refusals
                .push(format!("{scenario}, {store}, {program}, {load}: {} of {all}: {refusal}", outcome.refused));
            eprintln!("refused: {} of {all}: {refusal}", outcome.refused);
        }
        #[allow(clippy::cast_precision_loss, reason = "nobody counts 2^53 answers")]
        let program_micros = cpu.as_secs_f64() * 1e6 / outcome.granted.max(1) as f64;
        let generator_cores = own.as_secs_f64() / outcome.took.as_secs_f64();
        Ok(Measured { outcome, program_micros, generator_cores })
    }

    pub(crate) fn add(&mut self, subject: &Subject, measure: &str, unit: &str, better: Better, value: f64) {
        self.run.add(&Subject { measure: measure.to_owned(), ..subject.clone() }, unit, better, value);
    }
}

/// Sends so many requests, two at a time where there are batches enough, and fails if one is refused.
pub(crate) fn send_all(program: &Program, requests: &mut dyn Requests, count: u64) -> Result<(), Box<dyn Error>> {
    let connections = if count > 1 { 2 } else { 1 };
    let load =
        Load { address: program.address(), connections, pace: Pace::WhenAnswered, until: Until::Answered(count) };
    let outcome = generator::run(load, requests)?;
    match outcome.refusal {
        None => Ok(()),
        Some(refusal) => Err(format!("{} requests that make ready were refused: {refusal}", outcome.refused).into()),
    }
}

pub(crate) fn subject(scenario: &str, store: &str, program: &str, load: &str) -> Subject {
    Subject {
        scenario: scenario.to_owned(),
        store: store.to_owned(),
        program: program.to_owned(),
        load: load.to_owned(),
        measure: String::new(),
    }
}
