//! Lists of levels.

use actix_web::http::StatusCode;
use inventory_domain::StockQuantity;

use super::STORE;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::history::ListBody;
use crate::wire::{LevelBody, schemas};

/// `GET /api/v1/stores/{store_id}/stock`
#[must_use]
pub fn of_store() -> Description {
    Description::new(
        "listStockOfStore",
        Tag::Stock,
        "See what a store has",
        "By product. A store that nobody has filled has an empty list.",
    )
    .path_example("store_id", STORE)
    .paged()
    .fresh()
    .answers::<ListBody<LevelBody>>(StatusCode::OK, "A page of levels")
    .refuses(&[Kind::UNAVAILABLE])
}

/// `GET /api/v1/stock`
#[must_use]
pub fn below() -> Description {
    Description::new(
        "listLowStock",
        Tag::Stock,
        "See what is running low",
        "By store and product. A page may be short, or empty, where many others had to be passed over: the list ends where `next_cursor` \
         is `null`.",
    )
    .required_query("below", schemas::whole(1, StockQuantity::MAX).examples([serde_json::json!(10)]), "Fewer units than this can be had.")
    .query("store_id", schemas::id(), "Only of this store.")
    .paged()
    .fresh()
    .answers::<ListBody<LevelBody>>(StatusCode::OK, "A page of levels")
    .refuses(&[Kind::UNAVAILABLE])
}
