//! Transfers.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Fact, NaiveShop, Refusal, refusal};
use crate::asked::{Stock, with};

#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) from: Stock,
    pub(super) to: Stock,
    pub(super) quantity: u64,
    pub(super) received: u64,
    pub(super) cancelled: u64,
    pub(super) version: u64,
}

impl Transfer {
    pub(super) fn in_transit(&self) -> u64 {
        self.quantity - self.received - self.cancelled
    }

    pub(super) fn state(&self) -> &'static str {
        match (self.in_transit(), self.cancelled) {
            (0, 0) => "received",
            (0, _) => "cancelled",
            _ => "in_transit",
        }
    }
}

impl NaiveShop {
    /// A transfer, as the API shows it, but for its time.
    #[must_use]
    pub fn transfer(&self, id: Uuid) -> Option<Value> {
        let transfer = self.transfers.get(&id)?;
        let Transfer { from, to, quantity, received, cancelled, version } = transfer;
        Some(
            json!({"transfer_id": id.to_string(), "product_id": from.0.to_string(), "from_store_id": from.1.to_string(),
            "to_store_id": to.1.to_string(), "quantity": quantity, "in_transit": transfer.in_transit(),
            "received": received, "cancelled": cancelled, "state": transfer.state(), "version": version}),
        )
    }

    pub(super) fn start(&mut self, id: Uuid, from: Stock, to_store: Uuid, quantity: u64) -> Result<Vec<Fact>, Refusal> {
        let to = (from.0, to_store);
        if let Some(transfer) = self.transfers.get(&id) {
            let is_same = (transfer.from, transfer.to, transfer.quantity) == (from, to, quantity);
            let goes_on = is_same && transfer.in_transit() > 0;
            return if goes_on { Ok(Vec::new()) } else { Err(refusal("409 transfer-exists")) };
        }
        let stand = self.stands.entry(from).or_default();
        stand.can_give(quantity)?;
        stand.on_hand -= quantity;
        let data = json!({"transfer_id": id.to_string(), "to_store_id": to_store.to_string(), "quantity": quantity});
        let left = stand.fact(from, "StockTransferredOutEvent", data);
        let data = json!({"product_id": from.0.to_string(), "from_store_id": from.1.to_string(),
            "to_store_id": to_store.to_string(), "quantity": quantity});
        self.transfers.insert(id, Transfer { from, to, quantity, received: 0, cancelled: 0, version: 1 });
        let event_type = "TransferStartedEvent";
        Ok(vec![left, Fact { stream: format!("transfer-{id}"), event_type, version: 1, data, deadline: None }])
    }

    pub(super) fn end_transfer(
        &mut self,
        id: Uuid,
        part: Option<u64>,
        how: &'static str,
    ) -> Result<Vec<Fact>, Refusal> {
        let transfer = self.transfers.get_mut(&id).ok_or_else(|| refusal("404 transfer-not-found"))?;
        let in_transit = transfer.in_transit();
        if in_transit == 0 {
            return Err(refusal(&format!("409 transfer-{}", transfer.state())));
        }
        let units = part.unwrap_or(in_transit);
        if units > in_transit {
            return Err(refusal("422 exceeds-transfer"));
        }
        let named = json!({"transfer_id": id.to_string(), "quantity": units});
        let (stock, event_type, data, last) = if how == "received" {
            let data = with(named, json!({"from_store_id": transfer.from.1.to_string()}));
            (transfer.to, "StockTransferredInEvent", data, "TransferReceivedEvent")
        } else {
            (transfer.from, "StockTransferCancelledEvent", named, "TransferCancelledEvent")
        };
        let stand = self.stands.entry(stock).or_default();
        stand.has_room_for(units)?;
        stand.on_hand += units;
        if how == "received" {
            transfer.received += units;
        } else {
            transfer.cancelled += units;
        }
        transfer.version += 1;
        let moved = stand.fact(stock, event_type, data);
        let (stream, version, data) = (format!("transfer-{id}"), transfer.version, json!({"quantity": units}));
        Ok(vec![moved, Fact { stream, event_type: last, version, data, deadline: None }])
    }
}
