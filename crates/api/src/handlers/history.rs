//! What has happened to one stock.

use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::{HistoryQueries, Position};

use super::stock::{never_filled, stock_id};
use crate::cursor::Page;
use crate::problem::Problem;
use crate::query::{MIN_VERSION, QueryParameters};
use crate::wire::history::{EventBody, ExplanationBody, ListBody};

/// Live reservations and last events that an explanation shows unless it is asked for another number.
pub const SHOWN_DEFAULT: u64 = 20;

/// And at most.
pub const SHOWN_MAX: u64 = 1_000;

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}/events`
///
/// # Errors
///
/// The problem that says why there are no events to show.
pub async fn events(request: HttpRequest, history: web::Data<HistoryQueries>) -> Result<HttpResponse, Problem> {
    let stock_id = stock_id(&request)?;
    let (query, wanted) = QueryParameters::of_question(&request, &["from_version", "limit", "cursor"])?;
    let page = Page::of(&query, &format!("events of {stock_id}"))?;
    let from = query.number("from_version", 1, u64::MAX)?;
    let after = match (from, query.text("cursor")) {
        (Some(_), Some(_)) => return Err(Problem::invalid_field("from_version", "must not be given with a cursor")),
        (Some(from), None) => from - 1,
        (None, _) => page.after.unwrap_or(Position::START).0,
    };
    history.caught_up(wanted).await?;
    let events = history.events(stock_id, after, page.limit).await?;
    if events.is_empty() && (after == 0 || history.events(stock_id, 0, 1).await?.is_empty()) {
        return Err(never_filled(stock_id, ""));
    }
    let items: Vec<EventBody> = events.iter().map(EventBody::new).collect::<Result<_, _>>()?;
    let next_cursor = page.next_cursor(items.len(), events.last().map(|event| Position(event.version)));
    Ok(HttpResponse::Ok().json(ListBody { items, next_cursor }))
}

/// `GET /api/v1/inventory/products/{product_id}/stores/{store_id}/explain`
///
/// # Errors
///
/// The problem that says why there is nothing to explain.
pub async fn explain(request: HttpRequest, history: web::Data<HistoryQueries>) -> Result<HttpResponse, Problem> {
    let stock_id = stock_id(&request)?;
    let (query, wanted) = QueryParameters::of_question(&request, &["limit", MIN_VERSION])?;
    let shown = usize::try_from(query.number("limit", 1, SHOWN_MAX)?.unwrap_or(SHOWN_DEFAULT)).unwrap_or(1);
    let explanation = history.explain(stock_id, shown, shown, wanted).await?;
    let explanation = explanation.ok_or_else(|| never_filled(stock_id, ""))?;
    Ok(HttpResponse::Ok().json(ExplanationBody::new(stock_id, &explanation)?))
}
