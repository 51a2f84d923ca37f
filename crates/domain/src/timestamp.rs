//! Moments and spans of time; always passed in, never read from a clock.

use std::ops::Add;

use thiserror::Error;

/// A moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }
}

/// How long a reservation holds its units: 1 to [`HoldFor::MAX_MINUTES`] minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "i64", into = "i64"))]
pub struct HoldFor(u16);

impl HoldFor {
    /// The longest hold: one day, in minutes.
    pub const MAX_MINUTES: u16 = 1440;
    /// What a client gets that asks for nothing else, in minutes.
    pub const DEFAULT: Self = Self(30);

    /// A hold of `given` minutes.
    ///
    /// # Errors
    ///
    /// [`HoldForOutOfRange`] unless `given` is from 1 to [`HoldFor::MAX_MINUTES`].
    pub fn from_minutes(given: i64) -> Result<Self, HoldForOutOfRange> {
        match u16::try_from(given) {
            Ok(minutes @ 1..=Self::MAX_MINUTES) => Ok(Self(minutes)),
            _ => Err(HoldForOutOfRange { given }),
        }
    }

    /// The span in minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }

    /// The span in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::from(self.0) * 60_000
    }
}

impl TryFrom<i64> for HoldFor {
    type Error = HoldForOutOfRange;

    fn try_from(given: i64) -> Result<Self, Self::Error> {
        Self::from_minutes(given)
    }
}

impl From<HoldFor> for i64 {
    fn from(hold_for: HoldFor) -> Self {
        hold_for.0.into()
    }
}

impl Add<HoldFor> for Timestamp {
    type Output = Self;

    /// The end of a hold that starts now; at the end of time it stays there.
    fn add(self, hold_for: HoldFor) -> Self {
        Self(self.0.saturating_add(hold_for.millis()))
    }
}

/// A hold that is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be from 1 to {most} minutes, got {given}", most = HoldFor::MAX_MINUTES)]
pub struct HoldForOutOfRange {
    /// The minutes that were asked for.
    pub given: i64,
}
