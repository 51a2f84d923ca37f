//! One question, and one answer.

use awc::http::header::{HeaderName, IF_MATCH};
use serde_json::Value;

use crate::command_line::remote::Writing;
use crate::request_key::IDEMPOTENCY_KEY;

/// What is asked of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The path, with its query.
    pub path: String,
    /// The body of a POST; a GET has none.
    pub body: Option<Value>,
    /// The headers that it has of its own.
    pub headers: Vec<(HeaderName, String)>,
}

impl Question {
    /// A GET of this path.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), body: None, headers: Vec::new() }
    }

    /// A POST of this body, without the members that are null, to a path below `/api/v1/inventory`.
    #[must_use]
    pub fn post(command: &str, mut body: Value) -> Self {
        if let Value::Object(members) = &mut body {
            members.retain(|_, value| !value.is_null());
        }
        Self { path: format!("/api/v1/inventory/{command}"), body: Some(body), headers: Vec::new() }
    }

    /// With what a write may say beside its body.
    #[must_use]
    pub fn written(mut self, writing: &Writing) -> Self {
        let key = writing.idempotency_key.iter().map(|key| (IDEMPOTENCY_KEY, key.clone()));
        let version = writing.if_version.iter().map(|version| (IF_MATCH, format!("\"{version}\"")));
        self.headers.extend(key.chain(version));
        self
    }
}

/// What the service has said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer.
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body }
    }

    /// Whether the service has done what it was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the body is all of an object or a list: half of one is none.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.json(), Value::Object(_) | Value::Array(_))
    }

    /// The body as JSON; text where it is something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into())
    }
}
