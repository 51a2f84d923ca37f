//! Moments <-> RFC 3339.

use std::fmt;

use inventory_domain::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment as RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(moment: Timestamp) -> String {
    Moment(moment).to_string()
}

/// A moment as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Moments beyond the calendar (year 9999) are shown as its last one: holds are a day long at most.
        let moment = jiff::Timestamp::from_millisecond(self.0.millis()).unwrap_or(jiff::Timestamp::MAX);
        write!(formatter, "{moment:.3}")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Moment;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an RFC 3339 time")
            }

            fn visit_str<E: serde::de::Error>(self, given: &str) -> Result<Moment, E> {
                let moment: jiff::Timestamp = given.parse().map_err(E::custom)?;
                Ok(Moment(Timestamp::from_millis(moment.as_millisecond())))
            }
        }
        deserializer.deserialize_str(Written)
    }
}
