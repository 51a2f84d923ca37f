//! Traces: which trace a request belongs to, and, where a collector is set, spans of what was done for it.
//!
//! `trace_context` reads and writes the W3C headers, `sampler` decides what is recorded, `request_span` is the answer to a request,
//! `write_spans` is what the command loop and the projections did for it. Spans are plain values (`span`) until `exporter` hands
//! them to `otlp` on a thread of its own. A request that isn't recorded has an id and nothing else; where no collector is set, it has
//! the id that its caller gave it, if any.

mod exporter;
mod otlp;
pub mod request_span;
mod sampler;
mod span;
pub mod trace_context;
pub mod write_spans;

use std::sync::Arc;
use std::time::Duration;

use slog::{KV, Logger, Record, Serializer, warn};

use self::exporter::{Exporter, ExporterSettings};
use self::otlp::Destination;
use self::sampler::Sampler;
use self::span::Span;
use self::trace_context::{SpanId, TraceId};
use crate::settings::TelemetrySettings;

pub use self::exporter::{ExporterError, SpanCounts};

/// The path for traces below a collector's address.
const TRACES_PATH: &str = "/v1/traces";

/// Records what is done, or doesn't. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Option<Arc<Recorder>>);

/// What is there where a collector is set.
#[derive(Debug)]
pub(crate) struct Recorder {
    sampler: Sampler,
    exporter: Exporter,
    flush_longest: Duration,
}

impl Telemetry {
    /// Starts what records, where a collector is set.
    ///
    /// # Errors
    ///
    /// [`ExporterError`].
    pub fn start(settings: &TelemetrySettings, log: &Logger) -> Result<Self, ExporterError> {
        if settings.otlp_endpoint.is_empty() {
            return Ok(Self(None));
        }
        let destination = Destination {
            url: traces_url(&settings.otlp_endpoint),
            headers: settings.otlp_headers.pairs().iter().cloned().collect(),
            timeout: Duration::from_millis(settings.export_timeout_ms_max),
            service_name: settings.service_name.clone(),
        };
        let exporter_settings = ExporterSettings {
            queue_spans_max: settings.queue_spans_max,
            batch_spans_max: settings.batch_spans_max,
            batch_delay: Duration::from_millis(settings.batch_delay_ms),
            failure_log_interval: Duration::from_secs(settings.failure_log_interval_s),
        };
        let exporter = Exporter::start(destination, exporter_settings, log.clone())?;
        let sampler = Sampler::new(settings.sample_ratio, settings.sampled_requests_per_s_max);
        let flush_longest = Duration::from_millis(settings.flush_ms_max);
        Ok(Self(Some(Arc::new(Recorder { sampler, exporter, flush_longest }))))
    }

    /// What became of spans so far; `None` where no collector is set.
    #[must_use]
    pub fn counts(&self) -> Option<Arc<SpanCounts>> {
        self.0.as_ref().map(|recorder| Arc::clone(recorder.exporter.counts()))
    }

    /// Sends what waits, for a bounded time; nothing is recorded from here on.
    pub async fn close(self, log: &Logger) {
        let Some(recorder) = self.0 else { return };
        let longest = recorder.flush_longest;
        let closed = tokio::task::spawn_blocking(move || recorder.exporter.close(longest)).await;
        if !matches!(closed, Ok(true)) {
            let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            warn!(log, "spans_left_behind"; "waited_ms" => longest_ms);
        }
    }
}

impl Recorder {
    fn record(&self, span: Span) {
        self.exporter.export(span);
    }
}

/// The trace that a request belongs to, as it is told to who does something for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTrace {
    /// Which trace.
    pub trace_id: TraceId,
    /// The request's span, where it is recorded.
    pub span_id: Option<SpanId>,
}

impl RequestTrace {
    /// The trace's id as it is written everywhere.
    #[must_use]
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// `trace_id` in a line of the log, where there is one.
#[derive(Clone, Copy, Debug)]
pub struct TraceField<'a>(pub Option<&'a str>);

impl KV for TraceField<'_> {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        self.0.map_or(Ok(()), |trace_id| serializer.emit_str("trace_id", trace_id))
    }
}

/// The address for traces: below the collector's base, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it, unless it is that already.
fn traces_url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(TRACES_PATH) { base.to_owned() } else { format!("{base}{TRACES_PATH}") }
}

#[cfg(test)]
mod tests {
    use super::traces_url;

    #[test]
    fn the_path_for_traces_stands_below_the_base() {
        for (endpoint, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://collector/tenant/7", "https://collector/tenant/7/v1/traces"),
            ("https://collector/v1/traces", "https://collector/v1/traces"),
            ("https://collector/v1/traces/", "https://collector/v1/traces"),
        ] {
            assert_eq!(traces_url(endpoint), url);
        }
    }
}
