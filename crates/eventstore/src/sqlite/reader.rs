//! Reads streams and the log, each in one read transaction.

use std::sync::Arc;

use inventory_application::ports::{LoadedStream, PastEvent, RecordedEvent, StoreError};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use thiserror::Error;
use uuid::Uuid;

use super::schema::{stream_of_blob, stream_to_blob};
use crate::event_codec::{CodecError, decode_event, decode_metadata, decode_schema_version};

/// What is stored can't be right.
#[derive(Debug, Error)]
enum Damage {
    #[error("event {position}, version {version} of {stream}: {source}")]
    Event { stream: StreamId, version: u64, position: i64, source: CodecError },
    #[error("event {position} belongs to no stream")]
    NoStream { position: i64 },
    #[error("event {position} is missing, of {stream}")]
    Missing { stream: StreamId, position: i64 },
    #[error("event {position} of {stream} is version {actual}, not {expected}")]
    Version { stream: StreamId, position: i64, expected: u64, actual: u64 },
}

/// Why a read came to nothing.
enum ReadError {
    Sqlite(rusqlite::Error),
    Damage(Damage),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => Self::Unavailable(Box::new(error)),
            ReadError::Damage(damage) => Self::Damaged(Box::new(damage)),
        }
    }
}

pub(super) fn load(connection: &mut Connection, streams: &[StreamId]) -> Result<Vec<LoadedStream>, StoreError> {
    let read = |connection: &mut Connection| -> Result<Vec<LoadedStream>, ReadError> {
        let transaction = connection.transaction()?;
        streams.iter().map(|stream| load_one(&transaction, *stream)).collect()
    };
    Ok(read(connection)?)
}

/// Walks the chain from the stream's last event back to its first.
fn load_one(connection: &Connection, stream: StreamId) -> Result<LoadedStream, ReadError> {
    let mut find = connection.prepare_cached("SELECT version, head FROM streams WHERE id = ?1")?;
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let Some((version, head)) = find.query_row([stream_to_blob(stream)], row).optional()? else {
        return Ok(LoadedStream::default());
    };
    let version = version.cast_unsigned();
    let mut events = Vec::new();
    let mut step = connection.prepare_cached(
        "SELECT previous, version, recorded_at, type, data, metadata FROM events WHERE position = ?1",
    )?;
    let mut position = head;
    for expected in (1..=version).rev() {
        let mut rows = step.query([position])?;
        let Some(row) = rows.next()? else { return Err(Damage::Missing { stream, position }.into()) };
        let actual = row.get::<_, i64>(1)?.cast_unsigned();
        if actual != expected {
            return Err(Damage::Version { stream, position, expected, actual }.into());
        }
        let decoded = decode_schema_version(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)
            .and_then(|schema_version| decode_event(text(row, 3)?, schema_version, text(row, 4)?));
        let event = decoded.map_err(|source| Damage::Event { stream, version: expected, position, source })?;
        events.push(PastEvent { event, recorded_at: Timestamp::from_millis(row.get(2)?) });
        position = row.get(0)?;
    }
    events.reverse();
    Ok(LoadedStream { version, position: Position(head.cast_unsigned()), events })
}

pub(super) fn head(connection: &Connection) -> Result<Position, StoreError> {
    let head = connection.query_row("SELECT ifnull(max(position), 0) FROM events", [], |row| row.get::<_, i64>(0));
    head.map(|head| Position(head.cast_unsigned())).map_err(|error| ReadError::Sqlite(error).into())
}

pub(super) fn read_log(
    connection: &mut Connection,
    after: Position,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let read = |connection: &mut Connection| -> Result<Vec<RecordedEvent>, ReadError> {
        let transaction = connection.transaction()?;
        let mut events = Vec::with_capacity(limit);
        let first_limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let remaining = read_page(&transaction, after, first_limit, &mut events)?;
        if remaining > 0
            && let Some(last) = events.last().map(|event| event.position)
        {
            read_page(&transaction, last, remaining, &mut events)?; // The rest of the last group.
        }
        Ok(events)
    };
    Ok(read(connection)?)
}

/// Reads on for `limit` events; returns how many of the last one's group follow it.
fn read_page(
    connection: &Connection,
    after: Position,
    limit: i64,
    events: &mut Vec<RecordedEvent>,
) -> Result<i64, ReadError> {
    let mut page = connection.prepare_cached(
        "SELECT events.position, streams.id, events.version, remaining, recorded_at, event_id, type, data, metadata
         FROM events LEFT JOIN streams ON streams.key = events.stream
         WHERE events.position > ?1 ORDER BY events.position LIMIT ?2",
    )?;
    let after = i64::try_from(after.0).unwrap_or(i64::MAX); // Nothing stands beyond that.
    let mut rows = page.query([after, limit])?;
    let mut remaining = 0;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let stream = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?.and_then(stream_of_blob);
        let stream = stream.ok_or(Damage::NoStream { position })?;
        let version = row.get::<_, i64>(2)?.cast_unsigned();
        let damage = |source| Damage::Event { stream, version, position, source };
        let (metadata, schema_version) =
            decode_metadata(row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?).map_err(damage)?;
        let event = text(row, 6).and_then(|name| decode_event(name, schema_version, text(row, 7)?)).map_err(damage)?;
        remaining = row.get(3)?;
        events.push(RecordedEvent {
            position: Position(position.cast_unsigned()),
            event_id: EventId(Uuid::from_bytes(row.get(5)?)),
            stream,
            version,
            recorded_at: Timestamp::from_millis(row.get(4)?),
            event,
            metadata: Arc::new(metadata),
        });
    }
    Ok(remaining)
}

/// A column that the table's type says is text.
fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, CodecError> {
    row.get_ref(column)
        .ok()
        .and_then(|value| value.as_str().ok())
        .ok_or_else(|| CodecError::UnknownType(format!("column {column} is not text")))
}
