//! Chance that a seed decides.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A source of chance; each part of a run has one of its own, so that what one does moves no other.
pub(crate) struct Chance(Mutex<fastrand::Rng>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Another source, which follows from this one.
    pub(crate) fn fork(&self) -> Self {
        Self(Mutex::new(self.rng().fork()))
    }

    /// True once in `times`, about; never, where that is 0.
    pub(crate) fn one_in(&self, times: u64) -> bool {
        times > 0 && self.rng().u64(..times) == 0
    }

    pub(crate) fn between(&self, range: RangeInclusive<i64>) -> i64 {
        self.rng().i64(range)
    }

    /// Milliseconds from 0 to `most`, mostly few.
    pub(crate) fn millis(&self, most: u64) -> Duration {
        let mut rng = self.rng();
        let most = if rng.u8(..8) == 0 { most } else { most / 4 };
        Duration::from_micros(rng.u64(..=most * 1_000))
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.rng().usize(..from.len())) }
    }

    /// One of the last few, as a rule.
    pub(crate) fn pick_late<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let late = from.len().saturating_sub(6);
        let is_any = self.one_in(5);
        self.pick(if is_any { from } else { &from[late..] })
    }

    pub(crate) fn number(&self) -> u64 {
        self.rng().u64(..)
    }

    pub(crate) fn id(&self) -> u128 {
        self.rng().u128(..)
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
