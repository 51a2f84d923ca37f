//! Keeps the write-ahead log short, beside the transactions that make it longer: taking it into the file waits for the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub(crate) struct ShortLog {
    /// A connection of its own, and when it last began.
    keeper: Mutex<(Connection, Option<Instant>)>,
    every: Duration,
}

impl ShortLog {
    pub(crate) fn new(keeper: Connection, every: Duration) -> Self {
        Self { keeper: Mutex::new((keeper, None)), every }
    }

    /// Whether it is time again, and nobody is at it.
    pub(crate) fn is_due(&self) -> bool {
        let Ok(keeper) = self.keeper.try_lock() else { return false };
        keeper.1.is_none_or(|began| began.elapsed() >= self.every)
    }

    /// Takes into the file what can be had without waiting for anybody. If it fails, the log grows up to its bound, where the next
    /// transaction meets the same failure and says so.
    pub(crate) fn keep(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.1.is_none_or(|began| began.elapsed() >= self.every) {
            keeper.1 = Some(Instant::now());
            drop(keeper.0.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
        }
    }
}
