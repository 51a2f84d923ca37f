//! Batches.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::stock::of_stock;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::batch::{BatchBody, BatchSchema};

/// `POST /api/v1/batch`
#[must_use]
pub fn batch() -> Description {
    let commands: Vec<Value> = vec![
        of_stock(json!({"op": "add", "quantity": 1, "reason": "found behind the shelf"})),
        of_stock(json!({"op": "adjust", "quantity": 90, "reason": "stocktaking"})),
    ];
    Description::new(
        "runBatch",
        Tag::Batch,
        "Send many commands in one request and one commit",
        "Each command stands alone: one that is refused, or that can't be read, is a problem among the results, and the others stand. What is \
        acknowledged is durable before the answer. An `Idempotency-Key` `K` stands for `K/0`, `K/1`, … on the commands. `If-Match` is refused.",
    )
    .body::<BatchSchema>(true)
    .answers::<BatchBody>(StatusCode::OK, "What each command came to, in the same order")
    .refuses(&[Kind::INVALID_REQUEST])
    .example("two", "Two commands on one stock", json!({"commands": commands}))
}
