//! Reads baskets from CSV, plain or gzipped.
//!
//! One row a line of a basket, with the columns in [`COLUMNS`] in any order and others between them; sorted by time,
//! the rows of a basket together. The file is streamed: one basket at a time is in memory.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::str::FromStr;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use flate2::read::MultiGzDecoder;
use inventory_domain::{Quantity, QuantityOutOfRange};
use jiff::civil::DateTime;
use thiserror::Error;

/// The columns that a file has to have.
pub const COLUMNS: [&str; 6] =
    ["transaction_timestamp", "basket_id", "household_id", "store_id", "product_id", "quantity"];

/// How every gzipped file starts.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What one household bought in one store at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    /// The basket's number.
    pub basket: u64,
    /// The household's number.
    pub household: u64,
    /// The store's number.
    pub store: u64,
    /// When it was paid, by the clock on the store's wall.
    pub at: DateTime,
    /// What is in it.
    pub lines: Vec<BasketLine>,
}

/// Some units of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasketLine {
    /// Where in the file it stands, from 1 on.
    pub line: u64,
    /// The product's number.
    pub product: u64,
    /// How many units; real files have lines that no till should have let through.
    pub quantity: Result<Quantity, QuantityOutOfRange>,
}

/// Why a file is no file of baskets.
#[derive(Debug, Error)]
pub enum BasketFileError {
    /// It can't be read, or its gzip is broken.
    #[error("{file} can't be read")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The first line doesn't name a column that is needed.
    #[error("{file}, line 1: there is no column {column}")]
    MissingColumn {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// A line is not what it should be.
    #[error("{file}, line {line}: {problem}")]
    BadLine {
        /// The file.
        file: String,
        /// The line, from 1 on.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A line is earlier than the one above it.
    #[error(
        "{file}, line {line}: {at} is before the {above} of the line above; sort the file by transaction_timestamp"
    )]
    NotSorted {
        /// The file.
        file: String,
        /// The line, from 1 on.
        line: u64,
        /// Its time.
        at: DateTime,
        /// The time of the line above.
        above: DateTime,
    },
    /// It has more lines than are held in memory.
    #[error("{file} has more than {lines_max} lines")]
    TooManyLines {
        /// The file.
        file: String,
        /// How many are allowed.
        lines_max: u64,
    },
}

/// The baskets of a file, in time order. It ends after the first error.
pub struct BasketReader {
    file: String,
    rows: Reader<Box<dyn Read>>,
    columns: Columns,
    record: StringRecord,
    /// The first row of the next basket.
    ahead: Option<Row>,
    is_done: bool,
}

/// Where each column stands.
struct Columns {
    at: usize,
    basket: usize,
    household: usize,
    store: usize,
    product: usize,
    quantity: usize,
}

struct Row {
    basket: u64,
    household: u64,
    store: u64,
    at: DateTime,
    line: BasketLine,
}

impl BasketReader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// [`BasketFileError`] when it can't be read or lacks a column.
    pub fn open(path: &Path) -> Result<Self, BasketFileError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(file, name),
            Err(cause) => Err(BasketFileError::Unreadable { file: name, cause }),
        }
    }

    /// Reads from `source`, which errors call `name`. Whether it is gzipped is told by how it starts.
    ///
    /// # Errors
    ///
    /// As [`BasketReader::open`].
    pub fn new(mut source: impl Read + 'static, name: impl Into<String>) -> Result<Self, BasketFileError> {
        let file = name.into();
        let mut start = Vec::with_capacity(GZIP_MAGIC.len());
        if let Err(cause) = source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start) {
            return Err(BasketFileError::Unreadable { file, cause });
        }
        let is_gzipped = start == GZIP_MAGIC;
        let whole = Cursor::new(start).chain(source);
        let text: Box<dyn Read> = if is_gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(text);
        let columns = match rows.headers() {
            Ok(headers) => Columns::find(headers),
            Err(error) => return Err(unreadable(file, error)),
        };
        match columns {
            Ok(columns) => Ok(Self { file, rows, columns, record: StringRecord::new(), ahead: None, is_done: false }),
            Err(column) => Err(BasketFileError::MissingColumn { file, column }),
        }
    }

    /// The next basket; `None` at the end of the file.
    fn basket(&mut self) -> Result<Option<Basket>, BasketFileError> {
        let first = match self.ahead.take() {
            Some(row) => row,
            None => match self.row()? {
                Some(row) => row,
                None => return Ok(None),
            },
        };
        let Row { basket, household, store, mut at, line } = first;
        let mut found = Basket { basket, household, store, at, lines: vec![line] };
        while let Some(row) = self.row()? {
            if row.at < at {
                let (file, line) = (self.file.clone(), row.line.line);
                return Err(BasketFileError::NotSorted { file, line, at: row.at, above: at });
            }
            if row.basket != basket {
                self.ahead = Some(row);
                break;
            }
            if (row.household, row.store) != (household, store) {
                let problem = format!("basket {basket} is of household {household} in store {store} in the line above");
                return Err(BasketFileError::BadLine { file: self.file.clone(), line: row.line.line, problem });
            }
            at = row.at;
            found.lines.push(row.line);
        }
        Ok(Some(found))
    }

    /// The next row; `None` at the end of the file.
    fn row(&mut self) -> Result<Option<Row>, BasketFileError> {
        match self.rows.read_record(&mut self.record) {
            Ok(true) => (),
            Ok(false) => return Ok(None),
            Err(error) => return Err(unreadable(self.file.clone(), error)),
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let row = self.columns.row(&self.record, line);
        row.map(Some).map_err(|problem| BasketFileError::BadLine { file: self.file.clone(), line, problem })
    }
}

impl Iterator for BasketReader {
    type Item = Result<Basket, BasketFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let found = self.basket();
        self.is_done = !matches!(found, Ok(Some(_)));
        found.transpose()
    }
}

impl Columns {
    /// Where they stand, or the first that is missing.
    fn find(headers: &StringRecord) -> Result<Self, &'static str> {
        let find = |column| headers.iter().position(|header| header == column).ok_or(column);
        let [at, basket, household, store, product, quantity] = COLUMNS;
        Ok(Self {
            at: find(at)?,
            basket: find(basket)?,
            household: find(household)?,
            store: find(store)?,
            product: find(product)?,
            quantity: find(quantity)?,
        })
    }

    /// The row that a record is, or what is wrong with it.
    fn row(&self, record: &StringRecord, line: u64) -> Result<Row, String> {
        let [at, basket, household, store, product, quantity] = COLUMNS;
        let line_of_basket = BasketLine {
            line,
            product: value(record, self.product, product, "a number")?,
            quantity: Quantity::new(value(record, self.quantity, quantity, "a whole number")?),
        };
        Ok(Row {
            basket: value(record, self.basket, basket, "a number")?,
            household: value(record, self.household, household, "a number")?,
            store: value(record, self.store, store, "a number")?,
            at: value(record, self.at, at, "a time such as 2017-01-31 18:30:00")?,
            line: line_of_basket,
        })
    }
}

fn value<T: FromStr>(record: &StringRecord, place: usize, column: &str, what: &str) -> Result<T, String> {
    let written = record.get(place).unwrap_or_default();
    written.parse().map_err(|_| format!("{column} must be {what}, got {written:?}"))
}

fn unreadable(file: String, error: csv::Error) -> BasketFileError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(cause) => BasketFileError::Unreadable { file, cause },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            BasketFileError::BadLine { file, line, problem: format!("{len} fields where line 1 has {expected_len}") }
        }
        ErrorKind::Utf8 { err, .. } => BasketFileError::BadLine { file, line, problem: err.to_string() },
        other => BasketFileError::BadLine { file, line, problem: format!("{other:?}") },
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const HEADER: &str = "transaction_timestamp,basket_id,household_id,store_id,product_id,quantity";

    #[test]
    fn consecutive_lines_of_a_basket_are_one_basket() {
        let rows = [
            "2017-01-01 11:53:26,1,900,330,10,1",
            "2017-01-01 11:53:26,1,900,330,11,2",
            "2017-01-01 12:00:00,2,7,330,10,3",
        ];
        check(&rows, "1 at 2017-01-01T11:53:26 by 900 in 330: 10x1 11x2; 2 at 2017-01-01T12:00:00 by 7 in 330: 10x3");
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "quantity,colour,product_id,store_id,household_id,basket_id,transaction_timestamp\n\
                    4,red,10,330,900,1,2017-01-01 11:53:26\n";
        assert_eq!(read(text.as_bytes()), "1 at 2017-01-01T11:53:26 by 900 in 330: 10x4");
    }

    #[test]
    fn a_quantity_out_of_range_is_kept_as_such() {
        let rows = ["2017-01-01 11:53:26,1,900,330,10,0", "2017-01-01 11:53:26,1,900,330,11,-1"];
        check(&rows, "1 at 2017-01-01T11:53:26 by 900 in 330: 10x0! 11x-1!");
        let row = ["2017-01-01 11:53:26,1,900,330,10,1000000001"];
        check(&row, "1 at 2017-01-01T11:53:26 by 900 in 330: 10x1000000001!");
    }

    #[test]
    fn gzip_is_told_by_the_content() {
        let text = format!("{HEADER}\n2017-01-01 11:53:26,1,900,330,10,1\n");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let gzipped = encoder.finish().unwrap();
        assert_eq!(read(&gzipped), read(text.as_bytes()));
        let cut = &gzipped[..gzipped.len() - 12];
        assert!(read(cut).starts_with("baskets.csv can't be read"), "{}", read(cut));
    }

    #[test]
    fn a_file_without_baskets_has_none() {
        check(&[], "");
        assert_eq!(read(HEADER.as_bytes()), "");
    }

    #[test]
    fn a_missing_column_is_named() {
        assert_eq!(read(b""), "baskets.csv, line 1: there is no column transaction_timestamp");
        let without = HEADER.replace("household_id", "household");
        assert_eq!(read(without.as_bytes()), "baskets.csv, line 1: there is no column household_id");
    }

    #[test]
    fn a_bad_line_is_named_with_what_is_wrong() {
        let good = "2017-01-01 11:53:26,1,900,330,10,1";
        for (bad, named) in [
            ("2017-01-01 11:53:26,1,900,330,10,x", "line 3: quantity must be a whole number, got \"x\""),
            ("2017-01-01 11:53:26,1,900,330,10,1.5", "line 3: quantity must be a whole number, got \"1.5\""),
            ("2017-01-01 11:53:26,1,900,330,10,", "line 3: quantity must be a whole number, got \"\""),
            ("2017-01-01 11:53:26,1,900,330,-1,1", "line 3: product_id must be a number, got \"-1\""),
            ("2017-01-01 11:53:26,1,900,,10,1", "line 3: store_id must be a number, got \"\""),
            ("2017-13-01 11:53:26,1,900,330,10,1", "line 3: transaction_timestamp must be a time"),
            ("2017-01-01 11:53:26,1,900,330,10", "line 3: 5 fields where line 1 has 6"),
            ("2017-01-01 11:53:26,1,901,330,10,1", "line 3: basket 1 is of household 900 in store 330"),
            ("2017-01-01 11:53:26,1,900,331,10,1", "line 3: basket 1 is of household 900 in store 330"),
        ] {
            let read = read(format!("{HEADER}\n{good}\n{bad}\n{good}\n").as_bytes());
            assert!(read.contains(named), "{bad}: {read}");
        }
        let text = [HEADER.as_bytes(), b"\n2017-01-01 11:53:26,1,900,330,\xff,1\n"].concat();
        assert!(read(&text).starts_with("baskets.csv, line 2: "), "{}", read(&text));
    }

    #[test]
    fn a_file_that_is_not_sorted_is_refused() {
        let rows = ["2017-01-01 11:53:26,1,900,330,10,1", "2017-01-01 11:53:25,2,900,330,10,1"];
        check(
            &rows,
            "baskets.csv, line 3: 2017-01-01T11:53:25 is before the 2017-01-01T11:53:26 of the line above; \
             sort the file by transaction_timestamp",
        );
        let within = ["2017-01-01 11:53:26,1,900,330,10,1", "2017-01-01 11:53:25,1,900,330,11,1"];
        assert!(read(format!("{HEADER}\n{}\n", within.join("\n")).as_bytes()).contains("line 3"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = BasketReader::open(Path::new("no/such/baskets.csv")).err().unwrap();
        assert_eq!(error.to_string(), "no/such/baskets.csv can't be read");
        assert!(error.source().is_some());
    }

    #[track_caller]
    fn check(rows: &[&str], then: &str) {
        assert_eq!(read(format!("{HEADER}\n{}\n", rows.join("\n")).as_bytes()), then);
    }

    fn read(bytes: &[u8]) -> String {
        let reader = BasketReader::new(Cursor::new(bytes.to_vec()), "baskets.csv");
        let baskets: Result<Vec<Basket>, _> = reader.and_then(Iterator::collect);
        match baskets {
            Ok(baskets) => baskets.iter().map(render).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        }
    }

    fn render(basket: &Basket) -> String {
        let lines = basket.lines.iter().map(|line| match line.quantity {
            Ok(quantity) => format!(" {}x{quantity}", line.product),
            Err(out_of_range) => format!(" {}x{}!", line.product, out_of_range.given),
        });
        let Basket { basket, household, store, at, .. } = basket;
        format!("{basket} at {at} by {household} in {store}:{}", lines.collect::<String>())
    }
}
