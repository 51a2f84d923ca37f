//! Events as they are stored, and what is behind a stock's numbers.

use inventory_application::history_queries::Explanation;
use inventory_application::ports::RecordedEvent;
use inventory_domain::inventory::Reservation;
use inventory_domain::{HoldFor, OrderId, ReservationId, StockId, Timestamp};
use inventory_eventstore::event_codec::{encode_event, encode_metadata};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{LevelBody, fields};
use crate::problem::Problem;

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct ListBody<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Where the next page starts; `null` where there is none yet.
    pub next_cursor: Option<String>,
}

/// An event.
#[derive(Debug, Serialize)]
pub struct EventBody {
    position: u64,
    event_id: Uuid,
    event_type: &'static str,
    stream_id: String,
    version: u64,
    #[serde(serialize_with = "fields::moment")]
    recorded_at: Timestamp,
    data: Box<RawValue>,
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
#[derive(Debug, Serialize)]
pub struct ExplanationBody {
    #[serde(flatten)]
    level: LevelBody,
    live_reservations: usize,
    reservations: Vec<HeldBody>,
    last_events: Vec<EventBody>,
}

/// A live reservation.
#[derive(Debug, Serialize)]
struct HeldBody {
    reservation_id: Uuid,
    customer_id: Uuid,
    order_id: Option<Uuid>,
    quantity: u64,
    ttl_minutes: Option<u16>,
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
