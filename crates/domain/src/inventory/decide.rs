//! State + command + time -> events, or a rejection.

use super::{Adjust, Closing, Command, Commit, Event, Extend, Inventory, Rejection, Release, ReleaseCause, Reserve};
use super::{OrderLineRef, Reservation};
use crate::{Quantity, ReservationId, StockQuantity, Timestamp};

/// How far back a count may lie: 30 days, in milliseconds.
const COUNTED_BACK_MS_MAX: i64 = 30 * 24 * 3_600_000;

/// What happens to `state` when `command` is asked for while the clock shows `clock`.
///
/// No events means that the command changes nothing and is granted: it is a repeat of one that has happened. A clock
/// behind the stock's last event counts as standing at that event. A reservation has expired when its deadline is now
/// or past; where a command needs units that expired reservations still hold, their release comes first among the
/// events, earliest deadline first, and only as many as are needed. A line of an order is freed with its order only.
///
/// # Errors
///
/// The [`Rejection`] that tells why nothing happens.
pub fn decide(state: &Inventory, command: &Command, clock: Timestamp) -> Result<Vec<Event>, Rejection> {
    let now = state.moment(clock);
    match command {
        Command::Add { quantity, reason } => {
            within_limit(state, *quantity)?;
            Ok(vec![Event::StockAdded { quantity: *quantity, reason: reason.clone() }])
        }
        Command::Reserve(reserve) => reserve_units(state, *reserve, now),
        Command::Commit(commit) => commit_units(state, *commit, now),
        Command::Release(release) => release_units(state, release, now),
        Command::Extend(extend) => extend_hold(state, *extend, now),
        Command::Adjust(adjust) => adjust_to_count(state, adjust, now),
        Command::ReleaseExpired { reservations_max } => Ok(release_expired(state, *reservations_max, now)),
        Command::CommitOrderLine(line) => {
            let quantity = held_by_order(state, *line)?;
            let OrderLineRef { order_id, reservation_id } = *line;
            Ok(vec![Event::StockCommitted { reservation_id, order_id, quantity }])
        }
        Command::ReleaseOrderLine { line, cause } => {
            let quantity = held_by_order(state, *line)?;
            Ok(vec![Event::StockReleased { reservation_id: line.reservation_id, quantity, cause: cause.clone() }])
        }
        Command::TransferOut { transfer_id, to_store_id, quantity, reason } => {
            let (transfer_id, to_store_id, reason) = (*transfer_id, *to_store_id, reason.clone());
            let mut events = free_units(state, *quantity, now)?;
            events.push(Event::StockTransferredOut { transfer_id, to_store_id, quantity: *quantity, reason });
            Ok(events)
        }
        Command::TransferIn { transfer_id, from_store_id, quantity } => {
            within_limit(state, *quantity)?;
            let (transfer_id, from_store_id, quantity) = (*transfer_id, *from_store_id, *quantity);
            Ok(vec![Event::StockTransferredIn { transfer_id, from_store_id, quantity }])
        }
        Command::CancelTransfer { transfer_id, quantity } => {
            within_limit(state, *quantity)?;
            Ok(vec![Event::StockTransferCancelled { transfer_id: *transfer_id, quantity: *quantity }])
        }
    }
}

/// How a stock answers a command about a reservation that it has forgotten, when it is told how that one ended.
#[must_use]
pub fn reject_closed(reservation_id: ReservationId, closing: Closing, command: &Command) -> Rejection {
    match (command, closing) {
        (Command::Reserve(_), _) => Rejection::ReservationExists(reservation_id),
        (_, Closing::Expired) => Rejection::ReservationExpired { reservation_id, expired_at: None },
        (_, Closing::Committed) => Rejection::ReservationCommitted(reservation_id),
        (_, Closing::Released) => Rejection::ReservationReleased(reservation_id),
    }
}

fn within_limit(state: &Inventory, quantity: Quantity) -> Result<(), Rejection> {
    let (on_hand, added) = (state.quantity, quantity.units());
    if on_hand + added > StockQuantity::MAX {
        return Err(Rejection::StockLimitExceeded { on_hand, added });
    }
    Ok(())
}

fn reserve_units(state: &Inventory, reserve: Reserve, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let Reserve { reservation_id, quantity, customer_id, hold_for, order_id } = reserve;
    if let Some(held) = state.reservation(reservation_id) {
        let same = held.quantity == quantity
            && held.customer_id == customer_id
            && held.hold_for == hold_for
            && held.order_id == order_id;
        return if same && !held.is_expired(now) {
            Ok(Vec::new()) // The same request again.
        } else {
            Err(Rejection::ReservationExists(reservation_id))
        };
    }
    if state.closing(reservation_id).is_some() {
        return Err(Rejection::ReservationExists(reservation_id));
    }
    let mut events = free_units(state, quantity, now)?;
    let expires_at = hold_for.map(|hold_for| now + hold_for);
    events.push(Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id });
    Ok(events)
}

/// What makes `quantity` units available: nothing, or the release of as many expired reservations as that takes.
fn free_units(state: &Inventory, quantity: Quantity, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    let (events, reserved) = release_expired_until(state, state.quantity.saturating_sub(quantity.units()), now)?;
    let available = state.quantity - reserved;
    if available < quantity.units() {
        return Err(Rejection::InsufficientStock { requested: quantity.units(), available });
    }
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
    let Adjust { counted, reason, then } = adjust;
    let change = match then {
        None => counted.units().cast_signed() - state.quantity.cast_signed(),
        Some(then) if now.millis().saturating_sub(then.counted_at.millis()) > COUNTED_BACK_MS_MAX => {
            return Err(Rejection::CountedTooLongAgo { counted_at: then.counted_at });
        }
        // A later count has told already what was there.
        Some(then) if state.counted_at.is_some_and(|latest| then.counted_at < latest) => 0,
        // What earlier counts have corrected since is true of that moment as well, whenever it was recorded.
        Some(then) => {
            let on_hand = then.quantity.cast_signed() + (state.corrected - then.corrected);
            counted.units().cast_signed() - on_hand
        }
    };
    let on_hand = (state.quantity.cast_signed() + change).max(0).unsigned_abs();
    if on_hand > StockQuantity::MAX {
        return Err(Rejection::StockLimitExceeded { on_hand: state.quantity, added: change.unsigned_abs() });
    }
    let (mut events, reserved) = release_expired_until(state, on_hand, now)?;
    if state.quantity.cast_signed() + change < reserved.cast_signed() {
        return Err(Rejection::BelowReserved { counted: on_hand, reserved });
    }
    let counted_at = then.map(|then| then.counted_at);
    events.push(Event::StockAdjusted { counted: *counted, change, reason: reason.clone(), counted_at });
    Ok(events)
}

/// The reservation, where it can still be committed, released or extended.
fn active(state: &Inventory, id: ReservationId, now: Timestamp) -> Result<&Reservation, Rejection> {
    match (state.reservation(id), state.closing(id)) {
        (Some(Reservation { order_id: Some(order_id), .. }), _) => {
            Err(Rejection::BelongsToOrder { reservation_id: id, order_id: *order_id })
        }
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

/// The units of an order's line. Whether it has expired is for the order to say.
fn held_by_order(state: &Inventory, line: OrderLineRef) -> Result<Quantity, Rejection> {
    let OrderLineRef { order_id, reservation_id } = line;
    match state.reservation(reservation_id) {
        Some(held) if held.order_id == Some(order_id) => Ok(held.quantity),
        Some(_) | None => Err(Rejection::ReservationNotFound(reservation_id)),
    }
}

/// Releases of expired reservations, earliest deadline first, until at most `most_reserved` units are reserved; with
/// the units that are reserved after them.
///
/// An order's line is not freed alone: the whole order has to go first.
fn release_expired_until(
    state: &Inventory,
    most_reserved: u64,
    now: Timestamp,
) -> Result<(Vec<Event>, u64), Rejection> {
    let mut reserved = state.reserved;
    let mut events = Vec::new();
    for (deadline, reservation_id) in &state.deadlines {
        if reserved <= most_reserved || *deadline > now {
            break;
        }
        let held = &state.reservations[reservation_id];
        if let Some(order_id) = held.order_id {
            return Err(Rejection::HeldByExpiredOrder(order_id));
        }
        reserved -= held.quantity.units();
        events.push(expired(*reservation_id, held));
    }
    Ok((events, reserved))
}

/// Releases of at most `reservations_max` reservations that have expired and belong to no order.
fn release_expired(state: &Inventory, reservations_max: usize, now: Timestamp) -> Vec<Event> {
    let due = state.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
    let held = due.map(|(_, reservation_id)| (*reservation_id, &state.reservations[reservation_id]));
    let free = held.filter(|(_, held)| held.order_id.is_none()).take(reservations_max);
    free.map(|(reservation_id, held)| expired(reservation_id, held)).collect()
}

fn expired(reservation_id: ReservationId, held: &Reservation) -> Event {
    Event::StockReleased { reservation_id, quantity: held.quantity, cause: ReleaseCause::Expired }
}
