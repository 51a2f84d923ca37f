//! What the document tells about one route.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr, Required};

use super::components::{Schemas, security};
use super::links::Next;
use super::parameters::optional;
use super::problems;
use crate::access::rules::Need;
use crate::problem::Kind;
use crate::wire::schemas;

/// The media type of everything that is not a problem, unless it says otherwise.
const JSON: &str = "application/json";

/// A method that a path may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD with it.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl Method {
    /// The methods that a client may use where this one is served.
    #[must_use]
    pub fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::Post => &["POST"],
            Self::Put => &["PUT"],
            Self::Delete => &["DELETE"],
        }
    }

    fn method(self) -> actix_web::http::Method {
        match self {
            Self::Get => actix_web::http::Method::GET,
            Self::Post => actix_web::http::Method::POST,
            Self::Put => actix_web::http::Method::PUT,
            Self::Delete => actix_web::http::Method::DELETE,
        }
    }

    pub(super) fn http_method(self) -> HttpMethod {
        match self {
            Self::Get => HttpMethod::Get,
            Self::Post => HttpMethod::Post,
            Self::Put => HttpMethod::Put,
            Self::Delete => HttpMethod::Delete,
        }
    }
}

/// A chapter of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Commands and questions on one stock.
    Stock,
    /// What has happened.
    History,
    /// Orders.
    Orders,
    /// Transfers.
    Transfers,
    /// Many commands in one request.
    Batch,
    /// How the node is.
    Operations,
    /// This document.
    Documents,
}

impl Tag {
    /// All of them, in reading order.
    pub const ALL: [Self; 7] =
        [Self::Stock, Self::History, Self::Orders, Self::Transfers, Self::Batch, Self::Operations, Self::Documents];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "Stock",
            Self::History => "History",
            Self::Orders => "Orders",
            Self::Transfers => "Transfers",
            Self::Batch => "Batch",
            Self::Operations => "Operations",
            Self::Documents => "Documents",
        }
    }

    /// What is in it.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Stock => "A product at a store: put units in, hold, sell and free them, and see how many there are.",
            Self::History => "What has happened, event by event.",
            Self::Orders => "Many lines, all or nothing.",
            Self::Transfers => "Units on their way from one store to another: never in both, nor in none.",
            Self::Batch => "Many commands in one request and one commit.",
            Self::Operations => "How the node is, and what its operators may do.",
            Self::Documents => "This document, for programs and for people.",
        }
    }
}

/// Makes a schema, and notes the schemas that it names.
type MakeSchema = fn(&mut Schemas) -> RefOr<Schema>;

/// What the document tells about one route.
#[derive(Clone)]
pub struct Description {
    id: &'static str,
    tag: Tag,
    summary: &'static str,
    details: String,
    parameters: Vec<Parameter>,
    shared_parameters: Vec<&'static str>,
    path_examples: BTreeMap<&'static str, Value>,
    body: Option<Body>,
    answers: BTreeMap<u16, Answer>,
    refusals: BTreeSet<Kind>,
}

#[derive(Clone)]
struct Body {
    schema: MakeSchema,
    is_required: bool,
    examples: Vec<(&'static str, &'static str, Value)>,
}

#[derive(Clone)]
struct Answer {
    text: &'static str,
    media_type: &'static str,
    schema: Option<MakeSchema>,
    headers: Vec<&'static str>,
    links: Vec<(&'static str, Link)>,
}

impl Description {
    /// The description of the operation with this id: a verb and a noun, as generated clients call it.
    #[must_use]
    pub fn new(id: &'static str, tag: Tag, summary: &'static str, details: impl Into<String>) -> Self {
        Self {
            id,
            tag,
            summary,
            details: details.into(),
            parameters: Vec::new(),
            shared_parameters: Vec::new(),
            path_examples: BTreeMap::new(),
            body: None,
            answers: BTreeMap::new(),
            refusals: BTreeSet::from([Kind::INTERNAL]),
        }
    }

    /// With a query parameter that may be left out.
    #[must_use]
    pub fn query(mut self, name: &str, schema: impl Into<RefOr<Schema>>, text: &str) -> Self {
        self.parameters.push(optional(ParameterIn::Query, name, schema, text));
        self.refuses(&[Kind::INVALID_REQUEST])
    }

    /// With a query parameter that must be given.
    #[must_use]
    pub fn required_query(mut self, name: &str, schema: impl Into<RefOr<Schema>>, text: &str) -> Self {
        let mut parameter = optional(ParameterIn::Query, name, schema, text);
        parameter.required = Required::True;
        self.parameters.push(parameter);
        self.refuses(&[Kind::INVALID_REQUEST])
    }

    /// With a parameter of `parameters`.
    #[must_use]
    pub fn shared_parameter(mut self, name: &'static str) -> Self {
        self.shared_parameters.push(name);
        self
    }

    /// With `?limit=` and `?cursor=`.
    #[must_use]
    pub fn paged(self) -> Self {
        self.shared_parameter("Limit").shared_parameter("Cursor").refuses(&[Kind::INVALID_REQUEST])
    }

    /// With what every question takes: which events have to be in the answer, or that it asks the write side.
    #[must_use]
    pub fn fresh(self) -> Self {
        self.shared_parameter("MinPosition").shared_parameter("Consistency").refuses(&[
            Kind::INVALID_REQUEST,
            Kind::OVERLOADED,
            Kind::UNAVAILABLE,
            Kind::READ_MODEL_BEHIND,
        ])
    }

    /// With what a question about one thing takes besides: the version that it has to be at.
    #[must_use]
    pub fn fresh_at_version(self) -> Self {
        self.shared_parameter("MinVersion").fresh()
    }

    /// With this value in the example of the path.
    #[must_use]
    pub fn path_example(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.path_examples.insert(name, value.into());
        self
    }

    /// With a body.
    #[must_use]
    pub fn body<T: ToSchema>(mut self, is_required: bool) -> Self {
        let examples = self.body.take().map(|body| body.examples).unwrap_or_default();
        self.body = Some(Body { schema: Schemas::of::<T>, is_required, examples });
        self
    }

    /// With a body that is granted.
    #[must_use]
    pub fn example(mut self, name: &'static str, summary: &'static str, body: Value) -> Self {
        let schema: MakeSchema = |_| Schema::default().into(); // Until the handler's arguments tell.
        let mine = self.body.get_or_insert_with(|| Body { schema, is_required: true, examples: Vec::new() });
        mine.examples.push((name, summary, body));
        self
    }

    /// With an answer of JSON.
    #[must_use]
    pub fn answers<T: ToSchema>(self, status: StatusCode, text: &'static str) -> Self {
        self.answer(status, text, JSON, Some(Schemas::of::<T>))
    }

    /// With an answer of another media type, which this schema describes.
    #[must_use]
    pub fn answers_as<T: ToSchema>(self, status: StatusCode, text: &'static str, media_type: &'static str) -> Self {
        self.answer(status, text, media_type, Some(Schemas::of::<T>))
    }

    /// With an answer of another media type.
    #[must_use]
    pub fn answers_with(self, status: StatusCode, text: &'static str, media_type: &'static str) -> Self {
        self.answer(status, text, media_type, Some(|_| schemas::text().into()))
    }

    fn answer(
        mut self,
        status: StatusCode,
        text: &'static str,
        media_type: &'static str,
        schema: Option<MakeSchema>,
    ) -> Self {
        let answer = Answer { text, media_type, schema, headers: Vec::new(), links: Vec::new() };
        self.answers.insert(status.as_u16(), answer);
        self
    }

    /// With a header of `components` on the answers with this status.
    #[must_use]
    pub fn header(mut self, status: StatusCode, name: &'static str) -> Self {
        if let Some(answer) = self.answers.get_mut(&status.as_u16()) {
            answer.headers.push(name);
        }
        self
    }

    /// With the version as `ETag`, and 304 for who has it.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self = self.answer(StatusCode::NOT_MODIFIED, "The client has it already", JSON, None);
        self.shared_parameter("IfNoneMatch").header(StatusCode::OK, "ETag").header(StatusCode::NOT_MODIFIED, "ETag")
    }

    /// As an answer that may be a copy.
    #[must_use]
    pub fn copied(self) -> Self {
        self.header(StatusCode::OK, "Age").header(StatusCode::OK, "CacheStatus")
    }

    /// As an answer to a write that may be repeated, with the version as `ETag`.
    #[must_use]
    pub fn changed(self, status: StatusCode) -> Self {
        self.header(status, "ETag").header(status, "IdempotentReplayed")
    }

    /// With a way from the answers with this status to another operation.
    #[must_use]
    pub(super) fn link(mut self, status: StatusCode, next: Next) -> Self {
        if let Some(answer) = self.answers.get_mut(&status.as_u16()) {
            answer.links.push((next.name(), next.link()));
        }
        self
    }

    /// With problems that a request may meet.
    #[must_use]
    pub fn refuses(mut self, kinds: &[Kind]) -> Self {
        self.refusals.extend(kinds);
        self
    }

    /// The operation, at this path.
    pub(super) fn operation(&self, method: Method, pattern: &str, schemas: &mut Schemas) -> Operation {
        let need = Need::of(&method.method(), pattern, "");
        let mut refusals = self.refusals.clone();
        refusals.extend(of_access(need));
        refusals.insert(Kind::METHOD_NOT_ALLOWED); // Of the path: no document has a place for what its other methods are told.
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag.name())
            .summary(Some(self.summary))
            .description(Some(self.details.as_str()).filter(|details| !details.is_empty()));
        for name in variables(pattern) {
            operation = operation.parameter(self.path_parameter(name));
            refusals.insert(Kind::INVALID_REQUEST);
        }
        for parameter in &self.parameters {
            operation = operation.parameter(parameter.clone());
        }
        for name in self.shared_parameters.iter().chain(&["RequestId", "TraceParent"]) {
            operation = operation.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
        }
        if let Need::Scope(scope) = need {
            operation = operation.securities(Some(security(scope)));
        }
        operation = operation.request_body(self.body.as_ref().map(|body| body.request_body(schemas)));
        for (status, answer) in &self.answers {
            operation = operation.response(status.to_string(), answer.response(schemas));
        }
        for (status, kinds) in problems::by_status(&refusals) {
            operation = operation.response(status.to_string(), problems::response(&kinds));
        }
        operation.build()
    }

    fn path_parameter(&self, name: &str) -> Parameter {
        let is_id = name.ends_with("_id");
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(if is_id { schemas::id() } else { schemas::text() }))
            .example(self.path_examples.get(name).cloned())
            .build()
    }
}

/// The problems that a request may meet before anybody looks at it.
fn of_access(need: Need) -> &'static [Kind] {
    match need {
        Need::Probe => &[],
        Need::Open => &[Kind::RATE_LIMITED],
        Need::Metrics => &[Kind::UNAUTHENTICATED, Kind::FORBIDDEN],
        Need::Scope(_) => &[Kind::UNAUTHENTICATED, Kind::FORBIDDEN, Kind::RATE_LIMITED],
    }
}

/// The names in braces.
fn variables(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

impl Body {
    fn request_body(&self, schemas: &mut Schemas) -> RequestBody {
        let examples = self.examples.iter().map(|(name, summary, value)| {
            (*name, ExampleBuilder::new().summary(*summary).value(Some(value.clone())).build())
        });
        let content = ContentBuilder::new().schema(Some((self.schema)(schemas))).examples_from_iter(examples).build();
        let required = if self.is_required { Required::True } else { Required::False };
        RequestBodyBuilder::new().content(JSON, content).required(Some(required)).build()
    }
}

impl Answer {
    fn response(&self, schemas: &mut Schemas) -> Response {
        let mut response = ResponseBuilder::new().description(self.text);
        if let Some(schema) = self.schema {
            response = response.content(self.media_type, Content::new(Some(schema(schemas))));
        }
        for name in self.headers.iter().chain(&["RateLimit", "RateLimitPolicy", "RequestId", "TraceParent"]) {
            response = response.header_ref(header_name(name), Ref::new(format!("#/components/headers/{name}")));
        }
        for (name, link) in &self.links {
            response = response.link(*name, link.clone());
        }
        response.build()
    }
}

/// The header that has this name among the components.
pub(super) fn header_name(component: &str) -> &'static str {
    super::components::HEADERS.iter().find(|header| header.component == component).map_or("", |header| header.name)
}
