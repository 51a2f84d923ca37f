//! The schemas of values that are checked as they are read, for the OpenAPI document: the domain knows neither JSON nor documents.

use inventory_domain::{HoldFor, Quantity as Units, Reason as Why, StockQuantity as UnitsOnHand};
use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Any text.
#[must_use]
pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// An id.
#[must_use]
pub fn id() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

/// A time.
#[must_use]
pub fn moment() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// An integer from `least` to `most`; the largest there is says nothing.
#[must_use]
pub fn whole(least: u64, most: u64) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least));
    if most == u64::MAX { object } else { object.maximum(Some(most)) }
}

/// `true` or `false`.
#[must_use]
pub fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

/// One of these words.
#[must_use]
pub fn choice<T>(choices: &[(&'static str, T)]) -> ObjectBuilder {
    text().enum_values(Some(choices.iter().map(|(word, _)| *word)))
}

/// This value and no other.
#[must_use]
pub fn constant(value: Value) -> ObjectBuilder {
    let of_type = if value.is_number() { Type::Integer } else { Type::String };
    ObjectBuilder::new().schema_type(of_type).extensions(Some(Extensions::from_iter([("const", value)])))
}

/// Types that stand for a field's schema.
macro_rules! field_schemas {
    ($($(#[$comment:meta])* $name:ident = $schema:expr;)*) => {
        $($(#[$comment])*
        #[derive(Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {})*
    };
}

field_schemas! {
    /// Units that a command may move.
    Quantity = whole(1, Units::MAX).description(Some("A number of units that a command moves."));
    /// Units on hand.
    StockQuantity = whole(0, UnitsOnHand::MAX).description(Some("A number of units on hand."));
    /// Why.
    Reason = text()
        .min_length(Some(1))
        .max_length(Some(Why::MAX_CHARACTERS))
        .pattern(Some(r"\S"))
        .description(Some("Why, in words; counted after trimming."));
    /// How long a reservation holds.
    HoldMinutes = whole(1, HoldFor::MAX_MINUTES.into()).description(Some("Minutes, from now."));
    /// A time in a request.
    Moment = moment().description(Some("RFC 3339, with any offset."));
}
