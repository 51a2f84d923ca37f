//! Batches over HTTP: each command stands alone, and all are durable before the answer.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_tests::{RunningService, id};
use serde_json::{Value, json};

#[test]
fn each_command_of_a_batch_has_a_result_of_its_own() {
    let service = RunningService::start();
    let client = service.client();
    let stock = json!({"product_id": id(1), "store_id": id(1)});
    let with = |fields: Value| {
        let mut body = stock.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let commands = json!([
        with(json!({"op": "add", "quantity": 10, "reason": "x"})),
        with(json!({"op": "reserve", "quantity": 4, "customer_id": id(9), "reservation_id": id(1)})),
        with(json!({"op": "reserve", "quantity": 7, "customer_id": id(9)})),
        with(json!({"op": "extend", "reservation_id": id(1), "ttl_minutes": 60})),
        with(json!({"op": "commit", "reservation_id": id(1), "order_id": id(2), "quantity": 3})),
        with(json!({"op": "release", "reservation_id": id(1), "reason": "x"})),
        with(json!({"op": "adjust", "quantity": 6, "reason": "x"})),
        with(json!({"op": "add", "quantity": 0, "reason": "x"})),
        with(json!({"op": "eat", "quantity": 1})),
        7,
        with(json!({"op": "add", "quantity": 1, "reason": "x", "idempotency_key": "k"})),
        with(json!({"op": "add", "quantity": 1, "reason": "x", "idempotency_key": "k"})),
        with(json!({"op": "add", "quantity": 2, "reason": "x", "idempotency_key": "k"})),
    ]);
    let answer = client.post_with("/batch", &[], &json!({"commands": commands}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results: Vec<String> = answer.body["results"].as_array().unwrap().iter().map(summary).collect();
    assert_eq!(
        results,
        [
            "201 10/0 v1",
            "201 6/4 v2",
            "409 insufficient-stock",
            "200 6/4 v3",
            "200 7/0 v5",
            "409 reservation-committed",
            "200 6/0 v6",
            "422 invalid-request quantity",
            "422 invalid-request op",
            "422 invalid-request ",
            "201 7/0 v7",
            "201 7/0 v7 again",
            "422 idempotency-key-reused",
        ]
    );
    assert_eq!(client.level(1, 1).level(), "7/0 v7");
}

#[test]
fn a_batchs_key_stands_for_one_on_each_command() {
    let service = RunningService::start();
    let client = service.client();
    let add = |product: u128| json!({"op": "add", "product_id": id(product), "store_id": id(1), "quantity": 1, "reason": "x"});
    let commands: Vec<_> = (1..=5).map(add).collect();
    let send =
        |commands: &[Value]| client.post_with("/batch", &[("idempotency-key", "K")], &json!({"commands": commands}));
    let first = send(&commands);
    let second = send(&commands);
    for (first, second) in results(&first.body).iter().zip(results(&second.body)) {
        assert_eq!(format!("{} again", summary(first)), summary(second));
    }
    let mut changed = commands.clone();
    changed[2] = add(9);
    let third = send(&changed);
    assert_eq!(results(&third.body).iter().map(summary).filter(|one| one.ends_with("again")).count(), 4);
    assert_eq!(summary(&results(&third.body)[2]), "422 idempotency-key-reused");
    let mut single = add(4);
    single["idempotency_key"] = json!("K/3");
    let alone = client.post_with("/batch", &[], &json!({"commands": [single]}));
    assert!(summary(&results(&alone.body)[0]).ends_with("again"), "K/3 is the fourth's");
}

#[test]
fn bad_batches_get_their_code() {
    let service = RunningService::start();
    let client = service.client();
    let add = json!({"op": "add", "product_id": id(1), "store_id": id(1), "quantity": 1, "reason": "x"});
    let many = |count: usize| json!({"commands": vec![add.clone(); count]});
    assert_eq!(client.post_with("/batch", &[], &many(8_193)).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/batch", &[], &many(0)).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/batch", &[], &json!({})).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/batch", &[], &json!([add.clone()])).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/batch", &[], &json!({"commands": [], "x": 1})).summary(), "422 invalid-request");
    assert_eq!(client.post_with("/batch", &[("if-match", "\"1\"")], &many(1)).summary(), "422 invalid-request");
    let whole = many(100).to_string();
    let json_type = [("content-type", "application/json")];
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        let answer = client.send("POST", "/api/v1/batch", &json_type, &whole.as_bytes()[..cut]).unwrap();
        assert_eq!(answer.summary(), "400 malformed-json", "cut at {cut}");
    }
    assert_eq!(client.level(1, 1).status, 404, "nothing of a batch that is refused is done");
    let large = format!("{{\"commands\":[{}]}}", " ".repeat(17 << 20));
    assert_eq!(client.send("POST", "/api/v1/batch", &json_type, large.as_bytes()).unwrap().summary(), "413 too-large");
    let largest = client.post_with("/batch", &[], &many(8_192));
    assert_eq!(largest.status, 200);
    assert!(results(&largest.body).iter().all(|result| result["status"] == 201));
    assert_eq!(client.level(1, 1).level(), "8192/0 v8192");
}

fn results(body: &Value) -> &Vec<Value> {
    body["results"].as_array().unwrap()
}

fn summary(result: &Value) -> String {
    let status = &result["status"];
    if let Some(kind) = result["type"].as_str() {
        let field = result["errors"][0]["field"].as_str().map(|field| format!(" {field}")).unwrap_or_default();
        return format!("{status} {}{field}", kind.rsplit('/').next().unwrap());
    }
    let again = if result["idempotent_replayed"] == true { " again" } else { "" };
    format!("{status} {}/{} v{}{again}", result["available"], result["reserved"], result["version"])
}
