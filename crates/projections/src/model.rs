//! One read model in the file: its table, its checkpoint, and the epoch under which this process owns it.

use std::sync::Arc;

use inventory_application::{Position, StreamId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::page::Page;
use crate::projection::{Projection, ProjectionError};
use crate::table::{Table, named};

/// `form`: the statements that the table was made with.
const CHECKPOINTS: &str = "CREATE TABLE IF NOT EXISTS checkpoints (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL,
    form TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID";

/// What the name of the checkpoint of a table that isn't in its place yet ends with.
const REBUILT: &str = "/rebuilt";

/// Tables that a rebuild has left: the new one, if it was cut off, or the one whose place it took.
const LEFTOVERS: &str = "SELECT name FROM sqlite_schema
    WHERE type = 'table' AND (name GLOB '*_rebuilt_[0-9]*' OR name GLOB '*_replaced_[0-9]*')";

/// Indexes of theirs that are not a part of them.
const INDEXES_OF: &str = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL";

/// A projection and where its rows are.
pub(crate) struct Model {
    projection: Arc<dyn Projection>,
    table: String,
    /// What its checkpoint goes by.
    key: String,
    owner_epoch: i64,
    checkpoint: Position,
}

/// Makes the table of the checkpoints, or adds what an older one lacks.
pub(crate) fn create_checkpoints(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(CHECKPOINTS)?;
    if !connection.column_exists(None, "checkpoints", "form")? {
        connection.execute_batch("ALTER TABLE checkpoints ADD COLUMN form TEXT NOT NULL DEFAULT ''")?;
    }
    Ok(())
}

/// How far the projection of this name is.
pub(crate) fn checkpoint_of(connection: &Connection, name: &str) -> rusqlite::Result<Position> {
    let mut read = connection.prepare_cached("SELECT position FROM checkpoints WHERE name = ?1")?;
    read.query_row([name], |row| Ok(Position(row.get::<_, i64>(0)?.cast_unsigned())))
}

impl Model {
    /// Takes the projection over from whoever owned it. Its table is made, empty, where there is none or one of another form.
    pub(crate) fn take_over(connection: &Connection, projection: Arc<dyn Projection>) -> rusqlite::Result<Self> {
        let (name, form) = (projection.name(), projection.schema());
        let mut known = connection.prepare("SELECT position FROM checkpoints WHERE name = ?1 AND form = ?2")?;
        let known: Option<i64> = known.query_row([name, form], |row| row.get(0)).optional()?;
        let position = if connection.table_exists(None, name)? { known } else { None };
        if position.is_none() {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {name}"))?;
            connection.execute_batch(&named(form, name))?;
        }
        let owner_epoch = connection.query_row(
            "INSERT INTO checkpoints (name, position, owner_epoch, form) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (name) DO UPDATE SET position = ?2, owner_epoch = owner_epoch + 1, form = ?3
             RETURNING owner_epoch",
            params![name, position.unwrap_or(0), form],
            |row| row.get(0),
        )?;
        let checkpoint = Position(position.unwrap_or(0).cast_unsigned());
        Ok(Self { projection, table: name.to_owned(), key: name.to_owned(), owner_epoch, checkpoint })
    }

    /// The projection's name.
    pub(crate) fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// Whether events of this stream may change its rows.
    pub(crate) fn concerns(&self, stream: StreamId) -> bool {
        self.projection.concerns(stream)
    }

    /// How far it is.
    pub(crate) fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// Applies a page that starts at the checkpoint and ends at `to`. [`Model::moved_to`] says that it is committed.
    pub(crate) fn apply(&self, connection: &Connection, page: &Page<'_>, to: Position) -> Result<(), ProjectionError> {
        // First: somebody else may have made the table anew.
        let mut move_on = connection.prepare_cached(
            "UPDATE checkpoints SET position = ?4 WHERE name = ?1 AND owner_epoch = ?2 AND position = ?3",
        )?;
        let (from, to) = (self.checkpoint.0.cast_signed(), to.0.cast_signed());
        if move_on.execute(params![self.key, self.owner_epoch, from, to])? != 1 {
            return Err(ProjectionError::OwnershipLost(self.name()));
        }
        self.projection.apply(&Table::new(connection, &self.table), page)
    }

    /// What was applied up to there is committed.
    pub(crate) fn moved_to(&mut self, position: Position) {
        self.checkpoint = position;
    }

    /// Takes the checkpoint from the file: after a commit that has failed it may be further than is known here.
    pub(crate) fn look_up(&mut self, connection: &Connection) -> rusqlite::Result<Position> {
        self.checkpoint = checkpoint_of(connection, &self.key)?;
        Ok(self.checkpoint)
    }

    /// The same projection from the log's start, in an empty table of its own.
    ///
    /// The table's name has the epoch in it, which is another one after each swap. The indexes keep their names when the
    /// table changes its own, so the names of two tables' indexes differ.
    pub(crate) fn begin_anew(&self, connection: &Connection) -> Result<Self, ProjectionError> {
        let name = self.name();
        let mut is_ours = connection.prepare("SELECT 1 FROM checkpoints WHERE name = ?1 AND owner_epoch = ?2")?;
        if !is_ours.exists(params![self.key, self.owner_epoch])? {
            return Err(ProjectionError::OwnershipLost(name));
        }
        let (table, key) = (format!("{name}_rebuilt_{}", self.owner_epoch), format!("{name}{REBUILT}"));
        let form = self.projection.schema();
        connection.execute_batch(&named(form, &table))?;
        let checkpoint = "INSERT INTO checkpoints (name, position, owner_epoch, form) VALUES (?1, 0, ?2, ?3)";
        connection.execute(checkpoint, params![key, self.owner_epoch, form])?;
        let projection = Arc::clone(&self.projection);
        Ok(Self { projection, table, key, owner_epoch: self.owner_epoch, checkpoint: Position::START })
    }

    /// Puts the table of `new` in the place of this one's; returns what stands for the projection from now on.
    pub(crate) fn replaced_by(&self, new: &Self, connection: &Connection) -> Result<Self, ProjectionError> {
        let (name, to) = (self.name(), new.checkpoint.0.cast_signed());
        let end = "DELETE FROM checkpoints WHERE name = ?1 AND owner_epoch = ?2 AND position = ?3";
        let ended = connection.execute(end, params![new.key, new.owner_epoch, to])?;
        let move_on = "UPDATE checkpoints SET position = ?3, owner_epoch = owner_epoch + 1
            WHERE name = ?1 AND owner_epoch = ?2 AND position <= ?3";
        let moved = connection.execute(move_on, params![self.key, self.owner_epoch, to])?;
        if (ended, moved) != (1, 1) {
            return Err(ProjectionError::OwnershipLost(name));
        }
        let (old, new) = (&self.table, &new.table);
        connection.execute_batch(&format!(
            "ALTER TABLE {old} RENAME TO {name}_replaced_{}; ALTER TABLE {new} RENAME TO {name}",
            self.owner_epoch
        ))?;
        let projection = Arc::clone(&self.projection);
        let checkpoint = Position(to.cast_unsigned());
        let owner_epoch = self.owner_epoch + 1;
        Ok(Self { projection, table: name.to_owned(), key: name.to_owned(), owner_epoch, checkpoint })
    }
}

/// Clears away what rebuilds have left: a table or an index at a time, because each may be large.
pub(crate) fn clear_leftovers(connection: &Connection) -> rusqlite::Result<()> {
    let names = |sql: &str, values: &[&str]| -> rusqlite::Result<Vec<String>> {
        let mut find = connection.prepare(sql)?;
        let found = find.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?;
        found.collect()
    };
    connection.execute(&format!("DELETE FROM checkpoints WHERE name GLOB '*{REBUILT}'"), [])?;
    for table in names(LEFTOVERS, &[])? {
        for index in names(INDEXES_OF, &[&table])? {
            connection.execute_batch(&format!("DROP INDEX {index}"))?;
        }
        connection.execute_batch(&format!("DROP TABLE {table}"))?;
    }
    Ok(())
}
