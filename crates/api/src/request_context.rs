//! What every request has and every answer carries: the request id, problem details, and the security of both.

use std::future::{Future, Ready, ready};
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse};
use slog::{Logger, error, o, warn};
use uuid::Uuid;

use crate::access::Door;
use crate::access::caller::Caller;
use crate::access::failed_attempts::HeldUp;
use crate::access::rate_limits::Allowance;
use crate::problem::Problem;
use crate::request_observer::RequestObserver;
use crate::server::Drain;
use crate::telemetry::request_span::RequestSpan;
use crate::telemetry::{RequestTrace, Telemetry, TraceField};

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What stands around every request of one worker.
#[derive(Clone)]
pub struct Around {
    /// Where failures are reported.
    pub log: Logger,
    /// Whether the node is going down.
    pub drain: Drain,
    /// What is taken down of them.
    pub observer: Rc<RequestObserver>,
    /// Who is let in.
    pub door: Door,
    /// What records traces.
    pub telemetry: Telemetry,
}

/// The name of a request: the client's own if it is sane, else a new one.
#[derive(Clone, Debug)]
pub struct RequestId(Rc<str>);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the request with these headers, and the header that tells it.
    pub(crate) fn of(headers: &HeaderMap) -> (Self, HeaderValue) {
        let given = headers.get(&REQUEST_ID).filter(|given| is_sane(given.as_bytes()));
        match given.and_then(|given| Some((given, given.to_str().ok()?))) {
            Some((given, text)) => (Self(text.into()), given.clone()),
            None => {
                let mut buffer = Uuid::encode_buffer();
                let fresh: &str = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
                let header = HeaderValue::from_str(fresh).unwrap_or_else(|_| HeaderValue::from_static(""));
                (Self(fresh.into()), header)
            }
        }
    }
}

/// Visible ASCII with nothing in it that a log or a shell would trip over.
fn is_sane(id: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte))
}

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Problem::not_found))
    }
}

/// Wraps every request: names it, says which trace it belongs to, lets it in or not, and turns what went wrong into problem details
/// that carry the name.
///
/// # Errors
///
/// What the wrapped service fails with, unchanged.
pub fn with_request_id<S, B>(
    request: ServiceRequest,
    service: &S,
    around: &Around,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let (request_id, header) = RequestId::of(request.headers());
    request.extensions_mut().insert(request_id.clone());
    let span = around.telemetry.begin(&request, request_id.as_str());
    if let Some(trace) = span.as_ref().map(RequestSpan::trace) {
        request.extensions_mut().insert(trace);
    }
    let (began, in_work) = (Instant::now(), around.drain.enter());
    let answered = match around.door.admit(&request) {
        Ok(()) => Ok(service.call(request)),
        Err(problem) => Err((request, problem)),
    };
    let Around { log, drain, observer, .. } = around.clone();
    async move {
        let _in_work = in_work;
        let (mut answered, problem) = match answered {
            Ok(answered) => with_problem_details(answered.await?, &request_id, &log),
            Err((request, problem)) => {
                let response = problem.response(Some(request_id.as_str())).map_into_right_body();
                (request.into_response(response), Some(problem.slug()))
            }
        };
        observer.answered(began, &answered, problem);
        write_allowance(&mut answered);
        answered.headers_mut().insert(REQUEST_ID, header);
        if let Some(span) = span {
            span.end(&mut answered, problem);
        }
        if drain.is_draining() {
            answered.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answered)
    }
}

/// The answer as it is, or the problem behind it with the request's name; and the end of the problem's type.
fn with_problem_details<B: MessageBody>(
    answered: ServiceResponse<B>,
    request_id: &RequestId,
    log: &Logger,
) -> (ServiceResponse<EitherBody<B>>, Option<&'static str>) {
    let Some(problem) = problem_of(&answered) else { return (answered.map_into_left_body(), None) };
    report(log, &problem, &answered, request_id);
    let response = problem.response(Some(request_id.as_str())).map_into_right_body();
    (answered.into_response(response), Some(problem.slug()))
}

/// Tells the client what is left of its allowance, where requests are counted.
fn write_allowance<B>(answered: &mut ServiceResponse<B>) {
    let allowance = answered.request().extensions().get::<Rc<Allowance>>().cloned();
    let held_up = answered.request().extensions().get::<HeldUp>().copied();
    if let Some(allowance) = allowance {
        allowance.write(answered.headers_mut());
    }
    if let Some(held_up) = held_up {
        held_up.write(answered.headers_mut());
    }
}

/// The problem behind an answer, if it has one; what the framework itself refuses becomes one of ours.
fn problem_of<B>(answered: &ServiceResponse<B>) -> Option<Problem> {
    let error = answered.response().error()?;
    Some(error.as_error::<Problem>().cloned().unwrap_or_else(|| match answered.status() {
        StatusCode::NOT_FOUND => Problem::not_found(),
        status if status.is_client_error() => Problem::malformed_json("the request can't be read"),
        _ => Problem::internal(std::io::Error::other(error.to_string())),
    }))
}

/// Says in the log, once, what broke inside; what a client did wrong is the client's to know.
fn report<B>(log: &Logger, problem: &Problem, answered: &ServiceResponse<B>, request_id: &RequestId) {
    let Some(cause) = problem.cause() else { return };
    let mut causes = cause.to_string();
    let mut deeper = cause.source();
    while let Some(cause) = deeper {
        causes = format!("{causes}: {cause}");
        deeper = cause.source();
    }
    let (path, slug) = (answered.request().path(), problem.slug());
    let extensions = answered.request().extensions();
    let actor = extensions.get::<Caller>().map(Caller::actor);
    let trace_id = extensions.get::<RequestTrace>().map(RequestTrace::trace_id_text);
    let trace = TraceField(trace_id.as_deref());
    let said = o!("request_id" => request_id.as_str().to_owned(), "path" => path.to_owned(), "actor" => actor.map(str::to_owned));
    if slug == "internal" {
        error!(log, "request_failed"; said, trace, "problem" => slug, "cause" => causes);
    } else {
        warn!(log, "request_failed"; said, trace, "problem" => slug, "cause" => causes);
    }
}

/// The answer to a path that doesn't exist.
///
/// # Errors
///
/// Always.
pub async fn nothing_here() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}

#[cfg(test)]
mod tests {
    use super::is_sane;

    #[test]
    fn a_request_id_is_short_and_visible() {
        assert!(is_sane(b"7f3a-2_b.c:d/e"));
        assert!(is_sane(&[b'a'; 128]));
        for given in [&b""[..], &[b'a'; 129], b"a b", b"a\"b", b"a\tb", "ä".as_bytes(), b"{}"] {
            assert!(!is_sane(given), "{given:?}");
        }
    }
}
