//! Tokens: by which key each is proved, and what makes one no good.

use std::fs;

use inventory_tests::RunningService;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, get_current_timestamp};
use serde_json::{Value, json};

use crate::asking::{ask, bearer, logged, wait_until};
use crate::key_file::ON;
use crate::signer::{SECRET, Signer, claims, key_set_of};

#[test]
fn tokens_are_taken_by_the_key_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let (rsa, ec, other) = (Signer::rsa("rsa-1"), Signer::ec("ec-1"), Signer::ec("ec-2"));
    let key_set = folder.path().join("jwks.json");
    fs::write(&key_set, key_set_of(&[&rsa, &ec])).unwrap();
    let service = RunningService::start_with(
        &[],
        &[
            ON,
            ("INVENTORY__TOKENS__HS256_SECRET", SECRET),
            ("INVENTORY__TOKENS__JWKS_FILE", key_set.to_str().unwrap()),
            ("INVENTORY__TOKENS__ISSUERS", "https://login.example"),
            ("INVENTORY__TOKENS__AUDIENCES", "inventory, stock"),
            ("INVENTORY__TOKENS__LEEWAY_S", "0"),
            ("INVENTORY__ACCESS__FAILED_ATTEMPTS_MAX", "1000"),
            ("INVENTORY__ACCESS__RELOAD_MS", "50"),
        ],
    );
    let client = service.client();
    let shared = Signer::shared(SECRET.as_bytes());
    let good = || claims("alice", "inventory:read", 300);
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let verdict = |token: &str| ask(&client, "GET", "/api/v1/orders", &[bearer(token)]).summary();
    for signer in [&rsa, &ec, &shared] {
        assert_eq!(verdict(&signer.sign(&good())), "200", "{:?}", signer.header.alg);
        assert_eq!(verdict(&signer.sign(&claims("alice", "inventory:read", -10))), "401 unauthenticated");
        assert_eq!(verdict(&signer.sign(&with("exp", Value::Null))), "401 unauthenticated");
        assert_eq!(verdict(&signer.sign(&with("nbf", json!(get_current_timestamp() + 100)))), "401 unauthenticated");
        assert_eq!(verdict(&signer.sign(&with("iss", json!("https://evil.example")))), "401 unauthenticated");
        assert_eq!(verdict(&signer.sign(&with("aud", json!("shop")))), "401 unauthenticated");
        assert_eq!(verdict(&signer.sign(&claims("alice", "openid", 300))), "403 forbidden");
        let token = signer.sign(&good());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        assert_eq!(verdict(&format!("{message}.{flipped}{}", &signature[1..])), "401 unauthenticated");
    }
    // A key that nobody has given out, under a name that is known and under one that isn't.
    assert_eq!(verdict(&other.sign(&good())), "401 unauthenticated");
    assert_eq!(verdict(&other.named("ec-1").sign(&good())), "401 unauthenticated");
    // The public key as a shared secret, in every form that somebody might try.
    let public = &rsa.pair.as_ref().unwrap();
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&rsa.key, Algorithm::RS256).unwrap()).unwrap();
    for secret in [
        public.public_key_pem().into_bytes(),
        public.public_key_raw().to_vec(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        fs::read(&key_set).unwrap(),
        Vec::new(),
    ] {
        let mut confused = Signer::shared(&secret);
        for id in [None, Some("rsa-1".to_owned())] {
            confused.header.kid = id;
            assert_eq!(verdict(&confused.sign(&good())), "401 unauthenticated");
        }
    }
    let token = shared.sign(&good());
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).unwrap());
    assert_eq!(verdict(&unsigned), "401 unauthenticated");
    // With one key of a kind, a token need not name it.
    assert_eq!(verdict(&ec.named("").sign(&good())), "200");

    // Other keys take their place while the service runs; what an old one has signed is not good any more.
    let old = ec.sign(&good());
    assert_eq!(verdict(&old), "200");
    fs::write(&key_set, "{\"keys\": [").unwrap();
    wait_until("the broken file is refused", || logged(&service, "keys_not_reloaded"));
    assert_eq!(verdict(&old), "200", "the keys from before are still good");
    fs::write(&key_set, key_set_of(&[&other])).unwrap();
    wait_until("the new key is taken in", || verdict(&other.sign(&good())) == "200");
    assert_eq!(verdict(&old), "401 unauthenticated");
    assert_eq!(verdict(&rsa.sign(&good())), "401 unauthenticated");
}
