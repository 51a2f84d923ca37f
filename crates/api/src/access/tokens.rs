//! JSON Web Tokens: what makes one good, and who its subject is.
//!
//! A key says with which algorithm it is used; a token only names a key. So no public key is ever taken for a shared secret, and a token
//! without a signature finds no key at all.

mod claims;
mod jwks;

use std::fmt;

use inventory_domain::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use thiserror::Error;

use self::claims::Claims;
pub use self::jwks::KeySetError;
use self::jwks::{PublicKey, public_keys};
use super::scopes::Scopes;

/// The shortest shared secret, in bytes (RFC 7518, 3.2): as long as the hash.
const SECRET_BYTES_MIN: usize = 32;

/// The longest subject, in bytes: it goes into every event of the caller.
const SUBJECT_BYTES_MAX: usize = 255;

/// The longest issuer, in bytes, where it is a part of the name.
const ISSUER_BYTES_MAX: usize = 255;

/// What all tokens have to say beside their signature.
#[derive(Clone, Debug, Default)]
pub struct TokenRules {
    /// The issuers that are believed; with none given, the claim isn't looked at.
    pub issuers: Vec<String>,
    /// The audiences that mean this service; with none given, the claim isn't looked at.
    pub audiences: Vec<String>,
    /// By how much the issuer's clock may differ, in seconds.
    pub leeway_s: u64,
}

/// Checks tokens against the keys that it was made with.
pub struct TokenVerifier {
    shared: Option<DecodingKey>,
    public: Vec<PublicKey>,
    rules: TokenRules,
}

/// What a good token says.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Who it was given to: the subject, and before it the issuer and `#` where there may be several issuers.
    pub subject: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Until when it is taken, leeway included.
    pub expires_at: Timestamp,
}

/// Why a token isn't taken, as far as its sender should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TokenError {
    /// No key, no token, or a token that nobody whom we know has signed.
    #[error("the credentials are not known")]
    Unknown,
    #[error("the credentials have expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is from another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token has no exp, or none that can be read")]
    WithoutExpiry,
    #[error("the token has no sub of 1 to 255 printable characters")]
    WithoutSubject,
    #[error("the token has claims that can't be read")]
    UnreadableClaims,
}

/// Why tokens can't be checked with what was given.
#[derive(Debug, Error)]
pub enum TokenKeysError {
    /// The shared secret could be guessed.
    #[error("the shared secret must have at least {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    /// The key set can't be used.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
}

impl TokenVerifier {
    /// Checks tokens with a shared secret (HS256), the keys of a JWKS document (RS256, ES256), or both.
    ///
    /// # Errors
    ///
    /// [`TokenKeysError`] says what can't be used.
    pub fn new(secret: Option<&[u8]>, key_set: Option<&[u8]>, rules: TokenRules) -> Result<Self, TokenKeysError> {
        if secret.is_some_and(|secret| secret.len() < SECRET_BYTES_MIN) {
            return Err(TokenKeysError::ShortSecret);
        }
        let public = key_set.map_or(Ok(Vec::new()), public_keys)?;
        Ok(Self { shared: secret.map(DecodingKey::from_secret), public, rules })
    }

    /// What the token says, if it is good now.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says why it isn't.
    pub fn verify(&self, token: &[u8]) -> Result<VerifiedToken, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Unknown)?;
        if header.crit.is_some() {
            return Err(TokenError::Unknown); // It wants something understood that we don't (RFC 7515, 4.1.11).
        }
        let key = self.key(header.alg, header.kid.as_deref()).ok_or(TokenError::Unknown)?;
        let claims =
            decode::<Claims>(token, key, &self.validation(header.alg)).map_err(|error| refusal(error.kind()))?.claims;
        let subject = claims.sub.clone().unwrap_or_default();
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
            return Err(TokenError::WithoutSubject);
        }
        let subject = self.named(claims.iss.as_deref(), subject)?;
        let leeway_ms = i64::try_from(self.rules.leeway_s.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let expires_at = Timestamp::from_millis(claims.expires_at_ms().saturating_add(leeway_ms));
        Ok(VerifiedToken { subject, scopes: claims.scopes(), expires_at })
    }

    /// The subject's name among those of all issuers that are believed. No other issuer's subject has the same: what stands before the
    /// first `#` is the issuer.
    fn named(&self, issuer: Option<&str>, subject: String) -> Result<String, TokenError> {
        if self.rules.issuers.len() == 1 {
            return Ok(subject);
        }
        match issuer {
            Some(issuer) if issuer.len() > ISSUER_BYTES_MAX || issuer.chars().any(char::is_control) => {
                Err(TokenError::WrongIssuer)
            }
            Some(issuer) if !issuer.is_empty() => {
                Ok(format!("{}#{subject}", issuer.replace('%', "%25").replace('#', "%23")))
            }
            _ if subject.contains('#') => Ok(format!("#{subject}")),
            _ => Ok(subject),
        }
    }

    /// The key for a token with this algorithm and key id. Without an id it has to be clear which one is meant.
    fn key(&self, algorithm: Algorithm, id: Option<&str>) -> Option<&DecodingKey> {
        if algorithm == Algorithm::HS256 {
            return self.shared.as_ref();
        }
        let mut fitting = self.public.iter().filter(|key| key.algorithm == algorithm);
        match id {
            Some(_) => fitting.find(|key| key.id.as_deref() == id).map(|key| &key.key),
            None => fitting.next().filter(|_| fitting.next().is_none()).map(|key| &key.key),
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let TokenRules { issuers, audiences, leeway_s } = &self.rules;
        let mut validation = Validation::new(algorithm);
        let mut required = vec!["exp", "sub"];
        validation.leeway = *leeway_s;
        validation.validate_nbf = true;
        validation.validate_aud = !audiences.is_empty();
        if !issuers.is_empty() {
            validation.set_issuer(issuers);
            required.push("iss");
        }
        if !audiences.is_empty() {
            validation.set_audience(audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if self.shared.is_some() { "a shared secret" } else { "no shared secret" };
        write!(formatter, "{shared}, {} public keys", self.public.len())
    }
}

fn refusal(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYetValid,
        ErrorKind::InvalidIssuer => TokenError::WrongIssuer,
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => match claim.as_str() {
            "exp" => TokenError::WithoutExpiry,
            "sub" => TokenError::WithoutSubject,
            "iss" => TokenError::WrongIssuer,
            "aud" => TokenError::WrongAudience,
            _ => TokenError::UnreadableClaims,
        },
        ErrorKind::Json(_) | ErrorKind::Utf8(_) => TokenError::UnreadableClaims,
        _ => TokenError::Unknown,
    }
}

#[cfg(test)]
mod tests;
