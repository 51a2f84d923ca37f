//! A part of a list: so many rows are looked at and no more, however few of them are wanted.

use inventory_application::ports::Slice;
use rusqlite::{Row, Rows};

/// How much of a list one look takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// What is wanted, at most.
    pub(crate) limit: usize,
    /// Rows that are looked at, at most; the statement has this as its own limit.
    pub(crate) rows_max: usize,
}

impl Look {
    /// The limit of the statement.
    pub(crate) fn rows(self) -> i64 {
        i64::try_from(self.rows_max).unwrap_or(i64::MAX)
    }

    /// Takes what is wanted of the rows. `read` gives the row's key, and the row where it is wanted.
    pub(crate) fn take<T, K>(
        self,
        rows: &mut Rows<'_>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<(K, Option<T>)>,
    ) -> rusqlite::Result<Slice<T, K>> {
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let (key, wanted) = read(row)?;
            found.extend(wanted);
            looked_at += 1;
            if found.len() >= self.limit || looked_at >= self.rows_max {
                return Ok(Slice { found, next: Some(key) });
            }
        }
        Ok(Slice { found, next: None })
    }
}

/// How `SQLite` would find what `sql` looks for in the projection's table.
#[cfg(test)]
pub(crate) fn plan_of(projection: &dyn crate::projection::Projection, sql: &str) -> String {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(&crate::table::named(projection.schema(), projection.name())).unwrap();
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps.join("; ")
}
