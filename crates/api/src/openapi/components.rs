//! What several operations have in common: schemas, security, headers.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{Components, ObjectBuilder, Schema};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Ref, RefOr};

use super::parameters::parameters;
use super::problems;
use crate::access::scopes::Scope;
use crate::wire::schemas;

/// The schemas that operations name.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// The schema of `T`, by its name; one that has no name stands where it is used.
    pub(super) fn of<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut named = Vec::new();
        T::schemas(&mut named);
        self.0.extend(named);
        let schema = T::schema();
        let is_object = !matches!(&schema, RefOr::Ref(_) | RefOr::T(Schema::Array(_)));
        if !is_object {
            return schema;
        }
        let name = T::name().into_owned();
        let reference = Ref::from_schema_name(&name);
        self.0.insert(name, schema);
        reference.into()
    }

    /// All components of the document.
    pub(super) fn into_components(self) -> Components {
        let mut components = Components::new();
        components.schemas = self.0;
        components.schemas.extend(problems::all());
        let parameters = parameters().into_iter().map(|(name, parameter)| (name.to_owned(), parameter.into()));
        components.parameters = parameters.collect();
        components.add_security_schemes_from_iter(security_schemes());
        let headers = HEADERS.iter().map(|header| (header.component.to_owned(), header.header().into()));
        components.headers = headers.collect();
        components
    }
}

/// The ways in which a caller may say who it is.
fn security_schemes() -> [(&'static str, SecurityScheme); 2] {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, or a JWT with the scopes in `scope`. Wanted where access control is on."))
        .build();
    let key = ApiKeyValue::with_description("x-api-key", "An API key. Wanted where access control is on.");
    [("bearer", SecurityScheme::Http(bearer)), ("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)))]
}

/// What a caller of this scope may do, in one way or the other.
pub(super) fn security(scope: Scope) -> [SecurityRequirement; 2] {
    ["bearer", "api_key"].map(|scheme| SecurityRequirement::new(scheme, [scope.name()]))
}

/// A header of answers.
pub(super) struct AnswerHeader {
    /// Its name in the document.
    pub(super) component: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    schema: fn() -> ObjectBuilder,
    text: &'static str,
    is_required: bool,
}

/// The headers that answers have.
pub(super) const HEADERS: &[AnswerHeader] = &[
    AnswerHeader {
        component: "RequestId",
        name: "x-request-id",
        schema: || schemas::text().min_length(Some(1)).max_length(Some(128)),
        text: "The id of the request: the client's own, if it is sane, else a new one.",
        is_required: true,
    },
    AnswerHeader {
        component: "ETag",
        name: "etag",
        schema: || schemas::text().pattern(Some("^\"[0-9a-f]+\"$")),
        text: "The version of what is shown, as a strong entity tag.",
        is_required: true,
    },
    AnswerHeader {
        component: "IdempotentReplayed",
        name: "idempotent-replayed",
        schema: || schemas::constant("true".into()),
        text: "This is the answer that was given before, under the same `Idempotency-Key`.",
        is_required: false,
    },
    AnswerHeader {
        component: "RetryAfter",
        name: "retry-after",
        schema: || schemas::whole(0, 86_400),
        text: "Seconds after which to try again.",
        is_required: true,
    },
    AnswerHeader {
        component: "WwwAuthenticate",
        name: "www-authenticate",
        schema: schemas::text,
        text: "Which credentials are wanted, and what was wrong with those that came (RFC 6750).",
        is_required: true,
    },
    AnswerHeader {
        component: "RateLimit",
        name: "ratelimit",
        schema: schemas::text,
        text: "How many requests are left, and in how many seconds there are more; where limits are on.",
        is_required: false,
    },
    AnswerHeader {
        component: "RateLimitPolicy",
        name: "ratelimit-policy",
        schema: schemas::text,
        text: "How many requests a caller may send in how many seconds; where limits are on.",
        is_required: false,
    },
    AnswerHeader {
        component: "TraceParent",
        name: "traceparent",
        schema: || schemas::text().pattern(Some("^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")),
        text: "The W3C trace context of the answer; where the request had one, or the service records traces.",
        is_required: false,
    },
    AnswerHeader {
        component: "Age",
        name: "age",
        schema: || schemas::whole(0, u64::MAX),
        text: "On a copy: how many seconds ago it was made.",
        is_required: false,
    },
    AnswerHeader {
        component: "CacheStatus",
        name: "cache-status",
        schema: schemas::text,
        text: "On a copy: for how long it is good (RFC 9211); `detail=stale` where the read side can't be asked.",
        is_required: false,
    },
    AnswerHeader {
        component: "Allow",
        name: "allow",
        schema: schemas::text,
        text: "The methods that the path has.",
        is_required: true,
    },
    AnswerHeader {
        component: "Location",
        name: "location",
        schema: schemas::text,
        text: "Where it is.",
        is_required: true,
    },
];

impl AnswerHeader {
    fn header(&self) -> Header {
        // The builder has no word for it.
        let required = self.is_required.then(|| Extensions::from_iter([("required", true)]));
        HeaderBuilder::new().schema(Some((self.schema)())).description(Some(self.text)).extensions(required).build()
    }
}
