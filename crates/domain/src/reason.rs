//! Why somebody changed a stock, in their words.

use std::fmt;

use thiserror::Error;

/// 1 to [`Reason::MAX_CHARACTERS`] characters, with no white space around them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct Reason(Box<str>);

impl Reason {
    /// The most characters that a reason may have after trimming.
    pub const MAX_CHARACTERS: usize = 500;

    /// The reason that `given` is once trimmed.
    ///
    /// # Errors
    ///
    /// [`ReasonOutOfRange`] when nothing or more than [`Reason::MAX_CHARACTERS`] is left.
    pub fn new(given: &str) -> Result<Self, ReasonOutOfRange> {
        let trimmed = given.trim();
        match trimmed.chars().count() {
            1..=Self::MAX_CHARACTERS => Ok(Self(trimmed.into())),
            characters => Err(ReasonOutOfRange { characters }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = ReasonOutOfRange;

    fn try_from(given: String) -> Result<Self, Self::Error> {
        Self::new(&given)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A reason that is empty or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must have 1 to {most} characters after trimming, got {characters}", most = Reason::MAX_CHARACTERS)]
pub struct ReasonOutOfRange {
    /// How many characters were left after trimming.
    pub characters: usize,
}
