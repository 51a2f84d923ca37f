//! The OpenAPI document: made at the start from the URL table, from the types that the handlers take and answer with, and from the
//! table of problems.
//!
//! # How a route gets into it
//!
//! A row of [`table`] names the handler and a function that returns its [`Description`]. Write that function
//! into the file of [`tell`] that is named as the handler's file, in this way:
//!
//! ```ignore
//! pub fn list() -> Description {
//!     Description::new("listOrders", Tag::Orders, "List orders", "The newest last.")
//!         .query("state", schema_of::<OrderState>(), "Only orders in this state")
//!         .paged()                                      // ?limit= and ?cursor=
//!         .answers::<ListBody<OrderBody>>(200, "A page of orders")
//!         .refuses(&[Kind::READ_MODEL_BEHIND])          // beside what every such request may meet
//! }
//! ```
//!
//! What the handler's arguments say needs no words: `JsonBody<T>` puts `T`'s schema and the problems of bodies into the document,
//! `Writer` the headers of writes and their problems; see [`Asked`]. So does the path for ids in it. A body, a field or an answer is
//! described where its type is, by `#[derive(ToSchema)]` and its comments; the schemas of the domain's values are in
//! [`schemas`](crate::wire::schemas). A new problem goes into the table of [`problem`](crate::problem), and from there into here.
//!
//! An example of a request is sent to the real service by a test, in the order of the table, and has to be granted.

mod asked;
mod components;
mod description;
mod links;
mod parameters;
mod problems;
pub mod tell;

use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Server};

pub use self::asked::Asked;
pub use self::description::{Description, Method, Tag};
use crate::routes::table;

/// What a reader should know before the first request.
const ABOUT: &str = include_str!("openapi/about.md");

/// The document, as it is served.
#[must_use]
pub fn document_as_json() -> String {
    document().to_json().unwrap_or_default()
}

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut schemas = components::Schemas::default();
    let mut paths = Paths::new();
    for path in table() {
        for (method, description) in path.operations() {
            let operation = description.operation(*method, path.pattern(), &mut schemas);
            paths.add_path_operation(path.pattern(), vec![method.http_method()], operation);
        }
    }
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Inventory")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(Tag::ALL.map(|tag| TagBuilder::new().name(tag.name()).description(Some(tag.about())).build())))
        .paths(paths)
        .components(Some(schemas.into_components()))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::problem::Kind;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let paths = written()["paths"].clone();
        let mut told: Vec<(String, String)> = Vec::new();
        for (path, item) in paths.as_object().unwrap() {
            told.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())));
        }
        let mut served: Vec<(String, String)> = Vec::new();
        for path in table() {
            let methods = path.operations().iter().map(|(method, _)| method.allowed()[0]);
            served.extend(methods.map(|method| (path.pattern().to_owned(), method.to_owned())));
        }
        told.sort();
        served.sort();
        assert_eq!(told, served);
    }

    #[test]
    fn an_operation_has_a_name_of_its_own() {
        let document = written();
        let mut names = BTreeSet::new();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
        {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} stands there twice");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{name} is never granted");
        }
    }

    #[test]
    fn a_reference_leads_somewhere() {
        let document = written();
        let mut references = Vec::new();
        collect("$ref", &document, &mut references);
        assert!(references.len() > 100);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_problem_is_told_of() {
        let document = written();
        let mut types = Vec::new();
        collect("const", &document["components"]["schemas"], &mut types);
        for kind in Kind::ALL {
            assert!(types.contains(&kind.uri()), "{}", kind.slug());
        }
    }

    fn written() -> Value {
        serde_json::from_str(&document_as_json()).unwrap()
    }

    /// Every text that stands under this name, however deep.
    fn collect(name: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match value {
                        Value::String(text) if key == name => found.push(text.clone()),
                        _ => collect(name, value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(name, item, found)),
            _ => (),
        }
    }
}
