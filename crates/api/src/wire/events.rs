//! The log as clients see it: pages of JSON, and Server-Sent Events.

use std::io::Write;

use actix_web::web::Bytes;
use inventory_application::Position;
use inventory_application::ports::{EventForm, RecordedEvent, StoreError};
use inventory_domain::DomainEvent;
use inventory_eventstore::event_codec::event_type;
use serde::Serialize;
use utoipa::ToSchema;

use super::history::EventBody;

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PageOfLog)]
pub struct EventListBody {
    /// The events.
    pub items: Vec<EventBody>,
    /// Where the next page starts; `null` at the end of the log.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// What to give as `after` to go on, now or later: how far the log was looked through.
    pub next_after: u64,
}

/// A block of the stream that carries an event.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a block is written as text; this is its schema")]
pub struct StreamedEvent {
    /// The position of the event, for `Last-Event-ID`.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    /// Its type, such as `StockAddedEvent`.
    event: String,
    /// The event, as JSON on one line.
    data: String,
}

/// Events as Server-Sent Events.
pub struct ServerSentEvents;

impl EventForm for ServerSentEvents {
    fn type_of(&self, event: &DomainEvent) -> &'static str {
        event_type(event)
    }

    fn encode(&self, event: &RecordedEvent, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let damaged = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Damaged(error);
        let body = EventBody::new(event).map_err(|problem| damaged(problem.to_string().into()))?;
        let line = serde_json::to_vec(&body).map_err(|error| damaged(error.into()))?; // JSON has no line ends of its own.
        write!(out, "id: {}\nevent: {}\ndata: ", event.position, event_type(&event.event))
            .map_err(|error| damaged(error.into()))?;
        out.extend_from_slice(&line);
        out.extend_from_slice(b"\n\n");
        Ok(())
    }
}

/// What a stream begins with: how long to wait before coming back, and where it starts. So who is cut off before the first
/// event comes back to the same place.
#[must_use]
pub fn opening(retry_ms: u64, start: Position) -> Bytes {
    format!("retry: {retry_ms}\nid: {start}\n\n").into()
}

/// What a stream has while there are no events. A block without data is no event for a listener, but moves its last id, so
/// it doesn't look through the same events again when it comes back.
#[must_use]
pub fn heartbeat(seen: Position) -> Bytes {
    format!(": nothing\nid: {seen}\n\n").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use inventory_application::ports::Metadata;
    use inventory_application::{EventId, StreamId};
    use inventory_domain::inventory::Event;
    use inventory_domain::{Quantity, Reason, StockId, Timestamp};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_one_block_with_one_line_of_data() {
        let stock_id = StockId { product_id: Uuid::from_u128(1).into(), store_id: Uuid::from_u128(2).into() };
        let (quantity, reason) = (Quantity::new(3).unwrap(), Reason::new("two\nlines\r\u{2028}\u{85}: x").unwrap());
        let recorded = RecordedEvent {
            position: Position(41),
            event_id: EventId(Uuid::from_u128(3)),
            stream: StreamId::Inventory(stock_id),
            version: 7,
            recorded_at: Timestamp::from_millis(1_763_985_600_000),
            event: Event::StockAdded { quantity, reason }.into(),
            remaining: 0,
            metadata: Arc::new(Metadata { request_id: Some("r".into()), ..Metadata::default() }),
        };
        let mut block = b"before".to_vec();
        ServerSentEvents.encode(&recorded, &mut block).unwrap();
        let expected = "beforeid: 41\nevent: StockAddedEvent\ndata: {\"position\":41,\
            \"event_id\":\"00000000-0000-0000-0000-000000000003\",\"event_type\":\"StockAddedEvent\",\
            \"stream_id\":\"inventory-00000000-0000-0000-0000-000000000001-00000000-0000-0000-0000-000000000002\",\
            \"version\":7,\"recorded_at\":\"2025-11-24T12:00:00.000Z\",\
            \"data\":{\"quantity\":3,\"reason\":\"two\\nlines\\r\u{2028}\u{85}: x\"},\
            \"metadata\":{\"schema_version\":2,\"request_id\":\"r\"}}\n\n";
        assert_eq!(String::from_utf8(block).unwrap(), expected);
    }

    #[test]
    fn a_stream_begins_with_its_place() {
        assert_eq!(opening(2_000, Position(7)), "retry: 2000\nid: 7\n\n");
        assert_eq!(heartbeat(Position(8)), ": nothing\nid: 8\n\n");
    }
}
