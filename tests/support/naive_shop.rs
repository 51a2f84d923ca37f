//! The rules of the shop once more, as plainly as they can be written: maps of numbers, one request after the other. It shares no
//! code with the service, so that a rule has to be wrong twice, in the same way, to go unnoticed.
//!
//! Nothing expires by itself here: what has run out is freed when somebody who knows of it says so ([`NaiveShop::expire`]).

mod orders;
mod stand;
mod transfers;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use self::orders::Order;
use self::stand::Stand;
use self::transfers::Transfer;
use crate::asked::{Asked, Stock};

/// All stocks, orders and transfers.
#[derive(Clone, Debug, Default)]
pub struct NaiveShop {
    stands: BTreeMap<Stock, Stand>,
    orders: BTreeMap<Uuid, Order>,
    transfers: BTreeMap<Uuid, Transfer>,
    made_ids: u128,
}

/// An event that has to be in the log: its stream, type and version, and these fields of its data; a deadline in milliseconds.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of events")]
pub struct Fact {
    pub stream: String,
    pub event_type: &'static str,
    pub version: u64,
    pub data: Value,
    pub deadline: Option<i64>,
}

/// A no: the status with the end of the problem's type, and members that the problem has.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// As [`crate::Answer::summary`] has it.
    pub summary: String,
    /// Some of the problem's members.
    pub members: Value,
}

fn refusal(summary: &str) -> Refusal {
    Refusal { summary: summary.into(), members: json!({}) }
}

impl NaiveShop {
    /// Does what is asked at `now`, in milliseconds: the events that it comes to, or a no that changes nothing.
    ///
    /// # Errors
    ///
    /// The [`Refusal`].
    pub fn ask(&mut self, asked: &Asked, now: i64) -> Result<Vec<Fact>, Refusal> {
        match asked {
            Asked::PlaceOrder { order, lines, customer, ttl } => self.place(*order, lines, *customer, *ttl, now),
            Asked::CommitOrder { order } => self.end_order(*order, "committed", now),
            Asked::ReleaseOrder { order } => self.end_order(*order, "released", now),
            Asked::StartTransfer { transfer, from, to_store, quantity } => {
                self.start(*transfer, *from, *to_store, *quantity)
            }
            Asked::ReceiveTransfer { transfer, part } => self.end_transfer(*transfer, *part, "received"),
            Asked::CancelTransfer { transfer } => self.end_transfer(*transfer, None, "cancelled"),
            _ => self.ask_stand(asked, now),
        }
    }

    /// The version of what is asked about, on which a request may depend; 0 where there is nothing yet.
    #[must_use]
    pub fn version(&self, asked: &Asked) -> u64 {
        match asked {
            Asked::PlaceOrder { order, .. } | Asked::CommitOrder { order } | Asked::ReleaseOrder { order } => {
                self.orders.get(order).map_or(0, |order| order.version)
            }
            Asked::StartTransfer { transfer, .. }
            | Asked::ReceiveTransfer { transfer, .. }
            | Asked::CancelTransfer { transfer } => self.transfers.get(transfer).map_or(0, |transfer| transfer.version),
            _ => asked.stock().and_then(|stock| self.stands.get(&stock)).map_or(0, |stand| stand.version),
        }
    }

    /// What an answer to a granted request has to show.
    #[must_use]
    pub fn shown(&self, asked: &Asked) -> Value {
        match asked {
            Asked::PlaceOrder { order, .. } | Asked::CommitOrder { order } | Asked::ReleaseOrder { order } => {
                self.order(*order).unwrap_or_default()
            }
            Asked::StartTransfer { transfer, .. }
            | Asked::ReceiveTransfer { transfer, .. }
            | Asked::CancelTransfer { transfer } => self.transfer(*transfer).unwrap_or_default(),
            _ => asked.stock().and_then(|stock| self.level(stock)).unwrap_or_default(),
        }
    }

    /// All stocks that have ever had something.
    pub fn stocks(&self) -> impl Iterator<Item = Stock> {
        self.stands.iter().filter(|(_, stand)| stand.version > 0).map(|(stock, _)| *stock)
    }

    /// All orders.
    pub fn orders(&self) -> impl Iterator<Item = Uuid> {
        self.orders.keys().copied()
    }

    /// All transfers.
    pub fn transfers(&self) -> impl Iterator<Item = Uuid> {
        self.transfers.keys().copied()
    }

    /// Units on all stands and between them.
    #[must_use]
    pub fn units(&self) -> u64 {
        let on_the_way = self.transfers.values().map(Transfer::in_transit);
        self.stands.values().map(|stand| stand.on_hand).chain(on_the_way).sum()
    }

    /// The level of a stock, as the API shows it.
    #[must_use]
    pub fn level(&self, stock: Stock) -> Option<Value> {
        let stand = self.stands.get(&stock).filter(|stand| stand.version > 0)?;
        let (product, store) = stock;
        Some(json!({"product_id": product.to_string(), "store_id": store.to_string(), "available": stand.available(),
            "reserved": stand.reserved(), "total": stand.on_hand, "version": stand.version}))
    }

    /// How a reservation stands: `active`, or how it has ended. An order's lines are not looked at.
    #[must_use]
    pub fn reservation(&self, stock: Stock, id: Uuid) -> Option<&'static str> {
        let stand = self.stands.get(&stock)?;
        if stand.holds.contains_key(&id) { Some("active") } else { stand.closed.get(&id).copied() }
    }

    /// When a reservation that is active runs out.
    #[must_use]
    pub fn deadline(&self, stock: Stock, id: Uuid) -> Option<i64> {
        self.stands.get(&stock)?.holds.get(&id)?.deadline
    }

    /// When all that is still held runs out, the orders' included.
    pub fn deadlines(&self) -> impl Iterator<Item = i64> {
        let holds = self.stands.values().flat_map(|stand| stand.holds.values().filter_map(|hold| hold.deadline));
        let orders = self.orders.values().filter(|order| order.state == "active").filter_map(|order| order.deadline);
        holds.chain(orders)
    }

    /// Frees a reservation that has run out.
    #[must_use]
    pub fn expire(&mut self, stock: Stock, reservation: Uuid, now: i64) -> Option<Fact> {
        let stand = self.stands.get_mut(&stock)?;
        let hold =
            stand.holds.get(&reservation).filter(|hold| hold.deadline.is_some_and(|deadline| deadline <= now))?;
        let data = json!({"reservation_id": reservation.to_string(), "quantity": hold.units, "cause": "expired"});
        stand.close(reservation, "expired");
        Some(stand.fact(stock, "StockReleasedEvent", data))
    }
}

fn after(now: i64, minutes: u64) -> i64 {
    now + i64::try_from(minutes).unwrap_or(i64::MAX) * 60_000
}

/// Whether `whole` has all that `part` has: of objects the fields, of lists each element; anything else has to be equal.
#[must_use]
pub fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| has(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| has(whole, part))
        }
        _ => whole == part,
    }
}
