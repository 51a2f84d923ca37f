//! Reservations.

use inventory_application::ports::{ReservationState, ShownReservation};
use inventory_domain::{HoldFor, OrderId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;
use uuid::Uuid;

use super::{fields, schemas};

/// How a reservation stands, in words.
pub const STATES: [(&str, ReservationState); 4] = [
    ("active", ReservationState::Active),
    ("committed", ReservationState::Committed),
    ("released", ReservationState::Released),
    ("expired", ReservationState::Expired),
];

/// How a reservation stands, for the document.
#[must_use]
pub fn state() -> ObjectBuilder {
    schemas::choice(&STATES)
}

/// A reservation, live or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub struct ShownReservationBody {
    reservation_id: Uuid,
    product_id: Uuid,
    store_id: Uuid,
    customer_id: Uuid,
    /// The order that it is a line of, or was sold into.
    #[schema(required = true)]
    order_id: Option<Uuid>,
    /// How it stands.
    #[schema(schema_with = state)]
    state: &'static str,
    /// Units that were held.
    quantity: u64,
    /// Units that were sold.
    committed: u64,
    /// How long it was to hold; `null`: without end.
    #[schema(value_type = Option<schemas::HoldMinutes>, required = true)]
    ttl_minutes: Option<u16>,
    /// When it runs out, or would have; `null`: never.
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    #[serde(serialize_with = "fields::moment_or_null")]
    expires_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = schemas::Moment)]
    #[serde(serialize_with = "fields::moment")]
    reserved_at: Timestamp,
    /// When it was sold, given back or freed; `null` while it holds.
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    #[serde(serialize_with = "fields::moment_or_null")]
    closed_at: Option<Timestamp>,
}

impl ShownReservationBody {
    /// The reservation as clients see it.
    #[must_use]
    pub fn new(shown: &ShownReservation) -> Self {
        Self {
            reservation_id: shown.key.reservation_id.uuid(),
            product_id: shown.key.stock_id.product_id.uuid(),
            store_id: shown.key.stock_id.store_id.uuid(),
            customer_id: shown.customer_id.uuid(),
            order_id: shown.order_id.map(OrderId::uuid),
            state: STATES.iter().find(|(_, state)| *state == shown.state).map_or("", |(name, _)| name),
            quantity: shown.quantity,
            committed: shown.committed,
            ttl_minutes: shown.hold_for.map(HoldFor::minutes),
            expires_at: shown.expires_at,
            reserved_at: shown.reserved_at,
            closed_at: shown.closed_at,
        }
    }
}
