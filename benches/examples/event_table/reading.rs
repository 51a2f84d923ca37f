//! Reads of the bare log: every column, nothing decoded.
#![allow(dead_code, reason = "not every program that shares this module reads")]

use rusqlite::Row;

use super::EventTable;

impl EventTable {
    /// Walks a stream of the chain layout back from its last event, over `limit` events at most, and returns how many bytes of
    /// data were read.
    pub(crate) fn read_stream(&self, stream: u32, limit: usize) -> rusqlite::Result<usize> {
        let mut find = self.connection.prepare_cached(
            "SELECT stream, version, event_id, data, recorded_at, metadata, previous FROM events WHERE position = ?1",
        )?;
        let mut position = self.streams.get(stream as usize).map_or(0, |stream| stream.head);
        let (mut bytes, mut left) = (0, limit);
        while position > 0 && left > 0 {
            let (read, previous) = find.query_row([position], |row| Ok((length(row)?, row.get(6)?)))?;
            bytes += read;
            left -= 1;
            position = previous;
        }
        Ok(bytes)
    }

    /// Reads `limit` events of the log after `after`, and returns how many bytes of data were read.
    pub(crate) fn read_page(&self, after: i64, limit: u32) -> rusqlite::Result<usize> {
        let mut find = self.connection.prepare_cached(
            "SELECT stream, version, event_id, data, recorded_at, metadata FROM events
             WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?;
        let mut rows = find.query(rusqlite::params![after, limit])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            bytes += length(row)?;
        }
        Ok(bytes)
    }
}

/// Takes every column, and says how long the data is.
fn length(row: &Row<'_>) -> rusqlite::Result<usize> {
    let (_, _, _): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(4)?);
    let (event_id, data, metadata) = (row.get_ref(2)?, row.get_ref(3)?, row.get_ref(5)?);
    Ok(event_id.as_blob()?.len() + data.as_str()?.len() + metadata.as_str()?.len())
}
