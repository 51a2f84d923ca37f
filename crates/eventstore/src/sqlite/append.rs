//! One batch: groups checked in order, their events inserted, one commit.

use std::collections::HashSet;
use std::str;

use inventory_application::ports::{AppendGroup, AppendOutcome};
use inventory_application::{Position, StreamId};
use inventory_domain::Timestamp;
use lru::LruCache;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::append_ids::AppendIds;
use super::schema::{FIND_HEAD, MARK_EVERY, stream_to_blob};
use crate::event_codec::{MetadataEncoder, encode_event};

/// Why a batch was not appended, and what is known of it.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed before the commit.
    NothingHappened(rusqlite::Error),
    /// The commit failed, or what failed before it can't be taken back: the connection is not to be used again.
    OutcomeUnknown(rusqlite::Error),
}

/// Where a stream stands.
#[derive(Clone, Copy)]
struct Head {
    /// Its row's key; `None` where it has no row.
    key: Option<i64>,
    version: u64,
    position: Position,
    /// The version in its row, which follows at the end of a batch.
    stored_version: u64,
}

/// What the writer knows of the streams and of the log's end: true, because nobody else writes.
pub(super) struct Heads {
    by_stream: LruCache<StreamId, Head>,
    streams_max: usize,
    last_position: Position,
    last_key: i64,
    /// Reused from event to event.
    data: Vec<u8>,
    metadata: MetadataEncoder,
}

impl Heads {
    pub(super) fn read(connection: &Connection, streams_max: usize) -> rusqlite::Result<Self> {
        let position: i64 =
            connection.query_row("SELECT ifnull(max(position), 0) FROM events", [], |row| row.get(0))?;
        let last_key = connection.query_row("SELECT ifnull(max(key), 0) FROM streams", [], |row| row.get(0))?;
        let by_stream = LruCache::unbounded();
        let last_position = Position(position.cast_unsigned());
        Ok(Self {
            by_stream,
            streams_max,
            last_position,
            last_key,
            data: Vec::new(),
            metadata: MetadataEncoder::default(),
        })
    }

    pub(super) fn last_position(&self) -> Position {
        self.last_position
    }

    /// Forgets the streams that were used longest ago. Not called within a batch, whose streams have to stay.
    pub(super) fn trim(&mut self) {
        while self.by_stream.len() > self.streams_max {
            self.by_stream.pop_lru();
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.by_stream.clear();
    }

    fn of(&mut self, connection: &Connection, stream: StreamId) -> rusqlite::Result<&mut Head> {
        self.by_stream.try_get_or_insert_mut(stream, || {
            let mut find = connection.prepare_cached(FIND_HEAD)?;
            let found = find.query_row([stream_to_blob(stream).as_bytes()], |row| {
                let (version, position) =
                    (row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, i64>(2)?.cast_unsigned());
                Ok(Head { key: Some(row.get(0)?), version, position: Position(position), stored_version: version })
            });
            let none = Head { key: None, version: 0, position: Position::START, stored_version: 0 };
            Ok(found.optional()?.unwrap_or(none))
        })
    }
}

/// Streams that no later group of the batch may touch.
#[derive(Default)]
struct Tainted(HashSet<StreamId>);

impl Tainted {
    fn first_of(&self, group: &AppendGroup) -> Option<StreamId> {
        if self.0.is_empty() {
            return None;
        }
        group.streams.iter().map(|append| append.stream).find(|stream| self.0.contains(stream))
    }

    fn add(&mut self, group: &AppendGroup) {
        self.0.extend(group.streams.iter().map(|append| append.stream));
    }
}

/// Appends a batch that has events or append ids, while the clock shows `now`.
pub(super) fn append(
    connection: &mut Connection,
    heads: &mut Heads,
    ids: &mut AppendIds,
    batch: &[AppendGroup],
    now: Timestamp,
) -> Result<Vec<AppendOutcome>, Failure> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate).map_err(Failure::NothingHappened)?;
    let (last_position, last_key) = (heads.last_position, heads.last_key);
    match append_all(&transaction, heads, ids, batch, now) {
        Ok(outcomes) => match transaction.commit() {
            Ok(()) => Ok(outcomes),
            Err(error) => {
                (heads.last_position, heads.last_key) = (last_position, last_key);
                Err(Failure::OutcomeUnknown(error))
            }
        },
        Err(error) => {
            (heads.last_position, heads.last_key) = (last_position, last_key);
            if transaction.is_autocommit() {
                return Err(Failure::NothingHappened(error)); // A full disk, for one, rolls back by itself.
            }
            Err(match transaction.rollback() {
                Ok(()) => Failure::NothingHappened(error),
                Err(rollback) => Failure::OutcomeUnknown(rollback),
            })
        }
    }
}

/// Looks up the ids and compares the versions of a batch that adds nothing.
pub(super) fn check_only(
    connection: &Connection,
    heads: &mut Heads,
    ids: &AppendIds,
    batch: &[AppendGroup],
) -> Result<Vec<AppendOutcome>, Failure> {
    let mut tainted = Tainted::default();
    let mut outcomes = Vec::with_capacity(batch.len());
    for group in batch {
        let refused = refusal(connection, heads, ids, group, &tainted).map_err(Failure::NothingHappened)?;
        if refused.is_some() {
            tainted.add(group);
        }
        outcomes.push(refused.unwrap_or(AppendOutcome::Appended { position: None }));
    }
    Ok(outcomes)
}

fn append_all(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    ids: &mut AppendIds,
    batch: &[AppendGroup],
    now: Timestamp,
) -> rusqlite::Result<Vec<AppendOutcome>> {
    let mut tainted = Tainted::default();
    let mut statements = Statements::prepare(transaction)?;
    let mut moved = Vec::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    for group in batch {
        let refused = refusal(transaction, heads, ids, group, &tainted)?;
        outcomes.push(match refused {
            Some(refused) => {
                tainted.add(group);
                refused
            }
            None => {
                let position = insert(transaction, heads, &mut statements, group, &mut moved)?;
                if let Some(key) = &group.key {
                    ids.remember(transaction, key, position, now)?;
                }
                AppendOutcome::Appended { position }
            }
        });
    }
    move_streams(transaction, heads, &moved)?;
    ids.tend(transaction, batch.iter().filter(|group| group.key.is_some()).count(), now)?;
    Ok(outcomes)
}

/// Why the group is not appended, if it isn't: the append id first, then taint, then the versions.
fn refusal(
    connection: &Connection,
    heads: &mut Heads,
    ids: &AppendIds,
    group: &AppendGroup,
    tainted: &Tainted,
) -> rusqlite::Result<Option<AppendOutcome>> {
    if let Some(key) = &group.key
        && let Some(known) = ids.find(connection, key)?
    {
        return Ok(Some(known));
    }
    if let Some(stream) = tainted.first_of(group) {
        return Ok(Some(AppendOutcome::Tainted { stream }));
    }
    for append in &group.streams {
        let actual = heads.of(connection, append.stream)?.version;
        if actual != append.expected.version() {
            return Ok(Some(AppendOutcome::Conflict { stream: append.stream, actual }));
        }
    }
    Ok(None)
}

/// What adds rows, looked up once a batch.
struct Statements<'a> {
    event: CachedStatement<'a>,
    mark: CachedStatement<'a>,
    stream: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            event: connection.prepare_cached(
                "INSERT INTO events (position, stream, version, previous, remaining, recorded_at, event_id, type, data, metadata)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?,
            mark: connection.prepare_cached(
                "INSERT INTO stream_marks (stream, version, position, recorded_at) VALUES (?1, ?2, ?3, ?4)",
            )?,
            stream: connection
                .prepare_cached("INSERT INTO streams (key, id) VALUES (?1, ?2)")?,
        })
    }
}

/// Inserts the group's events, and returns where the last one stands.
fn insert(
    transaction: &Transaction<'_>,
    heads: &mut Heads,
    statements: &mut Statements<'_>,
    group: &AppendGroup,
    moved: &mut Vec<StreamId>,
) -> rusqlite::Result<Option<Position>> {
    let mut remaining = group.event_count().cast_signed();
    let mut encoder = std::mem::take(&mut heads.metadata);
    let metadata = text(encoder.encode(&group.metadata))?;
    let mut last = None;
    for append in group.streams.iter().filter(|append| !append.events.is_empty()) {
        let mut head = *heads.of(transaction, append.stream)?;
        if head.version == head.stored_version {
            moved.push(append.stream);
        }
        let key = head.key.unwrap_or_else(|| {
            heads.last_key += 1;
            heads.last_key
        });
        for new in &append.events {
            heads.last_position.0 += 1;
            head.version += 1;
            remaining -= 1;
            heads.data.clear();
            let event_type = encode_event(&new.event, &mut heads.data);
            statements.event.execute(params![
                heads.last_position.0.cast_signed(),
                key,
                head.version.cast_signed(),
                head.position.0.cast_signed(),
                remaining,
                group.recorded_at.millis(),
                new.event_id.0.as_bytes(),
                event_type,
                text(&heads.data)?,
                metadata,
            ])?;
            head.position = heads.last_position;
            if head.version.is_multiple_of(MARK_EVERY) {
                let (version, position) = (head.version.cast_signed(), head.position.0.cast_signed());
                statements.mark.execute([key, version, position, group.recorded_at.millis()])?;
            }
        }
        last = Some(heads.last_position);
        if head.key.is_none() {
            statements.stream.execute(params![key, stream_to_blob(append.stream).as_bytes()])?;
        }
        head.key = Some(key);
        *heads.of(transaction, append.stream)? = head;
    }
    heads.metadata = encoder;
    Ok(last)
}

/// Moves the row of each stream that has new events, once a batch, and from where it was known to be.
fn move_streams(transaction: &Transaction<'_>, heads: &mut Heads, moved: &[StreamId]) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached("INSERT INTO stream_heads (key, version, head) VALUES (?1, ?2, ?3)")?;
    let mut update = transaction
        .prepare_cached("UPDATE stream_heads SET version = ?2, head = ?3 WHERE key = ?1 AND version = ?4")?;
    for stream in moved {
        let head = heads.of(transaction, *stream)?;
        let stored = std::mem::replace(&mut head.stored_version, head.version).cast_signed();
        let (version, position) = (head.version.cast_signed(), head.position.0.cast_signed());
        let rows = match stored {
            0 => add.execute(params![head.key, version, position])?,
            stored => update.execute(params![head.key, version, position, stored])?,
        };
        if rows != 1 {
            return Err(rusqlite::Error::StatementChangedRows(rows));
        }
    }
    Ok(())
}

/// What the codec writes is JSON, and so UTF-8.
fn text(json: &[u8]) -> rusqlite::Result<&str> {
    Ok(str::from_utf8(json)?)
}
