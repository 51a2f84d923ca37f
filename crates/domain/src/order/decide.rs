//! State + command + time -> events, or a rejection.

use super::{Command, Event, Order, OrderReleaseCause, OrderStatus, Place, Placed, Rejection};
use crate::Timestamp;

/// What happens to `order` when `command` is asked for at `now`, as far as the order itself has a say; its lines' stocks
/// have theirs.
///
/// No events means that the command is granted and changes nothing. `now` must not be before the order's last event.
///
/// # Errors
///
/// The [`Rejection`] that tells why nothing happens.
pub fn decide(order: &Order, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Place(place) => place_lines(order, place, now),
        Command::Commit => active(order, now).map(|_| vec![Event::OrderCommitted]),
        Command::Release { reason } => {
            let cause = OrderReleaseCause::Requested(reason.clone());
            active(order, now).map(|_| vec![Event::OrderReleased { cause }])
        }
        Command::Expire => Ok(match (&order.placed, order.status) {
            (Some(placed), OrderStatus::Active) if is_expired(placed, now) => {
                vec![Event::OrderReleased { cause: OrderReleaseCause::Expired }]
            }
            _ => Vec::new(),
        }),
    }
}

fn place_lines(order: &Order, place: &Place, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Place { customer_id, hold_for, lines } = place;
    if let Some(placed) = &order.placed {
        let same = placed.customer_id == *customer_id && placed.hold_for == *hold_for && placed.lines.same_as(lines);
        // Whatever has become of it since: who repeats the request is shown how the order stands.
        return if same { Ok(Vec::new()) } else { Err(Rejection::OrderExists) };
    }
    let expires_at = hold_for.map(|hold_for| now + hold_for);
    let (customer_id, hold_for, lines) = (*customer_id, *hold_for, lines.clone());
    Ok(vec![Event::OrderPlaced { customer_id, hold_for, expires_at, lines }])
}

/// What was ordered, where it can still be sold or freed.
fn active(order: &Order, now: Timestamp) -> Result<&Placed, Rejection> {
    let placed = order.placed.as_ref().ok_or(Rejection::OrderNotFound)?;
    match order.status {
        OrderStatus::Active if is_expired(placed, now) => Err(Rejection::OrderExpired),
        OrderStatus::Active => Ok(placed),
        OrderStatus::Committed => Err(Rejection::OrderCommitted),
        OrderStatus::Released => Err(Rejection::OrderReleased),
        OrderStatus::Expired => Err(Rejection::OrderExpired),
    }
}

fn is_expired(placed: &Placed, now: Timestamp) -> bool {
    placed.expires_at.is_some_and(|deadline| now >= deadline)
}
