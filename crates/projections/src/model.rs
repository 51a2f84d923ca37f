//! One read model in the file: its table, its checkpoint, and the epoch under which this process owns it.

use std::sync::Arc;

use inventory_application::Position;
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

/// A projection and where its rows are.
pub(crate) struct Model {
    projection: Arc<dyn Projection>,
    table: String,
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
        Ok(Self { projection, table: name.to_owned(), owner_epoch, checkpoint })
    }

    /// The projection's name.
    pub(crate) fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// How far it is.
    pub(crate) fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// Applies a page that starts at the checkpoint and ends at `to`. [`Model::moved_to`] says that it is committed.
    pub(crate) fn apply(&self, connection: &Connection, page: &Page<'_>, to: Position) -> Result<(), ProjectionError> {
        let name = self.name();
        // First: somebody else may have made the table anew.
        let mut move_on = connection.prepare_cached(
            "UPDATE checkpoints SET position = ?4 WHERE name = ?1 AND owner_epoch = ?2 AND position = ?3",
        )?;
        let (from, to) = (self.checkpoint.0.cast_signed(), to.0.cast_signed());
        if move_on.execute(params![name, self.owner_epoch, from, to])? != 1 {
            return Err(ProjectionError::OwnershipLost(name));
        }
        self.projection.apply(&Table::new(connection, &self.table), page)
    }

    /// What was applied up to there is committed.
    pub(crate) fn moved_to(&mut self, position: Position) {
        self.checkpoint = position;
    }
}
