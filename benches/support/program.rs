//! The programs under load, each a process of its own on a folder of its own, and what `/proc` knows of them.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// How long a program may take to be ready.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a program may be busy after its load.
const IDLE_PATIENCE: Duration = Duration::from_secs(600);
/// A program is idle that has spent no more than a tick of the clock in this time.
const IDLE_PERIOD: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(1);

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service on this event store.
    Service {
        /// `sqlite` or `jsonl`.
        store: &'static str,
    },
    /// The ceiling of reads.
    BareActix,
    /// The ceiling of single writes, with an index over stream and version.
    WriteCeiling,
}

/// A program that runs until it is dropped. Its folder stays.
#[derive(Debug)]
pub struct Program {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    ready_after: Duration,
}

/// What is wrong with a program.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It ended, or never became ready.
    #[error("{program} is not ready: {log}")]
    NotReady {
        /// What was started.
        program: String,
        /// The end of what it has said.
        log: String,
    },
    /// It can't be built.
    #[error("{0} has failed")]
    NotBuilt(String),
    /// It goes on working without a load.
    #[error("process {0} is still busy after ten minutes")]
    NeverIdle(u32),
    /// A file, a process or a socket can't be had.
    #[error("{what}")]
    System {
        /// What for.
        what: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> ProgramError {
    |cause| ProgramError::System { what: what.into(), cause }
}

impl Program {
    /// Starts a program of the folder `binaries`, and waits until it is ready; `folder` is empty, or left by an earlier one.
    ///
    /// # Errors
    ///
    /// [`ProgramError::NotReady`] when it isn't.
    pub fn start(kind: Kind, binaries: &Path, folder: &Path) -> Result<Self, ProgramError> {
        fs::create_dir_all(folder).map_err(system("the folder can't be made"))?;
        let address = free_address().map_err(system("no port is free"))?;
        let (port, data) = (address.port().to_string(), folder.join("data"));
        let mut command = match kind {
            Kind::Service { store } => {
                let mut command = Command::new(binaries.join("inventory"));
                command.arg("serve").env("INVENTORY__EVENT_STORE__KIND", store);
                command.env("INVENTORY__SERVER__PORT", &port).env("INVENTORY__DATA__DIR", &data);
                command
            }
            Kind::BareActix => {
                let mut command = Command::new(binaries.join("examples/bare_actix"));
                command.args(["--port", &port]);
                command
            }
            Kind::WriteCeiling => {
                let mut command = Command::new(binaries.join("examples/write_ceiling"));
                command.args(["--layout", "unique", "--port", &port]).arg("--data").arg(&data);
                command
            }
        };
        let log = File::create(folder.join("log")).map_err(system("the log can't be made"))?;
        let errors = log.try_clone().map_err(system("the log can't be made"))?;
        let start = Instant::now();
        let process = command.stdout(log).stderr(errors).spawn().map_err(system(format!("{command:?}")))?;
        let mut program = Self { process, address, folder: folder.to_owned(), ready_after: Duration::ZERO };
        while !is_ready(address) {
            let has_ended = !matches!(program.process.try_wait(), Ok(None));
            if has_ended || start.elapsed() > START_PATIENCE {
                return Err(ProgramError::NotReady { program: format!("{kind:?}"), log: program.end_of_log() });
            }
            thread::sleep(POLL);
        }
        program.ready_after = start.elapsed();
        Ok(program)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From its start until it said that it is ready.
    #[must_use]
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// How it has ended, if it has: a broken connection may mean that.
    #[must_use]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Kills it with SIGKILL, and returns its folder.
    ///
    /// # Errors
    ///
    /// When it has ended by itself before.
    pub fn kill(mut self) -> Result<PathBuf, ProgramError> {
        if let Some(status) = self.ended() {
            return Err(ProgramError::NotReady { program: status.to_string(), log: self.end_of_log() });
        }
        Ok(self.folder.clone())
    }

    /// Waits until it has nothing left to do: a read side that catches up would take the next load's time.
    ///
    /// # Errors
    ///
    /// [`ProgramError::NeverIdle`] when it always has.
    pub fn wait_until_idle(&self) -> Result<(), ProgramError> {
        let start = Instant::now();
        let mut before = self.cpu_time()?;
        while start.elapsed() < IDLE_PATIENCE {
            thread::sleep(IDLE_PERIOD);
            let after = self.cpu_time()?;
            if after.saturating_sub(before) <= Duration::from_millis(10) {
                return Ok(());
            }
            before = after;
        }
        Err(ProgramError::NeverIdle(self.process.id()))
    }

    /// Processor time that it has spent.
    ///
    /// # Errors
    ///
    /// Where there is no `/proc`.
    pub fn cpu_time(&self) -> Result<Duration, ProgramError> {
        cpu_time(&self.process.id().to_string())
    }

    /// A line of `/proc/<process>/status` in MiB, such as `RssAnon`.
    ///
    /// # Errors
    ///
    /// Where there is no such line.
    pub fn memory_mib(&self, name: &str) -> Result<f64, ProgramError> {
        let file = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(&file).map_err(system(&file))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok())
            .map(|kib| kib / 1024.0)
            .ok_or_else(|| system(format!("{name} in {file}"))(io::ErrorKind::InvalidData.into()))
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What can't be killed has ended by itself.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Processor time that a process has spent; `self` is this one.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn cpu_time(process: &str) -> Result<Duration, ProgramError> {
    let file = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&file).map_err(system(&file))?;
    // The name may hold spaces, so fields are counted from the parenthesis that ends it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 1000 / clock_ticks_per_second()))
}

/// Processor time that all of the machine's processes have spent, and what the host has taken from it.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn machine_time() -> Result<Duration, ProgramError> {
    let stat = fs::read_to_string("/proc/stat").map_err(system("/proc/stat"))?;
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).enumerate();
    // The fourth and the fifth are idle time and time of waiting for a disk.
    let ticks: u64 =
        fields.filter(|(place, _)| ![3, 4].contains(place)).filter_map(|(_, ticks)| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
}

#[cfg(target_os = "linux")]
fn clock_ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(not(target_os = "linux"))]
fn clock_ticks_per_second() -> u64 {
    100
}

/// Builds the service and these examples, as this program was built, and returns the folder that they are in.
///
/// # Errors
///
/// [`ProgramError::NotBuilt`] when they can't be.
pub fn build(examples: &[&str]) -> Result<PathBuf, ProgramError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let service = vec!["--package", "inventory-api", "--bin", "inventory"];
    let mut packages = vec![service];
    if !examples.is_empty() {
        let chosen = examples.iter().flat_map(|example| ["--example", *example]);
        packages.push(["--package", "inventory-benches"].into_iter().chain(chosen).collect());
    }
    for package in packages {
        let mut build = Command::new(&cargo);
        build.args(["build", "--quiet"]).args(package);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.status().map_err(system("cargo can't be run"))?;
        if !status.success() {
            return Err(ProgramError::NotBuilt(format!("{build:?}")));
        }
    }
    let this = env::current_exe().map_err(system("this program's path is unknown"))?; // <profile>/deps/<program>
    Ok(this.ancestors().nth(2).unwrap_or(&this).to_owned())
}

/// Ports below those that the system gives to clients. A client that asks whether a program is ready is given the very port that it
/// asks for, now and then, while nobody listens: then it is connected to itself, and the program finds its port taken.
const PORTS: Range<u16> = 20_000..30_000;

fn free_address() -> io::Result<SocketAddr> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Not the same ones at once in programs that measure beside each other.
    let in_turn = PORTS.cycle().skip(process::id() as usize % PORTS.len()).take(PORTS.len());
    let free = in_turn.map(here).find(|address| TcpListener::bind(address).is_ok());
    free.ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
