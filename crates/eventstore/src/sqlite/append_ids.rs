//! The append ids of the last day: which request came under which name, and what it was told.
//!
//! They are random, so an index on all of them would make every commit write to pages all over it: a third of the speed. So
//! they go into segments. A segment is only appended to; its index is in memory while it is young. When it is full, or its
//! hour is over, its index is written in the order of the keys, a slice a commit, and what stays in memory is a filter that
//! says where not to look. A segment goes as a whole, a day after its last id.

use std::collections::HashMap;

use fastbloom::BloomFilter;
use inventory_application::Position;
use inventory_application::ports::{AppendKey, AppendOutcome};
use inventory_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// How long an id is known after its hour has ended.
const KEPT_MS: i64 = 24 * HOUR_MS;

const HOUR_MS: i64 = 3_600_000;

/// Index entries that one commit writes at least, while there are any to write.
const SLICE_MIN: usize = 1_024;

/// Bits a key in a filter: about one look in a hundred is in vain.
const FILTER_BITS_PER_KEY: usize = 10;

/// Hashes a key in a filter, the best for so many bits.
const FILTER_HASHES: u32 = 7;

/// The writer's knowledge of the ids. It changes with a transaction: when that fails, read it anew.
pub(super) struct AppendIds {
    segment_keys_max: usize,
    young: Young,
    /// Segments whose index isn't written yet, oldest first; a commit writes a slice of the first one's.
    sealing: Vec<Sealing>,
    /// Segments whose index is written, oldest first.
    sealed: Vec<Sealed>,
}

/// A segment that is appended to, or was until just now.
struct Young {
    number: i64,
    hour: i64,
    rows: i64,
    by_prefix: ByPrefix,
}

/// The rows under a prefix: nearly always one.
#[derive(Default)]
struct ByPrefix {
    first: HashMap<i64, i64>,
    others: Vec<(i64, i64)>,
}

struct Sealing {
    young: Young,
    /// In the order of the index; `None` before the first slice.
    entries: Option<Vec<(i64, i64)>>,
    written: usize,
}

struct Sealed {
    number: i64,
    hour: i64,
    /// `None` from a start on, until it is built again.
    filter: Option<BloomFilter>,
    /// How far the building of a filter has come.
    rebuilding: Option<(BloomFilter, i64)>,
    rows: usize,
}

pub(super) const TABLES: &str = "
    CREATE TABLE append_id_segments (
        number INTEGER PRIMARY KEY,
        hour INTEGER NOT NULL,
        is_indexed INTEGER NOT NULL
    ) STRICT;
";

impl AppendIds {
    pub(super) fn read(connection: &Connection, segment_keys_max: usize) -> rusqlite::Result<Self> {
        let mut segments =
            connection.prepare("SELECT number, hour, is_indexed FROM append_id_segments ORDER BY number")?;
        let rows = segments.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut all: Vec<(i64, i64, bool)> = rows.collect::<rusqlite::Result<_>>()?;
        let newest = all.pop_if(|(_, _, is_indexed)| !*is_indexed);
        let next_number = all.last().map_or(1, |(number, ..)| number + 1);
        let young = match newest {
            Some((number, hour, _)) => Young::read(connection, number, hour)?,
            None => Young::new(next_number, 0),
        };
        let (mut sealing, mut sealed) = (Vec::new(), Vec::new());
        for (number, hour, is_indexed) in all {
            if is_indexed {
                let rows: i64 = connection.query_row(
                    &format!("SELECT ifnull(max(rowid), 0) FROM append_ids_{number}"),
                    [],
                    |row| row.get(0),
                )?;
                let rows = usize::try_from(rows).unwrap_or(0);
                sealed.push(Sealed { number, hour, filter: None, rebuilding: None, rows });
            } else {
                let young = Young::read(connection, number, hour)?;
                sealing.push(Sealing { young, entries: None, written: 0 });
            }
        }
        Ok(Self { segment_keys_max, young, sealing, sealed })
    }

    /// What an earlier append under the same id means for this one.
    pub(super) fn find(&self, connection: &Connection, key: &AppendKey) -> rusqlite::Result<Option<AppendOutcome>> {
        let prefix = prefix(key);
        let young = std::iter::once(&self.young).chain(self.sealing.iter().rev().map(|sealing| &sealing.young));
        for segment in young {
            for row in segment.by_prefix.rows(prefix) {
                if let Some(found) = outcome_of_row(connection, segment.number, row, key)? {
                    return Ok(Some(found));
                }
            }
        }
        for segment in self.sealed.iter().rev().filter(|segment| segment.may_have(prefix)) {
            let mut find = connection.prepare_cached(&format!(
                "SELECT row FROM append_id_index_{number} WHERE prefix = ?1",
                number = segment.number
            ))?;
            let mut rows = find.query([prefix])?;
            while let Some(row) = rows.next()? {
                if let Some(found) = outcome_of_row(connection, segment.number, row.get(0)?, key)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Keeps what the group under `key` has come to, unless its id was only looked up.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        key: &AppendKey,
        position: Option<Position>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let Some(result) = &key.result else { return Ok(()) };
        self.start_segment_if_due(now);
        let young = &mut self.young;
        if young.rows == 0 {
            young.hour = hour_of(now);
            connection.execute_batch(&format!(
                "CREATE TABLE append_ids_{number} (
                    append_id BLOB NOT NULL, request_hash BLOB NOT NULL, result BLOB NOT NULL, position INTEGER
                 ) STRICT",
                number = young.number
            ))?;
            connection.execute(
                "INSERT INTO append_id_segments (number, hour, is_indexed) VALUES (?1, ?2, 0)",
                [young.number, young.hour],
            )?;
        }
        let mut insert = connection.prepare_cached(&format!(
            "INSERT INTO append_ids_{number} (rowid, append_id, request_hash, result, position) VALUES (?1, ?2, ?3, ?4, ?5)",
            number = young.number
        ))?;
        let position = position.map(|Position(position)| position.cast_signed());
        insert.execute(params![young.rows + 1, key.append_id, key.request_hash, result, position])?;
        young.rows += 1;
        young.by_prefix.insert(prefix(key), young.rows);
        Ok(())
    }

    /// A segment has ids of one hour only.
    fn start_segment_if_due(&mut self, now: Timestamp) {
        let is_full = usize::try_from(self.young.rows).unwrap_or(usize::MAX) >= self.segment_keys_max;
        if self.young.rows > 0 && (is_full || hour_of(now) != self.young.hour) {
            let next = Young::new(self.young.number + 1, hour_of(now));
            let young = std::mem::replace(&mut self.young, next);
            self.sealing.push(Sealing { young, entries: None, written: 0 });
        }
    }

    /// At the end of a batch with `keys` ids, in its transaction: goes on with the indexes of old segments, and drops what is past
    /// its day.
    pub(super) fn tend(&mut self, connection: &Connection, keys: usize, now: Timestamp) -> rusqlite::Result<()> {
        self.start_segment_if_due(now);
        // Twice as many as came in, so that it is done before the next segment is full.
        let slice = SLICE_MIN.max(keys * 2);
        if let Some(first) = self.sealing.first_mut() {
            if first.write(connection, slice)? {
                let done = self.sealing.remove(0).done(connection)?;
                self.sealed.push(done);
            }
        } else if let Some(segment) = self.sealed.iter_mut().rev().find(|segment| segment.filter.is_none()) {
            segment.rebuild_filter(connection, slice)?;
        }
        while let Some(oldest) = self.sealed.first()
            && (oldest.hour + 1) * HOUR_MS + KEPT_MS <= now.millis()
        {
            let number = oldest.number;
            connection.execute("DELETE FROM append_id_segments WHERE number = ?1", [number])?;
            connection
                .execute_batch(&format!("DROP TABLE append_id_index_{number}; DROP TABLE append_ids_{number};"))?;
            self.sealed.remove(0);
        }
        Ok(())
    }
}

impl Young {
    fn new(number: i64, hour: i64) -> Self {
        Self { number, hour, rows: 0, by_prefix: ByPrefix::default() }
    }

    fn read(connection: &Connection, number: i64, hour: i64) -> rusqlite::Result<Self> {
        let mut young = Self::new(number, hour);
        let mut ids =
            connection.prepare(&format!("SELECT rowid, append_id FROM append_ids_{number} ORDER BY rowid"))?;
        let mut rows = ids.query([])?;
        while let Some(row) = rows.next()? {
            young.rows = row.get(0)?;
            young.by_prefix.insert(prefix_of(&row.get(1)?), young.rows);
        }
        Ok(young)
    }
}

impl ByPrefix {
    fn insert(&mut self, prefix: i64, row: i64) {
        if let Some(other) = self.first.insert(prefix, row) {
            self.others.push((prefix, other));
        }
    }

    fn rows(&self, prefix: i64) -> impl Iterator<Item = i64> {
        let first = self.first.get(&prefix).copied();
        let others = self.others.iter().filter(move |(other, _)| *other == prefix).map(|(_, row)| *row);
        first.into_iter().chain(others)
    }

    fn sorted(&self) -> Vec<(i64, i64)> {
        let mut entries: Vec<_> = self.first.iter().map(|(prefix, row)| (*prefix, *row)).collect();
        entries.extend(&self.others);
        entries.sort_unstable();
        entries
    }
}

impl Sealing {
    /// Writes the next `slice` entries of the index; true when all are written.
    fn write(&mut self, connection: &Connection, slice: usize) -> rusqlite::Result<bool> {
        let number = self.young.number;
        if self.entries.is_none() {
            connection.execute_batch(&format!(
                "DROP TABLE IF EXISTS append_id_index_{number};
                 CREATE TABLE append_id_index_{number} (
                    prefix INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (prefix, row)
                 ) STRICT, WITHOUT ROWID;"
            ))?;
        }
        let entries = self.entries.get_or_insert_with(|| self.young.by_prefix.sorted());
        let end = entries.len().min(self.written + slice);
        let mut insert = connection
            .prepare_cached(&format!("INSERT INTO append_id_index_{number} (prefix, row) VALUES (?1, ?2)"))?;
        for (prefix, row) in &entries[self.written..end] {
            insert.execute([prefix, row])?;
        }
        self.written = end;
        Ok(end == entries.len())
    }

    fn done(self, connection: &Connection) -> rusqlite::Result<Sealed> {
        let Young { number, hour, .. } = self.young;
        connection.execute("UPDATE append_id_segments SET is_indexed = 1 WHERE number = ?1", [number])?;
        let entries = self.entries.unwrap_or_default();
        let mut filter = empty_filter(entries.len());
        for (prefix, _) in &entries {
            filter.insert_hash(prefix.cast_unsigned());
        }
        Ok(Sealed { number, hour, filter: Some(filter), rebuilding: None, rows: entries.len() })
    }
}

impl Sealed {
    fn may_have(&self, prefix: i64) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.contains_hash(prefix.cast_unsigned()))
    }

    /// Goes on building the filter with the next `slice` rows.
    fn rebuild_filter(&mut self, connection: &Connection, slice: usize) -> rusqlite::Result<()> {
        let (mut filter, after) = self.rebuilding.take().unwrap_or_else(|| (empty_filter(self.rows), 0));
        let mut read = connection.prepare_cached(&format!(
            "SELECT rowid, append_id FROM append_ids_{number} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
            number = self.number
        ))?;
        let mut rows = read.query([after, i64::try_from(slice).unwrap_or(i64::MAX)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            filter.insert_hash(prefix_of(&row.get(1)?).cast_unsigned());
        }
        match last {
            Some(last) => self.rebuilding = Some((filter, last)),
            None => self.filter = Some(filter),
        }
        Ok(())
    }
}

/// What is wrong with the ids, as far as what is stored can tell.
///
/// A segment's rows are numbered without a gap, its index is whole exactly when it is said to be, segments have no gap between
/// them and are indexed in their order, and the positions only go up and are those of last events of groups whose request had a
/// key. What can't be told: whether the oldest segment, or the last rows of one that has no index yet, were taken away (they go
/// by themselves in a day, and a refusal's row leaves no trace in the log), and whether a hash, an answer or an hour is another
/// one than it was, since nothing else says so.
pub(super) fn flaws(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let names = |like: &str| -> rusqlite::Result<Vec<i64>> {
        let mut find = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?1")?;
        let names = find.query_map([format!("{like}[0-9]*")], |row| row.get::<_, String>(0))?;
        let numbers = names.map(|name| Ok(name?.get(like.len()..).and_then(|number| number.parse().ok())));
        numbers.filter_map(Result::transpose).collect()
    };
    let (tables, indexes) = (names("append_ids_")?, names("append_id_index_")?);
    let mut segments = connection.prepare("SELECT number, is_indexed FROM append_id_segments ORDER BY number")?;
    let segments = segments.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let segments: Vec<(i64, bool)> = segments.collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::new();
    for number in tables.iter().chain(&indexes) {
        if segments.iter().all(|(known, _)| known != number) {
            found.push(format!("the append ids of segment {number} are there, and there is no such segment"));
        }
    }
    for pair in segments.windows(2) {
        let [(number, is_indexed), (next, next_is_indexed)] = pair else { continue };
        if *next != number + 1 {
            found.push(format!("segment {next} of the append ids follows {number}"));
        }
        if *next_is_indexed && !is_indexed {
            found.push(format!("segment {next} of the append ids is indexed, and {number} before it isn't"));
        }
    }
    for (number, is_indexed) in segments {
        if !tables.contains(&number) {
            found.push(format!("the append ids of segment {number} are missing"));
            continue;
        }
        let is_there = indexes.contains(&number);
        if is_indexed && !is_there {
            found.push(format!("segment {number} of the append ids has no index, and is said to have one"));
        }
        flaws_of(connection, number, is_there, is_indexed, &mut found)?;
    }
    Ok(found)
}

/// What is wrong with one segment.
fn flaws_of(
    connection: &Connection,
    number: i64,
    is_there: bool,
    is_indexed: bool,
    found: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut all = connection.prepare(&format!(
        "SELECT ids.rowid, append_id, ids.position, remaining, 
            CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.idempotency_key') IS NOT NULL ELSE 0 END
         FROM append_ids_{number} AS ids LEFT JOIN events ON events.position = ids.position ORDER BY ids.rowid"
    ))?;
    let index = is_there.then(|| format!("SELECT 1 FROM append_id_index_{number} WHERE prefix = ?1 AND row = ?2"));
    let mut index = index.map(|sql| connection.prepare(&sql)).transpose()?;
    let (mut rows, mut last, mut strays, mut gaps, mut unindexed) = (0_i64, 0_i64, 0_u64, 0_u64, 0_u64);
    let mut ids = all.query([])?;
    while let Some(row) = ids.next()? {
        rows += 1;
        let number: i64 = row.get(0)?;
        gaps += u64::from(number != rows);
        rows = number;
        if let Some(position) = row.get::<_, Option<i64>>(2)? {
            let is_its = row.get::<_, Option<i64>>(3)? == Some(0) && row.get(4)?;
            strays += u64::from(!is_its || position <= last);
            last = position;
        }
        if let Some(index) = &mut index {
            let first = row.get_ref(1)?.as_blob()?.first_chunk().map(|first| i64::from_be_bytes(*first));
            unindexed += u64::from(!index.exists(params![first, number])?);
        }
    }
    if strays > 0 {
        found.push(format!("{strays} append ids of segment {number} name events that aren't there, or aren't theirs"));
    }
    if gaps > 0 || rows == 0 {
        found.push(format!("append ids of segment {number} are missing"));
    }
    if is_there {
        let entries: i64 =
            connection.query_row(&format!("SELECT count(*) FROM append_id_index_{number}"), [], |row| row.get(0))?;
        let is_whole = unindexed == 0 && entries == rows;
        if is_indexed && !is_whole {
            found.push(format!("the index of segment {number} of the append ids isn't that of its rows"));
        }
        if !is_indexed && is_whole && rows > 0 {
            found.push(format!("segment {number} of the append ids has an index, and is said to have none"));
        }
    }
    Ok(())
}

fn empty_filter(keys: usize) -> BloomFilter {
    BloomFilter::with_num_bits((keys * FILTER_BITS_PER_KEY).max(64)).seed(&0).hashes(FILTER_HASHES)
}

/// What the row says about `key`; `None` when it is another id that starts alike.
fn outcome_of_row(
    connection: &Connection,
    segment: i64,
    row: i64,
    key: &AppendKey,
) -> rusqlite::Result<Option<AppendOutcome>> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT append_id, request_hash, result, position FROM append_ids_{segment} WHERE rowid = ?1"
    ))?;
    let found = find.query_row([row], |row| {
        if row.get_ref(0)?.as_blob()? != key.append_id {
            return Ok(None);
        }
        if row.get_ref(1)?.as_blob()? != key.request_hash {
            return Ok(Some(AppendOutcome::AppendIdReused));
        }
        let position = row.get::<_, Option<i64>>(3)?.map(|position| Position(position.cast_unsigned()));
        Ok(Some(AppendOutcome::Repeated { result: row.get(2)?, position }))
    });
    Ok(found.optional()?.flatten())
}

fn prefix(key: &AppendKey) -> i64 {
    prefix_of(&key.append_id)
}

fn prefix_of(append_id: &[u8; 16]) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&append_id[..8]);
    i64::from_be_bytes(first)
}

fn hour_of(now: Timestamp) -> i64 {
    now.millis().div_euclid(HOUR_MS)
}
