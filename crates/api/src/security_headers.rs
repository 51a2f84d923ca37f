//! Headers that every answer carries, whoever made it: they tell browsers and caches what not to do with it.

use std::future::Future;

use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};

use crate::problem::Problem;
use crate::request_context::{REQUEST_ID, RequestId};

/// Nothing in an answer is to be run or shown within another page; the pages of the documentation say themselves what they need.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// A year of nothing but TLS.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What has a version may be kept by the client that asked for it, and asked about with `If-None-Match`.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Everything else is for this moment only.
const KEEP_NOTHING: HeaderValue = HeaderValue::from_static("no-store");

/// The outermost wrap: adds the headers, also to what never got to the inner ones, such as a refused preflight.
///
/// # Errors
///
/// What the wrapped service fails with, unchanged.
pub fn with_security_headers<S, B>(
    request: ServiceRequest,
    service: &S,
    is_tls: bool,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let answered = service.call(request);
    async move {
        let mut answered = named(answered.await?);
        let is_read = is_read(answered.request().method());
        add(answered.headers_mut(), is_read, is_tls);
        Ok(answered)
    }
}

/// The answer as it is, or, where no inner service has seen the request, with a name, and a problem where it was refused.
fn named<B: MessageBody>(answered: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    if answered.headers().contains_key(&REQUEST_ID) {
        return answered.map_into_left_body();
    }
    let (request_id, header) = RequestId::of(answered.request().headers());
    let mut answered = if answered.response().error().is_some() {
        let problem = Problem::origin_not_allowed();
        answered.into_response(problem.response(Some(request_id.as_str())).map_into_right_body())
    } else {
        answered.map_into_left_body()
    };
    answered.headers_mut().insert(REQUEST_ID, header);
    answered
}

fn add(headers: &mut HeaderMap, is_read: bool, is_tls: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    let has_version = is_read && headers.contains_key(ETAG);
    // An answer that knows better has said so itself.
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, NOTHING);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, if has_version { ASK_AGAIN } else { KEEP_NOTHING });
    }
    if is_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_version_may_be_asked_about() {
        let policy = |etag: bool, is_read| {
            let mut headers = HeaderMap::new();
            if etag {
                headers.insert(ETAG, HeaderValue::from_static("\"1\""));
            }
            add(&mut headers, is_read, false);
            headers.get(CACHE_CONTROL).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(policy(true, true), "private, no-cache");
        assert_eq!(policy(true, false), "no-store");
        assert_eq!(policy(false, true), "no-store");
    }

    #[test]
    fn what_an_answer_says_itself_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
        add(&mut headers, true, true);
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), "public, max-age=3600");
        assert_eq!(headers.get(CONTENT_SECURITY_POLICY).unwrap(), "default-src 'self'");
        assert_eq!(headers.get(STRICT_TRANSPORT_SECURITY).unwrap(), "max-age=31536000");
    }
}
