//! Orders.

use inventory_application::{OrderAnswer, Position};
use inventory_domain::order::{OrderLine, OrderLines, OrderLinesError, OrderStatus, Place};
use inventory_domain::{
    CustomerId, HoldFor, Order, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;
use uuid::Uuid;

use super::fields::Object;
use super::{default_hold, fields, schemas};
use crate::problem::Problem;
use crate::request_key::RequestHash;

/// `POST /orders`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrderRequest {
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    order_id: Option<Uuid>,
    #[serde(deserialize_with = "fields::uuid")]
    customer_id: Uuid,
    /// Absent: the default. `null`: no deadline.
    #[schema(value_type = Option<schemas::HoldMinutes>, default = 30)]
    #[serde(default = "default_hold", deserialize_with = "fields::hold_or_none")]
    ttl_minutes: Option<HoldFor>,
    /// What is asked for; lines of the same stock are summed.
    #[schema(value_type = Vec<LineRequest>, min_items = 1, max_items = 500)]
    lines: Vec<Object<LineRequest>>,
}

/// A line of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderLineRequest)]
struct LineRequest {
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[schema(value_type = schemas::Quantity)]
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
}

/// Why an order was released whose client gives no reason.
const NO_REASON: &str = "order released";

/// `POST /orders/{order_id}/release`; the body may be missing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseOrderRequest {
    #[schema(value_type = Option<schemas::Reason>)]
    #[serde(default, deserialize_with = "fields::reason_or_none")]
    reason: Option<Reason>,
}

/// A body that may be missing and says nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyRequest {}

impl PlaceOrderRequest {
    /// Adds all that makes two orders the same.
    pub fn hash_into(&self, hash: &mut RequestHash) {
        hash.option(self.order_id, RequestHash::id);
        hash.id(self.customer_id);
        hash.option(self.ttl_minutes, |hash, hold| hash.number(hold.minutes().into()));
        hash.number(self.lines.len() as u64);
        for Object(line) in &self.lines {
            hash.id(line.product_id);
            hash.id(line.store_id);
            hash.number(line.quantity.units());
        }
    }

    /// Which order is asked for, and what of; `fresh_id` makes the ids that the client gave none for.
    ///
    /// # Errors
    ///
    /// A problem that names the lines, when there are none or too many, or add up to too much.
    pub fn into_command(self, fresh_id: fn() -> Uuid) -> Result<(OrderId, Place), Problem> {
        let line = |Object(line): &Object<LineRequest>| {
            let (product_id, store_id) = (ProductId::new(line.product_id), StoreId::new(line.store_id));
            (StockId { product_id, store_id }, line.quantity)
        };
        let asked: Vec<_> = self.lines.iter().map(line).collect();
        let lines = OrderLines::summed(&asked, || ReservationId::new(fresh_id())).map_err(|error| match error {
            OrderLinesError::Sum { index, source, .. } => Problem::invalid_field(
                format!("lines[{index}].quantity"),
                format!("the sum of the stock's lines {source}"),
            ),
            OrderLinesError::Count { .. } | OrderLinesError::Twice { .. } => Problem::invalid_field("lines", error),
        })?;
        let order_id = OrderId::new(self.order_id.unwrap_or_else(fresh_id));
        Ok((order_id, Place { customer_id: CustomerId::new(self.customer_id), hold_for: self.ttl_minutes, lines }))
    }
}

impl ReleaseOrderRequest {
    /// Adds all that makes two releases the same.
    pub fn hash_into(&self, hash: &mut RequestHash) {
        hash.text(self.reason.as_ref().map_or(NO_REASON, Reason::as_str));
    }

    /// Why.
    ///
    /// # Errors
    ///
    /// None that a client can meet.
    pub fn into_reason(self) -> Result<Reason, Problem> {
        self.reason.map_or_else(|| Reason::new(NO_REASON).map_err(Problem::internal), Ok)
    }
}

/// How an order stands, in words.
pub const STATES: [(&str, OrderStatus); 4] = [
    ("active", OrderStatus::Active),
    ("committed", OrderStatus::Committed),
    ("released", OrderStatus::Released),
    ("expired", OrderStatus::Expired),
];

/// The schema of the words.
pub(crate) fn state() -> ObjectBuilder {
    schemas::choice(&STATES)
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    order_id: Uuid,
    customer_id: Uuid,
    /// How it stands.
    #[schema(schema_with = state)]
    state: &'static str,
    /// How long it was to hold; `null`: without end.
    #[schema(value_type = Option<schemas::HoldMinutes>, required = true)]
    ttl_minutes: Option<u16>,
    /// When it runs out; `null`: never.
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    #[serde(serialize_with = "fields::moment_or_null")]
    expires_at: Option<Timestamp>,
    /// When it was placed.
    #[schema(value_type = schemas::Moment)]
    #[serde(serialize_with = "fields::moment")]
    placed_at: Timestamp,
    /// What it holds.
    lines: Vec<LineBody>,
    /// How many events it has had; also its entity tag.
    version: u64,
}

/// A line of an order, with its reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderLine)]
struct LineBody {
    product_id: Uuid,
    store_id: Uuid,
    quantity: u64,
    reservation_id: Uuid,
}

/// The answer to a write on an order: the order after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderChanged {
    #[serde(flatten)]
    order: OrderBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The position of its last event in the log; absent on a dry run.
    position: Option<u64>,
    /// What was done, for people.
    message: &'static str,
}

impl OrderBody {
    /// The order as clients see it; `None` where nobody has placed it.
    #[must_use]
    pub fn new(order_id: OrderId, order: &Order) -> Option<Self> {
        let placed = order.placed()?;
        let line = |line: &OrderLine| LineBody {
            product_id: line.stock_id.product_id.uuid(),
            store_id: line.stock_id.store_id.uuid(),
            quantity: line.quantity.units(),
            reservation_id: line.reservation_id.uuid(),
        };
        let state = STATES.iter().find(|(_, status)| *status == order.status()).map_or("", |(name, _)| name);
        Some(Self {
            order_id: order_id.uuid(),
            customer_id: placed.customer_id.uuid(),
            state,
            ttl_minutes: placed.hold_for.map(HoldFor::minutes),
            expires_at: placed.expires_at,
            placed_at: placed.placed_at,
            lines: placed.lines.iter().map(line).collect(),
            version: order.version(),
        })
    }
}

impl OrderChanged {
    /// The answer that says `message`; `None` where there is no order to tell of.
    #[must_use]
    pub fn new(answer: &OrderAnswer, message: &'static str) -> Option<Self> {
        let Position(position) = answer.position;
        let order = OrderBody::new(answer.order_id, &answer.order)?;
        Some(Self { order, position: Some(position).filter(|position| *position > 0), message })
    }
}
