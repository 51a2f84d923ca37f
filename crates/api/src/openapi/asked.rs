//! What a handler's arguments say about the requests that it takes.

use actix_web::{HttpRequest, web};
use utoipa::ToSchema;

use super::description::Description;
use crate::handlers::writer::Writer;
use crate::problem::Kind;
use crate::request_context::RequestId;
use crate::wire::JsonBody;
use crate::wire::json_body::{OptionalJsonBody, RawJsonBody};

/// Problems of a body, whatever is in it.
const OF_BODIES: &[Kind] = &[
    Kind::MALFORMED_JSON,
    Kind::REQUEST_TIMEOUT,
    Kind::TOO_LARGE,
    Kind::UNSUPPORTED_MEDIA_TYPE,
    Kind::INVALID_REQUEST,
];

/// An argument of a handler, or all of them.
pub trait Asked {
    /// Adds what it asks of a request.
    #[must_use]
    fn describe(description: Description) -> Description;
}

/// Says nothing about the request.
macro_rules! unasked {
    ($($argument:ty $(, $parameter:ident)?;)*) => {
        $(impl$(<$parameter: ?Sized>)? Asked for $argument {
            fn describe(description: Description) -> Description {
                description
            }
        })*
    };
}

unasked! {
    HttpRequest;
    RequestId;
    web::Data<T>, T;
}

impl<T: ToSchema> Asked for JsonBody<T> {
    fn describe(description: Description) -> Description {
        description.body::<T>(true).refuses(OF_BODIES)
    }
}

impl<T: ToSchema> Asked for OptionalJsonBody<T> {
    fn describe(description: Description) -> Description {
        description.body::<T>(false).refuses(OF_BODIES)
    }
}

/// Its description says what it is.
impl Asked for RawJsonBody {
    fn describe(description: Description) -> Description {
        description.refuses(OF_BODIES)
    }
}

impl Asked for Writer {
    fn describe(description: Description) -> Description {
        description.shared_parameter("IdempotencyKey").shared_parameter("IfMatch").refuses(&[
            Kind::CONCURRENCY_CONFLICT,
            Kind::VERSION_MISMATCH,
            Kind::INVALID_REQUEST,
            Kind::IDEMPOTENCY_KEY_REUSED,
            Kind::OVERLOADED,
            Kind::UNAVAILABLE,
            Kind::OUTCOME_UNKNOWN,
        ])
    }
}

/// A handler's arguments are a tuple.
macro_rules! tuples {
    ($(($($argument:ident),*))*) => {
        $(impl<$($argument: Asked),*> Asked for ($($argument,)*) {
            fn describe(description: Description) -> Description {
                $(let description = $argument::describe(description);)*
                description
            }
        })*
    };
}

tuples! {
    ()
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
}
