//! How a round ends for the service.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use inventory_tests::RunningService;
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

use crate::read_models::TABLES;

/// A way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGKILL under load.
    Killed,
    /// The same, and the next ones are killed while they start: this many of them.
    KilledWhileStarting(u32),
    /// SIGKILL while this read model is being made anew.
    KilledWhileRebuilding(&'static str),
    /// SIGKILL so many milliseconds after a SIGTERM.
    KilledWhileStopping(u64),
    /// SIGTERM, and all the time that it takes.
    Stopped,
}

impl Ending {
    /// Any of them; most are plain kills.
    pub(crate) fn draw(rng: &mut TestRng) -> Self {
        match rng.random_range(0..10) {
            0..5 => Self::Killed,
            5..7 => Self::KilledWhileStarting(rng.random_range(1..4)),
            7 => Self::KilledWhileRebuilding(TABLES[rng.random_range(0..TABLES.len())].0),
            8 => Self::KilledWhileStopping(rng.random_range(0..30)),
            _ => Self::Stopped,
        }
    }

    /// Makes the service end so.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub(crate) fn bring_about(self, service: &mut RunningService, rng: &mut TestRng) -> Result<(), String> {
        match self {
            Self::Killed => service.kill(),
            Self::KilledWhileStarting(times) => {
                service.kill();
                for _ in 0..times {
                    let mut start = service.next_start();
                    start.stdout(Stdio::null()).stderr(Stdio::null());
                    let mut next = start.spawn().map_err(|error| error.to_string())?;
                    thread::sleep(Duration::from_micros(rng.random_range(0..120_000)));
                    next.kill().and_then(|()| next.wait()).map_err(|error| error.to_string())?;
                }
            }
            Self::KilledWhileRebuilding(name) => {
                let asked =
                    service.patient_client().send("POST", &format!("/admin/projections/{name}/rebuild"), &[], b"");
                let status = asked.map_err(|error| error.to_string())?.status;
                if status != 202 {
                    return Err(format!("{name} isn't made anew: {status}"));
                }
                thread::sleep(Duration::from_micros(rng.random_range(0..40_000)));
                service.kill();
            }
            Self::KilledWhileStopping(after_ms) => {
                service.ask_to_stop();
                thread::sleep(Duration::from_millis(after_ms));
                service.kill();
            }
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
