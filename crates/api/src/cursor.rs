//! Opaque places in lists: the key that the list is ordered by, and a hash of what the list is of.

use inventory_application::Position;

use crate::problem::Problem;
use crate::query::QueryParameters;

/// Things on a page unless the client asks for another number, and the most that it may ask for.
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The key after which it starts.
    pub after: Position,
    /// How many things are on it, at most.
    pub limit: usize,
    list: u64,
}

impl Page {
    /// The page that `?limit=` and `?cursor=` ask for, of the list that `filters` describe.
    ///
    /// # Errors
    ///
    /// A problem when the limit is out of range, or the cursor is none of this list.
    pub fn of(query: &QueryParameters, filters: &str) -> Result<Self, Problem> {
        let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        let list = hash(filters);
        let after = match query.text("cursor") {
            None => 0,
            Some(cursor) => read(cursor, list).ok_or_else(|| {
                Problem::invalid_field("cursor", "must be the next_cursor of an answer to the same list")
            })?,
        };
        Ok(Self { after: Position(after), limit: usize::try_from(limit).unwrap_or(1), list })
    }

    /// The cursor of the page after one whose last thing has this key; `None` where the page wasn't full.
    #[must_use]
    pub fn next_cursor(&self, things: usize, last: Option<Position>) -> Option<String> {
        let Position(key) = last.filter(|_| things >= self.limit)?;
        Some(format!("{:016x}{key:016x}", self.list))
    }
}

fn read(cursor: &str, list: u64) -> Option<u64> {
    let (of, key) = cursor.split_at_checked(16).filter(|(_, key)| key.len() == 16)?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'));
    (number(of)? == list).then(|| number(key)).flatten()
}

fn hash(filters: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(filters.as_bytes()).as_bytes()[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let page = |filters: &str| Page { after: Position::START, limit: 2, list: hash(filters) };
        let cursor = page("orders of 7").next_cursor(2, Some(Position(41))).unwrap();
        assert_eq!(read(&cursor, hash("orders of 7")), Some(41));
        assert_eq!(read(&cursor, hash("orders of 8")), None);
        for damaged in ["", "41", &cursor[1..], &format!("{cursor}0"), &cursor.replace('2', "x"), &"+".repeat(32)] {
            if damaged != cursor {
                assert_eq!(read(damaged, hash("orders of 7")), None, "{damaged}");
            }
        }
        assert_eq!(page("x").next_cursor(1, Some(Position(41))), None, "a page that wasn't full is the last");
    }
}
