//! Transfers.

use inventory_application::{Position, TransferAnswer};
use inventory_domain::transfer::{Route, Start, TransferStatus};
use inventory_domain::{ProductId, Quantity, Reason, StoreId, Timestamp, Transfer, TransferId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;
use uuid::Uuid;

use super::{fields, schemas};
use crate::problem::Problem;
use crate::request_key::RequestHash;

/// `POST /transfers`
#[derive(Debug, Deserialize, ToSchema)]
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
    #[schema(value_type = schemas::Quantity)]
    #[serde(deserialize_with = "fields::quantity")]
    quantity: Quantity,
    #[schema(value_type = schemas::Reason)]
    #[serde(deserialize_with = "fields::reason")]
    reason: Reason,
}

/// `POST /transfers/{transfer_id}/receive`; the body may be missing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveTransferRequest {
    #[schema(value_type = Option<schemas::Quantity>)]
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

/// The schema of the words.
pub(crate) fn state() -> ObjectBuilder {
    schemas::choice(&STATES)
}

/// A transfer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transfer)]
pub struct TransferBody {
    transfer_id: Uuid,
    product_id: Uuid,
    from_store_id: Uuid,
    to_store_id: Uuid,
    /// Units that have left the first store.
    quantity: u64,
    /// Units that are still on their way.
    in_transit: u64,
    /// Units that have come to the second store.
    received: u64,
    /// Units that went back to the first store.
    cancelled: u64,
    /// How it stands.
    #[schema(schema_with = state)]
    state: &'static str,
    reason: String,
    /// When it was started.
    #[schema(value_type = schemas::Moment)]
    #[serde(serialize_with = "fields::moment")]
    started_at: Timestamp,
    /// How many events it has had; also its entity tag.
    version: u64,
}

/// The answer to a write on a transfer: the transfer after it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransferChanged {
    #[serde(flatten)]
    transfer: TransferBody,
    /// The position of its last event in the log.
    position: u64,
    /// What was done, for people.
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
