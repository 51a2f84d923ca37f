//! What every request has and every answer carries: the request id, problem details, and the security of both.

use std::future::{Future, Ready, ready};
use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse};
use slog::{Logger, error, warn};
use uuid::Uuid;

use crate::problem::Problem;
use crate::server::Drain;

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The name of a request: the client's own if it is sane, else a new one.
#[derive(Clone, Debug)]
pub struct RequestId(Rc<str>);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(request: &ServiceRequest) -> (Self, HeaderValue) {
        let given = request.headers().get(&REQUEST_ID).filter(|given| is_sane(given.as_bytes()));
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

/// Wraps every request: names it, and turns what went wrong into problem details that carry the name.
///
/// # Errors
///
/// What the wrapped service fails with, unchanged.
pub fn with_request_id<S, B>(
    request: ServiceRequest,
    service: &S,
    log: &Logger,
    drain: &Drain,
) -> impl Future<Output = Result<ServiceResponse<actix_web::body::EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let (request_id, header) = RequestId::of(&request);
    request.extensions_mut().insert(request_id.clone());
    let in_work = drain.enter();
    let answered = service.call(request);
    let (log, drain) = (log.clone(), drain.clone());
    async move {
        let _in_work = in_work;
        let answered = answered.await?;
        let problem = problem_of(&answered);
        let mut answered = match problem {
            None => answered.map_into_left_body(),
            Some(problem) => {
                report(&log, &problem, &answered, &request_id);
                let response = problem.response(Some(request_id.as_str()));
                answered.into_response(response.map_into_right_body())
            }
        };
        answered.headers_mut().insert(REQUEST_ID, header);
        if drain.is_draining() {
            answered.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answered)
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
    if slug == "internal" {
        error!(log, "request_failed"; "request_id" => request_id.as_str(), "path" => path, "problem" => slug, "cause" => causes);
    } else {
        warn!(log, "request_failed"; "request_id" => request_id.as_str(), "path" => path, "problem" => slug, "cause" => causes);
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
