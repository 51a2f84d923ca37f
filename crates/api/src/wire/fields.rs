//! Fields of requests and answers: JSON values that are checked as they are read.

use std::fmt;
use std::marker::PhantomData;

use inventory_domain::{HoldFor, Quantity, Reason, StockQuantity, Timestamp};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serializer};
use uuid::Uuid;

/// A value that is written as an object: serde would take a list of its fields' values as well.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Written<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(Written(PhantomData))
    }
}

/// Makes a value of an integer, or says why it can't.
type Check<T> = fn(i64) -> Result<T, String>;

/// An integer, or `null` where that is allowed.
struct Integer<T> {
    check: Check<T>,
    null: Option<fn() -> T>,
}

impl<T> Visitor<'_> for Integer<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, given: i64) -> Result<T, E> {
        (self.check)(given).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, given: u64) -> Result<T, E> {
        self.visit_i64(i64::try_from(given).unwrap_or(i64::MAX)) // Out of every field's range, either way.
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        self.null.map(|null| null()).ok_or_else(|| E::invalid_type(Unexpected::Unit, &"an integer"))
    }
}

fn integer<'de, T, D: Deserializer<'de>>(deserializer: D, check: Check<T>) -> Result<T, D::Error> {
    deserializer.deserialize_any(Integer { check, null: None })
}

fn integer_or_none<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    check: Check<Option<T>>,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Integer { check, null: Some(|| None) })
}

pub(super) fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
    integer(deserializer, |given| Quantity::new(given).map_err(|error| error.to_string()))
}

pub(super) fn quantity_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Quantity>, D::Error> {
    integer_or_none(deserializer, |given| Quantity::new(given).map(Some).map_err(|error| error.to_string()))
}

pub(super) fn stock_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StockQuantity, D::Error> {
    integer(deserializer, |given| StockQuantity::new(given).map_err(|error| error.to_string()))
}

pub(super) fn hold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HoldFor, D::Error> {
    integer(deserializer, |given| HoldFor::from_minutes(given).map_err(|error| error.to_string()))
}

pub(super) fn hold_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HoldFor>, D::Error> {
    integer_or_none(deserializer, |given| HoldFor::from_minutes(given).map(Some).map_err(|error| error.to_string()))
}

/// A UUID in any of its written forms.
struct WrittenUuid;

impl Visitor<'_> for WrittenUuid {
    type Value = Uuid;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a UUID")
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<Uuid, E> {
        Uuid::try_parse(given).map_err(|_| E::custom("must be a UUID"))
    }
}

pub(super) fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    deserializer.deserialize_str(WrittenUuid)
}

pub(super) fn uuid_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Field(#[serde(deserialize_with = "uuid")] Uuid);
    Ok(Option::<Field>::deserialize(deserializer)?.map(|Field(uuid)| uuid))
}

/// Text that is a reason once trimmed.
struct WrittenReason;

impl Visitor<'_> for WrittenReason {
    type Value = Reason;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<Reason, E> {
        Reason::new(given).map_err(E::custom)
    }
}

pub(super) fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
    deserializer.deserialize_str(WrittenReason)
}

pub(super) fn reason_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reason>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Field(#[serde(deserialize_with = "reason")] Reason);
    Ok(Option::<Field>::deserialize(deserializer)?.map(|Field(reason)| reason))
}

/// A moment as RFC 3339 in UTC with milliseconds, or `null`.
#[allow(clippy::ref_option, reason = "serde hands over the field's own type")]
pub(super) fn moment_or_null<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serializer.collect_str(&crate::moment::Rfc3339(*moment)),
        None => serializer.serialize_none(),
    }
}

/// A moment as RFC 3339 in UTC with milliseconds.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) fn moment<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&crate::moment::Rfc3339(*moment))
}

/// A moment in RFC 3339, or `null`.
struct WrittenMoment;

impl<'de> Visitor<'de> for WrittenMoment {
    type Value = Option<Timestamp>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an RFC 3339 time")
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<Option<Timestamp>, E> {
        let moment = crate::moment::parse(given);
        moment.map(Some).ok_or_else(|| E::custom("must be an RFC 3339 time, such as 2026-01-31T12:00:00Z"))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Timestamp>, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Option<Timestamp>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

pub(super) fn moment_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    deserializer.deserialize_any(WrittenMoment)
}
