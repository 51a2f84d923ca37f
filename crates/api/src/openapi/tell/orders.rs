//! Orders.

use actix_web::http::StatusCode;
use serde_json::json;

use super::{CUSTOMER, FREED_ORDER, PRODUCT, SOLD_ORDER, STORE};
use crate::openapi::links::next;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::history::ListBody;
use crate::wire::orders::{OrderBody, OrderChanged, state};
use crate::wire::schemas;

/// Problems of a command on an order.
const OF_ORDERS: &[Kind] = &[Kind::ORDER_NOT_FOUND, Kind::ORDER_EXPIRED, Kind::ORDER_COMMITTED, Kind::ORDER_RELEASED];

/// `POST /api/v1/orders`
#[must_use]
pub fn place() -> Description {
    let order = |id: &str| {
        let line = json!({"product_id": PRODUCT, "store_id": STORE, "quantity": 2});
        json!({"order_id": id, "customer_id": CUSTOMER, "ttl_minutes": 15, "lines": [line]})
    };
    Description::new(
        "placeOrder",
        Tag::Orders,
        "Hold the lines of an order, all or none",
        "Lines of the same stock are summed first. The same order id again: the same content is granted as before, and holds once.",
    )
    .query("dry_run", schemas::flag().default(Some(false.into())), "Only tell whether it would be granted; nothing is held.")
    .answers::<OrderChanged>(StatusCode::CREATED, "Every line is held")
    .changed(StatusCode::CREATED)
    .answers::<OrderChanged>(StatusCode::OK, "Nothing is held: this was a dry run")
    .link(StatusCode::CREATED, next("getOrder", "See it").parameters(&["order_id"]))
    .link(StatusCode::CREATED, next("commitOrder", "Sell it").parameters(&["order_id"]))
    .link(StatusCode::CREATED, next("releaseOrder", "Give it back").parameters(&["order_id"]))
    .refuses(&[Kind::INSUFFICIENT_STOCK, Kind::ORDER_EXISTS, Kind::READ_MODEL_BEHIND])
    .example("checkout", "An order that will be sold", order(SOLD_ORDER))
    .example("cart", "An order that will be given back", order(FREED_ORDER))
}

/// `POST /api/v1/orders/{order_id}/commit`
#[must_use]
pub fn commit() -> Description {
    Description::new("commitOrder", Tag::Orders, "Sell an order", "All its lines, atomically.")
        .path_example("order_id", SOLD_ORDER)
        .answers::<OrderChanged>(StatusCode::OK, "It is sold")
        .changed(StatusCode::OK)
        .refuses(OF_ORDERS)
        .example("all", "A body may be left out, and says nothing", json!({}))
}

/// `POST /api/v1/orders/{order_id}/release`
#[must_use]
pub fn release() -> Description {
    Description::new("releaseOrder", Tag::Orders, "Give an order back", "All its lines, atomically.")
        .path_example("order_id", FREED_ORDER)
        .answers::<OrderChanged>(StatusCode::OK, "Its units can be had again")
        .changed(StatusCode::OK)
        .refuses(OF_ORDERS)
        .example("cart", "A cart that was left", json!({"reason": "cart abandoned"}))
}

/// `GET /api/v1/orders/{order_id}`
#[must_use]
pub fn show() -> Description {
    Description::new("getOrder", Tag::Orders, "See an order", "")
        .path_example("order_id", SOLD_ORDER)
        .answers::<OrderBody>(StatusCode::OK, "Its state and lines")
        .shown()
        .fresh_at_version()
        .refuses(&[Kind::ORDER_NOT_FOUND])
}

/// `GET /api/v1/orders`
#[must_use]
pub fn list() -> Description {
    Description::new("listOrders", Tag::Orders, "List orders", "In the order in which they were placed.")
        .query("customer_id", schemas::id(), "Only those of this customer.")
        .query("state", state(), "Only those in this state.")
        .paged()
        .answers::<ListBody<OrderBody>>(StatusCode::OK, "A page of orders")
        .fresh()
}
