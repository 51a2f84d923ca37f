//! How much is logged, part by part, as it is now: it can be changed while the service runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use slog::{Drain, Key, Level, Logger, OwnedKVList, Record, Serializer, o};
use utoipa::ToSchema;

use crate::settings::{LogLevel, LogSettings};

/// The name of the value by which a line says which part of the service it is from.
const PART: &str = "part";

/// A part of the service that may have a level of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogPart {
    /// Who may do what.
    Access,
    /// One line for every stock event.
    BusinessEvents,
    /// Events as they happen, and who listens.
    Events,
    /// What has run out.
    Expiry,
    /// The read models.
    Projections,
    /// Lines about requests.
    Requests,
    /// Traces.
    Telemetry,
}

impl LogPart {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Access,
        Self::BusinessEvents,
        Self::Events,
        Self::Expiry,
        Self::Projections,
        Self::Requests,
        Self::Telemetry,
    ];

    /// The name, as lines and settings have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::BusinessEvents => "business_events",
            Self::Events => "events",
            Self::Expiry => "expiry",
            Self::Projections => "projections",
            Self::Requests => "requests",
            Self::Telemetry => "telemetry",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

/// A log for the lines of one part.
pub fn part_log(log: &Logger, part: LogPart) -> Logger {
    log.new(o!(PART => part.name()))
}

/// A level for everything, and others for some parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// What is logged of parts that have no level of their own.
    pub default: LogLevel,
    /// What is logged of the others.
    pub parts: BTreeMap<LogPart, LogLevel>,
}

impl From<&LogSettings> for Levels {
    fn from(settings: &LogSettings) -> Self {
        Self { default: settings.level, parts: settings.parts.clone() }
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(super::level_name(self.default.into()))?;
        self.parts
            .iter()
            .try_for_each(|(part, level)| write!(formatter, ", {} {}", part.name(), super::level_name((*level).into())))
    }
}

/// Where the levels are looked up, without waiting for anybody.
#[derive(Debug)]
pub struct LogLevels {
    of_settings: Levels,
    default: AtomicUsize,
    /// [`FOLLOWS_DEFAULT`], or the level.
    parts: [AtomicUsize; LogPart::ALL.len()],
}

/// No level: levels start at 1.
const FOLLOWS_DEFAULT: usize = 0;

impl LogLevels {
    /// The levels of the settings.
    #[must_use]
    pub fn new(of_settings: Levels) -> Arc<Self> {
        let (default, parts) = (AtomicUsize::default(), std::array::from_fn(|_| AtomicUsize::default()));
        let levels = Self { of_settings, default, parts };
        levels.reset();
        Arc::new(levels)
    }

    /// Whether lines of a part (`None`: of no part in particular) are logged at `level`.
    #[must_use]
    pub fn is_enabled(&self, part: Option<LogPart>, level: Level) -> bool {
        let own = part.map_or(FOLLOWS_DEFAULT, |part| self.parts[part as usize].load(Ordering::Relaxed));
        let most = if own == FOLLOWS_DEFAULT { self.default.load(Ordering::Relaxed) } else { own };
        level.as_usize() <= most
    }

    /// The levels as they are.
    #[must_use]
    pub fn now(&self) -> Levels {
        let level = |number| LogLevel::ALL.into_iter().find(|level| Level::from(*level).as_usize() == number);
        let of = |part: LogPart| Some((part, level(self.parts[part as usize].load(Ordering::Relaxed))?));
        let default = level(self.default.load(Ordering::Relaxed)).unwrap_or(self.of_settings.default);
        Levels { default, parts: LogPart::ALL.into_iter().filter_map(of).collect() }
    }

    /// Logs so much from now on.
    pub fn set(&self, levels: &Levels) {
        self.default.store(Level::from(levels.default).as_usize(), Ordering::Relaxed);
        for part in LogPart::ALL {
            let own = levels.parts.get(&part).map_or(FOLLOWS_DEFAULT, |level| Level::from(*level).as_usize());
            self.parts[part as usize].store(own, Ordering::Relaxed);
        }
    }

    /// Logs as much as the settings say.
    pub fn reset(&self) {
        self.set(&self.of_settings);
    }
}

/// Lets through what the levels allow.
pub(super) struct ByPart<D> {
    pub(super) levels: Arc<LogLevels>,
    pub(super) inner: D,
}

impl<D: Drain<Ok = ()>> Drain for ByPart<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        let mut found = FoundPart(None);
        // A line whose values can't be read is of no part in particular.
        let part = slog::KV::serialize(values, record, &mut found).ok().and(found.0);
        if self.levels.is_enabled(part, record.level()) { self.inner.log(record, values) } else { Ok(()) }
    }
}

/// Looks for the part among a logger's own values.
struct FoundPart(Option<LogPart>);

impl Serializer for FoundPart {
    fn emit_arguments(&mut self, _: Key, _: &fmt::Arguments<'_>) -> slog::Result {
        Ok(())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        if AsRef::<str>::as_ref(&key) == PART {
            self.0 = LogPart::named(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use slog::{debug, info, warn};

    use super::*;

    #[test]
    fn a_part_has_its_own_level_and_the_others_have_the_default() {
        let levels = LogLevels::new(levels_of(LogLevel::Warning, &[(LogPart::Projections, LogLevel::Debug)]));
        let (log, heard) = logger(&levels);
        let (projections, expiry) = (log.new(o!(PART => "projections")), log.new(o!(PART => "expiry")));
        let unknown = log.new(o!(PART => "kitchen"));
        let say = || {
            for log in [&log, &projections, &expiry, &unknown] {
                debug!(log, "debug"; PART => "values of the line don't count");
                info!(log, "info");
                warn!(log, "warning");
            }
            std::mem::take(&mut *heard.lock().unwrap())
        };
        assert_eq!(say(), ["warning", "debug", "info", "warning", "warning", "warning"]);
        let changed = levels_of(LogLevel::Info, &[(LogPart::Expiry, LogLevel::Error)]);
        levels.set(&changed);
        assert_eq!(levels.now(), changed);
        assert_eq!(say(), ["info", "warning", "info", "warning", "info", "warning"]);
        levels.reset();
        assert_eq!(say(), ["warning", "debug", "info", "warning", "warning", "warning"]);
        assert_eq!(levels.now().to_string(), "warning, projections debug");
    }

    #[test]
    fn every_part_has_a_place_of_its_own() {
        for (place, part) in LogPart::ALL.into_iter().enumerate() {
            assert_eq!((part as usize, LogPart::named(part.name())), (place, Some(part)));
            assert_eq!(serde_json::to_value(part).unwrap(), part.name());
        }
    }

    fn levels_of(default: LogLevel, parts: &[(LogPart, LogLevel)]) -> Levels {
        Levels { default, parts: parts.iter().copied().collect() }
    }

    fn logger(levels: &Arc<LogLevels>) -> (Logger, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let inner = Heard(Arc::clone(&heard));
        (Logger::root(ByPart { levels: Arc::clone(levels), inner }, o!()), heard)
    }

    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Drain for Heard {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            self.0.lock().unwrap().push(record.msg().to_string());
            Ok(())
        }
    }
}
