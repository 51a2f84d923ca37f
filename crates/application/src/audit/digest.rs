//! Sums of hashes: two tables with the same rows have the same, in whatever order they are read.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::rows::Row;

/// How many sums a digest has; a row that differs shows in the one that its key picks, on both sides.
pub const BUCKETS: usize = 4_096;

/// A table, as sums; the rows of some of them can be kept in words.
#[derive(Clone, Debug)]
pub struct Digest {
    sums: Vec<u64>,
    rows: u64,
    kept_buckets: HashSet<usize>,
    kept: HashMap<u64, String>,
}

impl Default for Digest {
    fn default() -> Self {
        Self { sums: vec![0; BUCKETS], rows: 0, kept_buckets: HashSet::new(), kept: HashMap::new() }
    }
}

impl Digest {
    /// An empty one that keeps the rows of these sums in words.
    #[must_use]
    pub fn keeping(buckets: &[usize]) -> Self {
        Self { kept_buckets: buckets.iter().copied().collect(), ..Self::default() }
    }

    /// The rows that are kept, in words.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.kept.values().map(String::as_str)
    }

    /// Puts a row in.
    pub fn add(&mut self, row: &impl Row) {
        let (bucket, hash) = (bucket(row), hash(row));
        self.sums[bucket] = self.sums[bucket].wrapping_add(hash);
        self.rows = self.rows.wrapping_add(1); // What is taken out before it is in comes to less than none for a while.
        if self.kept_buckets.contains(&bucket) {
            self.kept.insert(hash, format!("{row:?}"));
        }
    }

    /// Takes a row out again.
    pub fn remove(&mut self, row: &impl Row) {
        let (bucket, hash) = (bucket(row), hash(row));
        self.sums[bucket] = self.sums[bucket].wrapping_sub(hash);
        self.rows = self.rows.wrapping_sub(1);
        if self.kept_buckets.contains(&bucket) {
            self.kept.remove(&hash);
        }
    }

    /// Puts all rows of another one in.
    pub fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| *sum = sum.wrapping_add(*other));
        self.rows = self.rows.wrapping_add(other.rows);
    }

    /// The sums in which the two differ.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<usize> {
        let pairs = self.sums.iter().zip(&other.sums).enumerate();
        pairs.filter(|(_, (sum, other))| sum != other).map(|(bucket, _)| bucket).collect()
    }

    /// How many rows are in it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// Which sum a row is in, by its key alone.
#[must_use]
pub fn bucket(row: &impl Row) -> usize {
    let mut hasher = DefaultHasher::new();
    row.key().hash(&mut hasher);
    usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
}

fn hash(row: &impl Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}
