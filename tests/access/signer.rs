//! Tokens, and the keys that they are signed with.

use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a secret that only these tests know, of enough bytes";

/// Signs tokens.
pub(crate) struct Signer {
    pub(crate) key: EncodingKey,
    pub(crate) pair: Option<Arc<KeyPair>>,
    pub(crate) header: Header,
}

impl Signer {
    pub(crate) fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a fixture");
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("a fixture");
        Self { key, pair: Some(Arc::new(pair)), header: header(Algorithm::RS256, Some(id)) }
    }

    pub(crate) fn ec(id: &str) -> Self {
        let pair = KeyPair::generate().expect("a fixture");
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a fixture");
        Self { key, pair: Some(Arc::new(pair)), header: header(Algorithm::ES256, Some(id)) }
    }

    pub(crate) fn shared(secret: &[u8]) -> Self {
        Self { key: EncodingKey::from_secret(secret), pair: None, header: header(Algorithm::HS256, None) }
    }

    /// The same key under another name, or without one.
    pub(crate) fn named(&self, id: &str) -> Self {
        let id = Some(id).filter(|id| !id.is_empty());
        Self { key: self.key.clone(), pair: self.pair.clone(), header: header(self.header.alg, id) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        encode(&self.header, claims, &self.key).expect("a fixture")
    }
}

fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
    Header { kid: id.map(str::to_owned), ..Header::new(algorithm) }
}

/// The public keys as a JWKS document.
pub(crate) fn key_set_of(signers: &[&Signer]) -> String {
    let keys = signers.iter().map(|signer| {
        let mut jwk = Jwk::from_encoding_key(&signer.key, signer.header.alg).expect("a fixture");
        jwk.common.key_id.clone_from(&signer.header.kid);
        serde_json::to_value(jwk).expect("a fixture")
    });
    json!({"keys": keys.collect::<Vec<_>>()}).to_string()
}

pub(crate) fn claims(subject: &str, scope: &str, seconds: i64) -> Value {
    let exp = i64::try_from(get_current_timestamp()).expect("a fixture") + seconds;
    json!({"sub": subject, "scope": scope, "exp": exp, "iss": "https://login.example", "aud": "inventory"})
}
