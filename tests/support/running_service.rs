//! The service as a process.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Client;

/// How long a start or a stop may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs until it is dropped.
pub struct RunningService {
    process: Child,
    address: String,
    data: Arc<TempDir>,
    settings: Vec<(String, String)>,
    lines: Arc<Mutex<Vec<Value>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

/// Which event store the services of the tests run on, where a test doesn't say: `INVENTORY_TEST_STORE`, else the default.
const STORE: &str = "INVENTORY_TEST_STORE";

/// The binary, built if it isn't.
///
/// # Panics
///
/// When it can't be built.
#[must_use]
pub fn inventory() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let binary = BINARY.get_or_init(|| {
        if let Some(given) = env::var_os("INVENTORY_BINARY") {
            return given.into();
        }
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "inventory-api", "--bin", "inventory"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().is_ok_and(|status| status.success()), "the binary can't be built");
        let tests = env::current_exe().unwrap_or_default();
        let profile = tests.ancestors().nth(2).map(Path::to_owned).unwrap_or_default(); // <profile>/deps/<test>
        profile.join("inventory")
    });
    let mut command = Command::new(binary);
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("INVENTORY__")) {
        command.env_remove(name);
    }
    command
}

/// The binary, for a command on this data folder, with the event store that the tests are run on.
#[must_use]
pub fn inventory_on(data: &Path) -> Command {
    let mut command = inventory();
    command.env("INVENTORY__DATA__DIR", data).envs(store());
    command
}

/// The setting that chooses the event store, if the tests are told which.
fn store() -> Option<(String, String)> {
    env::var(STORE).ok().map(|kind| ("INVENTORY__EVENT_STORE__KIND".to_owned(), kind))
}

/// A path in the repository.
#[must_use]
pub fn path_of(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

impl RunningService {
    /// Starts with an empty data folder.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts with an empty data folder, these arguments to `serve` and these settings.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    #[must_use]
    pub fn start_with(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap_or_else(|error| panic!("no data folder: {error}"));
        Self::start_on(Arc::new(data), arguments, settings)
    }

    /// Starts on this data folder, with these settings.
    #[must_use]
    pub fn start_on_folder(data: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::start_on(Arc::new(data), &[], settings)
    }

    fn start_on(data: Arc<TempDir>, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let given = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<_> = store().into_iter().chain(given).collect();
        let mut process = inventory()
            .arg("serve")
            .args(arguments)
            .env("INVENTORY__SERVER__PORT", "0")
            .env("INVENTORY__DATA__DIR", data.path())
            .envs(settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("it can't be started: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, out) = (Arc::clone(&lines), process.stdout.take());
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (kept, out) = (Arc::clone(&errors), process.stderr.take());
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                eprintln!("{line}");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut service = Self { process, address: String::new(), data, settings, lines, errors };
        let serving = service.wait_for("serving");
        service.address = serving["address"].as_str().map(str::to_owned).expect("the address is in the line");
        service
    }

    /// Waits for the first log line with this event.
    ///
    /// # Panics
    ///
    /// When it doesn't come.
    #[must_use]
    pub fn wait_for(&mut self, event: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().into_iter().find(|line| line["event"] == event) {
                return line;
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("it has ended before {event}: {status}; {:?}", self.log());
            }
            assert!(Instant::now() < end, "no {event} in the log: {:?}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged so far; a line that is no JSON is a string.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.url(), Duration::from_secs(30))
    }

    /// A client of it that waits for minutes: for long runs on machines that have other things to do.
    #[must_use]
    pub fn patient_client(&self) -> Client {
        Client::new(self.url(), Duration::from_secs(300))
    }

    /// Where it is served.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Kills it with SIGKILL, and starts another one on the same data.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        self.restart()
    }

    /// Kills it with SIGKILL, and returns how it has ended: by itself, where it was quicker.
    ///
    /// # Panics
    ///
    /// When it can't be killed.
    pub fn kill(&mut self) -> ExitStatus {
        self.process.kill().and_then(|()| self.process.wait()).unwrap_or_else(|error| panic!("still alive: {error}"))
    }

    /// Asks it to stop, with SIGTERM.
    ///
    /// # Panics
    ///
    /// When it can't be asked.
    pub fn ask_to_stop(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "SIGTERM can't be sent");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it doesn't end.
    #[must_use]
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) => assert!(Instant::now() < end, "it doesn't end"),
                Err(error) => panic!("it can't be waited for: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What would start another one on the data of this one, which has ended.
    #[must_use]
    pub fn next_start(&self) -> Command {
        let mut command = self.command(&["serve"]);
        command.env("INVENTORY__SERVER__PORT", "0");
        command
    }

    /// The binary with these arguments, on the data and with the settings of this one.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = inventory();
        command.args(arguments).env("INVENTORY__DATA__DIR", self.data.path()).envs(self.settings.iter().cloned());
        command
    }

    /// Takes the whole event log away from this one, which has ended.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn lose_the_log(&self) {
        let journal = self.data().join("events");
        let lost =
            if journal.exists() { fs::remove_dir_all(journal) } else { fs::remove_file(self.data().join("events.db")) };
        lost.unwrap_or_else(|error| panic!("there is no log: {error}"));
    }

    /// Starts another one on the data of this one, which has ended.
    #[must_use]
    pub fn restart(self) -> Self {
        self.next(&[])
    }

    /// As [`RunningService::restart`], in the place of this one.
    pub fn start_again(&mut self) {
        *self = self.next(&[]);
    }

    /// As [`RunningService::restart`], at the port that this one had.
    ///
    /// # Panics
    ///
    /// When somebody else has it by now.
    #[must_use]
    pub fn restart_at_its_port(self) -> Self {
        let port = self.address.rsplit(':').next().map(str::to_owned).unwrap_or_default();
        self.next(&[("INVENTORY__SERVER__PORT", &port)])
    }

    fn next(&self, more: &[(&str, &str)]) -> Self {
        let mut settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.extend(more);
        Self::start_on(Arc::clone(&self.data), &[], &settings)
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
