//! Commands and questions on one stock.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::{AllOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{CUSTOMER, FREED_RESERVATION, PRODUCT, SOLD_ORDER, SOLD_RESERVATION, STORE};
use crate::openapi::links::next;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::{
    AddStockRequest, AdjustStockRequest, AvailabilityBody, CommitReservationRequest, ExtendReservationRequest,
    LevelBody, ReleaseReservationRequest, ReservationBody, ReserveStockRequest, StockChanged, StockRequest, schemas,
};

/// Problems of a command on a reservation.
const OF_RESERVATIONS: &[Kind] = &[
    Kind::RESERVATION_NOT_FOUND,
    Kind::RESERVATION_EXPIRED,
    Kind::RESERVATION_COMMITTED,
    Kind::RESERVATION_RELEASED,
    Kind::BELONGS_TO_ORDER,
    Kind::READ_MODEL_BEHIND,
];

/// What is told of a command beside what its type says.
pub trait ToldCommand: StockRequest {
    /// Its operation's id.
    const ID: &'static str;
    /// What it is for.
    const SUMMARY: &'static str;
    /// What a client should know.
    const DETAILS: &'static str = "";
    /// Problems of its own.
    const REFUSALS: &'static [&'static [Kind]];
    /// Whether its answer shows a reservation.
    const SHOWS_RESERVATION: bool = false;

    /// Bodies that are granted: name, summary, fields beside those of the stock.
    fn examples() -> Vec<(&'static str, &'static str, Value)>;
}

/// Any command on one stock.
#[must_use]
pub fn command<R: ToldCommand>() -> Description {
    let mut description = Description::new(R::ID, Tag::Stock, R::SUMMARY, R::DETAILS);
    description = if R::SHOWS_RESERVATION {
        description.answers::<StockHeld>(R::STATUS, R::MESSAGE)
    } else {
        description.answers::<StockChanged>(R::STATUS, R::MESSAGE)
    };
    for (name, summary, fields) in R::examples() {
        description = description.example(name, summary, of_stock(fields));
    }
    let level = next("getStock", "See the level").parameters(&["product_id", "store_id"]);
    description = description.link(R::STATUS, level);
    if R::SHOWS_RESERVATION {
        let held = |operation, text| next(operation, text).fields(&["product_id", "store_id", "reservation_id"]);
        description = description
            .link(R::STATUS, held("commitReservation", "Sell it").field("order_id", SOLD_ORDER))
            .link(R::STATUS, held("releaseReservation", "Give it back").field("reason", "cart abandoned"))
            .link(R::STATUS, held("extendReservation", "Hold it for longer").field("ttl_minutes", 30));
    }
    R::REFUSALS.iter().fold(description.changed(R::STATUS), |description, kinds| description.refuses(kinds))
}

/// The fields, with those that name the stock.
#[must_use]
pub fn of_stock(fields: Value) -> Value {
    let mut body = json!({"product_id": PRODUCT, "store_id": STORE});
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    body
}

/// A write's answer that shows a reservation, too.
struct StockHeld;

impl PartialSchema for StockHeld {
    fn schema() -> RefOr<Schema> {
        let (changed, held) = (StockChanged::name(), ReservationBody::name());
        AllOfBuilder::new().item(Ref::from_schema_name(changed)).item(Ref::from_schema_name(held)).into()
    }
}

impl ToSchema for StockHeld {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((StockChanged::name().into_owned(), StockChanged::schema()));
        StockChanged::schemas(schemas);
        schemas.push((ReservationBody::name().into_owned(), ReservationBody::schema()));
        ReservationBody::schemas(schemas);
    }
}

impl ToldCommand for AddStockRequest {
    const ID: &'static str = "addStock";
    const SUMMARY: &'static str = "Put units on the shelf";
    const REFUSALS: &'static [&'static [Kind]] = &[&[Kind::STOCK_LIMIT_EXCEEDED]];

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        vec![("delivery", "A delivery of 100", json!({"quantity": 100, "reason": "delivery 4711"}))]
    }
}

impl ToldCommand for ReserveStockRequest {
    const ID: &'static str = "reserveStock";
    const SUMMARY: &'static str = "Hold units while a customer pays";
    const DETAILS: &'static str = "A reservation id of your own makes it safe to send again: while the reservation is active, the same content is \
        granted as before and holds once.";
    const REFUSALS: &'static [&'static [Kind]] =
        &[&[Kind::INSUFFICIENT_STOCK, Kind::RESERVATION_EXISTS, Kind::READ_MODEL_BEHIND]];
    const SHOWS_RESERVATION: bool = true;

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        let held = |id: &str| json!({"quantity": 2, "customer_id": CUSTOMER, "ttl_minutes": 15, "reservation_id": id});
        vec![
            ("checkout", "Two for a quarter of an hour", held(SOLD_RESERVATION)),
            ("cart", "Two that will be given back", held(FREED_RESERVATION)),
            (
                "default",
                "One for half an hour, under an id that is made for it",
                json!({"quantity": 1, "customer_id": CUSTOMER}),
            ),
            ("forever", "One without a deadline", json!({"quantity": 1, "customer_id": CUSTOMER, "ttl_minutes": null})),
        ]
    }
}

impl ToldCommand for CommitReservationRequest {
    const ID: &'static str = "commitReservation";
    const SUMMARY: &'static str = "Sell what is held, all or a part";
    const DETAILS: &'static str = "With `quantity` only so many units are sold, and the rest is freed.";
    const REFUSALS: &'static [&'static [Kind]] = &[OF_RESERVATIONS, &[Kind::EXCEEDS_RESERVATION]];

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        let sold = json!({"reservation_id": SOLD_RESERVATION, "order_id": SOLD_ORDER, "quantity": 1});
        vec![("part", "One of two; the other is freed", sold)]
    }
}

impl ToldCommand for ReleaseReservationRequest {
    const ID: &'static str = "releaseReservation";
    const SUMMARY: &'static str = "Give back what is held";
    const REFUSALS: &'static [&'static [Kind]] = &[OF_RESERVATIONS];

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        vec![("cart", "A cart that was left", json!({"reservation_id": FREED_RESERVATION, "reason": "cart abandoned"}))]
    }
}

impl ToldCommand for ExtendReservationRequest {
    const ID: &'static str = "extendReservation";
    const SUMMARY: &'static str = "Hold for longer";
    const DETAILS: &'static str = "The new deadline counts from now, whatever the old one was.";
    const REFUSALS: &'static [&'static [Kind]] = &[OF_RESERVATIONS];
    const SHOWS_RESERVATION: bool = true;

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        vec![("longer", "Half an hour from now", json!({"reservation_id": SOLD_RESERVATION, "ttl_minutes": 30}))]
    }
}

impl ToldCommand for AdjustStockRequest {
    const ID: &'static str = "adjustStock";
    const SUMMARY: &'static str = "Set the units on hand to what was counted";
    const DETAILS: &'static str = "A count that comes late says when it was taken, at most 30 days back: what has happened since stays, and a \
        count that is older than one which is in already changes nothing.";
    const REFUSALS: &'static [&'static [Kind]] = &[&[Kind::BELOW_RESERVED]];

    fn examples() -> Vec<(&'static str, &'static str, Value)> {
        vec![("count", "Ninety-five were counted", json!({"quantity": 95, "reason": "stocktaking"}))]
    }
}

/// `POST /api/v1/inventory/availability`
#[must_use]
pub fn availability() -> Description {
    Description::new(
        "checkAvailability",
        Tag::Stock,
        "Ask whether there are enough",
        "Holds nothing. A stock that nobody has filled has 0.",
    )
    .answers::<AvailabilityBody>(StatusCode::OK, "Whether there are, and how many")
    .fresh_at_version()
    .example("three", "Are there three?", of_stock(json!({"required_quantity": 3})))
}

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}`
#[must_use]
pub fn level() -> Description {
    Description::new("getStock", Tag::Stock, "See a stock", "")
        .path_example("product_id", PRODUCT)
        .path_example("store_id", STORE)
        .query("at", schemas::moment(), "As it was at this time, which must not be in the future.")
        .answers::<LevelBody>(StatusCode::OK, "Its level")
        .shown()
        .copied()
        .fresh_at_version()
        .refuses(&[Kind::STOCK_NOT_FOUND])
}

/// `GET /api/v1/inventory/products/{product_id}`
#[must_use]
pub fn product() -> Description {
    Description::new("getProduct", Tag::Stock, "See a product in all stores", "")
        .path_example("product_id", PRODUCT)
        .answers::<Vec<LevelBody>>(StatusCode::OK, "The level in each store")
        .copied()
        .fresh()
        .refuses(&[Kind::STOCK_NOT_FOUND])
}
