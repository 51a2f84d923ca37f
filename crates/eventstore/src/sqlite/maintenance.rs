//! Work on the file as a whole, beside a service that may be using it: what its own structure says, and copies.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inventory_application::ports::{RecordedEvent, StoreError};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use uuid::Uuid;

use super::append_ids;
use super::reader::read_log;
use super::schema::stream_of_blob;
use super::write_ahead_log::refuse_emptied;
use crate::event_file::{EventFile, KeptState, SnapshotPlace};
use crate::files::sync_folder;
use crate::lost_events::Seen;
use crate::state_codec::{decode_state, fingerprint};

/// What a stream takes in memory while the chains are proved, about, in bytes.
const STREAM_BYTES: u64 = 64;

/// How often the chains are looked at, at most.
const PARTS_MAX: u64 = 64;

/// Pages that are copied at a time, between two looks at the progress.
const PAGES_AT_A_TIME: i32 = 2_048;

/// The file, only to be read, as it is at one moment.
pub struct SqliteEventFile {
    path: PathBuf,
    connection: Connection,
    head: Position,
    closed_remembered: usize,
}

impl SqliteEventFile {
    /// Opens the file as it is now; `closed_remembered` says which snapshots are of use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with what `SQLite` says.
    pub fn open(path: &Path, closed_remembered: usize) -> Result<Self, StoreError> {
        refuse_emptied(path).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let open = || -> rusqlite::Result<Self> {
            // A connection is never shared between threads, so SQLite need not lock for each call.
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.pragma_update(None, "cache_size", -8_192)?;
            connection.execute_batch("BEGIN")?;
            let head: i64 =
                connection.query_row("SELECT ifnull(max(position), 0) FROM events", [], |row| row.get(0))?;
            Ok(Self { path: path.to_owned(), connection, head: Position(head.cast_unsigned()), closed_remembered })
        };
        open().map_err(unavailable)
    }

    /// What `SQLite` itself finds wrong with the file.
    fn damage(&self) -> rusqlite::Result<Vec<String>> {
        let mut check = self.connection.prepare("PRAGMA quick_check(10)")?;
        let said = check.query_map([], |row| row.get(0))?;
        let said: Vec<String> = said.collect::<rusqlite::Result<_>>()?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    /// Where each stream's chain doesn't hold: each event names the one before it, the marks and the stream's row the last, by the
    /// events themselves. Where the streams need more than `memory`, the events are looked at several times, for some of them each.
    fn broken_chains(
        &self,
        findings_max: usize,
        memory: u64,
        advance: &mut dyn FnMut(u64),
    ) -> rusqlite::Result<Vec<String>> {
        let streams: i64 = self.connection.query_row("SELECT count(*) FROM streams", [], |row| row.get(0))?;
        let parts = (streams.cast_unsigned() * STREAM_BYTES).div_ceil(memory.max(1)).clamp(1, PARTS_MAX);
        let mut findings = Vec::new();
        for part in 0..parts {
            let of_part = |stream: i64| stream.cast_unsigned() % parts == part;
            self.broken_chains_of(&of_part, findings_max, &mut |events| {
                if part == 0 {
                    advance(events);
                }
            })?
            .into_iter()
            .for_each(|said| findings.push(said));
        }
        Ok(findings)
    }

    fn broken_chains_of(
        &self,
        of_part: &dyn Fn(i64) -> bool,
        findings_max: usize,
        advance: &mut dyn FnMut(u64),
    ) -> rusqlite::Result<Vec<String>> {
        let mut findings = Vec::new();
        let mut heads: HashMap<i64, (i64, i64)> = HashMap::new();
        let mut marks = self
            .connection
            .prepare("SELECT position, recorded_at FROM stream_marks WHERE stream = ?1 AND version = ?2")?;
        let mut all = self
            .connection
            .prepare("SELECT position, stream, version, previous, recorded_at FROM events ORDER BY position")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            advance(1);
            let stream = row.get(1)?;
            if !of_part(stream) {
                continue;
            }
            let (position, version, previous): (i64, i64, i64) = (row.get(0)?, row.get(2)?, row.get(3)?);
            let before = heads.insert(stream, (version, position)).unwrap_or_default();
            if findings.len() < findings_max && before != (version - 1, previous) {
                findings
                    .push(format!("event {position} names {previous} as the one before it, which is at {}", before.1));
            }
            if version % super::schema::MARK_EVERY.cast_signed() == 0 && findings.len() < findings_max {
                let marked: Option<(i64, i64)> =
                    marks.query_row([stream, version], |row| Ok((row.get(0)?, row.get(1)?))).ok();
                if marked != Some((position, row.get(4)?)) {
                    findings
                        .push(format!("version {version} of the stream of event {position} has a wrong mark, or none"));
                }
            }
        }
        let mut streams = self.connection.prepare(
            "SELECT key, ifnull(version, 0), ifnull(head, 0), id FROM streams FULL JOIN stream_heads USING (key)",
        )?;
        let mut rows = streams.query([])?;
        while let Some(row) = rows.next()? {
            let (key, version, head): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if !of_part(key) {
                continue;
            }
            let Some(named) = row.get_ref(3)?.as_blob_or_null()? else {
                if findings.len() < findings_max && !heads.contains_key(&key) {
                    findings.push(format!("it is said where stream {key} stands, and there is no stream {key}"));
                }
                continue; // Where it has events, they belong to no stream.
            };
            let name =
                stream_of_blob(named).map_or_else(|| "a stream of no kind".to_owned(), |stream| stream.to_string());
            let actual = heads.remove(&key).unwrap_or_default();
            if findings.len() < findings_max && actual != (version, head) {
                findings.push(format!(
                    "{name} is said to be at version {version}, event {head}, and is at version {}, event {}",
                    actual.0, actual.1
                ));
            }
        }
        findings.extend(
            heads.values().take(findings_max).map(|(_, position)| format!("event {position} belongs to no stream")),
        );
        Ok(findings)
    }

    /// Marks of what has none. That there are no two of one version is the key's promise.
    fn needless_marks(&self, findings_max: usize) -> rusqlite::Result<Vec<String>> {
        let mut all = self.connection.prepare(
            "SELECT stream_marks.stream, stream_marks.version FROM stream_marks
             LEFT JOIN events ON events.position = stream_marks.position AND events.stream = stream_marks.stream
                AND events.version = stream_marks.version
             WHERE stream_marks.version % ?1 <> 0 OR events.position IS NULL LIMIT ?2",
        )?;
        let (every, limit) = (super::schema::MARK_EVERY.cast_signed(), i64::try_from(findings_max).unwrap_or(i64::MAX));
        let said = all.query_map([every, limit], |row| {
            let (stream, version): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(format!("there is a mark of version {version} of stream {stream}, which has none there"))
        })?;
        said.collect()
    }
}

fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

impl EventFile for SqliteEventFile {
    fn another(&self) -> Result<Box<dyn EventFile>, StoreError> {
        Ok(Box::new(Self::open(&self.path, self.closed_remembered)?))
    }

    fn head(&self) -> Position {
        self.head
    }

    /// Nothing.
    fn seen(&self) -> Option<&Seen> {
        None
    }

    fn stream_count(&self) -> Result<u64, StoreError> {
        let count = self.connection.query_row("SELECT count(*) FROM streams", [], |row| row.get::<_, i64>(0));
        count.map(i64::cast_unsigned).map_err(unavailable)
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        read_log(&self.connection, after, limit)
    }

    fn flaws(&self, findings_max: usize, memory: u64, advance: &mut dyn FnMut(u64)) -> Result<Vec<String>, StoreError> {
        let mut flaws = self.damage().map_err(unavailable)?;
        flaws.extend(append_ids::flaws(&self.connection).map_err(unavailable)?);
        flaws.extend(self.needless_marks(findings_max).map_err(unavailable)?);
        flaws.extend(self.broken_chains(findings_max, memory, advance).map_err(unavailable)?);
        Ok(flaws)
    }

    fn snapshot_places(&self) -> Result<Vec<SnapshotPlace>, StoreError> {
        let read = || -> rusqlite::Result<Vec<SnapshotPlace>> {
            let mut all = self.connection.prepare(
                "SELECT position, streams.id, snapshots.version, event_id, recorded_at, snapshots.rowid
                 FROM snapshots LEFT JOIN streams ON streams.key = stream WHERE fingerprint = ?1 ORDER BY position",
            )?;
            let places = all.query_map([fingerprint(self.closed_remembered)], |row| {
                let stream = row.get_ref(1)?.as_blob_or_null()?.and_then(stream_of_blob);
                let event_id = row.get_ref(3)?.as_blob()?;
                Ok(SnapshotPlace {
                    position: Position(row.get::<_, i64>(0)?.cast_unsigned()),
                    stock_id: stream.and_then(StreamId::stock_id),
                    version: row.get::<_, i64>(2)?.cast_unsigned(),
                    event_id: EventId(Uuid::from_slice(event_id).unwrap_or_default()), // No event has the default.
                    recorded_at: Timestamp::from_millis(row.get(4)?),
                    key: row.get(5)?,
                })
            })?;
            places.collect()
        };
        read().map_err(unavailable)
    }

    fn snapshot(&self, key: i64) -> Result<KeptState, StoreError> {
        let read = || -> rusqlite::Result<KeptState> {
            let mut find = self.connection.prepare_cached("SELECT state FROM snapshots WHERE rowid = ?1")?;
            let state =
                find.query_row([key], |row| Ok(decode_state(row.get_ref(0)?.as_blob()?, self.closed_remembered)));
            Ok(state.optional()?.map_or(KeptState::None, |state| {
                state.map_or(KeptState::Unreadable, |state| KeptState::State(Box::new(state)))
            }))
        };
        read().map_err(unavailable)
    }

    fn copy_to(&self, to: &Path, advance: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let path = to.join(super::FILE);
        let mut copy = || -> rusqlite::Result<()> {
            let mut copy = Connection::open(&path)?;
            // The read transaction that is open holds the moment: a copy that would start again with each write never ends.
            let backup = Backup::new(&self.connection, &mut copy)?;
            loop {
                let step = backup.step(PAGES_AT_A_TIME)?;
                let progress = backup.progress();
                let all = u64::from(progress.pagecount.unsigned_abs());
                let left = u64::from(progress.remaining.unsigned_abs());
                advance(all - left.min(all), all);
                match step {
                    StepResult::Done => break,
                    StepResult::More => (),
                    _ => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            drop(backup);
            copy.execute_batch("PRAGMA journal_mode = delete") // One file, with nothing beside it.
        };
        copy().map_err(unavailable)?;
        let synced = File::open(&path).and_then(|file| file.sync_all()).and_then(|()| sync_folder(to));
        synced.map_err(|error| StoreError::Unavailable(Box::new(error)))
    }
}
