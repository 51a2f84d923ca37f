//! What is sent to a server, and what of its answers matters here.

use inventory_domain::order::{OrderLine, OrderLines, OrderStatus, Place};
use inventory_domain::{CustomerId, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use crate::replay::shop::ShopOrder;
use crate::wire::orders::STATES;

/// The members that every body about a stock has.
#[derive(Serialize)]
pub(super) struct StockBody {
    #[serde(serialize_with = "as_text")]
    product_id: ProductId,
    #[serde(serialize_with = "as_text")]
    store_id: StoreId,
}

impl StockBody {
    pub(super) fn of(StockId { product_id, store_id }: StockId) -> Self {
        Self { product_id, store_id }
    }
}

#[derive(Serialize)]
pub(super) struct AddBody<'a> {
    #[serde(flatten)]
    stock: StockBody,
    quantity: u64,
    reason: &'a str,
}

impl<'a> AddBody<'a> {
    pub(super) fn new(stock_id: StockId, quantity: Quantity, reason: &'a Reason) -> Self {
        Self { stock: StockBody::of(stock_id), quantity: quantity.units(), reason: reason.as_str() }
    }
}

#[derive(Serialize)]
pub(super) struct ReserveBody {
    #[serde(flatten)]
    pub(super) stock: StockBody,
    pub(super) quantity: u64,
    #[serde(serialize_with = "as_text")]
    pub(super) customer_id: CustomerId,
}

#[derive(Serialize)]
pub(super) struct CommitBody {
    #[serde(flatten)]
    pub(super) stock: StockBody,
    #[serde(serialize_with = "as_text")]
    pub(super) reservation_id: ReservationId,
    #[serde(serialize_with = "as_text")]
    pub(super) order_id: OrderId,
}

#[derive(Serialize)]
pub(super) struct ReleaseBody<'a> {
    #[serde(flatten)]
    pub(super) stock: StockBody,
    #[serde(serialize_with = "as_text")]
    pub(super) reservation_id: ReservationId,
    pub(super) reason: &'a str,
}

#[derive(Serialize)]
pub(super) struct PlaceBody {
    #[serde(serialize_with = "as_text")]
    order_id: OrderId,
    #[serde(serialize_with = "as_text")]
    customer_id: CustomerId,
    /// Always there: `null` is no deadline, where nothing at all would be the default one.
    ttl_minutes: Option<u16>,
    lines: Vec<LineBody>,
}

#[derive(Serialize)]
struct LineBody {
    #[serde(flatten)]
    stock: StockBody,
    quantity: u64,
}

#[derive(Serialize)]
pub(super) struct ReleaseOrderBody<'a> {
    pub(super) reason: &'a str,
}

impl PlaceBody {
    pub(super) fn new(order_id: OrderId, place: &Place) -> Self {
        let line = |line: &OrderLine| LineBody { stock: StockBody::of(line.stock_id), quantity: line.quantity.units() };
        Self {
            order_id,
            customer_id: place.customer_id,
            ttl_minutes: place.hold_for.map(HoldFor::minutes),
            lines: place.lines.iter().map(line).collect(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LevelAnswer {
    pub(super) total: u64,
    pub(super) reserved: u64,
    pub(super) version: u64,
}

#[derive(Deserialize)]
pub(super) struct ReserveAnswer<'a> {
    #[serde(borrow)]
    pub(super) reservation_id: &'a str,
}

#[derive(Deserialize)]
pub(super) struct OrderAnswer<'a> {
    customer_id: Uuid,
    ttl_minutes: Option<u16>,
    #[serde(borrow)]
    state: &'a str,
    lines: Vec<LineAnswer>,
}

#[derive(Deserialize)]
struct LineAnswer {
    product_id: Uuid,
    store_id: Uuid,
    quantity: i64,
    reservation_id: Uuid,
}

impl OrderAnswer<'_> {
    /// The order, or what of it no order can have.
    pub(super) fn into_order(self) -> Result<ShopOrder, &'static str> {
        let line = |line: &LineAnswer| {
            let (product_id, store_id) = (ProductId::new(line.product_id), StoreId::new(line.store_id));
            let quantity = Quantity::new(line.quantity).map_err(|_| "quantity")?;
            let reservation_id = ReservationId::new(line.reservation_id);
            Ok(OrderLine { stock_id: StockId { product_id, store_id }, quantity, reservation_id })
        };
        let lines: Result<Vec<OrderLine>, &'static str> = self.lines.iter().map(line).collect();
        let hold_for = self.ttl_minutes.map(|minutes| HoldFor::from_minutes(minutes.into())).transpose();
        let place = Place {
            customer_id: CustomerId::new(self.customer_id),
            hold_for: hold_for.map_err(|_| "ttl_minutes")?,
            lines: OrderLines::new(lines?).map_err(|_| "lines")?,
        };
        let status: Option<OrderStatus> =
            STATES.iter().find(|(name, _)| *name == self.state).map(|(_, status)| *status);
        Ok(ShopOrder { place, status: status.ok_or("state")? })
    }
}

/// Problem details, as far as they matter here.
#[derive(Default, Deserialize)]
pub(super) struct ProblemAnswer {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) detail: String,
}

fn as_text<T: std::fmt::Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
