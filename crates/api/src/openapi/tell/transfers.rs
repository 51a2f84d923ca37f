//! Transfers between stores.

use actix_web::http::StatusCode;
use serde_json::json;

use super::{CANCELLED_TRANSFER, OTHER_STORE, PRODUCT, RECEIVED_TRANSFER, STORE};
use crate::openapi::links::next;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::history::ListBody;
use crate::wire::schemas;
use crate::wire::transfers::{TransferBody, TransferChanged, state};

/// Problems of a command on a transfer.
const OF_TRANSFERS: &[Kind] = &[Kind::TRANSFER_NOT_FOUND, Kind::TRANSFER_RECEIVED, Kind::TRANSFER_CANCELLED];

/// `POST /api/v1/transfers`
#[must_use]
pub fn start() -> Description {
    let transfer = |id: &str| {
        json!({"transfer_id": id, "product_id": PRODUCT, "from_store_id": STORE, "to_store_id": OTHER_STORE, "quantity": 3,
            "reason": "rebalance"})
    };
    Description::new(
        "startTransfer",
        Tag::Transfers,
        "Send units to another store",
        "They leave the first store and are in transit. The same transfer id again: the same content is granted as before, and sends once.",
    )
    .answers::<TransferChanged>(StatusCode::CREATED, "The units are on their way")
    .changed(StatusCode::CREATED)
    .link(StatusCode::CREATED, next("getTransfer", "See it").parameters(&["transfer_id"]))
    .link(StatusCode::CREATED, next("receiveTransfer", "Take it in").parameters(&["transfer_id"]))
    .link(StatusCode::CREATED, next("cancelTransfer", "Take it back").parameters(&["transfer_id"]))
    .refuses(&[Kind::INSUFFICIENT_STOCK, Kind::TRANSFER_EXISTS])
    .example("rebalance", "Three that will arrive", transfer(RECEIVED_TRANSFER))
    .example("mistake", "Three that will be taken back", transfer(CANCELLED_TRANSFER))
}

/// `POST /api/v1/transfers/{transfer_id}/receive`
#[must_use]
pub fn receive() -> Description {
    Description::new(
        "receiveTransfer",
        Tag::Transfers,
        "Take units in",
        "In parts if need be; without a quantity, all that is in transit.",
    )
    .path_example("transfer_id", RECEIVED_TRANSFER)
    .answers::<TransferChanged>(StatusCode::OK, "The units are in the second store")
    .changed(StatusCode::OK)
    .refuses(OF_TRANSFERS)
    .refuses(&[Kind::EXCEEDS_TRANSFER, Kind::STOCK_LIMIT_EXCEEDED])
    .example("part", "One of three", json!({"quantity": 1}))
}

/// `POST /api/v1/transfers/{transfer_id}/cancel`
#[must_use]
pub fn cancel() -> Description {
    Description::new(
        "cancelTransfer",
        Tag::Transfers,
        "Take back what hasn't arrived",
        "It goes back to the first store.",
    )
    .path_example("transfer_id", CANCELLED_TRANSFER)
    .answers::<TransferChanged>(StatusCode::OK, "The units are in the first store")
    .changed(StatusCode::OK)
    .refuses(OF_TRANSFERS)
    .refuses(&[Kind::STOCK_LIMIT_EXCEEDED])
    .example("all", "A body may be left out, and says nothing", json!({}))
}

/// `GET /api/v1/transfers/{transfer_id}`
#[must_use]
pub fn show() -> Description {
    Description::new("getTransfer", Tag::Transfers, "See a transfer", "")
        .path_example("transfer_id", RECEIVED_TRANSFER)
        .answers::<TransferBody>(StatusCode::OK, "How it stands")
        .shown()
        .fresh_at_version()
        .refuses(&[Kind::TRANSFER_NOT_FOUND])
}

/// `GET /api/v1/transfers`
#[must_use]
pub fn list() -> Description {
    Description::new("listTransfers", Tag::Transfers, "List transfers", "In the order in which they were started.")
        .query("product_id", schemas::id(), "Only those of this product.")
        .query("state", state(), "Only those in this state.")
        .paged()
        .answers::<ListBody<TransferBody>>(StatusCode::OK, "A page of transfers")
        .fresh()
}
