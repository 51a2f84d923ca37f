//! What a write needs: the way to the command loop, the client's key and condition, and where the request came from.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use inventory_application::ports::{Kept, Metadata};
use inventory_application::{Ask, CommandSender, Condition, Request};
use serde::Serialize;
use uuid::Uuid;

use crate::access::caller::Caller;
use crate::cache_headers;
use crate::problem::Problem;
use crate::query::QueryParameters;
use crate::request_context::RequestId;
use crate::request_key::{IDEMPOTENT_REPLAYED, IdempotencyKey, NOBODY_IN_PARTICULAR, RequestHash, if_match};
use crate::telemetry::RequestTrace;

/// What a write needs.
pub struct Writer {
    /// The way to the command loop.
    pub commands: web::Data<CommandSender>,
    /// What the client wants of the version.
    pub condition: Condition,
    /// The client's key.
    pub key: Option<IdempotencyKey>,
    request_id: String,
    caller: Option<Caller>,
    trace: Option<RequestTrace>,
}

impl Writer {
    /// The beginning of the hash of this request, where the client gave a key; add what makes two of its kind the same, ids in the
    /// path included.
    #[must_use]
    pub fn hash(&self, request: &HttpRequest) -> Option<RequestHash> {
        let route = request.match_pattern();
        self.key.as_ref().map(|_| RequestHash::of(route.as_deref().unwrap_or(request.path()), &self.condition))
    }

    /// The request that asks so.
    #[must_use]
    pub fn request(&self, ask: Ask, hash: Option<RequestHash>) -> Request {
        let key = self.key.as_ref().zip(hash).map(|(key, hash)| key.for_request(self.principal(), hash.finish()));
        let metadata = self.metadata(self.key.as_ref());
        Request { ask, condition: self.condition.clone(), key, metadata: Arc::new(metadata) }
    }

    /// Where a request with this key came from.
    #[must_use]
    pub fn metadata(&self, key: Option<&IdempotencyKey>) -> Metadata {
        let idempotency_key = key.map(|key| key.as_str().to_owned());
        let actor = self.caller.as_ref().map(|caller| caller.actor().to_owned());
        let trace_id = self.trace.as_ref().map(RequestTrace::trace_id_text);
        let span_id = self.trace.and_then(|trace| trace.span_id);
        Metadata { request_id: Some(self.request_id.clone()), trace_id, span_id, actor, idempotency_key }
    }

    /// Whose idempotency keys these are.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.caller.as_ref().map_or(NOBODY_IN_PARTICULAR, Caller::actor)
    }

    /// The id of the request.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

impl FromRequest for Writer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut writer = || {
            let request_id = RequestId::from_request(request, payload).into_inner()?.as_str().to_owned();
            let commands = request.app_data::<web::Data<CommandSender>>().ok_or_else(Problem::not_found)?.clone();
            let (key, condition) = (IdempotencyKey::of(request.headers())?, if_match(request.headers())?);
            let caller = request.extensions().get::<Caller>().cloned();
            let trace = request.extensions().get::<RequestTrace>().copied();
            Ok(Self { commands, condition, key, request_id, caller, trace })
        };
        ready(writer())
    }
}

/// A write's answer, with the version as its entity tag.
pub fn changed(status: StatusCode, version: u64, is_repeat: bool, body: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponseBuilder::new(status);
    response.insert_header((ETAG, etag(version)));
    if is_repeat {
        response.insert_header((IDEMPOTENT_REPLAYED, HeaderValue::from_static("true")));
    }
    response.json(body)
}

/// A thing that was asked for, unless the client has it.
pub fn shown(request: &HttpRequest, version: u64, kept: Option<Kept>, body: &impl Serialize) -> HttpResponse {
    let etag = etag(version);
    let is_known = is_known(request.headers(), &etag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, etag));
    cache_headers::tell(&mut response, kept);
    if is_known { response.finish() } else { response.json(body) }
}

/// A version as a strong entity tag.
#[must_use]
pub fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The UUID in the path.
///
/// # Errors
///
/// A problem that names it when it is none.
pub fn path_uuid(request: &HttpRequest, name: &'static str) -> Result<Uuid, Problem> {
    let given = request.match_info().get(name).unwrap_or_default();
    Uuid::try_parse(given).map_err(|_| Problem::invalid_field(name, "must be a UUID"))
}

/// Refuses every query parameter.
///
/// # Errors
///
/// A problem that names the first.
pub fn no_query(request: &HttpRequest) -> Result<(), Problem> {
    QueryParameters::of(request, &[]).map(drop)
}

/// Whether `If-None-Match` says that the client has what would be sent; compared weakly, as RFC 9110, 13.1.2 has it.
#[must_use]
pub fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).filter_map(|known| known.to_str().ok()).flat_map(|known| known.split(',')).any(
        |known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes()
        },
    )
}
