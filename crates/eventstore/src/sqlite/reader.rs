//! Reads streams and the log, each in one read transaction.

use inventory_application::ports::{LoadedStream, PastEvent, RecordedEvent, StoreError};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::{DomainEvent, StockId, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};
use thiserror::Error;
use uuid::Uuid;

use super::schema::{FIND_HEAD, stream_of_blob, stream_to_blob};
use super::snapshots;
use crate::event_codec::{CodecError, MetadataDecoder, decode_event, decode_schema_version};

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

pub(super) fn load(
    connection: &mut Connection,
    streams: &[StreamId],
    closed_remembered: usize,
) -> Result<Vec<LoadedStream>, StoreError> {
    let read = |connection: &mut Connection| -> Result<Vec<LoadedStream>, ReadError> {
        let transaction = connection.transaction()?;
        let end = Timestamp::from_millis(i64::MAX);
        streams.iter().map(|stream| load_one(&transaction, *stream, end, closed_remembered)).collect()
    };
    Ok(read(connection)?)
}

pub(super) fn load_at(
    connection: &mut Connection,
    stock_id: StockId,
    at: Timestamp,
    closed_remembered: usize,
) -> Result<LoadedStream, StoreError> {
    let read = |connection: &mut Connection| -> Result<LoadedStream, ReadError> {
        let transaction = connection.transaction()?;
        load_one(&transaction, stock_id.into(), at, closed_remembered)
    };
    Ok(read(connection)?)
}

/// Walks the chain back to the newest snapshot, or to the first event: from the stream's end, or from the first mark after
/// `until` where the stream goes on after it.
fn load_one(
    connection: &Connection,
    stream: StreamId,
    until: Timestamp,
    closed_remembered: usize,
) -> Result<LoadedStream, ReadError> {
    let Some(end) = End::of(connection, stream)? else { return Ok(LoadedStream::default()) };
    let mut mark = connection.prepare_cached(
        "SELECT version, position FROM stream_marks WHERE stream = ?1 AND recorded_at > ?2 ORDER BY version LIMIT 1",
    )?;
    let from = mark.query_row([end.key, until.millis()], |row| Ok(Place::of(row.get(0)?, row.get(1)?))).optional()?;
    let snapshot = match stream {
        StreamId::Inventory(_) => snapshots::newest(connection, end.key, until, closed_remembered)?,
        StreamId::Order(_) | StreamId::Transfer(_) => None,
    };
    let down_to = snapshot.as_ref().map_or(0, |snapshot| snapshot.version());
    let mut loaded = LoadedStream { version: down_to, snapshot, ..LoadedStream::default() };
    let mut walk = Walk::new(connection, stream, from.unwrap_or(end.place))?;
    while let Some(event) = walk.next_above(down_to)? {
        if event.recorded_at <= until {
            loaded.version = loaded.version.max(event.version);
            loaded.position = loaded.position.max(Position(event.position.cast_unsigned()));
            loaded.events.push(PastEvent { event: event.event, recorded_at: event.recorded_at });
        }
    }
    if loaded.events.is_empty() {
        loaded.position = Position(walk.place.position.cast_unsigned()); // Where the snapshot was taken.
    }
    loaded.events.reverse();
    Ok(loaded)
}

/// A stream's row, and where it ends.
struct End {
    key: i64,
    place: Place,
}

/// Where an event stands.
#[derive(Clone, Copy)]
struct Place {
    version: u64,
    position: i64,
}

impl Place {
    fn of(version: i64, position: i64) -> Self {
        Self { version: version.cast_unsigned(), position }
    }
}

impl End {
    fn of(connection: &Connection, stream: StreamId) -> Result<Option<Self>, ReadError> {
        let mut find = connection.prepare_cached(FIND_HEAD)?;
        let row = |row: &Row<'_>| Ok(Self { key: row.get(0)?, place: Place::of(row.get(1)?, row.get(2)?) });
        Ok(find.query_row([stream_to_blob(stream).as_bytes()], row).optional()?)
    }
}

/// Goes a stream's chain back, one event a step.
struct Walk<'a> {
    step: CachedStatement<'a>,
    stream: StreamId,
    place: Place,
}

/// An event on the way.
struct Step {
    position: i64,
    version: u64,
    recorded_at: Timestamp,
    event: DomainEvent,
}

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection, stream: StreamId, place: Place) -> rusqlite::Result<Self> {
        let step = connection.prepare_cached(
            "SELECT previous, version, recorded_at, type, data, metadata FROM events WHERE position = ?1",
        )?;
        Ok(Self { step, stream, place })
    }

    /// The next event whose version is above `version`; `None` when there is none any more.
    fn next_above(&mut self, version: u64) -> Result<Option<Step>, ReadError> {
        let (stream, Place { version: expected, position }) = (self.stream, self.place);
        if expected <= version {
            return Ok(None);
        }
        let mut rows = self.step.query([position])?;
        let Some(row) = rows.next()? else { return Err(Damage::Missing { stream, position }.into()) };
        let actual = row.get::<_, i64>(1)?.cast_unsigned();
        if actual != expected {
            return Err(Damage::Version { stream, position, expected, actual }.into());
        }
        let decoded = decode_schema_version(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)
            .and_then(|schema_version| decode_event(text(row, 3)?, schema_version, text(row, 4)?));
        let event = decoded.map_err(|source| Damage::Event { stream, version: expected, position, source })?;
        self.place = Place { version: expected - 1, position: row.get(0)? };
        Ok(Some(Step { position, version: expected, recorded_at: Timestamp::from_millis(row.get(2)?), event }))
    }
}

pub(super) fn stream_page(
    connection: &mut Connection,
    stream: StreamId,
    after: u64,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let read = |connection: &mut Connection| -> Result<Vec<RecordedEvent>, ReadError> {
        let transaction = connection.transaction()?;
        let Some(end) = End::of(&transaction, stream)? else { return Ok(Vec::new()) };
        let last = after.saturating_add(limit as u64).min(end.place.version);
        let mut mark = transaction.prepare_cached(
            "SELECT version, position FROM stream_marks WHERE stream = ?1 AND version >= ?2 ORDER BY version LIMIT 1",
        )?;
        let row = |row: &Row<'_>| Ok(Place::of(row.get(0)?, row.get(1)?));
        let from = mark.query_row([end.key, last.cast_signed()], row).optional()?.unwrap_or(end.place);
        let mut positions = Vec::new();
        let mut previous = transaction.prepare_cached("SELECT previous, version FROM events WHERE position = ?1")?;
        let mut place = from;
        while place.version > after {
            let Place { version: expected, position } = place;
            let found = previous.query_row([position], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).optional()?;
            let Some((before, actual)) = found else { return Err(Damage::Missing { stream, position }.into()) };
            let actual = actual.cast_unsigned();
            if actual != expected {
                return Err(Damage::Version { stream, position, expected, actual }.into());
            }
            if expected <= last {
                positions.push(position);
            }
            place = Place { version: expected - 1, position: before };
        }
        let mut events = Vec::with_capacity(positions.len());
        for position in positions.into_iter().rev() {
            read_page(&transaction, Position(position.cast_unsigned() - 1), 1, &mut events)?;
        }
        Ok(events)
    };
    Ok(read(connection)?)
}

pub(super) fn head(connection: &Connection) -> Result<Position, StoreError> {
    let head = connection.query_row("SELECT ifnull(max(position), 0) FROM events", [], |row| row.get::<_, i64>(0));
    head.map(|head| Position(head.cast_unsigned())).map_err(|error| ReadError::Sqlite(error).into())
}

/// Reads a page of the log, in whatever transaction is open.
pub(super) fn read_log(
    connection: &Connection,
    after: Position,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let read = || -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = Vec::with_capacity(limit);
        let first_limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let remaining = read_page(connection, after, first_limit, &mut events)?;
        if remaining > 0
            && let Some(last) = events.last().map(|event| event.position)
        {
            read_page(connection, last, remaining, &mut events)?; // The rest of the last group.
        }
        Ok(events)
    };
    Ok(read()?)
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
    let (mut remaining, mut decoder): (i64, _) = (0, MetadataDecoder::default());
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let stream = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?.and_then(stream_of_blob);
        let stream = stream.ok_or(Damage::NoStream { position })?;
        let version = row.get::<_, i64>(2)?.cast_unsigned();
        let damage = |source| Damage::Event { stream, version, position, source };
        let (metadata, schema_version) =
            decoder.decode(row.get_ref(8)?.as_str().map_err(rusqlite::Error::from)?).map_err(damage)?;
        let event = text(row, 6).and_then(|name| decode_event(name, schema_version, text(row, 7)?)).map_err(damage)?;
        remaining = row.get(3)?;
        events.push(RecordedEvent {
            position: Position(position.cast_unsigned()),
            event_id: EventId(Uuid::from_bytes(row.get(5)?)),
            stream,
            version,
            recorded_at: Timestamp::from_millis(row.get(4)?),
            event,
            remaining: remaining.cast_unsigned(),
            metadata,
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
