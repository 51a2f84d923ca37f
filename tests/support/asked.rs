//! What a client may ask to be changed, as data: the same for a model that works out the answer and for the service that gives it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::id;

/// A product in a store.
pub type Stock = (Uuid, Uuid);

/// The sale that all commits of single reservations go into.
pub(crate) const SALE: u128 = 8;

/// A request, without its headers. A `ttl` is in minutes; `None` is no deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the API")]
pub enum Asked {
    Add { stock: Stock, quantity: u64 },
    Reserve { stock: Stock, reservation: Option<Uuid>, quantity: u64, customer: Uuid, ttl: Option<u64> },
    Commit { stock: Stock, reservation: Uuid, part: Option<u64> },
    Release { stock: Stock, reservation: Uuid },
    Extend { stock: Stock, reservation: Uuid, ttl: u64 },
    Adjust { stock: Stock, counted: u64 },
    PlaceOrder { order: Uuid, lines: Vec<(Stock, u64)>, customer: Uuid, ttl: Option<u64> },
    CommitOrder { order: Uuid },
    ReleaseOrder { order: Uuid },
    StartTransfer { transfer: Uuid, from: Stock, to_store: Uuid, quantity: u64 },
    ReceiveTransfer { transfer: Uuid, part: Option<u64> },
    CancelTransfer { transfer: Uuid },
}

impl Asked {
    /// Where it is sent.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Add { .. } => "/api/v1/inventory/stock".into(),
            Self::Reserve { .. } => "/api/v1/inventory/reserve".into(),
            Self::Commit { .. } => "/api/v1/inventory/commit".into(),
            Self::Release { .. } => "/api/v1/inventory/release".into(),
            Self::Extend { .. } => "/api/v1/inventory/extend".into(),
            Self::Adjust { .. } => "/api/v1/inventory/adjust".into(),
            Self::PlaceOrder { .. } => "/api/v1/orders".into(),
            Self::CommitOrder { order } => format!("/api/v1/orders/{order}/commit"),
            Self::ReleaseOrder { order } => format!("/api/v1/orders/{order}/release"),
            Self::StartTransfer { .. } => "/api/v1/transfers".into(),
            Self::ReceiveTransfer { transfer, .. } => format!("/api/v1/transfers/{transfer}/receive"),
            Self::CancelTransfer { transfer } => format!("/api/v1/transfers/{transfer}/cancel"),
        }
    }

    /// What is sent.
    #[must_use]
    pub fn body(&self) -> Value {
        let of = |(product, store): &Stock, fields: Value| {
            with(json!({"product_id": product.to_string(), "store_id": store.to_string()}), fields)
        };
        let optional =
            |name: &str, number: Option<u64>| number.map_or_else(|| json!({}), |number| json!({name: number}));
        match self {
            Self::Add { stock, quantity } => of(stock, json!({"quantity": quantity, "reason": "delivery"})),
            Self::Reserve { stock, reservation, quantity, customer, ttl } => {
                let id = reservation.map_or_else(|| json!({}), |id| json!({"reservation_id": id.to_string()}));
                let fields = json!({"quantity": quantity, "customer_id": customer.to_string(), "ttl_minutes": ttl});
                of(stock, with(fields, id))
            }
            Self::Commit { stock, reservation, part } => {
                let fields = json!({"reservation_id": reservation.to_string(), "order_id": id(SALE)});
                of(stock, with(fields, optional("quantity", *part)))
            }
            Self::Release { stock, reservation } => {
                of(stock, json!({"reservation_id": reservation.to_string(), "reason": "left"}))
            }
            Self::Extend { stock, reservation, ttl } => {
                of(stock, json!({"reservation_id": reservation.to_string(), "ttl_minutes": ttl}))
            }
            Self::Adjust { stock, counted } => of(stock, json!({"quantity": counted, "reason": "count"})),
            Self::PlaceOrder { order, lines, customer, ttl } => {
                let lines: Vec<Value> =
                    lines.iter().map(|(stock, units)| of(stock, json!({"quantity": units}))).collect();
                json!({"order_id": order.to_string(), "customer_id": customer.to_string(), "ttl_minutes": ttl, "lines": lines})
            }
            Self::CommitOrder { .. } | Self::CancelTransfer { .. } => json!({}),
            Self::ReleaseOrder { .. } => json!({"reason": "left"}),
            Self::StartTransfer { transfer, from, to_store, quantity } => json!({
                "transfer_id": transfer.to_string(), "product_id": from.0.to_string(), "from_store_id": from.1.to_string(),
                "to_store_id": to_store.to_string(), "quantity": quantity, "reason": "rebalance"}),
            Self::ReceiveTransfer { part, .. } => optional("quantity", *part),
        }
    }

    /// The name that it has in a batch; orders and transfers have none.
    #[must_use]
    pub fn op(&self) -> Option<&'static str> {
        match self {
            Self::Add { .. } => Some("add"),
            Self::Reserve { .. } => Some("reserve"),
            Self::Commit { .. } => Some("commit"),
            Self::Release { .. } => Some("release"),
            Self::Extend { .. } => Some("extend"),
            Self::Adjust { .. } => Some("adjust"),
            _ => None,
        }
    }

    /// What is sent in a batch, with this key.
    ///
    /// # Panics
    ///
    /// When it can't be in a batch.
    #[must_use]
    pub fn in_batch(&self, key: Option<&str>) -> Value {
        let op = self.op().unwrap_or_else(|| panic!("{self:?} is for no batch"));
        let key = key.map_or_else(|| json!({}), |key| json!({"idempotency_key": key}));
        with(with(self.body(), json!({"op": op})), key)
    }

    /// The status of the answer that grants it.
    #[must_use]
    pub fn granted(&self) -> u16 {
        match self {
            Self::Add { .. } | Self::Reserve { .. } | Self::PlaceOrder { .. } | Self::StartTransfer { .. } => 201,
            _ => 200,
        }
    }

    /// The stock whose level the answer shows; none where it shows an order or a transfer.
    #[must_use]
    pub fn stock(&self) -> Option<Stock> {
        match self {
            Self::Add { stock, .. }
            | Self::Reserve { stock, .. }
            | Self::Commit { stock, .. }
            | Self::Release { stock, .. }
            | Self::Extend { stock, .. }
            | Self::Adjust { stock, .. } => Some(*stock),
            _ => None,
        }
    }
}

/// Both objects' fields.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    body
}
