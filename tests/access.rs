//! Who may do what, on the real service: keys, tokens, scopes, rate limits, browsers, TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{Answer, Client, RunningService, id, inventory};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::{CertifiedKey, KeyPair, PKCS_RSA_SHA256, RsaKeySize, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

const ON: (&str, &str) = ("INVENTORY__ACCESS__ENABLED", "true");
const SECRET: &str = "a secret that only these tests know, of enough bytes";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn who_has_no_good_credentials_is_not_let_in() {
    let keys = KeyFile::new();
    let reader = keys.add("reader", "read", None);
    let over = keys.add("over", "admin", Some("2020-01-01T00:00:00Z"));
    let service = keys.start(&[]);
    let client = service.client();
    let level = path_of_level();
    let unknown = "inv_0000000000000000000000000000000000000000000000000000000000000000";
    for (headers, status) in [
        (vec![], "401 unauthenticated"),
        (vec![bearer(unknown)], "401 unauthenticated"),
        (vec![bearer(&over)], "401 unauthenticated"),
        (vec![bearer("")], "401 unauthenticated"),
        (vec![("authorization", format!("Basic {reader}"))], "401 unauthenticated"),
        (vec![("x-api-key", unknown.to_owned())], "401 unauthenticated"),
        (vec![bearer(&reader), ("x-api-key", unknown.to_owned())], "401 unauthenticated"),
        (vec![bearer(&reader)], "404 stock-not-found"),
        (vec![("x-api-key", reader.clone())], "404 stock-not-found"),
        (vec![bearer(&reader), ("x-api-key", reader.clone())], "404 stock-not-found"),
    ] {
        assert_eq!(ask(&client, "GET", &level, &headers).summary(), status, "{headers:?}");
    }
    let none = ask(&client, "GET", &level, &[]);
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"inventory\""));
    let wrong = ask(&client, "GET", &level, &[bearer(unknown)]);
    assert_eq!(
        wrong.header("www-authenticate"),
        Some(
            "Bearer realm=\"inventory\", error=\"invalid_token\", error_description=\"the credentials are not known\""
        )
    );
    let expired = ask(&client, "GET", &level, &[bearer(&over)]);
    assert_eq!(expired.body["detail"], "the credentials have expired");
    assert_eq!(expired.body["instance"].as_str(), expired.header("x-request-id"));
    for open in ["/health", "/health/live", "/health/ready", "/openapi.json"] {
        assert_eq!(client.get(open).status, 200, "{open}");
    }
    for closed in ["/metrics", "/admin/anything", "/nothing", "/%61dmin/anything", "/api/v1/orders"] {
        assert_eq!(client.get(closed).summary(), "401 unauthenticated", "{closed}");
    }
}

#[test]
fn a_scope_allows_what_it_says_and_no_more() {
    let keys = KeyFile::new();
    let [reader, writer, admin] = ["read", "write", "admin"].map(|scope| keys.add(scope, scope, None));
    let service = keys.start(&[]);
    let client = service.client();
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "delivery"});
    let order = json!({"customer_id": id(9), "lines": [{"product_id": id(1), "store_id": id(1), "quantity": 1}]});
    let ask_for = json!({"product_id": id(1), "store_id": id(1), "required_quantity": 1});
    let calls = [
        ("POST", "/api/v1/inventory/stock", stock, ["403", "201", "201"]),
        ("GET", &path_of_level(), Value::Null, ["200", "200", "200"]),
        ("HEAD", &path_of_level(), Value::Null, ["200", "200", "200"]),
        ("POST", "/api/v1/inventory/availability", ask_for, ["200", "200", "200"]),
        ("POST", "/api/v1/orders?dry_run=true", order.clone(), ["200", "200", "200"]),
        ("POST", "/api/v1/orders", order, ["403", "201", "201"]),
        ("POST", "/admin/nothing", Value::Null, ["403", "403", "404"]),
        ("POST", "/%61dmin/nothing", Value::Null, ["403", "403", "404"]),
    ];
    // The writer first, so that there is something to read.
    for place in [1, 2, 0] {
        let key = [&reader, &writer, &admin][place];
        for (method, path, body, statuses) in &calls {
            let answer = send(&client, method, path, &[bearer(key)], body);
            assert_eq!(answer.status.to_string(), statuses[place], "{method} {path} {:?}", answer.body);
        }
    }
    let refused = send(&client, "POST", "/api/v1/inventory/stock", &[bearer(&reader)], &Value::Null);
    assert_eq!((refused.summary().as_str(), &refused.body["scope"]), ("403 forbidden", &json!("inventory:write")));
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer realm=\"inventory\", error=\"insufficient_scope\", scope=\"inventory:write\"")
    );
}

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

#[test]
fn events_name_who_caused_them_and_idempotency_keys_belong_to_their_sender() {
    let keys = KeyFile::new();
    let (till, shop) = (keys.add("till", "write", None), keys.add("shop", "write", None));
    let service = keys.start(&[("INVENTORY__TOKENS__HS256_SECRET", SECRET)]);
    let client = service.client();
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("till", "inventory:write", 300));
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "delivery"});
    let add = |credential: &str| {
        let headers = [bearer(credential), ("idempotency-key", "K".to_owned())];
        let answer = send(&client, "POST", "/api/v1/inventory/stock", &headers, &stock);
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        (answer.body["version"].as_u64().unwrap(), answer.header("idempotent-replayed").is_some())
    };
    assert_eq!(add(&till), (1, false));
    assert_eq!(add(&till), (1, true));
    assert_eq!(add(&shop), (2, false), "the same key of somebody else is another key");
    assert_eq!(add(&token), (3, false), "a subject that is named like a key is somebody else");
    let events = ask(&client, "GET", &format!("{}/events", path_of_level()), &[bearer(&till)]);
    let actors: Vec<_> =
        events.body["items"].as_array().unwrap().iter().map(|event| event["metadata"]["actor"].clone()).collect();
    assert_eq!(actors, ["key:till", "key:shop", "token:https://login.example#till"]);
}

#[test]
fn a_stream_ends_with_the_token_that_it_was_asked_for_with() {
    let settings = [ON, ("INVENTORY__TOKENS__HS256_SECRET", SECRET), ("INVENTORY__TOKENS__LEEWAY_S", "0")];
    let service = RunningService::start_with(&[], &settings);
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:read", 5));
    assert!(read_until(&mut listen(&service, &token), END_OF_STREAM).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_stream_ends_when_its_credentials_are_taken_away() {
    let keys = KeyFile::new();
    let kept = keys.add("kept", "write", None);
    let before = fs::read_to_string(keys.path()).unwrap();
    let gone = keys.add("gone", "read", None);
    let secret = keys.0.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let service = keys.start(&[("INVENTORY__TOKENS__HS256_SECRET_FILE", secret.to_str().unwrap())]);
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:read", 3_600));
    let [mut of_kept, mut of_gone, mut of_token] = [&kept, &gone, &token].map(|shown| listen(&service, shown));
    for stream in [&mut of_kept, &mut of_gone, &mut of_token] {
        read_until(stream, "retry:");
    }
    let client = service.client();
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "delivery"});
    let add = || send(&client, "POST", "/api/v1/inventory/stock", &[bearer(&kept)], &stock).status;

    fs::write(keys.path(), before).unwrap();
    read_until(&mut of_gone, END_OF_STREAM);
    assert_eq!(add(), 201);
    for stream in [&mut of_kept, &mut of_token] {
        assert!(!read_until(stream, "delivery").contains(END_OF_STREAM), "it goes on");
    }
    fs::write(&secret, format!("{SECRET}, and another one")).unwrap();
    read_until(&mut of_token, END_OF_STREAM);
    assert_eq!(add(), 201);
    assert!(!read_until(&mut of_kept, "delivery").contains(END_OF_STREAM), "it goes on");
}

#[test]
fn keys_change_while_the_service_runs() {
    let keys = KeyFile::new();
    let first = keys.add("first", "read", None);
    let service = keys.start(&[]);
    let client = service.client();
    let verdict = |key: &str| ask(&client, "GET", "/api/v1/orders", &[bearer(key)]).status;
    assert_eq!(verdict(&first), 200);
    let second = keys.add("second", "read", None);
    wait_until("the second key is taken in", || verdict(&second) == 200);
    assert_eq!(verdict(&first), 200);
    let good = fs::read_to_string(keys.path()).unwrap();
    fs::write(keys.path(), format!("{good}\n[[keys]]\nname = \"third\"\nhash = \"{second}\"\nscopes = []\n")).unwrap();
    wait_until("the broken file is refused", || logged(&service, "keys_not_reloaded"));
    assert_eq!((verdict(&first), verdict(&second)), (200, 200), "all of the old ones are still good");
    fs::write(keys.path(), good.split("[[keys]]").last().map(|entry| format!("[[keys]]{entry}")).unwrap()).unwrap();
    wait_until("the first key is gone", || verdict(&first) == 401);
    assert_eq!(verdict(&second), 200);
    assert_no_secrets(&service, &[&first, &second]);
}

#[test]
fn a_signal_has_keys_read_at_once() {
    let keys = KeyFile::new();
    let first = keys.add("first", "read", None);
    let service = keys.start(&[("INVENTORY__ACCESS__RELOAD_MS", "3600000")]);
    let second = keys.add("second", "read", None);
    let client = service.client();
    let verdict = |key: &str| ask(&client, "GET", "/api/v1/orders", &[bearer(key)]).status;
    assert_eq!((verdict(&first), verdict(&second)), (200, 401));
    let sent = Command::new("kill").args(["-HUP", &service.process_id().to_string()]).status();
    assert!(sent.unwrap().success());
    wait_until("the second key is taken in", || verdict(&second) == 200);
}

#[test]
fn whoever_asks_too_often_is_told_when_to_ask_again() {
    let keys = KeyFile::new();
    let (busy, calm) = (keys.add("busy", "write", None), keys.add("calm", "write", None));
    let limits = [("INVENTORY__RATE_LIMITS__REQUESTS_PER_SECOND", "1"), ("INVENTORY__RATE_LIMITS__BURST", "50")];
    let service = keys.start(&limits);
    let client = service.client();
    let get = |key: &str| ask(&client, "GET", "/api/v1/orders", &[bearer(key)]);
    let first = get(&busy);
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"default\";q=50;w=50"));
    assert_eq!(first.header("ratelimit"), Some("\"default\";r=49;t=1"));
    // A batch counts as its commands.
    let command = json!({"op": "add", "product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x"});
    let batch = |commands: usize| {
        let body = json!({"commands": vec![command.clone(); commands]});
        send(&client, "POST", "/api/v1/batch", &[bearer(&busy)], &body)
    };
    let twenty = batch(20);
    assert_eq!(twenty.status, 200);
    let left = twenty.header("ratelimit").unwrap().to_owned();
    assert!(left.starts_with("\"default\";r=29;") || left.starts_with("\"default\";r=30;"), "{left}");
    assert_eq!(batch(500).summary(), "429 rate-limited");
    let level = ask(&client, "GET", &path_of_level(), &[bearer(&calm)]);
    assert_eq!(level.level(), "20/0 v20", "nothing of the refused batch was done");
    let refused = (0..60).map(|_| get(&busy)).find(|answer| answer.status != 200).unwrap();
    assert_eq!(refused.summary(), "429 rate-limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=1"));
    assert_eq!(get(&calm).status, 200, "others are not held up");
    // Who shows nothing is counted by address; probes are not counted.
    let nobody = (0..200).map(|_| ask(&client, "GET", "/api/v1/orders", &[]).status).collect::<Vec<_>>();
    assert!(nobody.contains(&401) && nobody.contains(&429), "{nobody:?}");
    assert!((0..100).all(|_| client.get("/health").status == 200));
    assert_eq!(client.get("/health").header("ratelimit"), None);
}

#[test]
fn a_key_may_have_a_rate_of_its_own() {
    let keys = KeyFile::new();
    let own = keys.add("own", "read", None);
    let mut file = fs::read_to_string(keys.path()).unwrap();
    file.push_str("requests_per_second = 2\nburst = 7\n");
    fs::write(keys.path(), file).unwrap();
    let service = keys.start(&[]);
    let answer = ask(&service.client(), "GET", "/api/v1/orders", &[bearer(&own)]);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=7;w=4"));
}

#[test]
fn addresses_are_limited_without_access_control_too_and_only_trusted_proxies_name_them() {
    let limits = [("INVENTORY__RATE_LIMITS__REQUESTS_PER_SECOND", "1"), ("INVENTORY__RATE_LIMITS__BURST", "3")];
    let one_client = |service: &RunningService| {
        let client = service.client();
        let statuses = (0..12).map(|number| {
            let forwarded = ("x-forwarded-for", format!("203.0.113.{number}"));
            ask(&client, "GET", "/api/v1/orders", &[forwarded]).status
        });
        statuses.filter(|status| *status == 429).count()
    };
    let service = RunningService::start_with(&[], &limits);
    assert!(one_client(&service) > 0, "what a client writes itself is not believed");
    let behind = [limits[0], limits[1], ("INVENTORY__ACCESS__TRUSTED_PROXIES", "127.0.0.0/8, ::1")];
    let service = RunningService::start_with(&[], &behind);
    assert_eq!(one_client(&service), 0, "the proxy asks for many clients");
}

#[test]
fn guessing_is_slowed_down_and_does_not_lock_others_out() {
    let keys = KeyFile::new();
    let good = keys.add("good", "read", None);
    let of_tokens = ("INVENTORY__TOKENS__HS256_SECRET", SECRET);
    let service = keys.start(&[("INVENTORY__ACCESS__FAILED_ATTEMPTS_MAX", "5"), of_tokens]);
    let client = service.client();
    let guess = |number: u32| ask(&client, "GET", "/api/v1/orders", &[bearer(&format!("guess-{number}"))]);
    assert!((0..5).all(|number| guess(number).status == 401));
    let refused = guess(5);
    assert_eq!(refused.summary(), "429 rate-limited");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
    let wait = refused.header("retry-after").unwrap();
    assert_eq!(refused.header("ratelimit-policy"), Some("\"failed-attempts\";q=5;w=60"));
    assert_eq!(refused.header("ratelimit"), Some(format!("\"failed-attempts\";r=0;t={wait}").as_str()));
    let token = Signer::shared(SECRET.as_bytes());
    let (fresh, over) =
        (token.sign(&claims("alice", "inventory:read", 300)), token.sign(&claims("alice", "inventory:read", -300)));
    for (shown, status) in [(&good, 200), (&fresh, 200), (&over, 401)] {
        assert_eq!(ask(&client, "GET", "/api/v1/orders", &[bearer(shown)]).status, status);
    }
    assert_no_secrets(&service, &["guess-0", "guess-5"]);
}

#[test]
fn pages_of_allowed_origins_may_call() {
    let service = RunningService::start_with(&[], &[("INVENTORY__CORS__ALLOWED_ORIGINS", "https://shop.example")]);
    let client = service.client();
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin.to_owned()),
            ("access-control-request-method", "POST".to_owned()),
            ("access-control-request-headers", "authorization, content-type, idempotency-key".to_owned()),
        ];
        ask(&client, "OPTIONS", "/api/v1/inventory/stock", &headers)
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert!(allowed.header("x-request-id").is_some());
    let refused = preflight("https://evil.example");
    assert_eq!(refused.summary(), "403 origin-not-allowed");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert!(refused.header("x-request-id").is_some());

    let call = |origin: &str| ask(&client, "GET", &path_of_level(), &[("origin", origin.to_owned())]);
    let answer = call("https://shop.example");
    assert_eq!(answer.summary(), "404 stock-not-found");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in [
        "etag",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "idempotent-replayed",
        "retry-after",
        "age",
        "cache-status",
    ] {
        assert!(exposed.split(',').any(|known| known.trim() == name), "{name} in {exposed}");
    }
    assert_eq!(call("https://evil.example").header("access-control-allow-origin"), None);

    let closed = RunningService::start();
    let answer = ask(&closed.client(), "GET", &path_of_level(), &[("origin", "https://shop.example".to_owned())]);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let open = RunningService::start_with(&[], &[("INVENTORY__CORS__ALLOWED_ORIGINS", "*")]);
    let answer = ask(&open.client(), "GET", &path_of_level(), &[("origin", "https://x.example".to_owned())]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[test]
fn every_answer_tells_browsers_what_not_to_do() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    for (method, path, cache) in [
        ("GET", path_of_level().as_str(), "private, no-cache"),
        ("GET", "/api/v1/orders", "no-store"),
        ("GET", "/nothing", "no-store"),
        ("POST", "/api/v1/inventory/stock", "no-store"),
        ("GET", "/health", "no-store"),
    ] {
        let answer = ask(&client, method, path, &[]);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
}

#[test]
fn tls_is_served_and_its_certificate_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::make(folder.path());
    let service = RunningService::start_with(
        &[],
        &[
            ("INVENTORY__SERVER__TLS_CERTIFICATE", pair.certificate.to_str().unwrap()),
            ("INVENTORY__SERVER__TLS_KEY", pair.key.to_str().unwrap()),
            ("INVENTORY__ACCESS__RELOAD_MS", "50"),
            ("INVENTORY__SERVER__TLS_HANDSHAKE_MS_MAX", "200"),
        ],
    );
    let address = service.url().replace("http://", "").replace("https://", "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = https_get(&address, &pair, version).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    }
    // Who doesn't speak TLS gets no answer, and who doesn't speak at all is cut off.
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(!read_all(&mut plain).contains("HTTP/1.1 200"));
    let mut silent = TcpStream::connect(&address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0);

    fs::write(&pair.key, "no key").unwrap();
    wait_until("the broken pair is refused", || logged(&service, "certificate_not_reloaded"));
    assert!(https_get(&address, &pair, &rustls::version::TLS13).unwrap().starts_with("HTTP/1.1 200"));
    let renewed = Pair::make(folder.path());
    wait_until("the new certificate is shown", || https_get(&address, &renewed, &rustls::version::TLS13).is_ok());
    assert!(https_get(&address, &pair, &rustls::version::TLS13).is_err(), "the old one is not shown any more");
}

#[test]
fn what_would_be_open_or_can_not_work_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (pair, other) = (Pair::make(folder.path()), tempfile::tempdir().unwrap());
    let other = Pair::make(other.path());
    let short = folder.path().join("short");
    fs::write(&short, "short").unwrap();
    let (certificate, key, foreign) = (pair.certificate.to_str(), pair.key.to_str(), other.key.to_str());
    let (certificate, key, foreign) = (certificate.unwrap(), key.unwrap(), foreign.unwrap());
    for (settings, said) in [
        (vec![("SERVER__HOST", "0.0.0.0")], "access control is off"),
        (vec![("SERVER__HOST", "::")], "access control is off"),
        (vec![ON_SHORT], "there are no keys"),
        (vec![ON_SHORT, ("ACCESS__KEYS_FILE", "/no/such/file")], "/no/such/file"),
        (vec![ON_SHORT, ("TOKENS__HS256_SECRET", "short")], "at least 32 bytes"),
        (vec![ON_SHORT, ("TOKENS__HS256_SECRET_FILE", short.to_str().unwrap())], "at least 32 bytes"),
        (vec![ON_SHORT, ("TOKENS__JWKS_FILE", short.to_str().unwrap())], "no JSON Web Key Set"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate)], "server.tls_key"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", "/no/key")], "/no/key"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", certificate)], "no private key"),
        (vec![("SERVER__TLS_CERTIFICATE", key), ("SERVER__TLS_KEY", key)], "no certificate"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", foreign)], "can't be used"),
        (vec![("CORS__ALLOWED_ORIGINS", "shop.example")], "an origin is"),
        (vec![("CORS__ALLOWED_ORIGINS", "*,https://shop.example")], "cors.allowed_origins"),
        (vec![("ACCESS__TRUSTED_PROXIES", "proxy")], "networks such as"),
    ] {
        let data = folder.path().join("data");
        let mut command = inventory();
        command.arg("serve").env("INVENTORY__DATA__DIR", &data).env("INVENTORY__SERVER__PORT", "0");
        command.envs(settings.iter().map(|(name, value)| (format!("INVENTORY__{name}"), *value)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{settings:?}: {text}");
        assert!(!data.exists(), "{settings:?}: nothing was opened");
    }
    let open = RunningService::start_with(
        &[],
        &[("INVENTORY__SERVER__HOST", "0.0.0.0"), ("INVENTORY__ACCESS__ALLOW_OPEN_NETWORK", "true")],
    );
    drop(open);
    let keys = KeyFile::new();
    let _ = keys.add("any", "read", None);
    drop(keys.start(&[("INVENTORY__SERVER__HOST", "0.0.0.0")]));
}

#[test]
fn no_key_or_token_gets_into_the_log_or_an_answer() {
    let keys = KeyFile::new();
    let writer = keys.add("writer", "write", None);
    let service = keys.start(&[("INVENTORY__TOKENS__HS256_SECRET", SECRET), ("INVENTORY__LOG__LEVEL", "trace")]);
    let client = service.client();
    let token = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:write", 300));
    let expired = Signer::shared(SECRET.as_bytes()).sign(&claims("alice", "inventory:write", -300));
    let unknown = "inv_1111111111111111111111111111111111111111111111111111111111111111";
    let stock = json!({"product_id": id(1), "store_id": id(1), "quantity": 5, "reason": "delivery"});
    for credential in [writer.as_str(), &token, &expired, unknown, "not-a-key"] {
        for path in ["/api/v1/inventory/stock", "/admin/x", "/nothing", "/api/v1/batch"] {
            let answer = send(&client, "POST", path, &[bearer(credential)], &stock);
            let answer = format!("{:?} {}", answer.headers, answer.body);
            assert!(!answer.contains(credential), "{path}: {answer}");
        }
    }
    wait_until("it is in the log", || logged(&service, "credentials_refused"));
    assert_no_secrets(&service, &[&writer, &token, &expired, unknown, "not-a-key", SECRET]);
}

const ON_SHORT: (&str, &str) = ("ACCESS__ENABLED", "true");

/// A file with API keys, filled by the binary itself.
struct KeyFile(TempDir);

impl KeyFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a fixture");
        fs::write(folder.path().join("keys.toml"), "").expect("a fixture");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("keys.toml")
    }

    /// Makes a key, as an operator would.
    fn add(&self, name: &str, scopes: &str, expires_at: Option<&str>) -> String {
        let mut command = inventory();
        command.args(["keys", "new", "--name", name, "--scopes", scopes]);
        command.args(expires_at.into_iter().flat_map(|moment| ["--expires-at", moment]));
        let made = command.stdin(Stdio::null()).output().expect("a fixture");
        assert!(made.status.success(), "{made:?}");
        let key =
            String::from_utf8(made.stderr).expect("a fixture").trim().rsplit(' ').next().expect("a fixture").to_owned();
        let entry = String::from_utf8(made.stdout).expect("a fixture");
        assert!(key.starts_with("inv_") && !entry.contains(&key), "{entry}");
        let file = fs::read_to_string(self.path()).expect("a fixture") + &entry;
        fs::write(self.path(), file).expect("a fixture");
        key
    }

    /// A service that lets these keys in.
    fn start(&self, settings: &[(&str, &str)]) -> RunningService {
        let path = self.path();
        let mut all = vec![
            ON,
            ("INVENTORY__ACCESS__KEYS_FILE", path.to_str().expect("a fixture")),
            ("INVENTORY__ACCESS__RELOAD_MS", "50"),
        ];
        all.extend_from_slice(settings);
        RunningService::start_with(&[], &all)
    }
}

/// The last chunk of an answer.
const END_OF_STREAM: &str = "0\r\n\r\n";

/// Asks for the events as they come.
fn listen(service: &RunningService, credential: &str) -> TcpStream {
    let mut connection = TcpStream::connect(service.url().replace("http://", "")).expect("the service listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a fixture");
    let request =
        format!("GET /api/v1/events/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("the service listens");
    connection
}

/// What comes until `text` does.
#[track_caller]
fn read_until(connection: &mut TcpStream, text: &str) -> String {
    let (mut answer, end) = (String::new(), Instant::now() + PATIENCE);
    while !answer.contains(text) {
        assert!(Instant::now() < end, "no {text:?} in time: {answer}");
        let mut piece = [0; 1_024];
        let read = connection.read(&mut piece).unwrap_or_else(|error| panic!("no {text:?}: {error}: {answer}"));
        assert!(read > 0, "cut off before {text:?}: {answer}");
        answer.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    answer
}

/// Signs tokens.
struct Signer {
    key: EncodingKey,
    pair: Option<Arc<KeyPair>>,
    header: Header,
}

impl Signer {
    fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a fixture");
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("a fixture");
        Self { key, pair: Some(Arc::new(pair)), header: header(Algorithm::RS256, Some(id)) }
    }

    fn ec(id: &str) -> Self {
        let pair = KeyPair::generate().expect("a fixture");
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a fixture");
        Self { key, pair: Some(Arc::new(pair)), header: header(Algorithm::ES256, Some(id)) }
    }

    fn shared(secret: &[u8]) -> Self {
        Self { key: EncodingKey::from_secret(secret), pair: None, header: header(Algorithm::HS256, None) }
    }

    /// The same key under another name, or without one.
    fn named(&self, id: &str) -> Self {
        let id = Some(id).filter(|id| !id.is_empty());
        Self { key: self.key.clone(), pair: self.pair.clone(), header: header(self.header.alg, id) }
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header, claims, &self.key).expect("a fixture")
    }
}

fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
    Header { kid: id.map(str::to_owned), ..Header::new(algorithm) }
}

/// The public keys as a JWKS document.
fn key_set_of(signers: &[&Signer]) -> String {
    let keys = signers.iter().map(|signer| {
        let mut jwk = Jwk::from_encoding_key(&signer.key, signer.header.alg).expect("a fixture");
        jwk.common.key_id.clone_from(&signer.header.kid);
        serde_json::to_value(jwk).expect("a fixture")
    });
    json!({"keys": keys.collect::<Vec<_>>()}).to_string()
}

fn claims(subject: &str, scope: &str, seconds: i64) -> Value {
    let exp = i64::try_from(get_current_timestamp()).expect("a fixture") + seconds;
    json!({"sub": subject, "scope": scope, "exp": exp, "iss": "https://login.example", "aud": "inventory"})
}

/// A certificate for localhost that nobody else has signed, and its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Pair {
    fn make(folder: &Path) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a fixture");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, cert.pem()).expect("a fixture");
        fs::write(&key, signing_key.serialize_pem()).expect("a fixture");
        Self { certificate, key, der: cert.der().clone() }
    }
}

/// Asks for `/health` over TLS, trusting only this certificate.
fn https_get(
    address: &str,
    trusted: &Pair,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).expect("a fixture");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("a fixture");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a fixture");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a fixture");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    Ok(read_all(&mut stream))
}

fn read_all(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn bearer(credential: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {credential}"))
}

fn ask(client: &Client, method: &str, path: &str, headers: &[(&'static str, String)]) -> Answer {
    send(client, method, path, headers, &Value::Null)
}

fn send(client: &Client, method: &str, path: &str, headers: &[(&'static str, String)], body: &Value) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.send(method, path, &all, &body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn path_of_level() -> String {
    format!("/api/v1/inventory/products/{}/stores/{}", id(1), id(1))
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn logged(service: &RunningService, event: &str) -> bool {
    service.log().iter().any(|line| line["event"] == event)
}

#[track_caller]
fn assert_no_secrets(service: &RunningService, secrets: &[&str]) {
    let log = service.log();
    assert!(!log.is_empty());
    for line in log {
        let line = line.to_string();
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}
