//! OpenTelemetry's side: ids, and spans sent to a collector by OTLP over HTTP. The only file that names its crates.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use uuid::Uuid;

use super::span::{Parent, Span, Value};
use super::trace_context::{SpanId, TraceId};

/// Where spans go, and who sends them.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// The collector's address for traces.
    pub(super) url: String,
    /// Headers for it; they are secrets.
    pub(super) headers: HashMap<String, String>,
    /// How long an export may take.
    pub(super) timeout: Duration,
    /// The service's name.
    pub(super) service_name: String,
}

/// Sends spans. Its client blocks, so it is made, used and dropped on one thread that runs nothing else.
pub(super) struct OtlpExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    scope: InstrumentationScope,
}

impl OtlpExporter {
    /// An exporter that has sent nothing yet.
    ///
    /// # Errors
    ///
    /// A text that says why there can't be one.
    pub(super) fn new(destination: Destination) -> Result<Self, String> {
        let Destination { url, headers, timeout, service_name } = destination;
        let built = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(timeout)
            .with_headers(headers)
            .build();
        let mut exporter = built.map_err(|error| error.to_string())?;
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attribute(KeyValue::new("service.name", service_name))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", Uuid::now_v7().to_string()));
        exporter.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("inventory").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { exporter, scope })
    }

    /// Sends them, again where that may help, and waits until the collector has them.
    ///
    /// # Errors
    ///
    /// A text that says why it has them not.
    pub(super) fn export(&self, spans: impl Iterator<Item = Span>) -> Result<(), String> {
        let batch = spans.map(|span| self.data(span)).collect();
        wait_for(self.exporter.export(batch)).map_err(|error| error.to_string())
    }

    fn data(&self, span: Span) -> SpanData {
        let Span { trace_id, span_id, parent, state, name, is_server, began, ended, attributes, is_failure } = span;
        let state = state.as_ref().and_then(|state| state.to_str().ok()).and_then(|state| state.parse().ok());
        let (trace_id, span_id) = (trace_id.get().into(), span_id.get().into());
        let (parent_span_id, parent_span_is_remote) = match parent {
            Some(Parent { span_id, is_remote }) => (span_id.get().into(), is_remote),
            None => (opentelemetry::trace::SpanId::INVALID, false),
        };
        let attributes = attributes.into_iter().map(|(key, value)| match value {
            Value::Text(text) => KeyValue::new(key, text),
            Value::Number(number) => KeyValue::new(key, number),
        });
        let state: TraceState = state.unwrap_or_default();
        SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, state),
            parent_span_id,
            parent_span_is_remote,
            span_kind: if is_server { SpanKind::Server } else { SpanKind::Internal },
            name,
            start_time: began,
            end_time: ended.max(began),
            attributes: attributes.collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if is_failure { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// A new trace's id.
#[must_use]
pub(super) fn new_trace_id() -> TraceId {
    let id = RandomIdGenerator::default().new_trace_id();
    TraceId::new(u128::from_be_bytes(id.to_bytes())).unwrap_or(TraceId::MIN)
}

/// A new span's id.
#[must_use]
pub(super) fn new_span_id() -> SpanId {
    let id = RandomIdGenerator::default().new_span_id();
    SpanId::new(u64::from_be_bytes(id.to_bytes())).unwrap_or(SpanId::MIN)
}

/// Runs `work` to its end on this thread. It has no runtime, because the exporter's client must not find one.
fn wait_for<F: Future>(work: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let (mut context, mut work) = (Context::from_waker(&waker), pin!(work));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}
