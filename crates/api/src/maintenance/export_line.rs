//! An event as one line of JSON, the way events are shown to clients, with how many of its group follow.

use std::sync::Arc;

use inventory_application::ports::RecordedEvent;
use inventory_application::{EventId, Position, StreamId};
use inventory_eventstore::event_codec::{decode_event, decode_metadata, encode_event, encode_metadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    if schema_version == 0 {
        return Err("schema_version 0 is none, the first is 1".to_owned());
    }
    let event = decode_event(read.event_type, schema_version, read.data.get()).map_err(|error| error.to_string())?;
    // What isn't understood would be gone from the next export, in silence.
    let (mut data, mut origin) = (Vec::new(), Vec::new());
    let _event_type = encode_event(&event, &mut data);
    encode_metadata(&metadata, &mut origin);
    for (name, given, understood) in [("data", read.data, data), ("metadata", read.metadata, origin)] {
        if let Some(field) = unknown_field(given.get(), &understood) {
            return Err(format!("unknown field `{field}` in {name}"));
        }
    }
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

/// A field of the JSON in `given` that isn't in `understood`; mostly both are the same text.
fn unknown_field(given: &str, understood: &[u8]) -> Option<String> {
    if given.as_bytes() == understood {
        return None;
    }
    let (given, understood): (Value, Value) =
        (serde_json::from_str(given).ok()?, serde_json::from_slice(understood).ok()?);
    unknown_in(&given, &understood)
}

fn unknown_in(given: &Value, understood: &Value) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => given.iter().find_map(|(name, value)| {
            match understood.get(name) {
                Some(known) => unknown_in(value, known),
                None => (!value.is_null()).then(|| name.clone()), // What is null is not there.
            }
        }),
        (Value::Array(given), Value::Array(understood)) => {
            given.iter().zip(understood).find_map(|(given, understood)| unknown_in(given, understood))
        }
        _ => None,
    }
}
