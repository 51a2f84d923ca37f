//! Keys and scopes: who is let in, to what, and under which name; which keys are good may change meanwhile.

use std::fs;
use std::process::Command;

use inventory_tests::id;
use serde_json::{Value, json};

use crate::asking::{ask, assert_no_secrets, bearer, logged, path_of_level, send, wait_until};
use crate::key_file::KeyFile;
use crate::signer::{SECRET, Signer, claims};

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
