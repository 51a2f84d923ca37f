//! Orders: many lines, all or nothing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::ports::OrderFilter;
use inventory_application::{Ask, HistoryQueries, ListQueries, OrderAnswer, Position};
use inventory_domain::order::Command;
use inventory_domain::{CustomerId, OrderId};
use uuid::Uuid;

use super::writer::{Writer, changed, no_query, path_uuid, shown};
use crate::cursor::Page;
use crate::problem::Problem;
use crate::query::{MIN_VERSION, QueryParameters};
use crate::wire::JsonBody;
use crate::wire::history::ListBody;
use crate::wire::json_body::OptionalJsonBody;
use crate::wire::orders::{EmptyRequest, OrderBody, OrderChanged, PlaceOrderRequest, ReleaseOrderRequest, STATES};

/// `POST /api/v1/orders`
///
/// # Errors
///
/// The problem that says why nothing was held.
pub async fn place(
    writer: Writer,
    request: HttpRequest,
    body: JsonBody<PlaceOrderRequest>,
) -> Result<HttpResponse, Problem> {
    let is_dry_run = QueryParameters::of(&request, &["dry_run"])?.flag("dry_run")?;
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        body.0.hash_into(hash);
    }
    let (order_id, place) = body.0.into_command(Uuid::now_v7)?;
    let ask = Ask::Order { order_id, command: Command::Place(place), is_dry_run };
    if is_dry_run {
        let request = writer.request(ask, None); // Nothing is done, so there is nothing to repeat.
        let answer = writer.commands.send_order(request).await?;
        return Ok(HttpResponse::Ok().json(OrderChanged::new(&answer, "Nothing is held: this was a dry run")));
    }
    let request = writer.request(ask, hash);
    let answer = writer.commands.send_order(request).await?;
    answered(StatusCode::CREATED, &answer, "Order placed")
}

/// `POST /api/v1/orders/{order_id}/commit`
///
/// # Errors
///
/// The problem that says why nothing was sold.
pub async fn commit(
    writer: Writer,
    request: HttpRequest,
    _: OptionalJsonBody<EmptyRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let order_id = OrderId::new(path_uuid(&request, "order_id")?);
    let ask = Ask::Order { order_id, command: Command::Commit, is_dry_run: false };
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        hash.id(order_id.uuid());
    }
    let request = writer.request(ask, hash);
    answered(StatusCode::OK, &writer.commands.send_order(request).await?, "Order committed")
}

/// `POST /api/v1/orders/{order_id}/release`
///
/// # Errors
///
/// The problem that says why nothing was freed.
pub async fn release(
    writer: Writer,
    request: HttpRequest,
    body: OptionalJsonBody<ReleaseOrderRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let order_id = OrderId::new(path_uuid(&request, "order_id")?);
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        hash.id(order_id.uuid());
        body.0.hash_into(hash);
    }
    let reason = body.0.into_reason()?;
    let ask = Ask::Order { order_id, command: Command::Release { reason }, is_dry_run: false };
    let request = writer.request(ask, hash);
    answered(StatusCode::OK, &writer.commands.send_order(request).await?, "Order released")
}

fn answered(status: StatusCode, answer: &OrderAnswer, message: &'static str) -> Result<HttpResponse, Problem> {
    let body = OrderChanged::new(answer, message).ok_or_else(|| missing(answer.order_id))?;
    Ok(changed(status, answer.order.version(), answer.is_repeat, &body))
}

fn missing(order_id: OrderId) -> Problem {
    Problem::order_not_found(format!("there is no order {order_id}"))
}

/// `GET /api/v1/orders/{order_id}`
///
/// # Errors
///
/// The problem that says why there is no order to show.
pub async fn show(request: HttpRequest, history: web::Data<HistoryQueries>) -> Result<HttpResponse, Problem> {
    let (_, wanted) = QueryParameters::of_question(&request, &[MIN_VERSION])?;
    let order_id = OrderId::new(path_uuid(&request, "order_id")?);
    let found = history.order(order_id, wanted).await?;
    let (order, _) = found.ok_or_else(|| missing(order_id))?;
    let body = OrderBody::new(order_id, &order).ok_or_else(|| missing(order_id))?;
    Ok(shown(&request, order.version(), None, &body))
}

/// `GET /api/v1/orders`
///
/// # Errors
///
/// The problem that says why there is no list to show.
pub async fn list(request: HttpRequest, lists: web::Data<ListQueries>) -> Result<HttpResponse, Problem> {
    let (query, wanted) = QueryParameters::of_question(&request, &["customer_id", "state", "limit", "cursor"])?;
    let (customer, status) = (query.uuid("customer_id")?, query.choice("state", &STATES)?);
    let page = Page::of(&query, &format!("orders of {customer:?} in {status:?}"))?;
    let filter = OrderFilter { customer_id: customer.map(CustomerId::new), status };
    let found = lists.orders(filter, page.after.unwrap_or(Position::START), page.limit, wanted).await?;
    let next_cursor = page.next_cursor(found.len(), found.last().map(|last| last.key));
    let items: Vec<_> = found.iter().filter_map(|order| OrderBody::new(order.id, &order.value)).collect();
    Ok(HttpResponse::Ok().json(ListBody { items, next_cursor }))
}
