//! State + command + time -> events, or a rejection.

use super::{Adjust, Closing, Command, Commit, Event, Extend, Inventory, Rejection, Release, ReleaseCause, Reserve};
use super::{Level, Reservation};
use crate::{Quantity, ReservationId, StockQuantity, Timestamp};

/// What happens to `state` when `command` is asked for while the clock shows `clock`.
///
/// No events means that the command changes nothing and is granted: it is a repeat of one that has happened. A clock
/// behind the stock's last event counts as standing at that event. A reservation has expired when its deadline is now
/// or past; where a command needs units that expired reservations still hold, their release comes first among the
/// events, earliest deadline first, and only as many as are needed.
///
/// # Errors
///
/// The [`Rejection`] that tells why nothing happens.
pub fn decide(state: &Inventory, command: &Command, clock: Timestamp) -> Result<Vec<Event>, Rejection> {
    let now = state.moment(clock);
    match command {
        Command::Add { quantity, reason } => {
            let on_hand = state.quantity;
            if on_hand + quantity.units() > StockQuantity::MAX {
                return Err(Rejection::StockLimitExceeded { on_hand, added: quantity.units() });
            }
            Ok(vec![Event::StockAdded { quantity: *quantity, reason: reason.clone() }])
        }
        Command::Reserve(reserve) => reserve_units(state, *reserve, now),
        Command::Commit(commit) => commit_units(state, *commit, now),
        Command::Release(release) => release_units(state, release, now),
        Command::Extend(extend) => extend_hold(state, *extend, now),
        Command::Adjust(adjust) => adjust_to_count(state, adjust, now),
    }
}

fn reserve_units(state: &Inventory, reserve: Reserve, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Reserve { reservation_id, quantity, customer_id, hold_for } = reserve;
    if let Some(held) = state.reservation(reservation_id) {
        let same = held.quantity == quantity && held.customer_id == customer_id && held.hold_for == hold_for;
        return if same && !held.is_expired(now) {
            Ok(Vec::new()) // The same request again.
        } else {
            Err(Rejection::ReservationExists(reservation_id))
        };
    }
    if state.closing(reservation_id).is_some() {
        return Err(Rejection::ReservationExists(reservation_id));
    }
    let Level { quantity: on_hand, .. } = state.level();
    let (mut events, reserved) = release_expired_until(state, on_hand.saturating_sub(quantity.units()), now);
    let available = on_hand - reserved;
    if available < quantity.units() {
        return Err(Rejection::InsufficientStock { requested: quantity.units(), available });
    }
    let expires_at = hold_for.map(|hold_for| now + hold_for);
    events.push(Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at });
    Ok(events)
}

fn commit_units(state: &Inventory, commit: Commit, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Commit { reservation_id, order_id, quantity: part } = commit;
    let held = active(state, reservation_id, now)?.quantity;
    let sold = part.unwrap_or(held);
    if sold > held {
        return Err(Rejection::ExceedsReservation { requested: sold.units(), held: held.units() });
    }
    let mut events = vec![Event::StockCommitted { reservation_id, order_id, quantity: sold }];
    if let Some(rest) = held.less(sold) {
        let cause = ReleaseCause::UncommittedPart;
        events.push(Event::StockReleased { reservation_id, quantity: rest, cause });
    }
    Ok(events)
}

fn release_units(state: &Inventory, release: &Release, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Release { reservation_id, reason } = release;
    let quantity = active(state, *reservation_id, now)?.quantity;
    let cause = ReleaseCause::Requested(reason.clone());
    Ok(vec![Event::StockReleased { reservation_id: *reservation_id, quantity, cause }])
}

fn extend_hold(state: &Inventory, extend: Extend, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Extend { reservation_id, hold_for } = extend;
    active(state, reservation_id, now)?;
    Ok(vec![Event::ReservationExtended { reservation_id, hold_for, expires_at: now + hold_for }])
}

fn adjust_to_count(state: &Inventory, adjust: &Adjust, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Adjust { counted, reason } = adjust;
    let (mut events, reserved) = release_expired_until(state, counted.units(), now);
    if counted.units() < reserved {
        return Err(Rejection::BelowReserved { counted: counted.units(), reserved });
    }
    // Both are at most `StockQuantity::MAX`.
    let change = counted.units().cast_signed() - state.quantity.cast_signed();
    events.push(Event::StockAdjusted { counted: *counted, change, reason: reason.clone() });
    Ok(events)
}

/// The reservation, where it can still be committed, released or extended.
fn active(state: &Inventory, id: ReservationId, now: Timestamp) -> Result<&Reservation, Rejection> {
    match (state.reservation(id), state.closing(id)) {
        (Some(held), _) if held.is_expired(now) => {
            Err(Rejection::ReservationExpired { reservation_id: id, expired_at: held.expires_at })
        }
        (Some(held), _) => Ok(held),
        (None, Some(Closing::Expired)) => Err(Rejection::ReservationExpired { reservation_id: id, expired_at: None }),
        (None, Some(Closing::Committed)) => Err(Rejection::ReservationCommitted(id)),
        (None, Some(Closing::Released)) => Err(Rejection::ReservationReleased(id)),
        (None, None) => Err(Rejection::ReservationNotFound(id)),
    }
}

/// Releases of expired reservations, earliest deadline first, until at most `most_reserved` units are reserved; with
/// the units that are reserved after them.
fn release_expired_until(state: &Inventory, most_reserved: u64, now: Timestamp) -> (Vec<Event>, u64) {
    let mut reserved = state.reserved;
    let mut events = Vec::new();
    for (deadline, reservation_id) in &state.deadlines {
        if reserved <= most_reserved || *deadline > now {
            break;
        }
        let quantity: Quantity = state.reservations[reservation_id].quantity;
        reserved -= quantity.units();
        let reservation_id = *reservation_id;
        events.push(Event::StockReleased { reservation_id, quantity, cause: ReleaseCause::Expired });
    }
    (events, reserved)
}
