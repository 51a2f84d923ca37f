//! Moments as people and programs read them.

use std::fmt;

use inventory_domain::Timestamp;

/// RFC 3339 in UTC with milliseconds, as in `2026-01-31T12:00:00.000Z`.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0.millis()).map_err(|_| fmt::Error)?;
        write!(formatter, "{moment:.3}")
    }
}

/// The moment that RFC 3339 text stands for, whatever its offset, cut off to milliseconds; `None` when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_always_shows_its_milliseconds() {
        assert_eq!(Rfc3339(Timestamp::from_millis(1_700_000_000_000)).to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(Rfc3339(Timestamp::from_millis(1_700_000_000_007)).to_string(), "2023-11-14T22:13:20.007Z");
    }
}
