//! Request and response bodies: the only public JSON shapes, free to change apart from the domain.

pub mod fields;
pub mod json_body;

use inventory_application::{Position, StockAnswer};
use inventory_domain::inventory::{Adjust, Command, Commit, Extend, Release, Reserve};
use inventory_domain::{
    CustomerId, HoldFor, Level, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity, StoreId,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::json_body::JsonBody;

/// `POST /inventory/stock`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /inventory/reserve`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReserveStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[serde(deserialize_with = "fields::uuid")]
    customer_id: Uuid,
    /// Absent: the default. `null`: no deadline.
    #[serde(default = "default_hold", deserialize_with = "fields::hold_or_none")]
    ttl_minutes: Option<HoldFor>,
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    reservation_id: Option<Uuid>,
}

/// `POST /inventory/commit`
#[derive(Debug, Deserialize)]
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
    #[serde(default, deserialize_with = "fields::quantity_or_none")]
    quantity: Option<Quantity>,
}

/// `POST /inventory/release`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseReservationRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    reservation_id: Uuid,
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /inventory/extend`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendReservationRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    reservation_id: Uuid,
    #[serde(deserialize_with = "fields::hold")]
    ttl_minutes: HoldFor,
}

/// `POST /inventory/adjust`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdjustStockRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(deserialize_with = "fields::stock_quantity")]
    quantity: StockQuantity,
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
    /// Not served yet; known, so that it is refused as such.
    #[serde(default)]
    pub(crate) counted_at: Option<serde::de::IgnoredAny>,
}

/// `POST /inventory/availability`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvailabilityRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
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
    /// What is asked of which stock.
    #[must_use]
    pub fn into_command(self) -> (StockId, Command) {
        let command = Command::Add { quantity: self.quantity, reason: self.reason };
        (stock_id(self.product_id, self.store_id), command)
    }
}

impl ReserveStockRequest {
    /// What is asked of which stock, under which reservation id; `fresh_id` makes one for a client that gave none.
    #[must_use]
    pub fn into_command(self, fresh_id: impl FnOnce() -> Uuid) -> (StockId, Reserve) {
        let reserve = Reserve {
            reservation_id: ReservationId::new(self.reservation_id.unwrap_or_else(fresh_id)),
            quantity: self.quantity,
            customer_id: CustomerId::new(self.customer_id),
            hold_for: self.ttl_minutes,
        };
        (stock_id(self.product_id, self.store_id), reserve)
    }
}

impl CommitReservationRequest {
    /// What is asked of which stock.
    #[must_use]
    pub fn into_command(self) -> (StockId, Command) {
        let command = Command::Commit(Commit {
            reservation_id: ReservationId::new(self.reservation_id),
            order_id: OrderId::new(self.order_id),
            quantity: self.quantity,
        });
        (stock_id(self.product_id, self.store_id), command)
    }
}

impl ReleaseReservationRequest {
    /// What is asked of which stock.
    #[must_use]
    pub fn into_command(self) -> (StockId, Command) {
        let reservation_id = ReservationId::new(self.reservation_id);
        let command = Command::Release(Release { reservation_id, reason: self.reason });
        (stock_id(self.product_id, self.store_id), command)
    }
}

impl ExtendReservationRequest {
    /// Which reservation is meant.
    #[must_use]
    pub fn reservation_id(&self) -> ReservationId {
        ReservationId::new(self.reservation_id)
    }

    /// What is asked of which stock.
    #[must_use]
    pub fn into_command(self) -> (StockId, Command) {
        let reservation_id = ReservationId::new(self.reservation_id);
        let command = Command::Extend(Extend { reservation_id, hold_for: self.ttl_minutes });
        (stock_id(self.product_id, self.store_id), command)
    }
}

impl AdjustStockRequest {
    /// What is asked of which stock.
    #[must_use]
    pub fn into_command(self) -> (StockId, Command) {
        let command = Command::Adjust(Adjust { counted: self.quantity, reason: self.reason });
        (stock_id(self.product_id, self.store_id), command)
    }
}

/// The level of a stock.
#[derive(Debug, Serialize)]
pub struct LevelBody {
    product_id: Uuid,
    store_id: Uuid,
    available: u64,
    reserved: u64,
    total: u64,
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
#[derive(Debug, Serialize)]
pub struct StockChanged {
    #[serde(flatten)]
    level: LevelBody,
    position: u64,
    #[serde(flatten)]
    reservation: Option<ReservationBody>,
    message: &'static str,
}

/// A reservation that a write has made or moved.
#[derive(Debug, Serialize)]
struct ReservationBody {
    reservation_id: Uuid,
    #[serde(serialize_with = "fields::moment_or_null")]
    expires_at: Option<Timestamp>,
}

impl StockChanged {
    /// The answer that says `message`.
    #[must_use]
    pub fn new(stock_id: StockId, answer: StockAnswer, message: &'static str) -> Self {
        let Position(position) = answer.position;
        Self { level: LevelBody::new(stock_id, answer.level), position, reservation: None, message }
    }

    /// The same, with the reservation that the request has made or moved; no deadline is shown as `null`.
    #[must_use]
    pub fn with_reservation(self, id: ReservationId, expires_at: Option<Timestamp>) -> Self {
        Self { reservation: Some(ReservationBody { reservation_id: id.uuid(), expires_at }), ..self }
    }
}

/// The answer to `POST /inventory/availability`.
#[derive(Debug, Serialize)]
pub struct AvailabilityBody {
    /// Whether that many units can be had.
    pub available: bool,
    /// How many can be had.
    pub current_stock: u64,
    /// How many were asked about.
    pub required: u64,
}
