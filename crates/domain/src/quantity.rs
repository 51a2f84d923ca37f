//! Numbers of units.

use std::fmt;

use thiserror::Error;

/// A number of units that a command may move: from 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "i64", into = "i64"))]
pub struct Quantity(u64);

impl Quantity {
    /// The most units that one command may move.
    pub const MAX: u64 = 1_000_000_000;

    /// `given` units.
    ///
    /// # Errors
    ///
    /// [`QuantityOutOfRange`] unless `given` is from 1 to [`Quantity::MAX`].
    pub fn new(given: i64) -> Result<Self, QuantityOutOfRange> {
        match u64::try_from(given) {
            Ok(units @ 1..=Self::MAX) => Ok(Self(units)),
            _ => Err(QuantityOutOfRange { given, least: 1, most: Self::MAX }),
        }
    }

    /// How many units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// As many units as are left when `part` is taken away; `None` when that is none or less.
    #[must_use]
    pub fn less(self, part: Self) -> Option<Self> {
        self.0.checked_sub(part.0).filter(|left| *left > 0).map(Self)
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityOutOfRange;

    fn try_from(given: i64) -> Result<Self, Self::Error> {
        Self::new(given)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0.cast_signed() // At most `Quantity::MAX`.
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A number of units on a shelf: from 0 to [`StockQuantity::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "i64", into = "i64"))]
pub struct StockQuantity(u64);

impl StockQuantity {
    /// The most units that one stock may hold.
    pub const MAX: u64 = 1_000_000_000_000_000;

    /// `given` units.
    ///
    /// # Errors
    ///
    /// [`QuantityOutOfRange`] unless `given` is from 0 to [`StockQuantity::MAX`].
    pub fn new(given: i64) -> Result<Self, QuantityOutOfRange> {
        match u64::try_from(given) {
            Ok(units @ 0..=Self::MAX) => Ok(Self(units)),
            _ => Err(QuantityOutOfRange { given, least: 0, most: Self::MAX }),
        }
    }

    /// How many units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }
}

impl TryFrom<i64> for StockQuantity {
    type Error = QuantityOutOfRange;

    fn try_from(given: i64) -> Result<Self, Self::Error> {
        Self::new(given)
    }
}

impl From<StockQuantity> for i64 {
    fn from(quantity: StockQuantity) -> Self {
        quantity.0.cast_signed() // At most `StockQuantity::MAX`.
    }
}

impl fmt::Display for StockQuantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// A number of units that is too small or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be from {least} to {most}, got {given}")]
pub struct QuantityOutOfRange {
    /// What was asked for.
    pub given: i64,
    /// The smallest that is allowed.
    pub least: u64,
    /// The largest that is allowed.
    pub most: u64,
}
