//! The claims of a token that mean something here.

use serde::Deserialize;

use crate::access::scopes::Scopes;

/// What is read of a token. Its signature is checked before anything is, and that `exp` and `sub` are there.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: Option<f64>,
    pub(super) sub: Option<String>,
    pub(super) iss: Option<String>,
    scope: Option<Names>,
    scopes: Option<Names>,
    scp: Option<Names>,
}

/// Scopes as issuers write them: a list, or one text with spaces between (RFC 8693, 4.2).
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Text(String),
    List(Vec<String>),
}

impl Claims {
    /// The moment of expiry; a fraction of a second counts (RFC 7519, 2).
    pub(super) fn expires_at_ms(&self) -> i64 {
        #[allow(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
        let millis = (self.exp.unwrap_or_default() * 1_000.0) as i64;
        millis
    }

    /// What all claims about scopes allow together.
    pub(super) fn scopes(&self) -> Scopes {
        let given = [&self.scope, &self.scopes, &self.scp].into_iter().flatten();
        Scopes::of(given.flat_map(|names| -> Box<dyn Iterator<Item = &str>> {
            match names {
                Names::Text(text) => Box::new(text.split(' ')),
                Names::List(list) => Box::new(list.iter().map(String::as_str)),
            }
        }))
    }
}
