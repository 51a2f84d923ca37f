//! The parameters that several operations take.

use utoipa::openapi::path::ParameterIn::{Header, Query};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{RefOr, Required};

use crate::query::CONSISTENCY;
use crate::wire::schemas;
use crate::{cursor, request_key};

/// A parameter that may be left out.
pub(super) fn optional(place: ParameterIn, name: &str, schema: impl Into<RefOr<Schema>>, text: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(text))
        .schema(Some(schema))
        .build()
}

/// All of them, by their names in the document.
pub(super) fn parameters() -> Vec<(&'static str, Parameter)> {
    vec![
        (
            "RequestId",
            optional(
                Header,
                "x-request-id",
                schemas::text(),
                "The request's id, for the logs of both sides; one is made otherwise.",
            ),
        ),
        (
            "IdempotencyKey",
            optional(
                Header,
                "Idempotency-Key",
                schemas::text().pattern(Some(request_key::KEY_PATTERN)),
                "Makes the write safe to repeat: 1 to 255 printable characters, bare or quoted.",
            ),
        ),
        (
            "IfMatch",
            optional(
                Header,
                "If-Match",
                AnyOfBuilder::new()
                    .item(schemas::constant("*".into()))
                    .item(schemas::text().pattern(Some(request_key::ENTITY_TAGS_PATTERN))),
                "Write only if the version is this one, as in `ETag`; `*`: only if it has been written before.",
            ),
        ),
        ("IfNoneMatch", optional(Header, "If-None-Match", schemas::text(), "The `ETag` of what the client has.")),
        (
            "LastEventId",
            optional(
                Header,
                "Last-Event-ID",
                schemas::text().pattern(Some("^[0-9]+$")),
                "The last `id` that came: the stream goes on behind it, whatever `after` says.",
            ),
        ),
        (
            "Limit",
            optional(
                Query,
                "limit",
                schemas::whole(1, cursor::LIMIT_MAX).default(Some(cursor::LIMIT_DEFAULT.into())),
                "How many things are on the page, at most.",
            ),
        ),
        (
            "MinVersion",
            optional(
                Query,
                "min_version",
                schemas::whole(0, i64::MAX.unsigned_abs()),
                "The version that it has to be at, as a write has answered it: waits, for a bounded time, until the read side is there.",
            ),
        ),
        (
            "MinPosition",
            optional(
                Query,
                "min_position",
                schemas::whole(0, i64::MAX.unsigned_abs()),
                "The position in the log that has to be in the answer, likewise.",
            ),
        ),
        (
            "Consistency",
            optional(
                Query,
                "consistency",
                schemas::choice(&CONSISTENCY).default(Some("eventual".into())),
                "`strong`: all that was acknowledged when the question came is in the answer.",
            ),
        ),
        (
            "TraceParent",
            optional(Header, "traceparent", schemas::text(), "The W3C trace context that the request belongs to."),
        ),
        (
            "Cursor",
            optional(
                Query,
                "cursor",
                schemas::text().pattern(Some(cursor::PATTERN)),
                "The `next_cursor` of the page before, of the same list.",
            ),
        ),
    ]
}
