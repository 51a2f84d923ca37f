//! The read models against a fresh replay of the log, byte for byte.
//!
//! Two `SQLite` files with the same rows differ in their pages, by the order in which rows came and went. So what is compared is a
//! dump: every table of read models, every row in the order of its key, every value with its type, as bytes. The replay is made by
//! `inventory rebuild` on a copy of the log alone, in an empty folder.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use inventory_tests::RunningService;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// The tables, each with the columns that put its rows in order.
pub(crate) const TABLES: [(&str, &str); 6] = [
    ("stock_levels", "store_id, product_id"),
    ("product_inventory", "product_id, store_id"),
    ("low_stock", "store_id, product_id"),
    ("reservations", "position"),
    ("orders", "position"),
    ("transfers", "position"),
];

/// Compares the read models in the folder of a service that has ended, and that had caught up.
///
/// # Errors
///
/// The first row that differs.
pub(crate) fn equal_a_fresh_replay(service: &RunningService) -> Result<u64, String> {
    let fresh = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy_log(service.data(), fresh.path()).map_err(|error| format!("the log can't be copied: {error}"))?;
    let mut rebuild = service.command(&["rebuild"]);
    run(rebuild.env("INVENTORY__DATA__DIR", fresh.path()))?;
    let mut rows = 0;
    for (table, order) in TABLES {
        let (live, replayed) = (dump(service.data(), table, order)?, dump(fresh.path(), table, order)?);
        if live != replayed {
            let lines = live.lines().zip(replayed.lines()).find(|(live, replayed)| live != replayed);
            let counts = (live.lines().count(), replayed.lines().count());
            return Err(format!("{table} isn't what a fresh replay makes of it: {counts:?} rows, first {lines:?}"));
        }
        rows += live.lines().count() as u64;
    }
    Ok(rows)
}

/// Up to which position all read models in the folder of a service that has ended are.
///
/// # Errors
///
/// When it can't be read.
pub(crate) fn applied(service: &RunningService) -> Result<u64, String> {
    let models = Connection::open(service.data().join("read_models.db")).map_err(|error| error.to_string())?;
    let least = models.query_row("SELECT min(position) FROM checkpoints", [], |row| row.get::<_, i64>(0));
    Ok(least.map_err(|error| error.to_string())?.unsigned_abs())
}

/// Whether a service that was killed has left a read model half made anew. Its file is copied first: the next start has to find it as
/// it was left.
///
/// # Errors
///
/// When it can't be read.
pub(crate) fn are_half_rebuilt(service: &RunningService) -> Result<bool, String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy_database("read_models.db", service.data(), copy.path()).map_err(|error| error.to_string())?;
    let models = Connection::open(copy.path().join("read_models.db")).map_err(|error| error.to_string())?;
    let left = "SELECT count(*) FROM sqlite_schema
        WHERE type = 'table' AND (name GLOB '*_rebuilt_[0-9]*' OR name GLOB '*_replaced_[0-9]*')";
    let left = models.query_row(left, [], |row| row.get::<_, i64>(0));
    Ok(left.map_err(|error| error.to_string())? > 0)
}

/// All rows of a table, one a line.
fn dump(folder: &Path, table: &str, order: &str) -> Result<String, String> {
    let sqlite = |error: rusqlite::Error| format!("{table}: {error}");
    let file = folder.join("read_models.db");
    let models = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sqlite)?;
    let mut statement = models.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).map_err(sqlite)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).map_err(sqlite)?;
    let mut text = String::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        for (place, column) in columns.iter().enumerate() {
            let value = match row.get_ref(place).map_err(sqlite)? {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(number) => format!("integer {number}"),
                ValueRef::Real(number) => format!("real {:x}", number.to_bits()),
                ValueRef::Text(bytes) => format!("text {}", hex(bytes)),
                ValueRef::Blob(bytes) => format!("blob {}", hex(bytes)),
            };
            let _written = write!(text, "{column}={value};");
        }
        text.push('\n');
    }
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// Copies the event log, of either kind, and nothing else.
fn copy_log(from: &Path, to: &Path) -> std::io::Result<()> {
    copy_database("events.db", from, to)?;
    let journal = Path::new("events").join("log");
    if from.join(&journal).exists() {
        fs::create_dir_all(to.join(&journal))?;
        for segment in fs::read_dir(from.join(&journal))? {
            let name = segment?.file_name();
            fs::copy(from.join(&journal).join(&name), to.join(&journal).join(&name))?;
        }
    }
    Ok(())
}

/// Copies a database with its write-ahead log, if it is there.
fn copy_database(name: &str, from: &Path, to: &Path) -> std::io::Result<()> {
    for file in [name.to_owned(), format!("{name}-wal")] {
        if from.join(&file).exists() {
            fs::copy(from.join(&file), to.join(&file))?;
        }
    }
    Ok(())
}

/// Runs a command to its end, and returns what it says.
///
/// # Errors
///
/// What it says, where it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        Ok(said.into())
    } else {
        Err(format!("{command:?}: {}: {said}{error}", output.status))
    }
}
