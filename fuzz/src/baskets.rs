//! A file of baskets is read whole or refused, plain or gzipped, and what is read is in order.

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use inventory_api::replay::baskets::{Basket, BasketFileError, BasketReader, COLUMNS};

/// Reads the baskets of a file.
pub type ReadBaskets = fn(&[u8]) -> Result<Vec<Basket>, BasketFileError>;

/// Tries the reader.
pub fn check(input: &[u8]) {
    check_with(input, read);
}

/// Tries this reader.
pub fn check_with(input: &[u8], read: ReadBaskets) {
    let found = read(input);
    if input.starts_with(&[0x1f, 0x8b]) {
        return; // To zip it once more makes another file of it.
    }
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(input).unwrap();
    match (found, read(&zipped.finish().unwrap())) {
        (Ok(baskets), zipped) => {
            assert_eq!(zipped.unwrap(), baskets, "zipped it is the same");
            are_in_order(&baskets);
            if let Some(rows) = rows(input) {
                assert_eq!(baskets.iter().map(|basket| basket.lines.len()).sum::<usize>(), rows, "no row is lost");
            }
            assert_eq!(without_places(read(&written(&baskets)).unwrap()), without_places(baskets));
        }
        (Err(refused), zipped) => {
            let zipped = zipped.expect_err("zipped it is as bad");
            // An error of reading, such as of a text in another encoding, has its own place.
            assert_eq!(zipped.to_string(), refused.to_string());
        }
    }
}

/// The baskets of a file, or why it is none.
///
/// # Errors
///
/// The first error: nothing follows it.
pub fn read(bytes: &[u8]) -> Result<Vec<Basket>, BasketFileError> {
    let mut reader = BasketReader::new(Cursor::new(bytes.to_vec()), "baskets.csv")?;
    let baskets = reader.by_ref().collect();
    assert!(reader.next().is_none(), "it has ended");
    baskets
}

/// How many rows there are beside the first, where that is plain to see.
fn rows(input: &[u8]) -> Option<usize> {
    if input.iter().any(|byte| matches!(byte, b'"' | b'\r')) {
        return None;
    }
    Some(input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() - 1)
}

fn are_in_order(baskets: &[Basket]) {
    assert!(baskets.is_sorted_by_key(|basket| basket.at));
    assert!(baskets.iter().flat_map(|basket| &basket.lines).is_sorted_by(|one, next| one.line < next.line));
    assert!(baskets.iter().all(|basket| !basket.lines.is_empty()));
}

/// The file that has these baskets.
fn written(baskets: &[Basket]) -> Vec<u8> {
    let mut text = COLUMNS.join(",");
    for Basket { basket, household, store, at, lines } in baskets {
        for line in lines {
            let units = match &line.quantity {
                Ok(quantity) => quantity.units().to_string(),
                Err(out_of_range) => out_of_range.given.to_string(),
            };
            write!(text, "\n{at},{basket},{household},{store},{},{units}", line.product).unwrap();
        }
    }
    text.into_bytes()
}

fn without_places(mut baskets: Vec<Basket>) -> Vec<Basket> {
    baskets.iter_mut().flat_map(|basket| &mut basket.lines).for_each(|line| line.line = 0);
    baskets
}
