//! What a request shows to say who sends it.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};

/// The header that carries an API key without a scheme.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The longest key or token that is looked at, in bytes; a token with a hundred scopes is shorter.
const CREDENTIAL_BYTES_MAX: usize = 8_192;

/// What the headers show. It borrows what no log may show, so it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing.
    None,
    /// A key or token.
    One(&'a [u8]),
    /// Something that can't be used: another scheme, two that differ, or too long.
    Unusable(&'static str),
}

impl<'a> Credentials<'a> {
    /// The credentials in these headers: `Authorization: Bearer …` or `X-API-Key: …`, or both if they are the same.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        let mut bearers = headers.get_all(AUTHORIZATION);
        let mut keys = headers.get_all(API_KEY);
        let given = match (bearers.next(), keys.next()) {
            (None, None) => return Self::None,
            (Some(bearer), None) => bearer_of(bearer.as_bytes()),
            (None, Some(key)) => Some(key.as_bytes()),
            (Some(bearer), Some(key)) => match bearer_of(bearer.as_bytes()) {
                Some(bearer) if bearer != key.as_bytes() => {
                    return Self::Unusable("two different credentials were given");
                }
                bearer => bearer,
            },
        };
        if bearers.next().is_some() || keys.next().is_some() {
            return Self::Unusable("credentials were given twice");
        }
        match given {
            None => Self::Unusable("the Authorization header has to be Bearer and a key or token"),
            Some(given) if given.is_empty() || given.len() > CREDENTIAL_BYTES_MAX => {
                Self::Unusable("the credentials are empty or too long")
            }
            Some(given) => Self::One(given),
        }
    }
}

fn bearer_of(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn one_key_or_token_is_taken_from_either_header() {
        for (headers, found) in [
            (&[][..], "none"),
            (&[("authorization", "Bearer abc")], "abc"),
            (&[("authorization", "bEARER  abc ")], "abc"),
            (&[("x-api-key", "abc")], "abc"),
            (&[("authorization", "Bearer abc"), ("x-api-key", "abc")], "abc"),
            (&[("authorization", "Bearer abc"), ("x-api-key", "abd")], "two different credentials were given"),
            (&[("x-api-key", "abc"), ("x-api-key", "abc")], "credentials were given twice"),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], "credentials were given twice"),
            (&[("authorization", "Basic abc")], "the Authorization header has to be Bearer and a key or token"),
            (&[("authorization", "Bearer")], "the Authorization header has to be Bearer and a key or token"),
            (
                &[("authorization", "Basic x"), ("x-api-key", "a")],
                "the Authorization header has to be Bearer and a key or token",
            ),
            (&[("authorization", "Bearer ")], "the credentials are empty or too long"),
            (&[("x-api-key", &"x".repeat(9_000))], "the credentials are empty or too long"),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            }
            let shown = match Credentials::of(&map) {
                Credentials::None => "none",
                Credentials::One(given) => std::str::from_utf8(given).unwrap(),
                Credentials::Unusable(why) => why,
            };
            assert_eq!(shown, found, "{headers:?}");
        }
    }
}
