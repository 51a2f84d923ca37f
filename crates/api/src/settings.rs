//! The settings: the built-in defaults, then a file of the user's, then the environment; checked at start.

pub mod telemetry;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::access::client_address::Network;
use crate::cross_origin::Origin;
use crate::logging::levels::LogPart;
use crate::secret::Secret;

pub use self::telemetry::TelemetrySettings;

/// The defaults, as documented for users.
const DEFAULT: &str = include_str!("../../../config/default.toml");

/// What variables start with; `__` stands between the parts, as in `INVENTORY__SERVER__PORT`.
const PREFIX: &str = "INVENTORY";

/// All settings, one field a section. Each setting is explained in `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config/default.toml says what each one is")]
pub struct Settings {
    pub server: ServerSettings,
    pub access: AccessSection,
    pub tokens: TokenSection,
    pub rate_limits: RateLimitSection,
    pub cors: CorsSection,
    pub data: DataSettings,
    pub event_store: EventStoreSettings,
    pub command_loop: CommandLoopSection,
    pub expiry: ExpirySection,
    pub reads: ReadSettings,
    pub events: EventsSection,
    pub cache: CacheSection,
    pub read_model: ReadModelSettings,
    pub projections: ProjectionSettings,
    pub resilience: ResilienceSettings,
    pub log: LogSettings,
    pub telemetry: TelemetrySettings,
}

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "config/default.toml says what each one is")]
        pub struct $name { $($(#[$of_field])* pub $field: $type,)* }
    )*};
}

sections! {
    /// `[server]`
    ServerSettings {
        host: String,
        port: u16,
        workers: usize,
        connections_max: usize,
        backlog: u32,
        tls_certificate: PathBuf,
        tls_key: PathBuf,
        tls_handshake_ms_max: u64,
        tls_handshakes_max: usize,
        body_bytes_max: usize,
        batch_body_bytes_max: usize,
        keep_alive_s: u64,
        head_wait_ms_max: u64,
        body_wait_ms_max: u64,
        write_wait_ms_max: u64,
        drain_s_max: u64,
    }
    /// `[access]`
    AccessSection {
        enabled: bool,
        allow_open_network: bool,
        open_metrics: bool,
        keys_file: PathBuf,
        keys: Vec<KeySettings>,
        reload_ms: u64,
        file_bytes_max: u64,
        failed_attempts_max: u32,
        #[serde(deserialize_with = "list")]
        trusted_proxies: Vec<Network>,
    }
    /// One of `[[access.keys]]`, here or in a file.
    KeySettings {
        name: String,
        hash: Secret,
        scopes: Vec<String>,
        expires_at: Option<String>,
        requests_per_second: Option<u32>,
        burst: Option<u32>,
    }
    /// `[tokens]`
    TokenSection {
        hs256_secret: Secret,
        hs256_secret_file: PathBuf,
        jwks_file: PathBuf,
        #[serde(deserialize_with = "list")]
        issuers: Vec<String>,
        #[serde(deserialize_with = "list")]
        audiences: Vec<String>,
        leeway_s: u64,
        cached_tokens_max: usize,
    }
    /// `[rate_limits]`
    RateLimitSection { requests_per_second: u32, burst: u32, callers_max: usize, }
    /// `[cors]`
    CorsSection {
        #[serde(deserialize_with = "list")]
        allowed_origins: Vec<Origin>,
        max_age_s: usize,
    }
    /// `[data]`
    DataSettings { dir: PathBuf, }
    /// `[event_store]`
    EventStoreSettings {
        kind: EventStoreKind,
        readers_max: u32,
        reader_wait_ms_max: u64,
        writer_queue_batches_max: usize,
        streams_remembered_max: usize,
        cache_kib: u32,
        wal_autocheckpoint_pages: u32,
        append_id_segment_keys_max: usize,
        segment_bytes: u64,
        stream_files: bool,
        stream_files_open_max: usize,
        log_page_events_max: usize,
        repair_pause_ms: u64,
    }
    /// `[command_loop]`
    CommandLoopSection {
        queue_commands_max: usize,
        queue_wait_ms_max: u64,
        batch_commands_max: usize,
        states_max: usize,
        loads_max: usize,
        closed_reservations_remembered: usize,
        snapshot_every_events: u64,
        snapshot_reservations_max: usize,
        conflict_tries_max: u32,
        conflict_delay_ms_max: u64,
    }
    /// `[expiry]`
    ExpirySection {
        poll_ms: u64,
        reservations_max: usize,
        reservations_of_stock_max: usize,
        catch_up_ms_max: u64,
    }
    /// `[reads]`
    ReadSettings { acknowledged_levels_max: usize, catch_up_ms_max: u64, waiting_max: usize, }
    /// `[events]`
    EventsSection {
        page_events_max: usize,
        look_events_max: usize,
        reads_max: usize,
        read_wait_ms_max: u64,
        listeners_max: usize,
        listener_bytes_max: usize,
        waiting_bytes_max: usize,
        queue_batches_max: usize,
        linger_ms: u64,
        poll_ms: u64,
        heartbeat_ms: u64,
        retry_ms: u64,
    }
    /// `[cache]`
    CacheSection { entries_max: usize, ttl_ms: u64, stale_ms_max: u64, floors_max: usize, }
    /// `[read_model]`
    ReadModelSettings { readers_max: u32, reader_wait_ms_max: u64, cache_kib: u32, checkpoint_ms: u64, wal_pages_max: u32, list_rows_max: usize, }
    /// `[projections]`
    ProjectionSettings { page_events_max: usize, catch_up_page_events_max: usize, recent_events_max: usize, linger_ms: u64, poll_ms: u64, retry_delay_ms_max: u64, }
    /// `[resilience]`
    ResilienceSettings {
        failures_to_open: u32,
        open_for_ms: u64,
        tries_max: u32,
        first_delay_ms: u64,
        delay_multiplier: f64,
        delay_ms_max: u64,
        jitter: f64,
    }
    /// `[log]`
    LogSettings {
        level: LogLevel,
        business_events: bool,
        requests: bool,
        requests_sample: u32,
        requests_slow_ms: u64,
        queue_lines_max: usize,
        queue_batches_max: usize,
        flush_ms_max: u64,
        parts: BTreeMap<LogPart, LogLevel>,
    }
}

/// Which event store is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStoreKind {
    /// One `SQLite` file.
    Sqlite,
    /// A journal of JSON lines.
    Jsonl,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// All of them, from the one with most lines on.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];
}

/// Why the settings can't be used; the message names the key.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A source can't be read, or a value has the wrong type.
    #[error("the settings can't be used: {0}")]
    Unreadable(String),
    /// A file with keys is no list of keys.
    #[error("{0}")]
    KeyFile(String),
    /// A value is out of its range.
    #[error("the setting {key} {problem}")]
    OutOfRange {
        /// The section and the name.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<ConfigError> for SettingsError {
    /// Keeps what is wrong, and not the error, which shows the line of the file.
    fn from(error: ConfigError) -> Self {
        Self::Unreadable(without_lines(&error))
    }
}

impl Settings {
    /// The defaults, overridden by `file` where one is given, overridden by `INVENTORY__…` variables.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the key that is unknown, of the wrong type or out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load_with(file, Environment::with_prefix(PREFIX))
    }

    fn load_with(file: Option<&Path>, environment: Environment) -> Result<Self, SettingsError> {
        let environment = environment.prefix_separator("__").separator("__");
        let mut sources = Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
        if let Some(file) = file {
            sources = sources.add_source(File::from(file).format(FileFormat::Toml));
        }
        let settings: Self = sources.add_source(environment).build()?.try_deserialize()?;
        settings.check()?;
        Ok(settings)
    }

    /// Where a service with these settings is reached from this machine.
    #[must_use]
    pub fn server_url(&self) -> String {
        let scheme = if self.server.tls_certificate.as_os_str().is_empty() { "http" } else { "https" };
        let host = match self.server.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{host}{close}:{}", self.server.port)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let at_least_one = [
            ("access.failed_attempts_max", self.access.failed_attempts_max as usize),
            ("tokens.cached_tokens_max", self.tokens.cached_tokens_max),
            ("rate_limits.callers_max", self.rate_limits.callers_max),
            ("server.connections_max", self.server.connections_max),
            ("server.body_bytes_max", self.server.body_bytes_max),
            ("server.batch_body_bytes_max", self.server.batch_body_bytes_max),
            ("event_store.wal_autocheckpoint_pages", self.event_store.wal_autocheckpoint_pages as usize),
            ("event_store.append_id_segment_keys_max", self.event_store.append_id_segment_keys_max),
            ("event_store.stream_files_open_max", self.event_store.stream_files_open_max),
            ("expiry.reservations_max", self.expiry.reservations_max),
            ("expiry.reservations_of_stock_max", self.expiry.reservations_of_stock_max),
            ("event_store.readers_max", self.event_store.readers_max as usize),
            ("event_store.writer_queue_batches_max", self.event_store.writer_queue_batches_max),
            ("event_store.streams_remembered_max", self.event_store.streams_remembered_max),
            ("event_store.log_page_events_max", self.event_store.log_page_events_max),
            ("command_loop.queue_commands_max", self.command_loop.queue_commands_max),
            ("command_loop.batch_commands_max", self.command_loop.batch_commands_max),
            ("command_loop.loads_max", self.command_loop.loads_max),
            ("command_loop.conflict_tries_max", self.command_loop.conflict_tries_max as usize),
            ("reads.acknowledged_levels_max", self.reads.acknowledged_levels_max),
            ("reads.waiting_max", self.reads.waiting_max),
            // One that is closed in a batch is known from there to the end of the batch.
            ("command_loop.closed_reservations_remembered", self.command_loop.closed_reservations_remembered),
            ("events.page_events_max", self.events.page_events_max),
            ("events.look_events_max", self.events.look_events_max),
            ("events.reads_max", self.events.reads_max),
            ("events.queue_batches_max", self.events.queue_batches_max),
            ("cache.entries_max", self.cache.entries_max),
            ("cache.floors_max", self.cache.floors_max),
            ("read_model.list_rows_max", self.read_model.list_rows_max),
            ("read_model.readers_max", self.read_model.readers_max as usize),
            ("projections.page_events_max", self.projections.page_events_max),
            ("projections.catch_up_page_events_max", self.projections.catch_up_page_events_max),
            ("resilience.failures_to_open", self.resilience.failures_to_open as usize),
            ("resilience.tries_max", self.resilience.tries_max as usize),
            ("log.requests_sample", self.log.requests_sample as usize),
            ("log.queue_lines_max", self.log.queue_lines_max),
            ("log.queue_batches_max", self.log.queue_batches_max),
        ];
        for (key, value) in at_least_one {
            ensure(value > 0, key, "must be at least 1")?;
        }
        let batch_max = self.command_loop.batch_commands_max;
        let states_max = self.command_loop.states_max;
        ensure(
            states_max >= batch_max,
            "command_loop.states_max",
            format!("must be at least batch_commands_max, {batch_max}"),
        )?;
        ensure(
            self.command_loop.snapshot_every_events > 0,
            "command_loop.snapshot_every_events",
            "must be at least 1",
        )?;
        let segment_bytes = 65_536..=1 << 31;
        ensure(
            segment_bytes.contains(&self.event_store.segment_bytes),
            "event_store.segment_bytes",
            "must be from 64 KiB to 2 GiB",
        )?;
        let is_named = |path: &PathBuf| !path.as_os_str().is_empty();
        let both_or_none = is_named(&self.server.tls_certificate) == is_named(&self.server.tls_key);
        ensure(both_or_none, "server.tls_key", "must be given with tls_certificate, and only then")?;
        ensure(self.server.tls_handshakes_max > 0, "server.tls_handshakes_max", "must be at least 1")?;
        let origins = &self.cors.allowed_origins;
        let is_clear = origins.len() < 2 || !origins.iter().any(Origin::is_any);
        ensure(is_clear, "cors.allowed_origins", "must be a list, or * alone")?;
        ensure(self.access.reload_ms > 0, "access.reload_ms", "must be at least 1")?;
        ensure(self.tokens.leeway_s <= 300, "tokens.leeway_s", "must be at most 300")?;
        let one_secret = self.tokens.hs256_secret.is_empty() || self.tokens.hs256_secret_file.as_os_str().is_empty();
        ensure(one_secret, "tokens.hs256_secret", "must not be given beside hs256_secret_file")?;
        ensure(self.event_store.repair_pause_ms > 0, "event_store.repair_pause_ms", "must be at least 1")?;
        ensure(self.expiry.poll_ms > 0, "expiry.poll_ms", "must be at least 1")?;
        ensure(self.events.poll_ms > 0, "events.poll_ms", "must be at least 1")?;
        ensure(self.events.heartbeat_ms > 0, "events.heartbeat_ms", "must be at least 1")?;
        ensure(self.projections.poll_ms > 0, "projections.poll_ms", "must be at least 1")?;
        ensure((0.0..1.0).contains(&self.resilience.jitter), "resilience.jitter", "must be from 0 to below 1")?;
        ensure(self.resilience.delay_multiplier >= 1.0, "resilience.delay_multiplier", "must be at least 1")?;
        self.telemetry.check()?;
        ensure(!self.data.dir.as_os_str().is_empty(), "data.dir", "must name a folder")
    }
}

/// The API keys of a file: a list of `[[keys]]`.
///
/// # Errors
///
/// [`SettingsError`] says what can't be read; what stands there is not shown.
pub fn parse_key_file(content: &[u8]) -> Result<Vec<KeySettings>, SettingsError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct KeyFile {
        #[serde(default)]
        keys: Vec<KeySettings>,
    }
    let text = std::str::from_utf8(content).map_err(|_| SettingsError::KeyFile("it is not UTF-8".into()))?;
    let source = Config::builder().add_source(File::from_str(text, FileFormat::Toml));
    let file = source.build().and_then(Config::try_deserialize::<KeyFile>);
    Ok(file.map_err(|error| SettingsError::KeyFile(without_values(&error)))?.keys)
}

/// What is wrong, without the line of the file that the message would show: it may hold a secret.
fn without_lines(error: &ConfigError) -> String {
    match error {
        ConfigError::FileParse { uri, .. } => {
            let file = uri.as_deref().map(|file| format!(" in {file}")).unwrap_or_default();
            format!("{}{file}", without_values(error))
        }
        other => other.to_string(),
    }
}

/// What is wrong, without the lines and values that the message would show: they may be keys.
fn without_values(error: &ConfigError) -> String {
    match error {
        ConfigError::FileParse { cause, .. } => cause.to_string().lines().next().unwrap_or_default().to_owned(),
        ConfigError::Type { expected, key, .. } => {
            format!("{} must be {expected}", key.as_deref().unwrap_or("a value"))
        }
        ConfigError::At { error, key, .. } => {
            format!("{}: {}", key.as_deref().unwrap_or_default(), without_values(error))
        }
        other => other.to_string(),
    }
}

/// A list, or in a variable a text with commas between.
fn list<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let given = match Given::deserialize(deserializer)? {
        Given::List(list) => list,
        Given::Text(text) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    };
    given.iter().map(|part| part.parse().map_err(|error| D::Error::custom(format!("{part:?}: {error}")))).collect()
}

fn ensure(holds: bool, key: &'static str, problem: impl Into<String>) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError::OutOfRange { key, problem: problem.into() }) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let settings = load("", &[]).unwrap();
        assert_eq!((settings.server.host.as_str(), settings.server.port), ("127.0.0.1", 8080));
    }

    #[test]
    fn a_file_wins_over_the_defaults_and_a_variable_over_both() {
        let file = "[server]\nport = 9000\nhost = '0.0.0.0'\n";
        let settings = load(file, &[("INVENTORY__SERVER__PORT", "9001"), ("INVENTORY__DATA__DIR", "/tmp/x")]).unwrap();
        assert_eq!((settings.server.host.as_str(), settings.server.port), ("0.0.0.0", 9001));
        assert_eq!(settings.data.dir, Path::new("/tmp/x"));
    }

    #[test]
    fn a_message_names_the_key() {
        for (file, variable, named) in [
            ("[server]\nprot = 1\n", None, "prot"),
            ("[sevrer]\nport = 1\n", None, "sevrer"),
            ("[server]\nport = 'x'\n", None, "server.port"),
            ("[server]\nport = 70000\n", None, "server.port"),
            ("[command_loop]\nstates_max = 1\n", None, "command_loop.states_max"),
            ("[cache]\nentries_max = 0\n", None, "cache.entries_max"),
            ("[command_loop]\nclosed_reservations_remembered = 0\n", None, "closed_reservations_remembered"),
            ("", Some(("INVENTORY__SERVER__PORT", "x")), "server.port"),
            ("", Some(("INVENTORY__SERVER__PROT", "1")), "prot"),
            ("", Some(("INVENTORY__EVENT_STORE__KIND", "paper")), "event_store.kind"),
            ("", Some(("INVENTORY__LOG__LEVEL", "loud")), "log.level"),
            ("[telemetry]\nsample_ratio = 1.5\n", None, "telemetry.sample_ratio"),
            ("[telemetry]\nbatch_spans_max = 9000\n", None, "telemetry.batch_spans_max"),
            ("[telemetry]\notlp_endpoint = 'localhost:4318'\n", None, "telemetry.otlp_endpoint"),
            ("", Some(("INVENTORY__TELEMETRY__OTLP_HEADERS", "x")), "telemetry.otlp_headers"),
        ] {
            let error = load(file, variable.as_slice()).unwrap_err().to_string();
            assert!(error.contains(named), "{file:?} {variable:?}: {error}");
        }
        let error = Settings::load(Some(Path::new("no/such/file.toml"))).unwrap_err().to_string();
        assert!(error.contains("no/such/file.toml"), "{error}");
    }

    #[test]
    fn no_secret_is_shown() {
        let file =
            "[tokens]\nhs256_secret = 'do not show'\n[[access.keys]]\nname = 'a'\nhash = 'do not show'\nscopes = []\n";
        let settings = load(file, &[]).unwrap();
        assert_eq!((settings.tokens.hs256_secret.reveal(), settings.access.keys.len()), ("do not show", 1));
        assert!(!format!("{settings:?} {settings:#?}").contains("do not show"));
        let broken = load("[tokens]\nhs256_secret = 'do not show\n", &[]).unwrap_err();
        assert!(!format!("{broken} {broken:?}").contains("do not show"), "{broken}");
        assert!(broken.to_string().contains("line 2") && broken.to_string().contains(".toml"), "{broken}");
    }

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let mut named = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        named.write_all(file.as_bytes()).unwrap();
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::load_with(Some(named.path()), Environment::with_prefix(PREFIX).source(Some(variables)))
    }
}
