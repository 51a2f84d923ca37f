//! Reservations, whatever has become of them.

use actix_web::http::StatusCode;

use super::SOLD_RESERVATION;
use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::history::ListBody;
use crate::wire::reservations::{ShownReservationBody, state};
use crate::wire::schemas;

/// `GET /api/v1/reservations`
#[must_use]
pub fn list() -> Description {
    Description::new(
        "listReservations",
        Tag::Stock,
        "List reservations",
        "Whatever has become of them, in the order in which they were made; those of one `reservation_id` by store and product. A page may \
         be short, or empty, where many others had to be passed over: the list ends where `next_cursor` is `null`.",
    )
    .query("reservation_id", schemas::id(), "Only those with this id: ids are unique within a stock.")
    .query("customer_id", schemas::id(), "Only those of this customer.")
    .query("order_id", schemas::id(), "Only those that are lines of this order, or were sold into it.")
    .query("state", state(), "Only those in this state.")
    .paged()
    .fresh()
    .answers::<ListBody<ShownReservationBody>>(StatusCode::OK, "A page of reservations")
    .refuses(&[Kind::UNAVAILABLE])
}

/// `GET /api/v1/reservations/{reservation_id}`
#[must_use]
pub fn show() -> Description {
    Description::new("getReservation", Tag::Stock, "See a reservation", "Whatever has become of it.")
        .path_example("reservation_id", SOLD_RESERVATION)
        .fresh()
        .answers::<ShownReservationBody>(StatusCode::OK, "The reservation")
        .refuses(&[Kind::RESERVATION_NOT_FOUND, Kind::AMBIGUOUS, Kind::UNAVAILABLE])
}
