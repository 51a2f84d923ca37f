//! States of long streams, kept beside the log.
//!
//! A snapshot names the event that it was taken after, and is believed only while that event is there.

use inventory_application::ports::Snapshot;
use inventory_application::{Position, StreamId};
use inventory_domain::{Inventory, StockId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::schema::stream_to_blob;
use crate::state_codec::{decode_state, encode_state, fingerprint};

pub(super) const TABLES: &str = "
    CREATE TABLE snapshots (
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        recorded_at INTEGER NOT NULL,
        fingerprint TEXT NOT NULL,
        state BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX snapshots_by_stream ON snapshots (stream, fingerprint, version);
";

/// A snapshot as it is stored: the writer has no time to encode a large state.
pub(super) struct EncodedSnapshot {
    stock_id: StockId,
    position: Position,
    version: u64,
    recorded_at: Timestamp,
    state: Vec<u8>,
}

impl EncodedSnapshot {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { stock_id, position, inventory } = snapshot;
        let (version, recorded_at) = (inventory.version(), inventory.recorded_at());
        Self { stock_id: *stock_id, position: *position, version, recorded_at, state: encode_state(inventory) }
    }
}

/// Keeps the states whose streams and events are there.
pub(super) fn keep(
    connection: &mut Connection,
    snapshots: &[EncodedSnapshot],
    closed_remembered: usize,
) -> rusqlite::Result<()> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT OR REPLACE INTO snapshots (stream, version, position, event_id, recorded_at, fingerprint, state)
             SELECT stream, version, position, event_id, ?3, ?4, ?5 FROM events
             WHERE position = ?1 AND version = ?2 AND stream = (SELECT key FROM streams WHERE id = ?6)",
        )?;
        for EncodedSnapshot { stock_id, position, version, recorded_at, state } in snapshots {
            insert.execute(params![
                position.0.cast_signed(),
                version.cast_signed(),
                recorded_at.millis(),
                fingerprint(closed_remembered),
                state,
                stream_to_blob(StreamId::Inventory(*stock_id)).as_bytes(),
            ])?;
        }
    }
    transaction.commit()
}

/// The newest state of the stream with this row that was recorded at `until` or before.
pub(super) fn newest(
    connection: &Connection,
    stream: i64,
    until: Timestamp,
    closed_remembered: usize,
) -> rusqlite::Result<Option<Box<Inventory>>> {
    let mut find = connection.prepare_cached(
        "SELECT snapshots.state, snapshots.version FROM snapshots
         JOIN events ON events.position = snapshots.position
         WHERE snapshots.stream = ?1 AND fingerprint = ?2 AND snapshots.recorded_at <= ?3
            AND events.stream = snapshots.stream AND events.version = snapshots.version
            AND events.event_id = snapshots.event_id
         ORDER BY snapshots.version DESC LIMIT 1",
    )?;
    let found = find.query_row(params![stream, fingerprint(closed_remembered), until.millis()], |row| {
        let version = row.get::<_, i64>(1)?.cast_unsigned();
        Ok((decode_state(row.get_ref(0)?.as_blob()?, closed_remembered), version))
    });
    let state = found.optional()?.and_then(|(state, version)| state.filter(|state| state.version() == version));
    Ok(state.map(Box::new))
}
