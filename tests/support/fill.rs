//! Something of everything.

use serde_json::{Value, json};

use crate::{Client, id};

/// Adds, reserves, ends reservations, places and ends orders, and moves units, so that a log has every kind of event but an expiry.
///
/// # Panics
///
/// When the service refuses something.
pub fn fill(client: &Client) {
    for product in 1..=4 {
        assert_eq!(client.add(product, 1, 50).status, 201);
    }
    let stock = |fields: Value| {
        let mut body = json!({"product_id": id(1), "store_id": id(1)});
        if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
            body.extend(fields.clone());
        }
        body
    };
    for number in 0..200u128 {
        let reserve = stock(json!({"quantity": 1, "customer_id": id(9), "reservation_id": id(number)}));
        assert_eq!(
            client.post_with("/inventory/reserve", &[("idempotency-key", &format!("r{number}"))], &reserve).status,
            201
        );
        let end = match number % 4 {
            0 => client.post("release", &stock(json!({"reservation_id": id(number), "reason": "x"}))),
            1 if number < 60 => client.post("commit", &stock(json!({"reservation_id": id(number), "order_id": id(1)}))),
            _ => client.post("release", &stock(json!({"reservation_id": id(number), "reason": "left"}))),
        };
        assert_eq!(end.status, 200, "{}", end.body);
    }
    let kept = stock(json!({"quantity": 1, "customer_id": id(9), "reservation_id": id(900)}));
    assert_eq!(client.post("reserve", &kept).status, 201);
    let line = |product: u128| json!({"product_id": id(product), "store_id": id(1), "quantity": 2});
    for number in 1..=4 {
        let order = json!({"order_id": id(number), "customer_id": id(9), "lines": [line(1), line(2)]});
        assert_eq!(client.post_with("/orders", &[], &order).status, 201);
    }
    assert_eq!(client.post_with(&format!("/orders/{}/commit", id(1)), &[], &json!({})).status, 200);
    assert_eq!(client.post_with(&format!("/orders/{}/release", id(2)), &[], &json!({})).status, 200);
    let transfer = json!({"transfer_id": id(1), "product_id": id(3), "from_store_id": id(1), "to_store_id": id(2),
        "quantity": 5, "reason": "x"});
    assert_eq!(client.post_with("/transfers", &[], &transfer).status, 201);
    assert_eq!(client.post_with(&format!("/transfers/{}/receive", id(1)), &[], &json!({"quantity": 2})).status, 200);
    let last = json!({"customer_id": id(9), "lines": [line(3), line(4)]});
    assert_eq!(client.post_with("/orders", &[], &last).status, 201);
}

/// Places and ends orders of four lines, and starts and ends transfers, so that most events stand in the middle of a group.
///
/// # Panics
///
/// When the service refuses something.
pub fn fill_with_groups(client: &Client) {
    for product in 1..=4 {
        assert_eq!(client.add(product, 1, 500).status, 201);
    }
    let line = |product: u128| json!({"product_id": id(product), "store_id": id(1), "quantity": 1});
    for number in 1..=20 {
        let order =
            json!({"order_id": id(number), "customer_id": id(9), "lines": [line(1), line(2), line(3), line(4)]});
        assert_eq!(client.post_with("/orders", &[], &order).status, 201);
        let end = if number % 2 == 0 { "commit" } else { "release" };
        assert_eq!(client.post_with(&format!("/orders/{}/{end}", id(number)), &[], &json!({})).status, 200);
        let transfer = json!({"transfer_id": id(number), "product_id": id(1 + number % 4), "from_store_id": id(1),
            "to_store_id": id(2), "quantity": 5, "reason": "x"});
        assert_eq!(client.post_with("/transfers", &[], &transfer).status, 201);
        let path = format!("/transfers/{}/receive", id(number));
        assert_eq!(client.post_with(&path, &[], &json!({"quantity": 5})).status, 200);
    }
}
