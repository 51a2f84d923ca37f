//! Which web pages of other origins may call the service from a browser (CORS).
//!
//! Credentials are sent in headers by the page's own code; cookies mean nothing here, so the browser is never told to send any.

use std::fmt;
use std::str::FromStr;

use actix_cors::Cors;
use actix_web::http::header::{
    ACCEPT, AGE, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER,
};
use actix_web::http::{Method, Uri};
use thiserror::Error;

use crate::access::credentials::API_KEY;
use crate::access::rate_limits::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::cache_headers::CACHE_STATUS;
use crate::request_context::REQUEST_ID;
use crate::request_key::{IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED};
use crate::settings::CorsSection;
use crate::telemetry::trace_context::{TRACEPARENT, TRACESTATE};

/// An origin that may call: `https://shop.example`, or `*` for all.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an origin is a scheme, a host and maybe a port, such as https://shop.example, or *")]
pub struct NoOrigin;

impl Origin {
    /// Whether it stands for all.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let uri = text.parse::<Uri>().map_err(|_| NoOrigin);
        let is_origin = |uri: &Uri| match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => text == format!("{scheme}://{authority}") && !text.contains('@'),
            _ => false,
        };
        if text == "*" || is_origin(&uri?) { Ok(Self(as_browsers_write_it(text))) } else { Err(NoOrigin) }
    }
}

/// In lower case, and without the port that the scheme has anyway: an origin is compared letter by letter.
fn as_browsers_write_it(origin: &str) -> String {
    let mut origin = origin.to_ascii_lowercase();
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        if origin.starts_with(scheme) && origin.ends_with(port) {
            origin.truncate(origin.len() - port.len());
        }
    }
    origin
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The answers to browsers, as the settings say; it costs nothing where no origin is allowed, because then it isn't used.
pub fn cross_origin(settings: &CorsSection) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH])
        .allowed_headers([API_KEY, IDEMPOTENCY_KEY, REQUEST_ID])
        .allowed_headers([TRACEPARENT, TRACESTATE, HeaderName::from_static("last-event-id")])
        .expose_headers([AGE, ETAG, RETRY_AFTER])
        .expose_headers([CACHE_STATUS, IDEMPOTENT_REPLAYED, RATE_LIMIT, RATE_LIMIT_POLICY, REQUEST_ID])
        .expose_headers([TRACEPARENT, TRACESTATE])
        .max_age(settings.max_age_s);
    for origin in &settings.allowed_origins {
        cors = if origin.is_any() { cors.allow_any_origin().send_wildcard() } else { cors.allowed_origin(&origin.0) };
    }
    cors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (written, kept) in [
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80", "http://shop.example"),
            ("http://[::1]:80", "http://[::1]"),
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:80", "https://shop.example:80"),
            ("http://shop.example:443", "http://shop.example:443"),
            ("https://shop.example:8443", "https://shop.example:8443"),
        ] {
            assert_eq!(written.parse::<Origin>().unwrap().0, kept, "{written}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for text in ["https://shop.example", "http://localhost:3000", "http://[::1]:80", "*", "app://x"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://*.shop.example/x",
            "https://a@b",
            "null",
            "**",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NoOrigin), "{text}");
        }
    }
}
