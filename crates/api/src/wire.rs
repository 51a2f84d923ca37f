//! Request and response bodies: the only public JSON shapes, free to change apart from the domain.
//!
//! Those about one stock are here; [`orders`], [`transfers`], [`reservations`], [`batch`], [`history`] and [`log_levels`] have files of their own. Each type is
//! also its schema in the OpenAPI document; what is said about a field here is said there.

pub mod batch;
pub mod events;
pub mod fields;
pub mod history;
pub mod json_body;
pub mod log_levels;
pub mod orders;
pub mod projections;
pub mod reservations;
pub mod schemas;
pub mod transfers;

use actix_web::http::StatusCode;
use inventory_application::{Position, StockAnswer};
use inventory_domain::inventory::{Adjust, Command, Commit, Extend, Release, Reserve};
use inventory_domain::{
    CustomerId, HoldFor, Level, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity, StoreId,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::json_body::JsonBody;
use crate::request_key::RequestHash;

/// A command on one stock, as a client writes it.
pub trait StockRequest: serde::de::DeserializeOwned + ToSchema + 'static {
    /// Its name in a batch.
    const OP: &'static str;
    /// The status of the answer that grants it.
    const STATUS: StatusCode;
    /// The sentence in that answer.
    const MESSAGE: &'static str;

    /// Which stock is meant.
    fn stock_id(&self) -> StockId;

    /// Adds all that makes two of its kind the same.
    fn hash_into(&self, hash: &mut RequestHash);

    /// When it was counted, where that matters.
    fn counted_at(&self) -> Option<Timestamp> {
        None
    }

    /// What is asked of the stock, as of now. `fresh_id` makes an id for a client that gave none; whether it was used is told.
    fn into_command(self, fresh_id: fn() -> Uuid) -> (Command, bool);
}

/// `POST /inventory/stock`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[schema(value_type = schemas::Quantity)]
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[schema(value_type = schemas::Reason)]
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /inventory/reserve`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[schema(value_type = schemas::Quantity)]
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[serde(deserialize_with = "fields::uuid")]
    customer_id: Uuid,
    /// Absent: the default. `null`: no deadline.
    #[schema(value_type = Option<schemas::HoldMinutes>, default = 30)]
    #[serde(default = "default_hold", deserialize_with = "fields::hold_or_none")]
    ttl_minutes: Option<HoldFor>,
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    reservation_id: Option<Uuid>,
}

/// `POST /inventory/commit`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitReservationRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    reservation_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    order_id: Uuid,
    #[schema(value_type = Option<schemas::Quantity>)]
    #[serde(default, deserialize_with = "fields::quantity_or_none")]
    quantity: Option<Quantity>,
}

/// `POST /inventory/release`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReservationRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    reservation_id: Uuid,
    #[schema(value_type = schemas::Reason)]
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /inventory/extend`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendReservationRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    reservation_id: Uuid,
    #[schema(value_type = schemas::HoldMinutes)]
    #[serde(deserialize_with = "fields::hold")]
    ttl_minutes: HoldFor,
}

/// `POST /inventory/adjust`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[schema(value_type = schemas::StockQuantity)]
    #[serde(deserialize_with = "fields::stock_quantity")]
    quantity: StockQuantity,
    #[schema(value_type = schemas::Reason)]
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
    #[schema(value_type = Option<schemas::Moment>)]
    #[serde(default, deserialize_with = "fields::moment_or_none")]
    counted_at: Option<Timestamp>,
}

/// `POST /inventory/availability`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AvailabilityRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[schema(value_type = schemas::Quantity)]
    #[serde(deserialize_with = "fields::quantity")]
    pub(crate) required_quantity: Quantity,
}

#[allow(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_hold() -> Option<HoldFor> {
    Some(HoldFor::DEFAULT)
}

fn stock_id(product_id: Uuid, store_id: Uuid) -> StockId {
    StockId { product_id: ProductId::new(product_id), store_id: StoreId::new(store_id) }
}

impl AvailabilityRequest {
    /// Which stock is meant.
    #[must_use]
    pub fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }
}

impl AddStockRequest {
    /// The request that a client would write for this.
    #[must_use]
    pub fn new(stock_id: StockId, quantity: Quantity, reason: Reason) -> Self {
        let StockId { product_id, store_id } = stock_id;
        Self { product_id: product_id.uuid(), store_id: store_id.uuid(), quantity, reason }
    }
}

impl StockRequest for AddStockRequest {
    const OP: &'static str = "add";
    const STATUS: StatusCode = StatusCode::CREATED;
    const MESSAGE: &'static str = "Stock added";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        hash.id(self.product_id);
        hash.id(self.store_id);
        hash.number(self.quantity.units());
        hash.text(self.reason.as_str());
    }

    fn into_command(self, _: fn() -> Uuid) -> (Command, bool) {
        (Command::Add { quantity: self.quantity, reason: self.reason }, false)
    }
}

impl StockRequest for ReserveStockRequest {
    const OP: &'static str = "reserve";
    const STATUS: StatusCode = StatusCode::CREATED;
    const MESSAGE: &'static str = "Stock reserved";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        hash.id(self.product_id);
        hash.id(self.store_id);
        hash.number(self.quantity.units());
        hash.id(self.customer_id);
        hash.option(self.ttl_minutes, |hash, hold| hash.number(hold.minutes().into()));
        hash.option(self.reservation_id, RequestHash::id);
    }

    fn into_command(self, fresh_id: fn() -> Uuid) -> (Command, bool) {
        let reserve = Reserve {
            reservation_id: ReservationId::new(self.reservation_id.unwrap_or_else(fresh_id)),
            quantity: self.quantity,
            customer_id: CustomerId::new(self.customer_id),
            hold_for: self.ttl_minutes,
            order_id: None,
        };
        (Command::Reserve(reserve), self.reservation_id.is_none())
    }
}

impl StockRequest for CommitReservationRequest {
    const OP: &'static str = "commit";
    const STATUS: StatusCode = StatusCode::OK;
    const MESSAGE: &'static str = "Reservation committed";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        [self.product_id, self.store_id, self.reservation_id, self.order_id].into_iter().for_each(|id| hash.id(id));
        hash.option(self.quantity, |hash, quantity| hash.number(quantity.units()));
    }

    fn into_command(self, _: fn() -> Uuid) -> (Command, bool) {
        let command = Command::Commit(Commit {
            reservation_id: ReservationId::new(self.reservation_id),
            order_id: OrderId::new(self.order_id),
            quantity: self.quantity,
        });
        (command, false)
    }
}

impl StockRequest for ReleaseReservationRequest {
    const OP: &'static str = "release";
    const STATUS: StatusCode = StatusCode::OK;
    const MESSAGE: &'static str = "Reservation released";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        [self.product_id, self.store_id, self.reservation_id].into_iter().for_each(|id| hash.id(id));
        hash.text(self.reason.as_str());
    }

    fn into_command(self, _: fn() -> Uuid) -> (Command, bool) {
        let reservation_id = ReservationId::new(self.reservation_id);
        (Command::Release(Release { reservation_id, reason: self.reason }), false)
    }
}

impl StockRequest for ExtendReservationRequest {
    const OP: &'static str = "extend";
    const STATUS: StatusCode = StatusCode::OK;
    const MESSAGE: &'static str = "Reservation extended";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        [self.product_id, self.store_id, self.reservation_id].into_iter().for_each(|id| hash.id(id));
        hash.number(self.ttl_minutes.minutes().into());
    }

    fn into_command(self, _: fn() -> Uuid) -> (Command, bool) {
        let reservation_id = ReservationId::new(self.reservation_id);
        (Command::Extend(Extend { reservation_id, hold_for: self.ttl_minutes }), false)
    }
}

impl StockRequest for AdjustStockRequest {
    const OP: &'static str = "adjust";
    const STATUS: StatusCode = StatusCode::OK;
    const MESSAGE: &'static str = "Stock adjusted";

    fn stock_id(&self) -> StockId {
        stock_id(self.product_id, self.store_id)
    }

    fn hash_into(&self, hash: &mut RequestHash) {
        hash.id(self.product_id);
        hash.id(self.store_id);
        hash.number(self.quantity.units());
        hash.text(self.reason.as_str());
        hash.option(self.counted_at, |hash, moment| hash.number(moment.millis().cast_unsigned()));
    }

    fn counted_at(&self) -> Option<Timestamp> {
        self.counted_at
    }

    fn into_command(self, _: fn() -> Uuid) -> (Command, bool) {
        (Command::Adjust(Adjust { counted: self.quantity, reason: self.reason, then: None }), false)
    }
}

/// The level of a stock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Level)]
pub struct LevelBody {
    product_id: Uuid,
    store_id: Uuid,
    /// Units that can be had.
    available: u64,
    /// Units that are held for customers.
    reserved: u64,
    /// Units on hand: available and reserved.
    total: u64,
    /// How many events the stock has had; also its entity tag.
    version: u64,
}

impl LevelBody {
    /// The level as clients see it.
    #[must_use]
    pub fn new(stock_id: StockId, level: Level) -> Self {
        Self {
            product_id: stock_id.product_id.uuid(),
            store_id: stock_id.store_id.uuid(),
            available: level.available(),
            reserved: level.reserved,
            total: level.quantity,
            version: level.version,
        }
    }
}

/// The answer to a write on one stock: the level after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StockChanged {
    #[serde(flatten)]
    level: LevelBody,
    /// The position of its last event in the log.
    position: u64,
    #[serde(flatten)]
    #[schema(ignore)]
    reservation: Option<ReservationBody>,
    /// What was done, for people.
    message: &'static str,
}

/// A reservation that a write has made or moved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Held)]
pub struct ReservationBody {
    reservation_id: Uuid,
    /// When it runs out; `null`: never.
    #[serde(serialize_with = "fields::moment_or_null")]
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    expires_at: Option<Timestamp>,
}

impl StockChanged {
    /// The answer that says `message`; with the reservation that the request has made or moved, whose missing deadline is shown
    /// as `null`.
    #[must_use]
    pub fn new(stock_id: StockId, answer: StockAnswer, message: &'static str) -> Self {
        let Position(position) = answer.position;
        let reservation =
            |id: ReservationId| ReservationBody { reservation_id: id.uuid(), expires_at: answer.expires_at };
        let reservation = answer.reservation_id.map(reservation);
        Self { level: LevelBody::new(stock_id, answer.level), position, reservation, message }
    }
}

/// The answer to `POST /inventory/availability`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityBody {
    /// Whether that many units can be had.
    pub available: bool,
    /// How many can be had.
    pub current_stock: u64,
    /// How many were asked about.
    pub required: u64,
}
