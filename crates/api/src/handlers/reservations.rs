//! Reservations, whatever has become of them.

use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::ListQueries;
use inventory_application::ports::ReservationFilter;
use inventory_domain::{CustomerId, OrderId, ReservationId};

use super::writer::path_uuid;
use crate::cursor::Page;
use crate::problem::Problem;
use crate::query::QueryParameters;
use crate::wire::history::ListBody;
use crate::wire::reservations::{STATES, ShownReservationBody};

/// What a list of reservations can be asked for.
const FILTERS: [&str; 6] = ["reservation_id", "customer_id", "order_id", "state", "limit", "cursor"];

/// `GET /api/v1/reservations`
///
/// # Errors
///
/// The problem that says why there is no list to show.
pub async fn list(request: HttpRequest, lists: web::Data<ListQueries>) -> Result<HttpResponse, Problem> {
    let (query, wanted) = QueryParameters::of_question(&request, &FILTERS)?;
    let filter = ReservationFilter {
        reservation_id: query.uuid("reservation_id")?.map(ReservationId::new),
        customer_id: query.uuid("customer_id")?.map(CustomerId::new),
        order_id: query.uuid("order_id")?.map(OrderId::new),
        state: query.choice("state", &STATES)?,
    };
    let page = Page::of(&query, &format!("reservations {filter:?}"))?;
    let found = lists.reservations(filter, page.after, page.limit, wanted).await?;
    let items: Vec<_> = found.found.iter().map(ShownReservationBody::new).collect();
    Ok(HttpResponse::Ok().json(ListBody { items, next_cursor: page.cursor_after(found.next) }))
}

/// `GET /api/v1/reservations/{reservation_id}`
///
/// # Errors
///
/// The problem that says why there is no reservation to show.
pub async fn show(request: HttpRequest, lists: web::Data<ListQueries>) -> Result<HttpResponse, Problem> {
    let (_, wanted) = QueryParameters::of_question(&request, &[])?;
    let id = ReservationId::new(path_uuid(&request, "reservation_id")?);
    let filter = ReservationFilter { reservation_id: Some(id), ..ReservationFilter::default() };
    let found = lists.reservations(filter, None, 2, wanted).await?;
    match &found.found[..] {
        [] => Err(Problem::reservation_not_found(format!("nobody has ever made the reservation {id}"))),
        [one] => Ok(HttpResponse::Ok().json(ShownReservationBody::new(one))),
        _ => Err(Problem::ambiguous(format!(
            "more than one stock has a reservation {id}: ask for /api/v1/reservations?reservation_id={id}"
        ))),
    }
}
