//! Who asks.

use std::fmt;
use std::sync::Arc;

use inventory_domain::Timestamp;

use super::rate_limits::Limiter;
use super::scopes::Scopes;

/// Who has sent a request; in the request's extensions, where access control is on.
#[derive(Clone)]
pub struct Caller(Arc<Known>);

/// What is known about a caller.
struct Known {
    actor: String,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
    limiter: Option<Arc<Limiter>>,
}

impl Caller {
    /// The holder of an API key.
    #[must_use]
    pub fn with_key(name: &str, scopes: Scopes, expires_at: Option<Timestamp>, limiter: Option<Arc<Limiter>>) -> Self {
        Self(Arc::new(Known { actor: format!("key:{name}"), scopes, expires_at, limiter }))
    }

    /// The subject of a token that is good until `expires_at`.
    #[must_use]
    pub fn with_token(subject: &str, scopes: Scopes, expires_at: Timestamp, limiter: Option<Arc<Limiter>>) -> Self {
        Self(Arc::new(Known { actor: Self::actor_of(subject), scopes, expires_at: Some(expires_at), limiter }))
    }

    /// The actor that the subject of a token is.
    #[must_use]
    pub fn actor_of(subject: &str) -> String {
        format!("token:{subject}")
    }

    /// The caller's name, as events and logs have it: `key:till-12`, `token:alice` or `token:https://login.example#alice`. No key and no token can take the name of
    /// another kind of caller.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// What the caller may do.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.0.scopes
    }

    /// When the credentials end, if they do.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// Whether the credentials are over.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.0.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    pub(super) fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.0.limiter.as_ref()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({:?})", self.0.actor, self.0.scopes)
    }
}
