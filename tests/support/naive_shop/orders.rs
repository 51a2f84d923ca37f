//! Orders.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::stand::Stand;
use super::{Fact, NaiveShop, Refusal, after, refusal};
use crate::asked::{Stock, with};

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) customer: Uuid,
    pub(super) ttl: Option<u64>,
    pub(super) deadline: Option<i64>,
    pub(super) lines: Vec<(Stock, u64)>,
    pub(super) state: &'static str,
    pub(super) version: u64,
}

impl NaiveShop {
    /// An order, as the API shows it, but for its times and reservations.
    #[must_use]
    pub fn order(&self, id: Uuid) -> Option<Value> {
        let Order { customer, ttl, lines, state, version, .. } = self.orders.get(&id)?;
        let (lines, id) = (lines_shown(lines), id.to_string());
        Some(json!({"order_id": id, "customer_id": customer.to_string(), "state": state, "ttl_minutes": ttl,
            "lines": lines, "version": version}))
    }

    /// Frees an order that has run out.
    #[must_use]
    pub fn expire_order(&mut self, id: Uuid, now: i64) -> Option<Vec<Fact>> {
        let order = self.orders.get(&id).filter(|order| order.state == "active")?;
        let is_due = order.deadline.is_some_and(|deadline| deadline <= now);
        is_due.then(|| self.close_order(id, "expired"))
    }

    pub(super) fn place(
        &mut self,
        id: Uuid,
        asked: &[(Stock, u64)],
        customer: Uuid,
        ttl: Option<u64>,
        now: i64,
    ) -> Result<Vec<Fact>, Refusal> {
        let mut lines: Vec<(Stock, u64)> = Vec::new();
        for (stock, units) in asked {
            match lines.iter_mut().find(|(known, _)| known == stock) {
                Some((_, sum)) => *sum += units,
                None => lines.push((*stock, *units)),
            }
        }
        if let Some(order) = self.orders.get(&id) {
            let sorted = |lines: &[(Stock, u64)]| lines.iter().copied().collect::<BTreeMap<_, _>>();
            let is_same = (order.customer, order.ttl) == (customer, ttl) && sorted(&order.lines) == sorted(&lines);
            return if is_same { Ok(Vec::new()) } else { Err(refusal("409 order-exists")) };
        }
        let available = |stock: &Stock| self.stands.get(stock).map_or(0, Stand::available);
        let short = lines.iter().filter(|(stock, units)| *units > available(stock));
        let shortfalls: Vec<Value> = short
            .map(|(stock, units)| {
                json!({"product_id": stock.0.to_string(), "store_id": stock.1.to_string(), "requested": units, "available": available(stock)})
            })
            .collect();
        if !shortfalls.is_empty() {
            let members = json!({"shortfalls": shortfalls});
            return Err(Refusal { summary: "409 insufficient-stock".into(), members });
        }
        let deadline = ttl.map(|ttl| after(now, ttl));
        let common = json!({"customer_id": customer.to_string(), "ttl_minutes": ttl});
        let mut facts = Vec::new();
        for (stock, units) in &lines {
            let stand = self.stands.entry(*stock).or_default();
            stand.lines.insert(id, *units);
            let data = with(common.clone(), json!({"order_id": id.to_string(), "quantity": units}));
            facts.push(Fact { deadline, ..stand.fact(*stock, "StockReservedEvent", data) });
        }
        let data = with(common, json!({"lines": lines_shown(&lines)}));
        facts.push(Fact { stream: format!("order-{id}"), event_type: "OrderPlacedEvent", version: 1, data, deadline });
        self.orders.insert(id, Order { customer, ttl, deadline, lines, state: "active", version: 1 });
        Ok(facts)
    }

    pub(super) fn end_order(&mut self, id: Uuid, state: &'static str, now: i64) -> Result<Vec<Fact>, Refusal> {
        let order = self.orders.get(&id).ok_or_else(|| refusal("404 order-not-found"))?;
        if order.state != "active" {
            return Err(refusal(&format!("409 order-{}", order.state)));
        }
        if order.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(refusal("409 order-expired"));
        }
        Ok(self.close_order(id, state))
    }

    pub(super) fn close_order(&mut self, id: Uuid, state: &'static str) -> Vec<Fact> {
        let Some(order) = self.orders.get_mut(&id) else { return Vec::new() };
        (order.state, order.version) = (state, 2);
        let cause = if state == "expired" { "expired" } else { "requested" };
        let mut facts = Vec::new();
        for (stock, units) in &order.lines {
            let Some(stand) = self.stands.get_mut(stock) else { continue };
            stand.lines.remove(&id);
            facts.push(if state == "committed" {
                stand.on_hand -= units;
                stand.fact(*stock, "StockCommittedEvent", json!({"order_id": id.to_string(), "quantity": units}))
            } else {
                stand.fact(*stock, "StockReleasedEvent", json!({"quantity": units, "cause": cause}))
            });
        }
        let (event_type, data) = if state == "committed" {
            ("OrderCommittedEvent", json!({}))
        } else {
            ("OrderReleasedEvent", json!({"cause": cause}))
        };
        facts.push(Fact { stream: format!("order-{id}"), event_type, version: 2, data, deadline: None });
        facts
    }
}

fn lines_shown(lines: &[(Stock, u64)]) -> Value {
    let line = |((product, store), units): &(Stock, u64)| json!({"product_id": product.to_string(), "store_id": store.to_string(), "quantity": units});
    lines.iter().map(line).collect()
}
