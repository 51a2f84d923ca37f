//! Ids, moments and numbers in rows.

use inventory_domain::{HoldFor, Quantity, Timestamp};
use rusqlite::Row;
use rusqlite::types::Type;
use uuid::Uuid;

/// What stands in a column can't be.
fn impossible(column: usize, problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, problem.into())
}

pub(crate) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

pub(crate) fn uuid_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
}

pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(crate) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(crate) fn quantity(row: &Row<'_>, column: usize) -> rusqlite::Result<Quantity> {
    Quantity::new(row.get(column)?).map_err(|error| impossible(column, error))
}

pub(crate) fn hold_for(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<HoldFor>> {
    let minutes: Option<i64> = row.get(column)?;
    minutes.map(HoldFor::from_minutes).transpose().map_err(|error| impossible(column, error))
}

/// The value, or the column's error.
pub(crate) fn known<T>(column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| impossible(column, "it stands for nothing"))
}
