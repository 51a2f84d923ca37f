//! Opaque places in lists: the key that the list is ordered by, and a hash of what the list is of.

use std::fmt::Write;

use inventory_application::Position;
use inventory_application::ports::ReservationKey;
use inventory_domain::{ProductId, ReservationId, StockId, StoreId};

use crate::problem::Problem;
use crate::query::QueryParameters;

/// Things on a page unless the client asks for another number.
pub const LIMIT_DEFAULT: u64 = 100;

/// Things on a page, at most.
pub const LIMIT_MAX: u64 = 1_000;

/// What every cursor looks like, as a regular expression; what it means is this file's alone.
pub const PATTERN: &str = "^([0-9a-f]{2})+$";

/// What a list is ordered by. It never changes, so that a page which starts after it is right whatever has happened since.
pub trait Key: Sized {
    /// As bytes, always as many.
    fn bytes(&self) -> Vec<u8>;

    /// The key that is written so.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page<K> {
    /// The key after which it starts; `None` for the first page.
    pub after: Option<K>,
    /// How many things are on it, at most.
    pub limit: usize,
    list: u64,
}

impl<K: Key> Page<K> {
    /// The page that `?limit=` and `?cursor=` ask for, of the list that `filters` describe.
    ///
    /// # Errors
    ///
    /// A problem when the limit is out of range, or the cursor is none of this list.
    pub fn of(query: &QueryParameters, filters: &str) -> Result<Self, Problem> {
        let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let list = hash(filters);
        let foreign = || Problem::invalid_field("cursor", "must be the next_cursor of an answer to the same list");
        let after = query.text("cursor").map(|cursor| read(cursor, list).ok_or_else(foreign)).transpose()?;
        Ok(Self { after, limit: usize::try_from(limit).unwrap_or(1), list })
    }

    /// The cursor of the page after one whose last thing has this key; `None` where the page wasn't full.
    #[must_use]
    pub fn next_cursor(&self, things: usize, last: Option<K>) -> Option<String> {
        self.cursor_after(last.filter(|_| things >= self.limit))
    }

    /// The cursor of the page that starts after this key.
    #[must_use]
    pub fn cursor_after(&self, key: Option<K>) -> Option<String> {
        let mut cursor = format!("{:016x}", self.list);
        for byte in key?.bytes() {
            write!(cursor, "{byte:02x}").ok()?;
        }
        Some(cursor)
    }
}

fn read<K: Key>(cursor: &str, list: u64) -> Option<K> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = cursor.as_bytes().as_chunks::<2>() else { return None };
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes = bytes.collect::<Option<Vec<u8>>>()?;
    let key = bytes.strip_prefix(&list.to_be_bytes())?;
    K::read(key)
}

fn hash(filters: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(filters.as_bytes()).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

impl Key for Position {
    fn bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }
}

impl Key for StockId {
    fn bytes(&self) -> Vec<u8> {
        [*self.store_id.uuid().as_bytes(), *self.product_id.uuid().as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let [store_id, product_id] = ids(bytes)?;
        Some(Self { product_id: ProductId::from_u128(product_id), store_id: StoreId::from_u128(store_id) })
    }
}

impl Key for ReservationKey {
    fn bytes(&self) -> Vec<u8> {
        [&self.reservation_id.uuid().as_bytes()[..], &self.stock_id.bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (reservation_id, stock_id) = bytes.split_at_checked(16)?;
        let [reservation_id] = ids(reservation_id)?;
        Some(Self { reservation_id: ReservationId::from_u128(reservation_id), stock_id: StockId::read(stock_id)? })
    }
}

/// As many ids as are wanted, and nothing else.
fn ids<const COUNT: usize>(bytes: &[u8]) -> Option<[u128; COUNT]> {
    let (ids, []) = bytes.as_chunks::<16>() else { return None };
    let ids: &[[u8; 16]; COUNT] = ids.try_into().ok()?;
    Some(ids.map(u128::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let stock_id = StockId { product_id: ProductId::from_u128(u128::MAX), store_id: StoreId::from_u128(7) };
        let key = ReservationKey { reservation_id: ReservationId::from_u128(9), stock_id };
        let page = Page { after: None, limit: 1, list: 5 };
        let cursor = page.cursor_after(Some(key)).unwrap();
        assert_eq!(read(&cursor, 5), Some(key));
        assert_eq!(read::<StockId>(&cursor, 5), None, "of another kind of list");
        let cursor = Page { after: None, limit: 1, list: 5 }.cursor_after(Some(stock_id)).unwrap();
        assert_eq!((read(&cursor, 5), read::<Position>(&cursor, 5)), (Some(stock_id), None));
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let page = |filters: &str| Page { after: None, limit: 2, list: hash(filters) };
        let cursor = page("orders of 7").next_cursor(2, Some(Position(41))).unwrap();
        assert_eq!(read(&cursor, hash("orders of 7")), Some(Position(41)));
        assert_eq!(read::<Position>(&cursor, hash("orders of 8")), None);
        for damaged in ["", "41", &cursor[1..], &format!("{cursor}0"), &cursor.replace('2', "x"), &"+".repeat(32)] {
            if damaged != cursor {
                assert_eq!(read::<Position>(damaged, hash("orders of 7")), None, "{damaged}");
            }
        }
        assert_eq!(page("x").next_cursor(1, Some(Position(41))), None, "a page that wasn't full is the last");
    }
}
