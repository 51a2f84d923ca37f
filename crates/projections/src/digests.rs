//! The read models as digests, and the rows behind what differs: for `inventory verify`.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use inventory_application::Position;
use inventory_application::audit::{Checkpoints, Digest, Expected, LevelRow, OrderRow, ReservationRow, TransferRow};
use inventory_domain::{CustomerId, OrderId, ProductId, ReservationId, StockId, StoreId, TransferId};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, OptionalExtension, ffi};

use crate::model::checkpoint_of;
use crate::sqlite_read_models::OpenError;
use crate::{low_stock, orders, product_inventory, reservations, stock_levels, transfers, values};

/// The read models in a file, only to be read; a service may go on writing them.
pub struct ReadModelFile {
    connection: Connection,
    checkpoints: Checkpoints,
}

/// One of the read models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ReadModel {
    StockLevels,
    ProductInventory,
    LowStock,
    Reservations,
    Orders,
    Transfers,
}

impl ReadModel {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::StockLevels, Self::ProductInventory, Self::LowStock, Self::Reservations, Self::Orders, Self::Transfers];

    /// The name of its table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StockLevels => stock_levels::NAME,
            Self::ProductInventory => product_inventory::NAME,
            Self::LowStock => low_stock::NAME,
            Self::Reservations => reservations::NAME,
            Self::Orders => orders::NAME,
            Self::Transfers => transfers::NAME,
        }
    }
}

/// How far the furthest of the read models in a file is, also of those that this release doesn't know; `None` where there are none yet.
///
/// # Errors
///
/// [`OpenError`] when that can't be read.
pub fn furthest(path: &Path) -> Result<Option<Position>, OpenError> {
    let Some(path) = file_of(path)? else { return Ok(None) };
    let opened = match open_to_read(&path) {
        // The files that SQLite wants beside it can't be made by who may only read. Nobody needs them where there is no log.
        Err(Error::SqliteFailure(error, _))
            if matches!(error.code, ErrorCode::ReadOnly | ErrorCode::CannotOpen) && !has_log(&path)? =>
        {
            Some(open_alone(&path)?)
        }
        opened => opened?,
    };
    opened.map_or(Ok(None), |connection| Ok(furthest_in(&connection)?))
}

fn furthest_in(connection: &Connection) -> rusqlite::Result<Option<Position>> {
    if !connection.table_exists(None, "checkpoints")? {
        return Ok(None); // Who has made the file was stopped.
    }
    let furthest = "SELECT ifnull(max(position), 0) FROM checkpoints";
    connection.query_row(furthest, [], |row| Ok(Some(Position(values::number(row, 0)?))))
}

/// The file itself, where `path` is a link: the other files are beside it. `None` where there is none.
fn file_of(path: &Path) -> Result<Option<PathBuf>, OpenError> {
    if !fs::exists(path)? {
        return Ok(None);
    }
    let path = fs::canonicalize(path)?;
    // The log first: what is made just now has no log before it has something itself.
    if has_log(&path)? && fs::metadata(&path)?.len() == 0 {
        return Err(OpenError::Emptied);
    }
    Ok(Some(path))
}

/// A connection that only reads; `None` where who has made the file was stopped before there were tables.
fn open_to_read(path: &Path) -> rusqlite::Result<Option<Connection>> {
    // No connection is shared between threads, so SQLite need not lock for each call.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)) {
        // Only who may write takes back what was half done.
        Err(Error::SqliteFailure(error, _)) if error.extended_code == ffi::SQLITE_READONLY_ROLLBACK => Ok(None),
        tables => Ok((tables? > 0).then_some(connection)),
    }
}

/// Whether a write-ahead log beside the file has something.
fn has_log(path: &Path) -> io::Result<bool> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match fs::metadata(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        log => Ok(log?.len() > 0),
    }
}

/// A file that nobody else has open, and that has nothing beside it; `path` is whole.
fn open_alone(path: &Path) -> Result<Connection, OpenError> {
    let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename).map_err(io::Error::from)?;
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?)
}

impl ReadModelFile {
    /// Opens the file at one moment: what is read of it later is of that moment. `None` where there are no read models yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when they can't be read.
    pub fn open(path: &Path) -> Result<Option<Self>, OpenError> {
        let Some(connection) = file_of(path)?.map_or(Ok(None), |path| open_to_read(&path))? else { return Ok(None) };
        connection.execute_batch("BEGIN")?;
        // One that an older release didn't know has seen nothing.
        let at = |name| checkpoint_of(&connection, name).optional().map(Option::unwrap_or_default);
        let checkpoints = Checkpoints {
            stock_levels: at(stock_levels::NAME)?,
            product_inventory: at(product_inventory::NAME)?,
            low_stock: at(low_stock::NAME)?,
            reservations: at(reservations::NAME)?,
            orders: at(orders::NAME)?,
            transfers: at(transfers::NAME)?,
        };
        Ok(Some(Self { connection, checkpoints }))
    }

    /// How far each read model is.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints {
        self.checkpoints
    }

    /// What `SQLite` itself finds wrong with the file.
    ///
    /// # Errors
    ///
    /// What `SQLite` says.
    pub fn damage(&self) -> rusqlite::Result<Vec<String>> {
        let mut check = self.connection.prepare("PRAGMA quick_check(10)")?;
        let said = check.query_map([], |row| row.get(0))?;
        let said: Vec<String> = said.collect::<rusqlite::Result<_>>()?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    /// The digest of a read model, put into an empty one.
    ///
    /// # Errors
    ///
    /// What `SQLite` says.
    pub fn digest(&self, model: ReadModel, empty: Digest) -> rusqlite::Result<Digest> {
        let mut digest = empty;
        self.each(model, &mut |row| match row {
            AnyRow::Level(row) => digest.add(&row),
            AnyRow::Reservation(row) => digest.add(&row),
            AnyRow::Order(row) => digest.add(&row),
            AnyRow::Transfer(row) => digest.add(&row),
        })?;
        Ok(digest)
    }

    fn each(&self, model: ReadModel, take: &mut dyn FnMut(AnyRow)) -> rusqlite::Result<()> {
        let columns = match model {
            ReadModel::StockLevels | ReadModel::ProductInventory | ReadModel::LowStock => {
                "product_id, store_id, quantity, reserved, version"
            }
            ReadModel::Reservations => {
                "product_id, store_id, reservation_id, customer_id, order_id, is_line, quantity, committed, state, \
                 ttl_minutes, expires_at, reserved_at, closed_at"
            }
            ReadModel::Orders => {
                "position, order_id, customer_id, state, version, ttl_minutes, expires_at, placed_at, changed_at, \
                 release_reason, lines"
            }
            ReadModel::Transfers => {
                "position, transfer_id, product_id, from_store_id, to_store_id, state, quantity, reason, received, \
                 cancelled, version, started_at, changed_at"
            }
        };
        let mut all = self.connection.prepare(&format!("SELECT {columns} FROM {}", model.name()))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let id = |column| values::uuid(row, column);
            let number = |column| values::number(row, column);
            let stock = |product, store| {
                Ok::<_, rusqlite::Error>(StockId {
                    product_id: ProductId::new(id(product)?),
                    store_id: StoreId::new(id(store)?),
                })
            };
            take(match model {
                ReadModel::StockLevels | ReadModel::ProductInventory | ReadModel::LowStock => AnyRow::Level(LevelRow {
                    stock_id: stock(0, 1)?,
                    quantity: number(2)?,
                    reserved: number(3)?,
                    version: number(4)?,
                }),
                ReadModel::Reservations => {
                    let order_id: Option<[u8; 16]> = row.get(4)?;
                    AnyRow::Reservation(ReservationRow {
                        stock_id: stock(0, 1)?,
                        reservation_id: ReservationId::new(id(2)?),
                        customer_id: CustomerId::new(id(3)?),
                        order_id: order_id.map(|id| OrderId::from_u128(u128::from_be_bytes(id))),
                        is_line: row.get(5)?,
                        quantity: number(6)?,
                        committed: number(7)?,
                        state: row.get(8)?,
                        ttl_minutes: row.get(9)?,
                        expires_at: values::moment(row, 10)?,
                        reserved_at: values::moment(row, 11)?.unwrap_or_default(),
                        closed_at: values::moment(row, 12)?,
                    })
                }
                ReadModel::Orders => {
                    let lines = values::known(10, orders::read_lines(row.get_ref(10)?.as_blob()?))?;
                    AnyRow::Order(OrderRow {
                        position: Position(number(0)?),
                        order_id: OrderId::new(id(1)?),
                        customer_id: CustomerId::new(id(2)?),
                        state: row.get(3)?,
                        version: number(4)?,
                        ttl_minutes: row.get(5)?,
                        expires_at: values::moment(row, 6)?,
                        placed_at: values::moment(row, 7)?.unwrap_or_default(),
                        changed_at: values::moment(row, 8)?.unwrap_or_default(),
                        release_reason: row.get(9)?,
                        lines: lines
                            .iter()
                            .map(|line| (line.stock_id, line.quantity.units(), line.reservation_id))
                            .collect(),
                    })
                }
                ReadModel::Transfers => AnyRow::Transfer(TransferRow {
                    position: Position(number(0)?),
                    transfer_id: TransferId::new(id(1)?),
                    from: stock(2, 3)?,
                    to: stock(2, 4)?,
                    state: row.get(5)?,
                    quantity: number(6)?,
                    reason: row.get(7)?,
                    received: number(8)?,
                    cancelled: number(9)?,
                    version: number(10)?,
                    started_at: values::moment(row, 11)?.unwrap_or_default(),
                    changed_at: values::moment(row, 12)?.unwrap_or_default(),
                }),
            });
        }
        Ok(())
    }
}

/// A row of any read model.
enum AnyRow {
    Level(LevelRow),
    Reservation(ReservationRow),
    Order(OrderRow),
    Transfer(TransferRow),
}

/// The digest in `expected` that a read model has to have.
pub fn wanted(expected: &mut Expected, model: ReadModel) -> &mut Digest {
    match model {
        ReadModel::StockLevels => &mut expected.stock_levels,
        ReadModel::ProductInventory => &mut expected.product_inventory,
        ReadModel::LowStock => &mut expected.low_stock,
        ReadModel::Reservations => &mut expected.reservations,
        ReadModel::Orders => &mut expected.orders,
        ReadModel::Transfers => &mut expected.transfers,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::model::create_checkpoints;

    #[test]
    fn what_can_not_be_read_has_not_seen_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("read_models.db");
        assert_eq!(furthest(&path).unwrap(), None);
        fs::write(&path, "").unwrap();
        assert_eq!(furthest(&path).unwrap(), None, "who has made it was stopped");
        assert!(ReadModelFile::open(&path).unwrap().is_none());
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE stock_levels (x)").unwrap();
        assert!(ReadModelFile::open(&path).is_err(), "nobody leaves it so");
        fs::write(&path, "x".repeat(8_192)).unwrap();
        assert!(matches!(furthest(&path), Err(OpenError::Damaged(_))));
        fs::remove_file(&path).unwrap();
        symlink("read_models.db", &path).unwrap();
        assert!(matches!(furthest(&path), Err(OpenError::File(_))));
    }

    #[test]
    fn a_file_that_is_empty_beside_a_log_is_refused_and_the_log_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [path, log, link] = ["read_models.db", "read_models.db-wal", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "").unwrap();
        fs::write(&log, "something").unwrap();
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert!(matches!(furthest(path), Err(OpenError::Emptied)));
        }
        assert_eq!(fs::read(&log).unwrap(), b"something");
        fs::remove_file(&path).unwrap();
        assert_eq!(furthest(&path).unwrap(), None, "as who removes it is told to");
    }

    #[test]
    fn a_file_whose_maker_was_stopped_has_seen_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, made) = (folder.path().join("read_models.db"), folder.path().join("made.db"));
        let maker = Connection::open(&made).unwrap();
        let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT zeroblob(4000) FROM n";
        maker.execute_batch("PRAGMA cache_size = 1; CREATE TABLE other (x); BEGIN").unwrap();
        maker.execute_batch(&format!("CREATE TABLE checkpoints (x); INSERT INTO checkpoints {numbers}")).unwrap();
        fs::copy(&made, &path).unwrap();
        fs::copy(folder.path().join("made.db-journal"), folder.path().join("read_models.db-journal")).unwrap();
        let half_made = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refused = half_made.table_exists(None, "checkpoints").unwrap_err();
        assert_eq!(refused.sqlite_extended_error_code(), Some(ffi::SQLITE_READONLY_ROLLBACK), "{refused}");
        assert_eq!(furthest(&path).unwrap(), None);
        assert!(ReadModelFile::open(&path).unwrap().is_none());
    }

    /// `SQLite` can't make the file that it shares with others, as where only somebody else may write.
    #[test]
    fn what_only_others_may_write_is_read_alone_unless_there_is_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let [path, log, link] = ["read_models.db", "read_models.db-wal", "link"].map(|name| folder.path().join(name));
        let made = made(&folder.path().join("made"));
        for (from, to) in [("made", &path), ("made-wal", &log)] {
            fs::copy(folder.path().join(from), to).unwrap();
        }
        symlink("missing/shm", folder.path().join("read_models.db-shm")).unwrap();
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            let said = furthest(path);
            assert!(matches!(said, Err(OpenError::Sqlite(_))), "what is in the log isn't in the file: {said:?}");
        }
        fs::remove_file(&log).unwrap();
        drop(made);
        fs::copy(folder.path().join("made"), &path).unwrap();
        for path in [&path, &link] {
            assert_eq!(furthest(path).unwrap(), Some(Position(7)));
            // What takes longer would miss that somebody begins to write.
            assert!(matches!(ReadModelFile::open(path), Err(OpenError::Sqlite(_))));
        }
    }

    #[test]
    fn a_file_is_read_alone_whatever_its_name_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("of 100%?cache=x#y.db");
        let maker = made(&path);
        assert!(has_log(&path).unwrap());
        drop(maker);
        assert!(!has_log(&path).unwrap());
        assert_eq!(furthest_in(&open_alone(&path).unwrap()).unwrap(), Some(Position(7)));
    }

    /// Read models that have seen seven events, and what holds them open.
    fn made(path: &Path) -> Connection {
        let maker = Connection::open(path).unwrap();
        maker.pragma_update(None, "journal_mode", "wal").unwrap();
        let insert = "INSERT INTO checkpoints (name, position, owner_epoch) VALUES ('stock_levels', 7, 1)";
        create_checkpoints(&maker).unwrap();
        maker.execute(insert, []).unwrap();
        maker
    }
}
