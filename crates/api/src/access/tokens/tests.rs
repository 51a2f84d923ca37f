//! What makes a token good, with keys that are only for these tests.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::access::scopes::Scope;
use crate::system::now;

const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

#[test]
fn a_good_token_names_its_subject_and_scopes() {
    let claims = json!({"sub": "alice", "exp": in_s(60), "scope": "openid inventory:read"});
    let token = verifier(TokenRules::default()).verify(signed(&claims).as_bytes()).unwrap();
    assert_eq!((token.subject.as_str(), token.scopes.allow(Scope::Read)), ("alice", true));
    assert!(!token.scopes.allow(Scope::Write));
    for (claim, value) in [
        ("scope", json!("inventory:read inventory:write")),
        ("scopes", json!(["inventory:write"])),
        ("scp", json!(["inventory:write", "x"])),
        ("scp", json!("inventory:write")),
    ] {
        let mut claims = json!({"sub": "alice", "exp": in_s(60)});
        claims[claim] = value;
        let token = verifier(TokenRules::default()).verify(signed(&claims).as_bytes()).unwrap();
        assert!(token.scopes.allow(Scope::Write), "{claims}");
    }
}

#[test]
fn a_token_says_when_it_is_good() {
    let rules = || TokenRules { leeway_s: 10, ..TokenRules::default() };
    for (claims, verdict) in [
        (json!({"sub": "a", "exp": in_s(60)}), "good"),
        (json!({"sub": "a", "exp": in_s(-5)}), "good"),
        (json!({"sub": "a", "exp": in_s(-20)}), "the credentials have expired"),
        (json!({"sub": "a", "exp": 0}), "the credentials have expired"),
        (json!({"sub": "a"}), "the token has no exp, or none that can be read"),
        (json!({"sub": "a", "exp": null}), "the token has no exp, or none that can be read"),
        (json!({"sub": "a", "exp": in_s(60), "nbf": in_s(5)}), "good"),
        (json!({"sub": "a", "exp": in_s(60), "nbf": in_s(30)}), "the token is not valid yet"),
    ] {
        assert_eq!(verdict_of(&rules(), &claims), verdict, "{claims}");
    }
    let text = verdict_of(&rules(), &json!({"sub": "a", "exp": "tomorrow"}));
    assert_ne!(text, "good");
    let expires_at = verifier(rules()).verify(signed(&json!({"sub": "a", "exp": 4_000_000_000_u64})).as_bytes());
    assert_eq!(expires_at.unwrap().expires_at, Timestamp::from_millis(4_000_000_010_000), "with the leeway");
}

#[test]
fn a_token_is_from_our_issuer_and_for_us() {
    let rules = TokenRules { issuers: vec!["us".into()], audiences: vec!["inventory".into()], leeway_s: 0 };
    for (iss, aud, verdict) in [
        (json!("us"), json!("inventory"), "good"),
        (json!("us"), json!(["x", "inventory"]), "good"),
        (json!("them"), json!("inventory"), "the token is from another issuer"),
        (json!(null), json!("inventory"), "the token is from another issuer"),
        (json!("us"), json!("x"), "the token is for another audience"),
        (json!("us"), json!([]), "the token is for another audience"),
        (json!("us"), json!(null), "the token is for another audience"),
        (json!("us"), json!(7), "the token is for another audience"),
    ] {
        let claims = json!({"sub": "a", "exp": in_s(60), "iss": iss, "aud": aud});
        assert_eq!(verdict_of(&rules, &claims), verdict, "{claims}");
    }
}

#[test]
fn who_is_meant_depends_on_the_issuer_where_there_may_be_several() {
    let subject = |issuers: &[&str], claims: Value| {
        let rules = TokenRules { issuers: issuers.iter().map(|&name| name.into()).collect(), ..TokenRules::default() };
        let mut all = json!({"exp": in_s(60)});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        verifier(rules).verify(signed(&all).as_bytes()).unwrap().subject
    };
    for (issuers, claims, named) in [
        (&["https://one"][..], json!({"iss": "https://one", "sub": "alice"}), "alice"),
        (&["https://one"], json!({"iss": "https://one", "sub": "a#b"}), "a#b"),
        (&["https://one", "two"], json!({"iss": "https://one", "sub": "alice"}), "https://one#alice"),
        (&["https://one", "two"], json!({"iss": "two", "sub": "alice"}), "two#alice"),
        (&[], json!({"iss": "two", "sub": "alice"}), "two#alice"),
        (&[], json!({"sub": "alice"}), "alice"),
        (&[], json!({"iss": "", "sub": "alice"}), "alice"),
        // Nobody can write another's name into a subject or an issuer.
        (&[], json!({"sub": "two#alice"}), "#two#alice"),
        (&[], json!({"iss": "two#x", "sub": "alice"}), "two%23x#alice"),
        (&[], json!({"iss": "two%23x", "sub": "alice"}), "two%2523x#alice"),
    ] {
        assert_eq!(subject(issuers, claims.clone()), named, "{issuers:?} {claims}");
    }
    for iss in ["x".repeat(256), "a\nb".to_owned()] {
        let claims = json!({"iss": iss, "sub": "a", "exp": in_s(60)});
        assert_eq!(verdict_of(&TokenRules::default(), &claims), "the token is from another issuer");
    }
}

#[test]
fn a_subject_is_short_and_printable() {
    for sub in [json!(""), json!(null), json!("a\u{0}b"), json!("a\nb"), json!("x".repeat(256))] {
        let claims = json!({"sub": sub, "exp": in_s(60)});
        assert_eq!(
            verdict_of(&TokenRules::default(), &claims),
            "the token has no sub of 1 to 255 printable characters",
            "{claims}"
        );
    }
}

#[test]
fn a_signature_by_somebody_else_is_not_known() {
    let good = signed(&json!({"sub": "alice", "exp": in_s(60)}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let forged = encode(&Header::default(), &json!({"sub": "a", "exp": in_s(60)}), &EncodingKey::from_secret(b"other"));
    let forged = forged.unwrap();
    let none = format!("{}.{}.", "eyJhbGciOiJub25lIn0", message.split_once('.').unwrap().1);
    for token in [
        forged.as_str(),
        &format!("{message}."),
        message,
        &format!("{}.{signature}", message.replace("ey", "eY")),
        &format!("{good}.x"),
        &none,
        "",
        ".",
        "..",
        "a.b.c",
        "inv_0000",
        "\u{0}",
    ] {
        let verdict = verifier(TokenRules::default()).verify(token.as_bytes()).unwrap_err();
        assert_eq!(verdict, TokenError::Unknown, "{token}");
    }
    let header = Header { crit: Some(vec!["exp".into()]), ..Header::default() };
    let critical = encode(&header, &json!({"sub": "a", "exp": in_s(60)}), &EncodingKey::from_secret(SECRET)).unwrap();
    assert_eq!(verifier(TokenRules::default()).verify(critical.as_bytes()).unwrap_err(), TokenError::Unknown);
}

#[test]
fn a_shared_secret_is_long() {
    let made = TokenVerifier::new(Some(b"short"), None, TokenRules::default());
    assert!(matches!(made, Err(TokenKeysError::ShortSecret)));
}

#[test]
fn a_key_set_without_a_key_for_us_is_refused() {
    for (document, named) in [
        ("", "no JSON Web Key Set"),
        ("{}", "no JSON Web Key Set"),
        ("[]", "no JSON Web Key Set"),
        (r#"{"keys": []}"#, "no key for RS256 or ES256"),
        (r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#, "no key for RS256 or ES256"),
        (r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}]}"#, "no key for RS256 or ES256"),
        (r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS512"}]}"#, "no key for RS256 or ES256"),
        (r#"{"keys": [{"kty": "RSA", "kid": "k", "n": "*", "e": "AQAB"}]}"#, "the key k can't be read"),
        (
            r#"{"keys": [{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}, {"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}]}"#,
            "two keys have the id k",
        ),
    ] {
        let error = TokenVerifier::new(None, Some(document.as_bytes()), TokenRules::default()).unwrap_err().to_string();
        assert!(error.contains(named), "{document}: {error}");
    }
}

fn verdict_of(rules: &TokenRules, claims: &Value) -> String {
    let verdict = verifier(rules.clone()).verify(signed(claims).as_bytes());
    verdict.map_or_else(|why| why.to_string(), |_| "good".to_owned())
}

fn verifier(rules: TokenRules) -> TokenVerifier {
    TokenVerifier::new(Some(SECRET), None, rules).unwrap()
}

fn signed(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// The time in so many seconds, as tokens have it.
fn in_s(seconds: i64) -> i64 {
    now().millis() / 1_000 + seconds
}
