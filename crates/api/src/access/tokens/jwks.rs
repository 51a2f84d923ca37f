//! The public keys of a JWKS document (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use thiserror::Error;

/// A public key, and the one algorithm that it is used with.
pub(super) struct PublicKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// Why a key set can't be used.
#[derive(Debug, Error)]
pub enum KeySetError {
    /// It isn't JSON, or no key set.
    #[error("it is no JSON Web Key Set: line {line}, column {column}")]
    Unreadable {
        /// Where reading ended.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A key has parts that are none.
    #[error("the key {id} can't be read")]
    BadKey {
        /// Its id, or its place.
        id: String,
    },
    /// Two keys can't be told apart.
    #[error("two keys have the id {0} and the same algorithm")]
    SameId(String),
    /// There is nothing in it that tokens could be checked with.
    #[error("it has no key for RS256 or ES256")]
    Empty,
}

/// The keys of the document that signatures can be checked with; it may have others, for other uses.
pub(super) fn public_keys(document: &[u8]) -> Result<Vec<PublicKey>, KeySetError> {
    let set: JwkSet = serde_json::from_slice(document)
        .map_err(|error| KeySetError::Unreadable { line: error.line(), column: error.column() })?;
    let mut keys: Vec<PublicKey> = Vec::new();
    for (place, jwk) in set.keys.iter().enumerate() {
        let Some(algorithm) = algorithm_of(jwk) else { continue };
        let id = jwk.common.key_id.clone();
        let said = || id.clone().unwrap_or_else(|| format!("at place {place}"));
        let key = DecodingKey::from_jwk(jwk).map_err(|_| KeySetError::BadKey { id: said() })?;
        if id.is_some() && keys.iter().any(|known| known.id == id && known.algorithm == algorithm) {
            return Err(KeySetError::SameId(said()));
        }
        keys.push(PublicKey { id, algorithm, key });
    }
    if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(keys) }
}

/// What the key is for, if it is one of ours. A shared secret has no place in a document of public keys.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Some(Algorithm::RS256),
        (AlgorithmParameters::EllipticCurve(curve), None | Some(KeyAlgorithm::ES256)) => {
            (curve.curve == EllipticCurve::P256).then_some(Algorithm::ES256)
        }
        _ => None,
    }
}
