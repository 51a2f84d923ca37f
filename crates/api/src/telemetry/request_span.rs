//! The span of an answer to a request, with the attributes that OpenTelemetry's conventions for HTTP servers name.
//!
//! Never in it: the query and headers that may hold secrets, and the client's address.

use std::sync::Arc;
use std::time::SystemTime;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderName, USER_AGENT};
use actix_web::http::{Method, Version};
use tokio::time::Instant;

use super::otlp::{new_span_id, new_trace_id};
use super::span::{Parent, Span, Value};
use super::trace_context::{Flags, TRACEPARENT, TRACESTATE, TraceContext};
use super::{Recorder, RequestTrace, Telemetry};

/// The longest text of a client's that is kept in an attribute, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// A request's part of a trace, until it is answered; if it never is, because the client has hung up, the span says that.
#[derive(Debug)]
pub struct RequestSpan {
    context: TraceContext,
    recording: Option<Box<Recording>>,
}

/// What is kept of a request whose span is exported.
#[derive(Debug)]
struct Recording {
    recorder: Arc<Recorder>,
    parent: Option<Parent>,
    context: TraceContext,
    began: Instant,
    began_at: SystemTime,
    method: Option<&'static str>,
    attributes: Vec<(&'static str, Value)>,
}

impl Telemetry {
    /// The request's part of the trace; `None` where it has none.
    #[must_use]
    pub fn begin(&self, request: &ServiceRequest, request_id: &str) -> Option<RequestSpan> {
        let caller = TraceContext::of(request.headers());
        let Some(recorder) = &self.0 else {
            // Nobody records a span here, so what follows is still a part of the caller's.
            return caller.map(|context| RequestSpan { context, recording: None });
        };
        let is_sampled_by_caller = caller.as_ref().map(|caller| caller.flags.is_sampled());
        let parent = caller.as_ref().map(|caller| Parent { span_id: caller.span_id, is_remote: true });
        let mut context = match caller {
            Some(caller) => TraceContext { span_id: new_span_id(), ..caller },
            None => {
                let (trace_id, span_id) = (new_trace_id(), new_span_id());
                TraceContext { trace_id, span_id, flags: Flags::of_random_id(), state: None }
            }
        };
        let is_sampled = recorder.sampler.samples(context.trace_id, is_sampled_by_caller);
        context.flags = context.flags.sampled(is_sampled);
        let recording = is_sampled.then(|| {
            let (method, attributes) = (known(request.method()), asked(request, request_id));
            let (began, began_at) = (Instant::now(), SystemTime::now());
            let (recorder, context) = (Arc::clone(recorder), context.clone());
            Box::new(Recording { recorder, parent, context, began, began_at, method, attributes })
        });
        Some(RequestSpan { context, recording })
    }
}

impl RequestSpan {
    /// What others are told who do something for the request.
    #[must_use]
    pub fn trace(&self) -> RequestTrace {
        let span_id = self.recording.as_ref().map(|_| self.context.span_id);
        RequestTrace { trace_id: self.context.trace_id, span_id }
    }

    /// Names the trace in the answer, and ends the span. `problem` is the end of the problem's type, where it is one.
    pub fn end<B>(mut self, answered: &mut ServiceResponse<B>, problem: Option<&'static str>) {
        if let Some(recording) = self.recording.take() {
            recording.end(answered, problem);
        }
        let headers = answered.headers_mut();
        headers.insert(TRACEPARENT, self.context.header());
        if let Some(state) = self.context.state.take() {
            headers.insert(TRACESTATE, state);
        }
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            recording.give_up();
        }
    }
}

impl Recording {
    fn end<B>(mut self, answered: &ServiceResponse<B>, problem: Option<&'static str>) {
        let status = answered.status();
        self.attributes.push(("http.response.status_code", Value::Number(status.as_u16().into())));
        if let Some(problem) = problem {
            self.attributes.push(("inventory.problem", problem.into()));
        }
        if status.is_server_error() {
            self.attributes.push(("error.type", status.as_str().to_owned().into()));
        }
        let route = answered.request().match_pattern();
        self.record(route, status.is_server_error());
    }

    /// The client has hung up before there was an answer.
    fn give_up(mut self) {
        self.attributes.push(("error.type", "cancelled".into()));
        self.record(None, false);
    }

    fn record(mut self, route: Option<String>, is_failure: bool) {
        let method = self.method.unwrap_or("HTTP");
        let name = match &route {
            Some(route) => format!("{method} {route}").into(),
            None => method.into(),
        };
        self.attributes.extend(route.map(|route| ("http.route", route.into())));
        let TraceContext { trace_id, span_id, state, .. } = self.context;
        self.recorder.record(Span {
            trace_id,
            span_id,
            parent: self.parent,
            state,
            name,
            is_server: true,
            began: self.began_at,
            ended: self.began_at + self.began.elapsed(),
            attributes: self.attributes,
            is_failure,
        });
    }
}

/// What is known of a request before it is answered.
fn asked(request: &ServiceRequest, request_id: &str) -> Vec<(&'static str, Value)> {
    let mut attributes: Vec<(&'static str, Value)> = Vec::with_capacity(12);
    match known(request.method()) {
        Some(method) => attributes.push(("http.request.method", method.into())),
        None => {
            attributes.push(("http.request.method", "_OTHER".into()));
            attributes.push(("http.request.method_original", bounded(request.method().as_str()).into()));
        }
    }
    attributes.push(("url.path", bounded(request.path()).into()));
    attributes.push(("url.scheme", if request.app_config().secure() { "https" } else { "http" }.into()));
    if let Some(host) = text(request, &HOST) {
        let (name, port) = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))).unzip();
        attributes.push(("server.address", bounded(name.unwrap_or(host)).into()));
        attributes.extend(port.map(|port: u16| ("server.port", Value::Number(port.into()))));
    }
    match request.version() {
        Version::HTTP_10 => attributes.push(("network.protocol.version", "1.0".into())),
        Version::HTTP_11 => attributes.push(("network.protocol.version", "1.1".into())),
        Version::HTTP_2 => attributes.push(("network.protocol.version", "2".into())),
        _ => (),
    }
    attributes.extend(text(request, &USER_AGENT).map(|agent| ("user_agent.original", bounded(agent).into())));
    attributes.push(("inventory.request_id", request_id.to_owned().into()));
    attributes
}

fn text<'a>(request: &'a ServiceRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The beginning of a client's text.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// A method's name, where it is one of those that the conventions know: a client must not make up names of spans.
fn known(method: &Method) -> Option<&'static str> {
    let known = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    known.into_iter().find(|known| method == known)
}
