//! Batches: many commands on single stocks in one request.
//!
//! A batch is read command by command. One with values that can't be is that command's own problem, and the others stand.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use inventory_application::{Condition, StockAnswer};
use inventory_domain::inventory::Command;
use inventory_domain::{HoldFor, Quantity, Reason, StockId, StockQuantity, Timestamp};
use memchr::memmem;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::json_body::{check_object, explain_fields, explain_once};
use super::{
    AddStockRequest, AdjustStockRequest, CommitReservationRequest, ExtendReservationRequest, ReleaseReservationRequest,
    ReserveStockRequest, StockChanged, StockRequest, default_hold, fields, schemas,
};
use crate::problem::Problem;
use crate::request_key::{IdempotencyKey, RequestHash};

/// Commands in one batch, at most.
pub const COMMANDS_MAX: usize = 8_192;

/// `POST /batch`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest<'a> {
    /// What is asked, in order, as it was written: 1 to [`COMMANDS_MAX`] commands.
    #[serde(borrow, deserialize_with = "commands")]
    pub commands: Vec<&'a RawValue>,
}

/// The schema of a [`BatchRequest`], which is read command by command.
pub struct BatchSchema;

impl PartialSchema for BatchSchema {
    fn schema() -> RefOr<Schema> {
        let mapping = COMMANDS.iter().map(|(op, name, _)| (*op, format!("#/components/schemas/{name}")));
        let mut command = OneOfBuilder::new().discriminator(Some(Discriminator::with_mapping("op", mapping)));
        for (_, name, _) in COMMANDS {
            command = command.item(Ref::from_schema_name(*name));
        }
        let commands = ArrayBuilder::new().items(command).min_items(Some(1)).max_items(Some(COMMANDS_MAX));
        ObjectBuilder::new()
            .property("commands", commands)
            .required("commands")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl ToSchema for BatchSchema {
    fn name() -> Cow<'static, str> {
        "BatchRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for (_, name, schema) in COMMANDS {
            let schema = schema(schemas);
            schemas.push(((*name).to_owned(), schema));
        }
    }
}

/// Makes a schema, and notes the schemas that it names.
type MakeSchema = fn(&mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema>;

/// The commands that a batch may have: their names in it, and the names and makers of their schemas.
const COMMANDS: &[(&str, &str, MakeSchema)] = &[
    (AddStockRequest::OP, "AddCommand", command_schema::<AddStockRequest>),
    (ReserveStockRequest::OP, "ReserveCommand", command_schema::<ReserveStockRequest>),
    (CommitReservationRequest::OP, "CommitCommand", command_schema::<CommitReservationRequest>),
    (ReleaseReservationRequest::OP, "ReleaseCommand", command_schema::<ReleaseReservationRequest>),
    (AdjustStockRequest::OP, "AdjustCommand", command_schema::<AdjustStockRequest>),
    (ExtendReservationRequest::OP, "ExtendCommand", command_schema::<ExtendReservationRequest>),
];

/// The schema of a command alone, with its name and its key.
fn command_schema<R: StockRequest>(schemas: &mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema> {
    R::schemas(schemas);
    let mut schema = R::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.properties.insert("op".to_owned(), schemas::constant(R::OP.into()).into());
        object.required.push("op".to_owned());
        let key = schemas::text().pattern(Some("^[ -~]{1,255}$"));
        object.properties.insert("idempotency_key".to_owned(), key.into());
    }
    schema
}

impl<'a> BatchRequest<'a> {
    /// The batch that a body is.
    ///
    /// # Errors
    ///
    /// The problem of a body that is no batch.
    pub fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        check_object(body)?;
        serde_json::from_slice(body).map_err(|error| explain_once(body, &error))
    }
}

fn commands<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'de RawValue>, D::Error> {
    struct Commands;
    impl<'de> Visitor<'de> for Commands {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of 1 to {COMMANDS_MAX} commands")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut commands = Vec::new();
            while commands.len() < COMMANDS_MAX {
                match all.next_element()? {
                    Some(command) => commands.push(command),
                    None if commands.is_empty() => return Err(A::Error::custom("must have at least one command")),
                    None => return Ok(commands),
                }
            }
            if all.next_element::<IgnoredAny>()?.is_some() {
                return Err(A::Error::custom(format!("must have at most {COMMANDS_MAX} commands")));
            }
            Ok(commands)
        }
    }
    deserializer.deserialize_seq(Commands)
}

/// A command that can be asked.
#[derive(Debug)]
pub struct BatchCommand {
    /// Which stock.
    pub stock_id: StockId,
    /// What is asked of it.
    pub command: Command,
    /// Whether its reservation's id was made for it.
    pub is_fresh: bool,
    /// When it was counted, where that matters.
    pub counted_at: Option<Timestamp>,
    /// The client's key for it, with the hash of what it asks for.
    pub key: Option<(IdempotencyKey, [u8; 16])>,
    /// The status of the answer that grants it.
    pub status: StatusCode,
    /// The sentence in that answer.
    pub message: &'static str,
}

impl BatchCommand {
    /// The command that was written so, at this place of a batch whose own key is `batch_key`.
    ///
    /// # Errors
    ///
    /// The problem that this command has.
    pub fn read(written: &RawValue, place: usize, batch_key: Option<&IdempotencyKey>) -> Result<Self, Problem> {
        let keys = Keys { place, batch_key };
        check_object(written.get().as_bytes())?;
        match serde_json::from_str::<AnyCommand<'_>>(written.get()) {
            // What is null isn't told from what is absent here, though it may be a field that the command hasn't.
            Ok(any) if memmem::find(written.get().as_bytes(), b"null").is_none() => match any.into_command(keys)? {
                Some(command) => Ok(command),
                None => read_slowly(written, keys),
            },
            Ok(_) | Err(_) => read_slowly(written, keys),
        }
    }

    fn new<R: StockRequest>(request: R, key: Option<IdempotencyKey>) -> Self {
        let key = key.map(|key| {
            let mut hash = RequestHash::of("/batch", &Condition::None);
            hash.text(R::OP);
            request.hash_into(&mut hash);
            (key, hash.finish())
        });
        let (stock_id, counted_at) = (request.stock_id(), request.counted_at());
        let (command, is_fresh) = request.into_command(Uuid::now_v7);
        Self { stock_id, command, is_fresh, counted_at, key, status: R::STATUS, message: R::MESSAGE }
    }
}

/// Where a command's key comes from: its own, or the batch's.
#[derive(Clone, Copy)]
struct Keys<'a> {
    place: usize,
    batch_key: Option<&'a IdempotencyKey>,
}

impl Keys<'_> {
    fn choose(self, own: Option<&str>) -> Result<Option<IdempotencyKey>, Problem> {
        match (own, self.batch_key) {
            (Some(own), _) => IdempotencyKey::new(own).map(Some),
            (None, batch) => Ok(batch.map(|key| key.of_command(self.place))),
        }
    }
}

/// Any command with values of the right types, read in one go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyCommand<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(deserialize_with = "fields::uuid")]
    product_id: Uuid,
    #[serde(deserialize_with = "fields::uuid")]
    store_id: Uuid,
    #[serde(default)]
    quantity: Option<i64>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    customer_id: Option<Uuid>,
    #[serde(default, deserialize_with = "present")]
    #[allow(clippy::option_option, reason = "absent is the default, null is no deadline")]
    ttl_minutes: Option<Option<i64>>,
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    reservation_id: Option<Uuid>,
    #[serde(default, deserialize_with = "fields::uuid_or_none")]
    order_id: Option<Uuid>,
    #[serde(default, deserialize_with = "fields::moment_or_none")]
    counted_at: Option<Timestamp>,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
}

/// A field that is there, even if it is `null`.
#[allow(clippy::option_option, reason = "absent is not null")]
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl AnyCommand<'_> {
    /// The command, where it has the fields of its kind and no others, all in range; else it is read slowly, to say what is wrong.
    fn into_command(self, keys: Keys<'_>) -> Result<Option<BatchCommand>, Problem> {
        let key = || keys.choose(self.idempotency_key.as_deref());
        let (product_id, store_id) = (self.product_id, self.store_id);
        let reason = self.reason.as_deref().and_then(|reason| Reason::new(reason).ok());
        let quantity = self.quantity.and_then(|quantity| Quantity::new(quantity).ok());
        let no_others = [
            self.customer_id.is_none() && self.ttl_minutes.is_none(),
            self.reservation_id.is_none(),
            self.order_id.is_none(),
            self.counted_at.is_none(),
        ];
        Ok(match (&*self.op, no_others, reason, quantity) {
            (AddStockRequest::OP, [true, true, true, true], Some(reason), Some(quantity)) => {
                Some(BatchCommand::new(AddStockRequest { product_id, store_id, quantity, reason }, key()?))
            }
            (ReserveStockRequest::OP, [_, _, true, true], None, Some(quantity)) if self.reason.is_none() => {
                let ttl_minutes = match self.ttl_minutes {
                    None => default_hold(),
                    Some(None) => None,
                    Some(Some(minutes)) => match HoldFor::from_minutes(minutes) {
                        Ok(hold_for) => Some(hold_for),
                        Err(_) => return Ok(None),
                    },
                };
                let (Some(customer_id), reservation_id) = (self.customer_id, self.reservation_id) else {
                    return Ok(None);
                };
                let request =
                    ReserveStockRequest { product_id, store_id, quantity, customer_id, ttl_minutes, reservation_id };
                Some(BatchCommand::new(request, key()?))
            }
            (CommitReservationRequest::OP, [true, false, false, true], None, quantity)
                if self.reason.is_none() && quantity.is_some() == self.quantity.is_some() =>
            {
                let (Some(reservation_id), Some(order_id)) = (self.reservation_id, self.order_id) else {
                    return Ok(None);
                };
                let request = CommitReservationRequest { product_id, store_id, reservation_id, order_id, quantity };
                Some(BatchCommand::new(request, key()?))
            }
            (ReleaseReservationRequest::OP, [true, false, true, true], Some(reason), None)
                if self.quantity.is_none() =>
            {
                let Some(reservation_id) = self.reservation_id else { return Ok(None) };
                let request = ReleaseReservationRequest { product_id, store_id, reservation_id, reason };
                Some(BatchCommand::new(request, key()?))
            }
            (AdjustStockRequest::OP, [true, true, true, _], Some(reason), _) => {
                let counted = self.quantity.and_then(|quantity| StockQuantity::new(quantity).ok());
                let (Some(quantity), counted_at) = (counted, self.counted_at) else { return Ok(None) };
                let request = AdjustStockRequest { product_id, store_id, quantity, reason, counted_at };
                Some(BatchCommand::new(request, key()?))
            }
            _ => None, // Extending is rare.
        })
    }
}

/// The fields of an object, each of which is there once: of two, a map would keep the second in silence.
struct Unrepeated(Map<String, Value>);

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Map<String, Value>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = given.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Self)
    }
}

/// Reads a command by its kind, and says all that is wrong with it.
fn read_slowly(written: &RawValue, keys: Keys<'_>) -> Result<BatchCommand, Problem> {
    let Unrepeated(mut fields) =
        serde_json::from_str(written.get()).map_err(|error| explain_once(written.get().as_bytes(), &error))?;
    let key = match fields.remove("idempotency_key") {
        None | Some(Value::Null) => keys.choose(None)?,
        Some(Value::String(key)) => keys.choose(Some(&key))?,
        Some(_) => return Err(Problem::invalid_field("idempotency_key", "must be a string")),
    };
    let op = fields.remove("op");
    match op.as_ref().and_then(Value::as_str) {
        Some(AddStockRequest::OP) => typed::<AddStockRequest>(fields, key),
        Some(ReserveStockRequest::OP) => typed::<ReserveStockRequest>(fields, key),
        Some(CommitReservationRequest::OP) => typed::<CommitReservationRequest>(fields, key),
        Some(ReleaseReservationRequest::OP) => typed::<ReleaseReservationRequest>(fields, key),
        Some(AdjustStockRequest::OP) => typed::<AdjustStockRequest>(fields, key),
        Some(ExtendReservationRequest::OP) => typed::<ExtendReservationRequest>(fields, key),
        _ => Err(Problem::invalid_field("op", "must be one of add, reserve, commit, release, adjust, extend")),
    }
}

/// The command that these fields are of this kind.
fn typed<R: StockRequest>(fields: Map<String, Value>, key: Option<IdempotencyKey>) -> Result<BatchCommand, Problem> {
    let request = serde_json::from_value::<R>(Value::Object(fields.clone()));
    request.map(|request| BatchCommand::new(request, key)).map_err(|_| explain_fields::<R>(fields))
}

/// The answer to a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub struct BatchBody {
    /// What each command came to, in the same order.
    pub results: Vec<ResultBody>,
}

/// What a command came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchResult)]
#[serde(untagged)]
pub enum ResultBody {
    /// It was granted.
    Granted {
        /// The status that it would have had alone.
        status: u16,
        /// The answer that it would have had alone.
        #[serde(flatten)]
        changed: StockChanged,
        /// Whether it is the answer that was given before.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        idempotent_replayed: bool,
    },
    /// It was not: the problem details.
    #[schema(value_type = Problem)]
    Refused(Map<String, Value>),
}

impl ResultBody {
    /// The result of a command that was granted.
    #[must_use]
    pub fn granted(stock_id: StockId, status: StatusCode, answer: StockAnswer, message: &'static str) -> Self {
        Self::Granted {
            status: status.as_u16(),
            changed: StockChanged::new(stock_id, answer, message),
            idempotent_replayed: answer.is_repeat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-4000-8000-000000000001";

    #[test]
    fn both_ways_of_reading_agree() {
        let ids = format!(r#""product_id":"{ID}","store_id":"{ID}""#);
        for fields in [
            r#""op":"add","quantity":1,"reason":"x""#.to_owned(),
            format!(r#""op":"reserve","quantity":1,"customer_id":"{ID}","reservation_id":"{ID}""#),
            format!(r#""op":"reserve","quantity":1,"customer_id":"{ID}","ttl_minutes":null,"reservation_id":"{ID}""#),
            format!(r#""op":"reserve","quantity":1,"customer_id":"{ID}","ttl_minutes":5,"reservation_id":"{ID}""#),
            format!(r#""op":"commit","reservation_id":"{ID}","order_id":"{ID}""#),
            format!(r#""op":"commit","reservation_id":"{ID}","order_id":"{ID}","quantity":2"#),
            format!(r#""op":"release","reservation_id":"{ID}","reason":"x""#),
            r#""op":"adjust","quantity":0,"reason":"x""#.to_owned(),
            r#""op":"adjust","quantity":7,"reason":"x","counted_at":"2026-01-01T00:00:00Z""#.to_owned(),
        ] {
            for key in ["", r#","idempotency_key":"k""#] {
                let written = RawValue::from_string(format!("{{{ids},{fields}{key}}}")).unwrap();
                let keys = Keys { place: 3, batch_key: None };
                let any: AnyCommand<'_> = serde_json::from_str(written.get()).unwrap();
                let quick = any.into_command(keys).unwrap().unwrap_or_else(|| panic!("{written}"));
                assert_eq!(format!("{quick:?}"), format!("{:?}", read_slowly(&written, keys).unwrap()));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ids = format!(r#""product_id":"{ID}","store_id":"{ID}""#);
        for (written, named) in [
            ("7".to_owned(), ""),
            ("{}".to_owned(), "op"),
            (format!(r#"{{{ids},"op":"eat"}}"#), "op"),
            (format!(r#"{{{ids},"op":"add","quantity":0,"reason":"x"}}"#), "quantity"),
            (format!(r#"{{{ids},"op":"add","quantity":1}}"#), "reason"),
            (format!(r#"{{{ids},"op":"add","quantity":1,"reason":"x","order_id":"{ID}"}}"#), "order_id"),
            (format!(r#"{{{ids},"op":"reserve","quantity":1,"customer_id":"{ID}","ttl_minutes":0}}"#), "ttl_minutes"),
            (format!(r#"{{{ids},"op":"reserve","quantity":1,"customer_id":"{ID}","reason":"x"}}"#), "reason"),
            (format!(r#"{{{ids},"op":"extend","reservation_id":"{ID}"}}"#), "ttl_minutes"),
            (format!(r#"{{{ids},"op":"add","quantity":1,"reason":"x","idempotency_key":""}}"#), "Idempotency-Key"),
            (format!(r#"{{{ids},"op":"add","quantity":1,"reason":"x","idempotency_key":7}}"#), "idempotency_key"),
            (format!(r#"{{{ids},"op":"adjust","quantity":1,"reason":"x","counted_at":"yesterday"}}"#), "counted_at"),
            (format!(r#"{{{ids},"op":"add","quantity":1,"quantity":7,"reason":"x"}}"#), "quantity"),
            (format!(r#"{{{ids},"op":"add","quantity":"1","quantity":7,"reason":"x"}}"#), "quantity"),
            (format!(r#"{{{ids},"op":"add","op":"adjust","quantity":1,"reason":"x"}}"#), "op"),
            (
                format!(r#"{{{ids},"op":"extend","reservation_id":"{ID}","ttl_minutes":5,"ttl_minutes":6}}"#),
                "ttl_minutes",
            ),
            (format!(r#"{{{ids},"op":"add","quantity":1,"reason":"x","order_id":null}}"#), "order_id"),
            (format!(r#"{{{ids},"op":"reserve","quantity":1,"customer_id":"{ID}","reason":null}}"#), "reason"),
            (format!(r#"["add","{ID}","{ID}",1,"x"]"#), ""),
        ] {
            let problem = BatchCommand::read(&RawValue::from_string(written.clone()).unwrap(), 0, None).unwrap_err();
            assert_eq!(problem.summary(), format!("invalid-request: {named}"), "{written}");
        }
    }

    #[test]
    fn a_batch_has_1_to_8192_commands() {
        let count = |count: usize| {
            let body = format!(r#"{{"commands":[{}]}}"#, vec!["{}"; count].join(","));
            serde_json::from_str::<BatchRequest<'_>>(&body)
                .map(|batch| batch.commands.len())
                .map_err(|no| no.to_string())
        };
        assert_eq!(count(1), Ok(1));
        assert_eq!(count(8_192), Ok(8_192));
        assert!(count(0).unwrap_err().contains("at least one"));
        assert!(count(8_193).unwrap_err().contains("at most 8192"));
    }
}
