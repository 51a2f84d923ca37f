//! Every error, its status and its problem details (RFC 9457): the API's error reference.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use inventory_application::ports::{StoreError, ViewError};
use inventory_application::{CommandError, FeedError, HistoryError, NotFresh, QueryError, Shortfall};
use inventory_domain::inventory::Rejection;
use inventory_domain::{order, transfer};
use inventory_projections::ControlError;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What went wrong, as the client is told. What broke inside is kept for the log.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Option<String>,
    /// Members beside those of the RFC, as the contract names them for the kind.
    members: Map<String, Value>,
    /// The header that goes with some kinds: the methods that a path has, the credentials that are wanted, when to ask again.
    header: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The media type of problem details.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A kind of problem: the end of its `type`, its status and its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    slug: &'static str,
    status: u16,
    title: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        impl Kind {
            $(#[doc = concat!($status, " `", $slug, "`: ", $title)]
            pub const $name: Self = Self { slug: $slug, status: $status, title: $title };)*

            /// Every kind that there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    MALFORMED_JSON = "malformed-json", 400, "The body is not JSON";
    UNAUTHENTICATED = "unauthenticated", 401, "Credentials are needed";
    FORBIDDEN = "forbidden", 403, "The credentials don't allow this";
    ORIGIN_NOT_ALLOWED = "origin-not-allowed", 403, "Pages of this origin may not call";
    NOT_FOUND = "not-found", 404, "There is nothing at this path";
    STOCK_NOT_FOUND = "stock-not-found", 404, "Nobody has ever filled this stock";
    RESERVATION_NOT_FOUND = "reservation-not-found", 404, "The stock knows no such reservation";
    ORDER_NOT_FOUND = "order-not-found", 404, "There is no such order";
    TRANSFER_NOT_FOUND = "transfer-not-found", 404, "There is no such transfer";
    PROJECTION_NOT_FOUND = "projection-not-found", 404, "There is no such projection";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The path has no such method";
    REQUEST_TIMEOUT = "request-timeout", 408, "The body took too long to arrive";
    INSUFFICIENT_STOCK = "insufficient-stock", 409, "Not enough units are available";
    STOCK_LIMIT_EXCEEDED = "stock-limit-exceeded", 409, "The stock would hold too many units";
    RESERVATION_EXISTS = "reservation-exists", 409, "The reservation id is taken";
    RESERVATION_EXPIRED = "reservation-expired", 409, "The reservation has expired";
    RESERVATION_COMMITTED = "reservation-committed", 409, "The reservation is committed";
    BELONGS_TO_ORDER = "belongs-to-order", 409, "The reservation is a line of an order";
    ORDER_EXISTS = "order-exists", 409, "The order id is taken";
    ORDER_EXPIRED = "order-expired", 409, "The order has expired";
    ORDER_COMMITTED = "order-committed", 409, "The order is committed";
    ORDER_RELEASED = "order-released", 409, "The order is released";
    TRANSFER_EXISTS = "transfer-exists", 409, "The transfer id is taken";
    TRANSFER_RECEIVED = "transfer-received", 409, "The transfer is received";
    TRANSFER_CANCELLED = "transfer-cancelled", 409, "The transfer is cancelled";
    RESERVATION_RELEASED = "reservation-released", 409, "The reservation is released";
    BELOW_RESERVED = "below-reserved", 409, "Fewer units were counted than are reserved";
    AMBIGUOUS = "ambiguous", 409, "More than one thing is meant";
    CONCURRENCY_CONFLICT = "concurrency-conflict", 409, "Others changed the stock at every try";
    REBUILD_RUNNING = "rebuild-running", 409, "A read model is being made anew";
    VERSION_MISMATCH = "version-mismatch", 412, "The version is another one";
    TOO_LARGE = "too-large", 413, "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body has to be application/json";
    INVALID_REQUEST = "invalid-request", 422, "The request has values that can't be";
    EXCEEDS_RESERVATION = "exceeds-reservation", 422, "The reservation holds fewer units";
    EXCEEDS_TRANSFER = "exceeds-transfer", 422, "Fewer units are in transit";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", 422, "The key was used for another request";
    RATE_LIMITED = "rate-limited", 429, "Too many requests";
    INTERNAL = "internal", 500, "Something broke";
    OVERLOADED = "overloaded", 503, "Too much is asked at once";
    UNAVAILABLE = "unavailable", 503, "The service can't do this now";
    READ_MODEL_BEHIND = "read-model-behind", 503, "The read side is not there yet";
    OUTCOME_UNKNOWN = "outcome-unknown", 504, "Whether it was done is not known";
}

/// What every challenge begins with.
const REALM: &str = "Bearer realm=\"inventory\"";

impl Kind {
    /// The end of the `type`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.slug
    }

    /// The `type`.
    #[must_use]
    pub fn uri(self) -> String {
        format!("/problems/{}", self.slug)
    }

    /// The status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.status
    }

    /// The title.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.title
    }

    /// The headers that an answer of this kind has, by their names in the OpenAPI document.
    #[must_use]
    pub fn headers(self) -> &'static [&'static str] {
        match self.status {
            401 | 403 => &["WwwAuthenticate"],
            405 => &["Allow"],
            429 | 503 => &["RetryAfter"],
            _ => &[],
        }
    }
}

/// How long a client that met an overload should wait, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// A field of a request, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name or path, or a query parameter's or header's name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    fn new(kind: Kind) -> Self {
        Self { kind, detail: None, members: Map::new(), header: None, cause: None }
    }

    fn detailed(kind: Kind, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(kind) }
    }

    fn caused(kind: Kind, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..Self::new(kind) }
    }

    fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    fn with_header(self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        Self { header: value.map(|value| Box::new((name, value))), ..self }
    }

    /// The body is not JSON at all.
    #[must_use]
    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::MALFORMED_JSON, detail)
    }

    /// The request is well formed, but these of its values can't be.
    #[must_use]
    pub fn invalid_request(errors: &[FieldError]) -> Self {
        let said = errors.iter().map(|error| match error.field.as_str() {
            "" => format!("the body: {}", error.message),
            field => format!("{field}: {}", error.message),
        });
        let said = said.collect::<Vec<_>>();
        Self::detailed(Kind::INVALID_REQUEST, said.join("; ")).with("errors", json!(errors))
    }

    /// One value can't be.
    #[must_use]
    pub fn invalid_field(field: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::invalid_request(&[FieldError { field: field.into(), message: message.to_string() }])
    }

    /// The body has more bytes than the limit.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        Self::detailed(Kind::TOO_LARGE, format!("the body may have {bytes_max} bytes"))
    }

    /// The body has not arrived in time; nothing was done.
    #[must_use]
    pub fn request_timeout(wait_max: Duration) -> Self {
        Self::detailed(Kind::REQUEST_TIMEOUT, format!("a body may take {} s", wait_max.as_secs_f32()))
    }

    /// The body is of another type than JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::detailed(
            Kind::UNSUPPORTED_MEDIA_TYPE,
            "the content-type has to be application/json, in UTF-8, not encoded",
        )
    }

    /// Credentials are missing, or can't be used for this reason.
    #[must_use]
    pub fn unauthenticated(why: Option<&str>) -> Self {
        let (detail, challenge) = match why {
            None => ("send Authorization: Bearer and an API key or token", REALM.to_owned()),
            Some(why) => (why, format!("{REALM}, error=\"invalid_token\", error_description=\"{why}\"")),
        };
        Self::detailed(Kind::UNAUTHENTICATED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).ok())
    }

    /// The caller is known, and lacks this scope.
    #[must_use]
    pub fn forbidden(scope: &str) -> Self {
        let challenge = format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\"");
        let problem = Self::detailed(Kind::FORBIDDEN, format!("this needs the scope {scope}")).with("scope", scope);
        problem.with_header(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).ok())
    }

    /// A page of another origin may not call the service.
    #[must_use]
    pub fn origin_not_allowed() -> Self {
        Self::detailed(Kind::ORIGIN_NOT_ALLOWED, "pages of this origin may not send this request")
    }

    /// The caller has asked too often.
    #[must_use]
    pub fn rate_limited(retry_after_s: u64) -> Self {
        let problem = Self::detailed(Kind::RATE_LIMITED, format!("ask again in {retry_after_s} s"));
        problem.with_header(RETRY_AFTER, Some(retry_after_s.into()))
    }

    /// There is nothing at the path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::detailed(Kind::NOT_FOUND, "the service has no such path")
    }

    /// The path has only the methods in `allow`.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::detailed(Kind::METHOD_NOT_ALLOWED, format!("the path has {allow}"));
        problem.with_header(ALLOW, HeaderValue::from_str(allow).ok())
    }

    /// Nobody has ever filled the stock, or the product in any store.
    #[must_use]
    pub fn stock_not_found(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::STOCK_NOT_FOUND, detail)
    }

    /// There is no such order.
    #[must_use]
    pub fn order_not_found(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::ORDER_NOT_FOUND, detail)
    }

    /// There is no such transfer.
    #[must_use]
    pub fn transfer_not_found(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::TRANSFER_NOT_FOUND, detail)
    }

    /// There is no projection of this name.
    #[must_use]
    pub fn projection_not_found(name: &str) -> Self {
        Self::detailed(Kind::PROJECTION_NOT_FOUND, format!("there is no projection {name}"))
    }

    /// There is no such reservation.
    #[must_use]
    pub fn reservation_not_found(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::RESERVATION_NOT_FOUND, detail)
    }

    /// More than one thing is meant.
    #[must_use]
    pub fn ambiguous(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::AMBIGUOUS, detail)
    }

    /// The service is going down, or not up yet.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::detailed(Kind::UNAVAILABLE, detail)
    }

    /// Something broke that no client can mend.
    #[must_use]
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::caused(Kind::INTERNAL, cause)
    }

    /// What broke inside, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.cause.as_deref()
    }

    /// The end of the problem's `type`.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.kind.slug
    }

    /// The answer to the request with this id.
    #[must_use]
    pub fn response(&self, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        if let Some((name, value)) = self.header.as_deref() {
            response.insert_header((name.clone(), value.clone()));
        }
        if self.kind.status == 503 {
            response.insert_header((RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)));
        }
        response.content_type(MEDIA_TYPE).body(Value::Object(self.body(request_id)).to_string())
    }

    /// The problem details, for the request with this id.
    #[must_use]
    pub fn body(&self, request_id: Option<&str>) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("type".into(), self.kind.uri().into());
        body.insert("title".into(), self.kind.title.into());
        body.insert("status".into(), self.kind.status.into());
        if let Some(detail) = &self.detail {
            body.insert("detail".into(), detail.as_str().into());
        }
        if let Some(request_id) = request_id {
            body.insert("instance".into(), request_id.into());
        }
        body.extend(self.members.clone());
        body
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.slug)
    }
}

/// The middleware gives the answer its request id; see `request_context`.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let detail = rejection.to_string();
        match rejection {
            Rejection::InsufficientStock { requested, available } => Self::detailed(Kind::INSUFFICIENT_STOCK, detail)
                .with("requested", requested)
                .with("available", available),
            Rejection::StockLimitExceeded { .. } => Self::detailed(Kind::STOCK_LIMIT_EXCEEDED, detail),
            Rejection::ReservationExists(_) => Self::detailed(Kind::RESERVATION_EXISTS, detail),
            Rejection::ReservationNotFound(_) => Self::detailed(Kind::RESERVATION_NOT_FOUND, detail),
            Rejection::ReservationExpired { .. } => Self::detailed(Kind::RESERVATION_EXPIRED, detail),
            Rejection::ReservationCommitted(_) => Self::detailed(Kind::RESERVATION_COMMITTED, detail),
            Rejection::ReservationReleased(_) => Self::detailed(Kind::RESERVATION_RELEASED, detail),
            Rejection::BelongsToOrder { .. } => Self::detailed(Kind::BELONGS_TO_ORDER, detail),
            // The command loop closes the order, and asks again.
            Rejection::HeldByExpiredOrder(_) => Self::caused(Kind::INTERNAL, rejection),
            Rejection::ExceedsReservation { .. } => Self::detailed(Kind::EXCEEDS_RESERVATION, detail),
            Rejection::CountedTooLongAgo { .. } => Self::invalid_field("counted_at", detail),
            Rejection::BelowReserved { .. } => Self::detailed(Kind::BELOW_RESERVED, detail),
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Unknown(name) => Self::projection_not_found(&name),
            ControlError::Rebuilding(_) => Self::detailed(Kind::REBUILD_RUNNING, error.to_string()),
            ControlError::Ended | ControlError::ReadModels(_) => Self::caused(Kind::UNAVAILABLE, error),
        }
    }
}

impl From<order::Rejection> for Problem {
    fn from(rejection: order::Rejection) -> Self {
        let kind = match rejection {
            order::Rejection::OrderExists => Kind::ORDER_EXISTS,
            order::Rejection::OrderNotFound => Kind::ORDER_NOT_FOUND,
            order::Rejection::OrderExpired => Kind::ORDER_EXPIRED,
            order::Rejection::OrderCommitted => Kind::ORDER_COMMITTED,
            order::Rejection::OrderReleased => Kind::ORDER_RELEASED,
        };
        Self::detailed(kind, rejection.to_string())
    }
}

impl From<transfer::Rejection> for Problem {
    fn from(rejection: transfer::Rejection) -> Self {
        let kind = match rejection {
            transfer::Rejection::TransferExists => Kind::TRANSFER_EXISTS,
            transfer::Rejection::TransferNotFound => Kind::TRANSFER_NOT_FOUND,
            transfer::Rejection::TransferReceived => Kind::TRANSFER_RECEIVED,
            transfer::Rejection::TransferCancelled => Kind::TRANSFER_CANCELLED,
            transfer::Rejection::ExceedsTransfer { .. } => Kind::EXCEEDS_TRANSFER,
        };
        Self::detailed(kind, rejection.to_string())
    }
}

/// Line by line what an order lacks.
fn shortfalls(lines: &[Shortfall]) -> Value {
    let line = |line: &Shortfall| {
        json!({
            "product_id": line.stock_id.product_id.uuid(),
            "store_id": line.stock_id.store_id.uuid(),
            "requested": line.requested,
            "available": line.available,
        })
    };
    lines.iter().map(line).collect()
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::OrderRejected(rejection) => rejection.into(),
            CommandError::TransferRejected(rejection) => rejection.into(),
            CommandError::Shortfalls(lines) => {
                Self::detailed(Kind::INSUFFICIENT_STOCK, detail).with("shortfalls", shortfalls(&lines))
            }
            CommandError::VersionMismatch { current } => {
                Self::detailed(Kind::VERSION_MISMATCH, detail).with("current_version", current)
            }
            CommandError::KeyReused => Self::detailed(Kind::IDEMPOTENCY_KEY_REUSED, detail),
            CommandError::PastUnknown => Self::detailed(Kind::READ_MODEL_BEHIND, detail),
            CommandError::Overloaded | CommandError::WaitedTooLong => Self::detailed(Kind::OVERLOADED, detail),
            CommandError::ShuttingDown => Self::detailed(Kind::UNAVAILABLE, detail),
            CommandError::Contended { .. } => Self::detailed(Kind::CONCURRENCY_CONFLICT, detail),
            CommandError::Abandoned => Self::caused(Kind::OUTCOME_UNKNOWN, error),
            CommandError::Store(ref store) => match **store {
                StoreError::Unavailable(_) => Self::caused(Kind::UNAVAILABLE, error),
                StoreError::OutcomeUnknown(_) => Self::caused(Kind::OUTCOME_UNKNOWN, error),
                StoreError::Damaged(_) => Self::caused(Kind::INTERNAL, error),
            },
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::WriteSide(error) => unasked(error),
            HistoryError::NotFresh(error) => error.into(),
            HistoryError::Store(error) => unreadable(error),
        }
    }
}

/// The write side has no answer to a question. What asks for nothing to be done has no outcome that could be unknown.
fn unasked(error: CommandError) -> Problem {
    let problem = Problem::from(error);
    if problem.kind == Kind::OUTCOME_UNKNOWN { Problem { kind: Kind::UNAVAILABLE, ..problem } } else { problem }
}

/// What is stored can't be read.
fn unreadable(error: StoreError) -> Problem {
    match error {
        StoreError::Damaged(_) => Problem::caused(Kind::INTERNAL, error),
        StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) => Problem::caused(Kind::UNAVAILABLE, error),
    }
}

impl From<NotFresh> for Problem {
    fn from(error: NotFresh) -> Self {
        let detail = error.to_string();
        match error {
            NotFresh::Behind { .. } | NotFresh::OlderVersion { .. } => Self::detailed(Kind::READ_MODEL_BEHIND, detail),
            NotFresh::TooManyWaiting => Self::detailed(Kind::OVERLOADED, detail),
            NotFresh::Log(error) => unreadable(error),
        }
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        let detail = error.to_string();
        match error {
            FeedError::Store(error) => unreadable(error),
            FeedError::BeyondEnd { .. } => Self::invalid_field("after", detail),
            FeedError::Overloaded | FeedError::TooManyListeners(_) => Self::detailed(Kind::OVERLOADED, detail),
            FeedError::Closed => Self::detailed(Kind::UNAVAILABLE, detail),
        }
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        Self::caused(Kind::UNAVAILABLE, error)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::View(error) => Self::caused(Kind::UNAVAILABLE, error),
            QueryError::NotFresh(error) => error.into(),
            QueryError::WriteSide(error) => unasked(error),
        }
    }
}

#[cfg(test)]
impl Problem {
    /// The slug, and the names of the fields in error.
    pub(crate) fn summary(&self) -> String {
        let Some(errors) = self.members.get("errors").and_then(Value::as_array) else { return self.slug().to_owned() };
        let fields = errors.iter().filter_map(|error| error["field"].as_str()).collect::<Vec<_>>();
        format!("{}: {}", self.slug(), fields.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// What breaks inside: SQL, a path, a reason.
    const CAUSE: &str = "UNIQUE failed: stock_levels in /var/lib/inventory, while writing 'gift for Ann'";

    #[test]
    fn a_question_has_no_unknown_outcome() {
        let unknown: fn() -> CommandError =
            || CommandError::Store(Arc::new(StoreError::OutcomeUnknown(Box::new(io::Error::other(CAUSE)))));
        for error in [|| CommandError::Abandoned, unknown] {
            assert_eq!(Problem::from(error()).slug(), "outcome-unknown");
            assert_eq!(Problem::from(QueryError::WriteSide(error())).slug(), "unavailable");
            assert_eq!(Problem::from(HistoryError::WriteSide(error())).slug(), "unavailable");
        }
    }

    #[test]
    fn no_cause_gets_into_an_answer() {
        let source = || Box::new(io::Error::other(CAUSE));
        let stores: [fn(Box<io::Error>) -> StoreError; 3] = [
            |source| StoreError::Unavailable(source),
            |source| StoreError::OutcomeUnknown(source),
            |source| StoreError::Damaged(source),
        ];
        let mut problems = vec![
            Problem::internal(io::Error::other(CAUSE)),
            Problem::from(ViewError(source())),
            Problem::from(QueryError::View(ViewError(source()))),
        ];
        for store in stores {
            problems.push(Problem::from(CommandError::Store(Arc::new(store(source())))));
            problems.push(Problem::from(HistoryError::Store(store(source()))));
            problems.push(Problem::from(FeedError::Store(store(source()))));
        }
        for problem in problems {
            let body = Value::Object(problem.body(Some("r-1"))).to_string();
            assert!(!body.contains("stock_levels") && !body.contains("Ann"), "{body}");
            let mut causes = vec![];
            let mut cause = problem.cause().map(|cause| cause as &dyn Error);
            while let Some(error) = cause {
                causes.push(error.to_string());
                cause = error.source();
            }
            assert!(causes.iter().any(|said| said.contains(CAUSE)), "the log is told: {causes:?}");
        }
    }
}
