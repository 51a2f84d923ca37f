//! Commands and questions on one stock.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use inventory_application::ports::Metadata;
use inventory_application::{Ask, CommandSender, StockAnswer, StockQueries, StockRequest};
use inventory_domain::inventory::Command;
use inventory_domain::{Level, ProductId, StockId, StoreId};
use serde::Serialize;
use uuid::Uuid;

use crate::problem::Problem;
use crate::request_context::RequestId;
use crate::wire::{
    AddStockRequest, AdjustStockRequest, AvailabilityBody, AvailabilityRequest, CommitReservationRequest,
    ExtendReservationRequest, JsonBody, LevelBody, ReleaseReservationRequest, ReserveStockRequest, StockChanged,
};

/// `POST /api/v1/inventory/stock`
///
/// # Errors
///
/// The problem that says why nothing was added.
pub async fn add(writer: Writer, body: JsonBody<AddStockRequest>) -> Result<HttpResponse, Problem> {
    let (stock_id, command) = body.0.into_command();
    let answer = writer.send(stock_id, command).await?;
    Ok(changed(StatusCode::CREATED, answer, &StockChanged::new(stock_id, answer, "Stock added")))
}

/// `POST /api/v1/inventory/reserve`
///
/// # Errors
///
/// The problem that says why nothing was reserved.
pub async fn reserve(writer: Writer, body: JsonBody<ReserveStockRequest>) -> Result<HttpResponse, Problem> {
    let (stock_id, reserve) = body.0.into_command(Uuid::now_v7);
    let answer = writer.send(stock_id, Command::Reserve(reserve)).await?;
    let body = StockChanged::new(stock_id, answer, "Stock reserved")
        .with_reservation(reserve.reservation_id, answer.expires_at);
    Ok(changed(StatusCode::CREATED, answer, &body))
}

/// `POST /api/v1/inventory/commit`
///
/// # Errors
///
/// The problem that says why nothing was committed.
pub async fn commit(writer: Writer, body: JsonBody<CommitReservationRequest>) -> Result<HttpResponse, Problem> {
    let (stock_id, command) = body.0.into_command();
    let answer = writer.send(stock_id, command).await?;
    Ok(changed(StatusCode::OK, answer, &StockChanged::new(stock_id, answer, "Reservation committed")))
}

/// `POST /api/v1/inventory/release`
///
/// # Errors
///
/// The problem that says why nothing was released.
pub async fn release(writer: Writer, body: JsonBody<ReleaseReservationRequest>) -> Result<HttpResponse, Problem> {
    let (stock_id, command) = body.0.into_command();
    let answer = writer.send(stock_id, command).await?;
    Ok(changed(StatusCode::OK, answer, &StockChanged::new(stock_id, answer, "Reservation released")))
}

/// `POST /api/v1/inventory/extend`
///
/// # Errors
///
/// The problem that says why nothing was extended.
pub async fn extend(writer: Writer, body: JsonBody<ExtendReservationRequest>) -> Result<HttpResponse, Problem> {
    let reservation_id = body.0.reservation_id();
    let (stock_id, command) = body.0.into_command();
    let answer = writer.send(stock_id, command).await?;
    let body =
        StockChanged::new(stock_id, answer, "Reservation extended").with_reservation(reservation_id, answer.expires_at);
    Ok(changed(StatusCode::OK, answer, &body))
}

/// `POST /api/v1/inventory/adjust`
///
/// # Errors
///
/// The problem that says why nothing was adjusted.
pub async fn adjust(writer: Writer, body: JsonBody<AdjustStockRequest>) -> Result<HttpResponse, Problem> {
    if body.0.counted_at.is_some() {
        return Err(Problem::not_implemented("counted_at"));
    }
    let (stock_id, command) = body.0.into_command();
    let answer = writer.send(stock_id, command).await?;
    Ok(changed(StatusCode::OK, answer, &StockChanged::new(stock_id, answer, "Stock adjusted")))
}

/// `POST /api/v1/inventory/availability`
///
/// # Errors
///
/// The problem that says why it can't be told.
pub async fn availability(reader: Reader, body: JsonBody<AvailabilityRequest>) -> Result<HttpResponse, Problem> {
    let current_stock = reader.queries.level(body.0.stock_id()).await?.unwrap_or_default().available();
    let required = body.0.required_quantity.units();
    let body = AvailabilityBody { available: current_stock >= required, current_stock, required };
    Ok(HttpResponse::Ok().json(body))
}

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}`
///
/// # Errors
///
/// The problem that says why there is no level to show.
pub async fn level(reader: Reader, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let product_id = ProductId::new(path_uuid(&request, "product_id")?);
    let stock_id = StockId { product_id, store_id: StoreId::new(path_uuid(&request, "store_id")?) };
    let Some(level) = reader.queries.level(stock_id).await? else {
        return Err(Problem::stock_not_found(format!("product {product_id} was never in store {}", stock_id.store_id)));
    };
    let etag = etag(level);
    if is_known(request.headers(), &etag) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, etag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((ETAG, etag)).json(LevelBody::new(stock_id, level)))
}

/// `GET /api/v1/inventory/products/{product_id}`
///
/// # Errors
///
/// The problem that says why there are no levels to show.
pub async fn product(reader: Reader, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let product_id = ProductId::new(path_uuid(&request, "product_id")?);
    let levels = reader.queries.product(product_id).await?;
    if levels.is_empty() {
        return Err(Problem::stock_not_found(format!("product {product_id} was never in any store")));
    }
    let body = |(store_id, level)| LevelBody::new(StockId { product_id, store_id }, level);
    Ok(HttpResponse::Ok().json(levels.into_iter().map(body).collect::<Vec<_>>()))
}

/// What a write needs: the way to the command loop, and where the request came from.
pub struct Writer {
    commands: web::Data<CommandSender>,
    metadata: Arc<Metadata>,
}

impl Writer {
    async fn send(&self, stock_id: StockId, command: Command) -> Result<StockAnswer, Problem> {
        let request = StockRequest { stock_id, ask: Ask::Change(command), metadata: Arc::clone(&self.metadata) };
        Ok(self.commands.send(request).await?)
    }
}

impl FromRequest for Writer {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(refuse_what_is_not_served(request).and_then(|()| {
            let request_id = RequestId::from_request(request, payload).into_inner()?;
            let metadata = Metadata { request_id: Some(request_id.as_str().to_owned()), ..Metadata::default() };
            let commands = request.app_data::<web::Data<CommandSender>>().ok_or_else(Problem::not_found)?.clone();
            Ok(Self { commands, metadata: Arc::new(metadata) })
        }))
    }
}

/// What a read needs.
pub struct Reader {
    queries: web::Data<StockQueries>,
}

impl FromRequest for Reader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(refuse_what_is_not_served(request).and_then(|()| {
            let queries = request.app_data::<web::Data<StockQueries>>().ok_or_else(Problem::not_found)?.clone();
            Ok(Self { queries })
        }))
    }
}

/// Query parameters of the contract that are not served yet; all others are unknown.
const LATER_PARAMETERS: [&str; 4] = ["at", "min_version", "min_position", "consistency"];

/// Refuses what the contract promises and the service doesn't do yet, rather than not doing it in silence.
fn refuse_what_is_not_served(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    if headers.contains_key("idempotency-key") {
        return Err(Problem::not_implemented("Idempotency-Key"));
    }
    if headers.contains_key(IF_MATCH) {
        return Err(Problem::not_implemented("If-Match"));
    }
    match request.query_string().split('&').find(|parameter| !parameter.is_empty()) {
        None => Ok(()),
        Some(parameter) => {
            let name = parameter.split('=').next().unwrap_or(parameter);
            match LATER_PARAMETERS.iter().find(|later| **later == name) {
                Some(later) => Err(Problem::not_implemented(&format!("?{later}="))),
                None => Err(Problem::invalid_field(name, "unknown query parameter")),
            }
        }
    }
}

fn path_uuid(request: &HttpRequest, name: &'static str) -> Result<Uuid, Problem> {
    let given = request.match_info().get(name).unwrap_or_default();
    Uuid::try_parse(given).map_err(|_| Problem::invalid_field(name, "must be a UUID"))
}

fn changed(status: StatusCode, answer: StockAnswer, body: &impl Serialize) -> HttpResponse {
    HttpResponseBuilder::new(status).insert_header((ETAG, etag(answer.level))).json(body)
}

/// A level's version as a strong entity tag.
fn etag(level: Level) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", level.version)).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` says that the client has what would be sent; compared weakly, as RFC 9110, 13.1.2 has it.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).filter_map(|known| known.to_str().ok()).flat_map(|known| known.split(',')).any(
        |known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes()
        },
    )
}
