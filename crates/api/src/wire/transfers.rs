//! Transfers.

use inventory_application::{Position, TransferAnswer};
use inventory_domain::transfer::{Route, Start, TransferStatus};
use inventory_domain::{ProductId, Quantity, Reason, StoreId, Timestamp, Transfer, TransferId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields;
use crate::problem::Problem;
use crate::request_key::RequestHash;

/// `POST /transfers`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartTransferRequest {
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    transfer_id: Option<Uuid>,
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    from_store_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    to_store_id: Uuid,
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /transfers/{transfer_id}/receive`; the body may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveTransferRequest {
    #[serde(default, deserialize_with = "fields::quantity_or_none")]
    pub(crate) quantity: Option<Quantity>,
}

impl StartTransferRequest {
    /// Adds all that makes two transfers the same.
    pub fn hash_into(&self, hash: &mut RequestHash) {
        hash.option(self.transfer_id, RequestHash::id);
        [self.product_id, self.from_store_id, self.to_store_id].into_iter().for_each(|id| hash.id(id));
        hash.number(self.quantity.units());
        hash.text(self.reason.as_str());
    }

    /// Which transfer is asked for; `fresh_id` makes the id that the client gave none for.
    ///
    /// # Errors
    ///
    /// A problem when it would end where it starts.
    pub fn into_command(self, fresh_id: fn() -> Uuid) -> Result<(TransferId, Start), Problem> {
        let (from, to) = (StoreId::new(self.from_store_id), StoreId::new(self.to_store_id));
        let route = Route::new(ProductId::new(self.product_id), from, to);
        let route = route.map_err(|error| Problem::invalid_field("to_store_id", error))?;
        let transfer_id = TransferId::new(self.transfer_id.unwrap_or_else(fresh_id));
        Ok((transfer_id, Start { route, quantity: self.quantity, reason: self.reason }))
    }
}

impl ReceiveTransferRequest {
    /// Adds all that makes two receipts the same.
    pub fn hash_into(&self, hash: &mut RequestHash) {
        hash.option(self.quantity, |hash, quantity| hash.number(quantity.units()));
    }
}

/// How a transfer stands, in words.
pub const STATES: [(&str, TransferStatus); 3] = [
    ("in_transit", TransferStatus::InTransit),
    ("received", TransferStatus::Received),
    ("cancelled", TransferStatus::Cancelled),
];

/// A transfer.
#[derive(Debug, Serialize)]
pub struct TransferBody {
    transfer_id: Uuid,
    product_id: Uuid,
    from_store_id: Uuid,
    to_store_id: Uuid,
    quantity: u64,
    in_transit: u64,
    received: u64,
    cancelled: u64,
    state: &'static str,
    reason: String,
    #[serde(serialize_with = "fields::moment")]
    started_at: Timestamp,
    version: u64,
}

/// The answer to a write on a transfer: the transfer after it.
#[derive(Debug, Serialize)]
pub struct TransferChanged {
    #[serde(flatten)]
    transfer: TransferBody,
    position: u64,
    message: &'static str,
}

impl TransferBody {
    /// The transfer as clients see it; `None` where nobody has started it.
    #[must_use]
    pub fn new(transfer_id: TransferId, transfer: &Transfer) -> Option<Self> {
        let started = transfer.started()?;
        let state = STATES.iter().find(|(_, status)| *status == transfer.status()).map_or("", |(name, _)| name);
        Some(Self {
            transfer_id: transfer_id.uuid(),
            product_id: started.route.product_id().uuid(),
            from_store_id: started.route.from().store_id.uuid(),
            to_store_id: started.route.to().store_id.uuid(),
            quantity: started.quantity.units(),
            in_transit: transfer.in_transit(),
            received: transfer.received(),
            cancelled: transfer.cancelled(),
            state,
            reason: started.reason.as_str().to_owned(),
            started_at: started.started_at,
            version: transfer.version(),
        })
    }
}

impl TransferChanged {
    /// The answer that says `message`; `None` where there is no transfer to tell of.
    #[must_use]
    pub fn new(answer: &TransferAnswer, message: &'static str) -> Option<Self> {
        let Position(position) = answer.position;
        Some(Self { transfer: TransferBody::new(answer.transfer_id, &answer.transfer)?, position, message })
    }
}
