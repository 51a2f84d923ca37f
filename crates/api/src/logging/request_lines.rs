//! One line for a request: for every one that failed or was slow, and for one in so many of the others.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use slog::{Level, Logger, info};

use super::levels::{LogLevels, LogPart, part_log};
use super::optional::Optional;
use crate::access::caller::Caller;
use crate::request_context::RequestId;
use crate::settings::LogSettings;
use crate::telemetry::RequestTrace;

/// Writes the lines of one worker.
pub struct RequestLines {
    log: Logger,
    levels: Arc<LogLevels>,
    is_wanted: bool,
    sample: u32,
    slow: Duration,
    /// Requests that may be left out, since the last one that wasn't.
    left_out: Cell<u32>,
}

impl RequestLines {
    /// Lines as the settings want them; none has been written.
    #[must_use]
    pub fn new(settings: &LogSettings, log: &Logger, levels: Arc<LogLevels>) -> Self {
        Self {
            log: part_log(log, LogPart::Requests),
            levels,
            is_wanted: settings.requests,
            sample: settings.requests_sample,
            slow: Duration::from_millis(settings.requests_slow_ms),
            left_out: Cell::new(0),
        }
    }

    /// A request was answered; `problem` is the end of the type of the problem that the answer tells of.
    pub fn answered<B: MessageBody>(
        &self,
        route: &str,
        took: Duration,
        answered: &ServiceResponse<B>,
        problem: Option<&str>,
    ) {
        let is_worth_it = answered.status().is_server_error() || took >= self.slow;
        if !self.is_wanted || !(self.is_sampled() || is_worth_it) {
            return;
        }
        if self.levels.is_enabled(Some(LogPart::Requests), Level::Info) {
            self.write(route, took, answered, problem, is_worth_it);
        }
    }

    fn write<B: MessageBody>(
        &self,
        route: &str,
        took: Duration,
        answered: &ServiceResponse<B>,
        problem: Option<&str>,
        is_worth_it: bool,
    ) {
        let (request, extensions) = (answered.request(), answered.request().extensions());
        let trace_id = extensions.get::<RequestTrace>().map(RequestTrace::trace_id_text);
        let bytes = match answered.response().body().size() {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
        let (trace_id, actor) = (trace_id.as_deref(), extensions.get::<Caller>().map(Caller::actor));
        info!(self.log, "request";
            "sample" => Optional((!is_worth_it).then_some(self.sample)),
            "trace_id" => Optional(trace_id),
            "actor" => Optional(actor),
            "problem" => Optional(problem),
            "bytes" => Optional(bytes),
            "duration_us" => u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "status" => answered.status().as_u16(),
            "path" => request.path(),
            "route" => route,
            "method" => request.method().as_str(),
            "request_id" => Optional(extensions.get::<RequestId>().map(RequestId::as_str)));
    }

    /// Counts, and says whether this is the one in so many that is written.
    fn is_sampled(&self) -> bool {
        let left_out = self.left_out.get();
        let is_sampled = left_out == 0;
        self.left_out.set(if left_out + 1 >= self.sample { 0 } else { left_out + 1 });
        is_sampled
    }
}
