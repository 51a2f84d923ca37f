//! Events as they are stored, and what is behind a stock's numbers.

use std::borrow::Cow;

use inventory_application::history_queries::Explanation;
use inventory_application::ports::RecordedEvent;
use inventory_domain::inventory::Reservation;
use inventory_domain::{HoldFor, OrderId, ReservationId, StockId, Timestamp};
use inventory_eventstore::event_codec::{encode_event, encode_metadata};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::{LevelBody, fields, schemas};
use crate::problem::Problem;

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct ListBody<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Where the next page starts; `null` where there is none yet.
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> PartialSchema for ListBody<T> {
    fn schema() -> RefOr<Schema> {
        let items =
            ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("What is on the page."));
        let next = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Where the next page starts; `null` where there is none yet."));
        ObjectBuilder::new()
            .property("items", items)
            .property("next_cursor", next)
            .required("items")
            .required("next_cursor")
            .into()
    }
}

impl<T: ToSchema> ToSchema for ListBody<T> {
    fn name() -> Cow<'static, str> {
        format!("PageOf{}s", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// Its place in the log of all events.
    position: u64,
    event_id: Uuid,
    /// What has happened, such as `StockAddedEvent`.
    event_type: &'static str,
    /// What it has happened to: `inventory-{product_id}-{store_id}`, `order-{order_id}`, `transfer-{transfer_id}`.
    stream_id: String,
    /// Its number there, from 1.
    version: u64,
    /// When it was decided; never before the one before it.
    #[schema(value_type = schemas::Moment)]
    #[serde(serialize_with = "fields::moment")]
    recorded_at: Timestamp,
    /// What was decided.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The request behind it: its id, its trace, who asked, its idempotency key.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
}

impl EventBody {
    /// The event as clients see it.
    ///
    /// # Errors
    ///
    /// An internal problem where what the codec writes is no JSON.
    pub fn new(recorded: &RecordedEvent) -> Result<Self, Problem> {
        let (mut data, mut metadata) = (Vec::new(), Vec::new());
        let event_type = encode_event(&recorded.event, &mut data);
        encode_metadata(&recorded.metadata, &mut metadata);
        let json = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).map_err(Problem::internal)?;
            RawValue::from_string(text).map_err(Problem::internal)
        };
        Ok(Self {
            position: recorded.position.0,
            event_id: recorded.event_id.0,
            event_type,
            stream_id: recorded.stream.to_string(),
            version: recorded.version,
            recorded_at: recorded.recorded_at,
            data: json(data)?,
            metadata: json(metadata)?,
        })
    }
}

/// A stock's numbers, and what is behind them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationBody {
    #[serde(flatten)]
    level: LevelBody,
    /// How many reservations are live.
    live_reservations: usize,
    /// The live reservations, as many as were asked for.
    reservations: Vec<HeldBody>,
    /// The last events, as many as were asked for.
    last_events: Vec<EventBody>,
}

/// A live reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveReservation)]
struct HeldBody {
    reservation_id: Uuid,
    customer_id: Uuid,
    /// The order that it is a line of.
    #[schema(required = true)]
    order_id: Option<Uuid>,
    quantity: u64,
    /// How long it was to hold; `null`: without end.
    #[schema(value_type = Option<schemas::HoldMinutes>, required = true)]
    ttl_minutes: Option<u16>,
    /// When it runs out; `null`: never.
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    #[serde(serialize_with = "fields::moment_or_null")]
    expires_at: Option<Timestamp>,
}

impl ExplanationBody {
    /// The explanation as clients see it.
    ///
    /// # Errors
    ///
    /// As [`EventBody::new`].
    pub fn new(stock_id: StockId, explanation: &Explanation) -> Result<Self, Problem> {
        let held = |(id, held): &(ReservationId, Reservation)| HeldBody {
            reservation_id: id.uuid(),
            customer_id: held.customer_id.uuid(),
            order_id: held.order_id.map(OrderId::uuid),
            quantity: held.quantity.units(),
            ttl_minutes: held.hold_for.map(HoldFor::minutes),
            expires_at: held.expires_at,
        };
        Ok(Self {
            level: LevelBody::new(stock_id, explanation.level),
            live_reservations: explanation.live_count,
            reservations: explanation.reservations.iter().map(held).collect(),
            last_events: explanation.events.iter().map(EventBody::new).collect::<Result<_, _>>()?,
        })
    }
}
