//! Spans as the service makes them: plain values, made into OpenTelemetry's own only where they are exported.

use std::borrow::Cow;
use std::time::SystemTime;

use actix_web::http::header::HeaderValue;

use super::trace_context::{SpanId, TraceId};

/// Something that was done, and when.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// The trace that it belongs to.
    pub(super) trace_id: TraceId,
    /// Its own id.
    pub(super) span_id: SpanId,
    /// The span that it is a part of, if it is.
    pub(super) parent: Option<Parent>,
    /// What tracing systems have to tell one another.
    pub(super) state: Option<HeaderValue>,
    /// What was done, in few different words.
    pub(super) name: Cow<'static, str>,
    /// Whether it is the answer to somebody's request, or something inside.
    pub(super) is_server: bool,
    /// When it began.
    pub(super) began: SystemTime,
    /// When it ended.
    pub(super) ended: SystemTime,
    /// What else is known.
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// Whether it failed, by our own fault.
    pub(super) is_failure: bool,
}

/// A span that others are a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// Its id.
    pub(super) span_id: SpanId,
    /// Whether it is another process's.
    pub(super) is_remote: bool,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A word or a text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
