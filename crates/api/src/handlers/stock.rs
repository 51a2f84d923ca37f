//! Commands and questions on one stock.

use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::{Ask, HistoryQueries, StockQueries, Told};
use inventory_domain::inventory::{Command, CountedThen};
use inventory_domain::{ProductId, StockId, StoreId, Timestamp};
use uuid::Uuid;

use super::writer::{Writer, changed, no_query, path_uuid, shown};
use crate::cache_headers;
use crate::problem::Problem;
use crate::query::{MIN_VERSION, QueryParameters};
use crate::system::now;
use crate::wire::{AvailabilityBody, AvailabilityRequest, JsonBody, LevelBody, StockChanged, StockRequest};

/// Any command on one stock: `POST /api/v1/inventory/{stock,reserve,commit,release,extend,adjust}`
///
/// # Errors
///
/// The problem that says why nothing was done.
pub async fn command<R: StockRequest>(
    writer: Writer,
    request: HttpRequest,
    history: web::Data<HistoryQueries>,
    body: JsonBody<R>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let body = body.0;
    let stock_id = body.stock_id();
    let then = counted_then(&history, stock_id, body.counted_at()).await?;
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        body.hash_into(hash);
    }
    let (mut command, is_fresh) = body.into_command(Uuid::now_v7);
    set_then(&mut command, then);
    let request = writer.request(Ask::Stock { stock_id, command, is_fresh }, hash);
    let answer = writer.commands.send_stock(request).await?;
    let body = StockChanged::new(stock_id, answer, R::MESSAGE);
    Ok(changed(R::STATUS, answer.level.version, answer.is_repeat, &body))
}

/// What the stock had at the time of a late count, which must not be in the future. How long ago it may be is for the stock to
/// decide: who repeats a request that was granted is told so, however late.
///
/// # Errors
///
/// A problem that names the field.
pub async fn counted_then(
    history: &HistoryQueries,
    stock_id: StockId,
    counted_at: Option<Timestamp>,
) -> Result<Option<CountedThen>, Problem> {
    let Some(counted_at) = counted_at else { return Ok(None) };
    if counted_at > now() {
        return Err(Problem::invalid_field("counted_at", "must not be in the future"));
    }
    let stock = history.stock_at(stock_id, counted_at).await?;
    Ok(Some(CountedThen { counted_at, quantity: stock.quantity(), corrected: stock.corrected() }))
}

/// Has a count rest on what was there when it was counted.
pub fn set_then(command: &mut Command, counted: Option<CountedThen>) {
    if let Command::Adjust(adjust) = command {
        adjust.then = counted;
    }
}

/// `POST /api/v1/inventory/availability`
///
/// # Errors
///
/// The problem that says why it can't be told.
pub async fn availability(
    request: HttpRequest,
    queries: web::Data<StockQueries>,
    body: JsonBody<AvailabilityRequest>,
) -> Result<HttpResponse, Problem> {
    let (_, wanted) = QueryParameters::of_question(&request, &[MIN_VERSION])?;
    let current_stock = queries.level(body.0.stock_id(), wanted).await?.value.unwrap_or_default().available();
    let required = body.0.required_quantity.units();
    let body = AvailabilityBody { available: current_stock >= required, current_stock, required };
    Ok(HttpResponse::Ok().json(body))
}

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}`
///
/// # Errors
///
/// The problem that says why there is no level to show.
pub async fn level(
    request: HttpRequest,
    queries: web::Data<StockQueries>,
    history: web::Data<HistoryQueries>,
) -> Result<HttpResponse, Problem> {
    let stock_id = stock_id(&request)?;
    let (query, wanted) = QueryParameters::of_question(&request, &["at", MIN_VERSION])?;
    let (told, when) = match query.moment("at")? {
        None => (queries.level(stock_id, wanted).await?, ""),
        Some(at) if at > now() => return Err(Problem::invalid_field("at", "must not be in the future")),
        Some(_) if wanted.min_version > 0 => {
            return Err(Problem::invalid_field(MIN_VERSION, "must not be given with a time: the past has its version"));
        }
        Some(at) => {
            history.caught_up(wanted).await?;
            (Told { value: history.level_at(stock_id, at).await?, kept: None }, " at that time")
        }
    };
    let level = told.value.ok_or_else(|| never_filled(stock_id, when))?;
    Ok(shown(&request, level.version, told.kept, &LevelBody::new(stock_id, level)))
}

/// The problem of a stock that nobody has filled (by `when`).
#[must_use]
pub fn never_filled(stock_id: StockId, when: &str) -> Problem {
    let StockId { product_id, store_id } = stock_id;
    Problem::stock_not_found(format!("product {product_id} was never in store {store_id}{when}"))
}

/// `GET /api/v1/inventory/products/{product_id}`
///
/// # Errors
///
/// The problem that says why there are no levels to show.
pub async fn product(request: HttpRequest, queries: web::Data<StockQueries>) -> Result<HttpResponse, Problem> {
    let (_, wanted) = QueryParameters::of_question(&request, &[])?;
    let product_id = ProductId::new(path_uuid(&request, "product_id")?);
    let Told { value: levels, kept } = queries.product(product_id, wanted).await?;
    if levels.is_empty() {
        return Err(Problem::stock_not_found(format!("product {product_id} was never in any store")));
    }
    let body = |(store_id, level)| LevelBody::new(StockId { product_id, store_id }, level);
    let mut response = HttpResponse::Ok();
    cache_headers::tell(&mut response, kept);
    Ok(response.json(levels.into_iter().map(body).collect::<Vec<_>>()))
}

/// The stock that the path names.
///
/// # Errors
///
/// A problem that names the part that is no UUID.
pub fn stock_id(request: &HttpRequest) -> Result<StockId, Problem> {
    let product_id = ProductId::new(path_uuid(request, "product_id")?);
    Ok(StockId { product_id, store_id: StoreId::new(path_uuid(request, "store_id")?) })
}
