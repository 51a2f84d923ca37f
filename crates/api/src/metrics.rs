//! What the node tells Prometheus. Only this module and its parts know the crate of that name.
//!
//! In reading order: [`requests`] (latencies, counted by each worker for itself), [`commands`] (what the command loop tells),
//! [`node`] (what is asked of the node's parts when somebody looks), `probes` (how that is done), `process` (memory and time).

pub mod commands;
pub mod node;
mod probes;
mod process;
pub mod requests;

use std::sync::Arc;

use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};
use thiserror::Error;

use self::commands::CommandMetrics;
use self::probes::{Kind, Probe};
use self::requests::{RequestCollector, RequestMetrics, WorkerMetrics};

/// The type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Values of a label, each with its number.
pub type Readings = Vec<(&'static str, f64)>;

/// All that is measured on this node.
pub struct Metrics {
    registry: Registry,
    requests: Arc<RequestMetrics>,
    problems: IntCounterVec,
    commands: Arc<CommandMetrics>,
}

/// A metric can't be: its name is wrong or taken.
#[derive(Debug, Error)]
#[error("a metric can't be kept: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Everything at zero.
    ///
    /// # Errors
    ///
    /// When a name is wrong or used twice.
    pub fn new() -> Result<Arc<Self>, MetricsError> {
        let registry = Registry::new();
        let requests = RequestMetrics::new();
        registry.register(Box::new(RequestCollector::of(Arc::clone(&requests))?))?;
        let problems = Opts::new("inventory_problems_total", "Answers with problem details, by the end of their type.");
        let problems = IntCounterVec::new(problems, &["problem"])?;
        registry.register(Box::new(problems.clone()))?;
        let commands = CommandMetrics::new(&registry)?;
        let metrics = Self { registry, requests, problems, commands };
        process::measure(&metrics)?;
        Ok(Arc::new(metrics))
    }

    /// Who hears of what the command loop does.
    #[must_use]
    pub fn commands(&self) -> Arc<CommandMetrics> {
        Arc::clone(&self.commands)
    }

    /// Where one worker takes down its requests.
    #[must_use]
    pub fn worker(&self) -> WorkerMetrics {
        WorkerMetrics::of(Arc::clone(&self.requests), self.problems.clone())
    }

    /// A number that may go up and down, asked for whenever somebody looks.
    ///
    /// # Errors
    ///
    /// When the name is wrong or taken.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.probe(Probe::new(Kind::Gauge, name, help, None, move || vec![("", read())]))
    }

    /// A number that only grows, asked for whenever somebody looks.
    ///
    /// # Errors
    ///
    /// When the name is wrong or taken.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.probe(Probe::new(Kind::Counter, name, help, None, move || vec![("", number(read()))]))
    }

    /// [`Metrics::counter`], in seconds.
    ///
    /// # Errors
    ///
    /// When the name is wrong or taken.
    pub fn seconds(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.probe(Probe::new(Kind::Counter, name, help, None, move || vec![("", read())]))
    }

    /// [`Metrics::gauge`], one for each value of a label.
    ///
    /// # Errors
    ///
    /// When the name is wrong or taken.
    pub fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Readings + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.probe(Probe::new(Kind::Gauge, name, help, Some(label), read))
    }

    /// [`Metrics::counter`], one for each value of a label.
    ///
    /// # Errors
    ///
    /// When the name is wrong or taken.
    pub fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Readings + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.probe(Probe::new(Kind::Counter, name, help, Some(label), read))
    }

    fn probe(&self, probe: prometheus::Result<Probe>) -> Result<(), MetricsError> {
        Ok(self.registry.register(Box::new(probe?))?)
    }

    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    ///
    /// When a metric can't be written as text.
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

/// A count as Prometheus has it; above 2^53 the last digits are lost, which no rate shows.
#[allow(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
pub(crate) const fn number(count: u64) -> f64 {
    count as f64
}
