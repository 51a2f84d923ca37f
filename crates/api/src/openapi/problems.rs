//! The problems in the document: a schema for each kind, and for each status of an operation the kinds that it may stand for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::description::header_name;
use crate::problem::{Kind, MEDIA_TYPE, Problem};
use crate::wire::schemas;

/// The schema of what all problems have.
pub(super) const PROBLEM: &str = "Problem";

/// The kinds, by status.
pub(super) fn by_status(kinds: &BTreeSet<Kind>) -> BTreeMap<u16, Vec<Kind>> {
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.status()).or_default().push(*kind);
    }
    by_status
}

/// The answer that is one of these kinds, which share their status.
pub(super) fn response(kinds: &[Kind]) -> Response {
    let schema: RefOr<Schema> = match kinds {
        [only] => reference(*only).into(),
        several => {
            let mapping = several.iter().map(|kind| (kind.uri(), path(*kind)));
            let mut one_of = OneOfBuilder::new().discriminator(Some(Discriminator::with_mapping("type", mapping)));
            for kind in several {
                one_of = one_of.item(reference(*kind));
            }
            one_of.into()
        }
    };
    let examples = kinds
        .iter()
        .map(|kind| (kind.slug(), ExampleBuilder::new().summary(kind.title()).value(Some(example(*kind))).build()));
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title()).collect();
    let mut response = ResponseBuilder::new().description(titles.join(" · ")).content(MEDIA_TYPE, content);
    let mut headers = vec!["RateLimit", "RateLimitPolicy", "RequestId", "TraceParent"];
    headers.extend(kinds.iter().flat_map(|kind| kind.headers()));
    for name in headers {
        response = response.header_ref(header_name(name), Ref::new(format!("#/components/headers/{name}")));
    }
    response.build()
}

/// The schemas of all problems.
pub(super) fn all() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let kinds = Kind::ALL.iter().map(|kind| (name(*kind), schema(*kind)));
    kinds.chain([(PROBLEM.to_owned(), Problem::schema())])
}

impl ToSchema for Problem {}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("What went wrong, as RFC 9457 has it."))
            .property("type", schemas::text().description(Some("The kind of problem: stable, for programs.")))
            .property("title", schemas::text().description(Some("The kind of problem, for people.")))
            .property("status", schemas::whole(400, 599).description(Some("The status of the answer.")))
            .property("detail", schemas::text().description(Some("What is wrong with this request, for people.")))
            .property("instance", schemas::text().description(Some("The id of the request, as in `x-request-id`.")))
            .required("type")
            .required("title")
            .required("status")
            .required("instance")
            .into()
    }
}

fn schema(kind: Kind) -> RefOr<Schema> {
    let constant = |value: Value| schemas::constant(value);
    let mut own = ObjectBuilder::new()
        .property("type", constant(kind.uri().into()))
        .property("title", constant(kind.title().into()))
        .property("status", constant(kind.status().into()))
        .required("type")
        .required("title")
        .required("status");
    for (member, schema, is_required) in members(kind) {
        own = own.property(member, schema);
        if is_required {
            own = own.required(member);
        }
    }
    AllOfBuilder::new().description(Some(kind.title())).item(Ref::from_schema_name(PROBLEM)).item(own).into()
}

/// The members that a kind has beside those of the RFC, and whether it always has them.
fn members(kind: Kind) -> Vec<(&'static str, RefOr<Schema>, bool)> {
    let units = || -> RefOr<Schema> { schemas::whole(0, u64::MAX).into() };
    match kind {
        Kind::INVALID_REQUEST => {
            let error = ObjectBuilder::new()
                .property(
                    "field",
                    schemas::text().description(Some("A field, parameter or header; empty for the body.")),
                )
                .property("message", schemas::text())
                .required("field")
                .required("message");
            vec![("errors", ArrayBuilder::new().items(error).min_items(Some(1)).into(), true)]
        }
        Kind::FORBIDDEN => vec![("scope", schemas::text().into(), true)],
        Kind::VERSION_MISMATCH => vec![("current_version", units(), true)],
        Kind::INSUFFICIENT_STOCK => {
            let line = ObjectBuilder::new()
                .property("product_id", schemas::id())
                .property("store_id", schemas::id())
                .property("requested", units())
                .property("available", units());
            let line = ["product_id", "store_id", "requested", "available"]
                .iter()
                .fold(line, |line, name| line.required(*name));
            let lines = ArrayBuilder::new().items(line).description(Some("On an order: line by line what it lacks."));
            vec![("requested", units(), false), ("available", units(), false), ("shortfalls", lines.into(), false)]
        }
        _ => Vec::new(),
    }
}

fn example(kind: Kind) -> Value {
    let mut example = json!({
        "type": kind.uri(),
        "title": kind.title(),
        "status": kind.status(),
        "instance": "01890a5d-ac96-774b-bcce-b302099a8057",
    });
    let members = match kind {
        Kind::INVALID_REQUEST => {
            json!({"errors": [{"field": "quantity", "message": "must be from 1 to 1000000000"}]})
        }
        Kind::FORBIDDEN => json!({"scope": "inventory:write"}),
        Kind::VERSION_MISMATCH => json!({"current_version": 7}),
        Kind::INSUFFICIENT_STOCK => json!({"requested": 3, "available": 2}),
        _ => json!({}),
    };
    if let (Some(example), Value::Object(members)) = (example.as_object_mut(), members) {
        example.extend(members);
    }
    example
}

/// `insufficient-stock` as `InsufficientStock`, with `Problem` behind it.
fn name(kind: Kind) -> String {
    let words = kind.slug().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<String>() + PROBLEM
}

fn path(kind: Kind) -> String {
    format!("#/components/schemas/{}", name(kind))
}

fn reference(kind: Kind) -> Ref {
    Ref::new(path(kind))
}
