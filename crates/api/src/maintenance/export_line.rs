//! An event as one line of JSON, the way events are shown to clients, with how many of its group follow.

use std::sync::Arc;

use inventory_application::ports::RecordedEvent;
use inventory_application::{EventId, Position, StreamId};
use inventory_eventstore::event_codec::{decode_event, decode_metadata};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::problem::Problem;
use crate::wire::history::EventBody;

/// What is written.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    event: EventBody,
    remaining: u64,
}

/// What is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    position: u64,
    event_id: Uuid,
    event_type: &'a str,
    stream_id: &'a str,
    version: u64,
    recorded_at: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(default)]
    remaining: u64,
}

/// Writes the event as a line behind what is in `out`.
///
/// # Errors
///
/// A problem where what the codec writes is no JSON.
pub fn write_line(event: &RecordedEvent, out: &mut Vec<u8>) -> Result<(), Problem> {
    let line = Written { event: EventBody::new(event)?, remaining: event.remaining };
    serde_json::to_writer(&mut *out, &line).map_err(Problem::internal)?;
    out.push(b'\n');
    Ok(())
}

/// The event that a line is.
///
/// # Errors
///
/// What is wrong with the line, in words.
pub fn read_line(line: &str) -> Result<RecordedEvent, String> {
    let read: Read<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let (metadata, schema_version) = decode_metadata(read.metadata.get()).map_err(|error| error.to_string())?;
    let event = decode_event(read.event_type, schema_version, read.data.get()).map_err(|error| error.to_string())?;
    Ok(RecordedEvent {
        position: Position(read.position),
        event_id: EventId(read.event_id),
        stream: StreamId::parse(read.stream_id).ok_or_else(|| format!("{:?} names no stream", read.stream_id))?,
        version: read.version,
        recorded_at: crate::moment::parse(read.recorded_at)
            .ok_or_else(|| format!("{:?} is no time", read.recorded_at))?,
        event,
        remaining: read.remaining,
        metadata: Arc::new(metadata),
    })
}
