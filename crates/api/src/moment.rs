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
    // jiff takes more than RFC 3339: other separators, no seconds, time zones in brackets.
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let (start, rest) = text.as_bytes().split_at_checked(FORM.len())?;
    let fits = |(given, form): (&u8, &u8)| match form {
        b'0' => given.is_ascii_digit(),
        b'T' => given.eq_ignore_ascii_case(&b'T'),
        sign => given == sign,
    };
    let fraction = rest
        .strip_prefix(b".")
        .map_or(0, |digits| 1 + digits.iter().take_while(|digit| digit.is_ascii_digit()).count());
    let is_offset = match &rest[fraction..] {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if fraction == 1 || !is_offset || !start.iter().zip(FORM).all(fits) {
        return None;
    }
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_is_read() {
        for text in ["2026-11-25T10:00:00Z", "2026-11-25t10:00:00.5z", "2026-11-25T11:00:00.123456789+01:00"] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "2026-11-25",
            "20261125T100000Z",
            "2026-11-25T10Z",
            "2026-11-25T10:00Z",
            "2026-11-25 10:00:00Z",
            "2026-11-25T10:00:00",
            "2026-11-25T10:00:00,5Z",
            "2026-11-25T10:00:00.Z",
            "2026-11-25T10:00:00+0100",
            "2026-11-25T10:00:00+01:00[Europe/Berlin]",
            "2026-11-25T10:00:00-00",
            "+002026-11-25T10:00:00Z",
            "2026-13-25T10:00:00Z",
            "2026-11-25T10:00:00Zx",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_always_shows_its_milliseconds() {
        assert_eq!(Rfc3339(Timestamp::from_millis(1_700_000_000_000)).to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(Rfc3339(Timestamp::from_millis(1_700_000_000_007)).to_string(), "2023-11-14T22:13:20.007Z");
    }
}
