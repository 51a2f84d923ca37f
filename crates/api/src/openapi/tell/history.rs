//! What has happened to one stock.

use actix_web::http::StatusCode;

use super::{PRODUCT, STORE};
use crate::handlers::history::{SHOWN_DEFAULT, SHOWN_MAX};
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::history::{EventBody, ExplanationBody, ListBody};
use crate::wire::schemas;

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}/events`
#[must_use]
pub fn events() -> Description {
    Description::new(
        "listStockEvents",
        Tag::History,
        "See what has happened to a stock",
        "The audit trail: its events as they are stored.",
    )
    .path_example("product_id", PRODUCT)
    .path_example("store_id", STORE)
    .query("from_version", schemas::whole(1, u64::MAX), "The version of the first; not with a cursor.")
    .paged()
    .answers::<ListBody<EventBody>>(StatusCode::OK, "A page of events, the oldest first")
    .fresh()
    .refuses(&[Kind::STOCK_NOT_FOUND])
}

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}/explain`
#[must_use]
pub fn explain() -> Description {
    Description::new("explainStock", Tag::History, "See what is behind a stock's numbers", "")
        .path_example("product_id", PRODUCT)
        .path_example("store_id", STORE)
        .query(
            "limit",
            schemas::whole(1, SHOWN_MAX).default(Some(SHOWN_DEFAULT.into())),
            "How many reservations and events are shown, at most.",
        )
        .answers::<ExplanationBody>(StatusCode::OK, "Its level, its live reservations and its last events")
        .fresh_at_version()
        .refuses(&[Kind::STOCK_NOT_FOUND])
}
