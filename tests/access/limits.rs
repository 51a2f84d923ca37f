//! How often somebody may ask, and guess.

use std::fs;

use inventory_tests::{RunningService, id};
use serde_json::json;

use crate::asking::{ask, assert_no_secrets, bearer, path_of_level, send};
use crate::key_file::KeyFile;
use crate::signer::{SECRET, Signer, claims};

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
