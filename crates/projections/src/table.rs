//! A projection's table, whatever its name in the file.

use rusqlite::{CachedStatement, Connection, ErrorCode};

/// What stands in a projection's statements where the table's name goes.
const PLACEHOLDER: &str = "{table}";

/// The table that a projection writes to: the one that queries read, or one that is being filled anew.
pub struct Table<'a> {
    connection: &'a Connection,
    name: &'a str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(connection: &'a Connection, name: &'a str) -> Self {
        Self { connection, name }
    }

    /// Prepares a statement, with the table's name for each `{table}`.
    ///
    /// # Errors
    ///
    /// What `SQLite` says.
    pub fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.connection.prepare_cached(&named(sql, self.name))
    }
}

/// `sql` for the table of this name.
pub(crate) fn named(sql: &str, table: &str) -> String {
    sql.replace(PLACEHOLDER, table)
}

/// A row that is there already counts as none inserted.
pub(crate) fn if_taken(error: rusqlite::Error) -> rusqlite::Result<usize> {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => Ok(0),
        _ => Err(error),
    }
}
