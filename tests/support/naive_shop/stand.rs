//! Commands on one stock.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Fact, NaiveShop, Refusal, after, refusal};
use crate::asked::{Asked, SALE, Stock, with};
use crate::id;

/// The most units that a stock may have.
const STOCK_MAX: u64 = 1_000_000_000_000_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Stand {
    pub(super) on_hand: u64,
    pub(super) version: u64,
    pub(super) holds: BTreeMap<Uuid, Hold>,
    /// How the reservations that are over have ended.
    pub(super) closed: BTreeMap<Uuid, &'static str>,
    /// Units that orders hold.
    pub(super) lines: BTreeMap<Uuid, u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) units: u64,
    pub(super) asked: (u64, Uuid, Option<u64>),
    pub(super) deadline: Option<i64>,
}

impl Stand {
    pub(super) fn reserved(&self) -> u64 {
        self.holds.values().map(|hold| hold.units).chain(self.lines.values().copied()).sum()
    }

    pub(super) fn available(&self) -> u64 {
        self.on_hand - self.reserved()
    }

    pub(super) fn fact(&mut self, (product, store): Stock, event_type: &'static str, data: Value) -> Fact {
        self.version += 1;
        let stream = format!("inventory-{product}-{store}");
        Fact { stream, event_type, version: self.version, data, deadline: None }
    }

    pub(super) fn has_room_for(&self, units: u64) -> Result<(), Refusal> {
        if self.on_hand + units > STOCK_MAX { Err(refusal("409 stock-limit-exceeded")) } else { Ok(()) }
    }

    pub(super) fn can_give(&self, units: u64) -> Result<(), Refusal> {
        let available = self.available();
        if units <= available {
            return Ok(());
        }
        let members = json!({"requested": units, "available": available});
        Err(Refusal { summary: "409 insufficient-stock".into(), members })
    }

    /// The reservation, while it can be committed, released or extended.
    pub(super) fn active(&self, reservation: Uuid, now: i64) -> Result<&Hold, Refusal> {
        match (self.holds.get(&reservation), self.closed.get(&reservation)) {
            (Some(hold), _) if hold.deadline.is_some_and(|deadline| deadline <= now) => {
                Err(refusal("409 reservation-expired"))
            }
            (Some(hold), _) => Ok(hold),
            (None, Some(ending)) => Err(refusal(&format!("409 reservation-{ending}"))),
            (None, None) => Err(refusal("404 reservation-not-found")),
        }
    }

    pub(super) fn close(&mut self, reservation: Uuid, ending: &'static str) {
        self.holds.remove(&reservation);
        self.closed.insert(reservation, ending);
    }
}

impl NaiveShop {
    pub(super) fn ask_stand(&mut self, asked: &Asked, now: i64) -> Result<Vec<Fact>, Refusal> {
        let Some(stock) = asked.stock() else { return Ok(Vec::new()) };
        let stand = self.stands.entry(stock).or_default();
        let fact = match asked {
            Asked::Add { quantity, .. } => {
                stand.has_room_for(*quantity)?;
                stand.on_hand += quantity;
                stand.fact(stock, "StockAddedEvent", json!({"quantity": quantity}))
            }
            Asked::Reserve { reservation, quantity, customer, ttl, .. } => {
                self.made_ids += 1;
                let id = reservation.unwrap_or_else(|| Uuid::from_u128(u128::MAX - self.made_ids));
                let content = (*quantity, *customer, *ttl);
                match (stand.holds.get(&id), stand.closed.contains_key(&id)) {
                    (Some(hold), _) if hold.asked == content && stand.active(id, now).is_ok() => return Ok(Vec::new()),
                    (Some(_), _) | (None, true) => return Err(refusal("409 reservation-exists")),
                    (None, false) => stand.can_give(*quantity)?,
                }
                let deadline = ttl.map(|ttl| after(now, ttl));
                stand.holds.insert(id, Hold { units: *quantity, asked: content, deadline });
                let data = json!({"quantity": quantity, "customer_id": customer.to_string(), "ttl_minutes": ttl});
                let named = reservation.map_or_else(|| json!({}), |id| json!({"reservation_id": id.to_string()}));
                let fact = stand.fact(stock, "StockReservedEvent", with(data, named));
                Fact { deadline, ..fact }
            }
            Asked::Commit { reservation, part, .. } => {
                let held = stand.active(*reservation, now)?.units;
                let sold = part.unwrap_or(held);
                if sold > held {
                    return Err(refusal("422 exceeds-reservation"));
                }
                stand.on_hand -= sold;
                stand.close(*reservation, "committed");
                let named = json!({"reservation_id": reservation.to_string()});
                let data = with(named.clone(), json!({"order_id": id(SALE), "quantity": sold}));
                let mut facts = vec![stand.fact(stock, "StockCommittedEvent", data)];
                if sold < held {
                    let data = with(named, json!({"quantity": held - sold, "cause": "uncommitted-part"}));
                    facts.push(stand.fact(stock, "StockReleasedEvent", data));
                }
                return Ok(facts);
            }
            Asked::Release { reservation, .. } => {
                let units = stand.active(*reservation, now)?.units;
                stand.close(*reservation, "released");
                let data = json!({"reservation_id": reservation.to_string(), "quantity": units, "cause": "requested"});
                stand.fact(stock, "StockReleasedEvent", data)
            }
            Asked::Extend { reservation, ttl, .. } => {
                let mut hold = stand.active(*reservation, now)?.clone();
                hold.deadline = Some(after(now, *ttl));
                let deadline = hold.deadline;
                stand.holds.insert(*reservation, hold);
                let data = json!({"reservation_id": reservation.to_string(), "ttl_minutes": ttl});
                let fact = stand.fact(stock, "ReservationExtendedEvent", data);
                Fact { deadline, ..fact }
            }
            Asked::Adjust { counted, .. } => {
                if *counted < stand.reserved() {
                    return Err(refusal("409 below-reserved"));
                }
                let change = i128::from(*counted) - i128::from(stand.on_hand);
                stand.on_hand = *counted;
                let change = i64::try_from(change).unwrap_or_default();
                stand.fact(stock, "StockAdjustedEvent", json!({"quantity": counted, "change": change}))
            }
            _ => return Ok(Vec::new()),
        };
        Ok(vec![fact])
    }
}
