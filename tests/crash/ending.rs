//! How a round ends for the service.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use inventory_tests::RunningService;
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

use crate::read_models::{TABLES, are_half_rebuilt};

/// The longest pause before a kill that has to meet a start, a rebuild or a stop.
const PAUSE_MS_MAX: u64 = 120;

/// How often such a kill is tried; the pause may be half as long each time, and after so many times as long as the first again.
const TRIES: u32 = 24;
const TRIES_EACH_SHORTER: u32 = 6;

/// A way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGKILL under load.
    Killed,
    /// The same, and the next ones are killed while they start: this many of them.
    KilledWhileStarting(u32),
    /// SIGKILL while this read model is being made anew.
    KilledWhileRebuilding(&'static str),
    /// SIGKILL after a SIGTERM, while it stops.
    KilledWhileStopping,
    /// SIGTERM, and all the time that it takes.
    Stopped,
}

/// How many rounds have ended in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Endings {
    pub killed: u64,
    pub killed_while_starting: u64,
    pub killed_while_rebuilding: u64,
    pub killed_while_stopping: u64,
    pub stopped: u64,
}

impl Endings {
    pub(crate) fn count(&mut self, ending: Ending) {
        *match ending {
            Ending::Killed => &mut self.killed,
            Ending::KilledWhileStarting(_) => &mut self.killed_while_starting,
            Ending::KilledWhileRebuilding(_) => &mut self.killed_while_rebuilding,
            Ending::KilledWhileStopping => &mut self.killed_while_stopping,
            Ending::Stopped => &mut self.stopped,
        } += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let Self { killed, killed_while_starting, killed_while_rebuilding, killed_while_stopping, stopped } = other;
        self.killed += killed;
        self.killed_while_starting += killed_while_starting;
        self.killed_while_rebuilding += killed_while_rebuilding;
        self.killed_while_stopping += killed_while_stopping;
        self.stopped += stopped;
    }

    /// Those that met all clients in the middle of something.
    pub(crate) fn under_load(&self) -> u64 {
        self.killed + self.killed_while_starting + self.killed_while_rebuilding
    }

    /// How many of the way that came least often.
    pub(crate) fn least(&self) -> u64 {
        let Self { killed, killed_while_starting, killed_while_rebuilding, killed_while_stopping, stopped } = *self;
        killed.min(killed_while_starting).min(killed_while_rebuilding).min(killed_while_stopping).min(stopped)
    }
}

impl Ending {
    /// Each of them, in any order; half of them are plain kills.
    pub(crate) fn of_ten_rounds(rng: &mut TestRng) -> Vec<Self> {
        let mut all = vec![Self::Killed; 5];
        all.extend((0..2).map(|_| Self::KilledWhileStarting(rng.random_range(1..4))));
        let (model, _) = TABLES[rng.random_range(0..TABLES.len())];
        all.extend([Self::KilledWhileRebuilding(model), Self::KilledWhileStopping, Self::Stopped]);
        all.sort_by_cached_key(|_| rng.random::<u64>());
        all
    }

    /// Makes the service end so.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub(crate) fn bring_about(self, service: &mut RunningService, rng: &mut TestRng) -> Result<(), String> {
        match self {
            Self::Killed => {
                service.kill();
            }
            Self::KilledWhileStarting(times) => {
                service.kill();
                for _ in 0..times {
                    until_met(rng, |pause| kill_in_a_start(service, pause).map_err(|error| error.to_string()))?;
                }
            }
            Self::KilledWhileRebuilding(name) => until_met(rng, |pause| kill_in_a_rebuild(service, name, pause))?,
            Self::KilledWhileStopping => until_met(rng, |pause| kill_in_a_stop(service, pause))?,
            Self::Stopped => {
                service.ask_to_stop();
                let status = service.wait();
                if !status.success() {
                    return Err(format!("it doesn't stop as it should: {status}"));
                }
            }
        }
        Ok(())
    }
}

/// Has a kill come after longer and shorter pauses, until it says that it has met what it was meant for.
fn until_met(rng: &mut TestRng, mut kill: impl FnMut(Duration) -> Result<bool, String>) -> Result<(), String> {
    for number in 0..TRIES {
        let pause = rng.random_range(0..=(PAUSE_MS_MAX * 1_000) >> (number % TRIES_EACH_SHORTER));
        if kill(Duration::from_micros(pause))? {
            return Ok(());
        }
    }
    Err(format!("each of {TRIES} kills came too early or too late"))
}

/// Starts the service, which is gone, and kills it; returns whether it hadn't said by then that it serves.
fn kill_in_a_start(service: &RunningService, pause: Duration) -> io::Result<bool> {
    let mut next = service.next_start().stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    thread::sleep(pause);
    next.kill()?;
    let said = next.wait_with_output()?.stdout;
    Ok(!String::from_utf8_lossy(&said).contains("\"serving\""))
}

/// Has a read model made anew, and kills the service; returns whether it has left it half made.
fn kill_in_a_rebuild(service: &mut RunningService, name: &str, pause: Duration) -> Result<bool, String> {
    let asked = service.patient_client().send("POST", &format!("/admin/projections/{name}/rebuild"), &[], b"");
    let status = asked.map_err(|error| error.to_string())?.status;
    if status != 202 {
        return Err(format!("{name} isn't made anew: {status}"));
    }
    thread::sleep(pause);
    service.kill();
    let is_met = are_half_rebuilt(service)?;
    if !is_met {
        service.start_again();
    }
    Ok(is_met)
}

/// Asks the service to stop, and kills it; returns whether it hadn't ended by then.
fn kill_in_a_stop(service: &mut RunningService, pause: Duration) -> Result<bool, String> {
    service.ask_to_stop();
    thread::sleep(pause);
    let status = service.kill();
    if status.signal().is_some() {
        return Ok(true);
    }
    if !status.success() {
        return Err(format!("it doesn't stop as it should: {status}"));
    }
    service.start_again();
    Ok(false)
}
