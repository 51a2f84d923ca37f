//! State + event -> state.

use super::{Closing, Event, Inventory, ReleaseCause, Reservation};
use crate::{Quantity, ReservationId, Timestamp};

/// Folds one fact, recorded at `recorded_at`, into the state; never refuses, because it has already happened.
///
/// The numbers saturate where a log that no [`decide`](super::decide) has written would take them out of range.
#[must_use]
pub fn evolve(mut state: Inventory, event: &Event, recorded_at: Timestamp) -> Inventory {
    match event {
        Event::StockAdded { quantity, .. } => state.quantity = state.quantity.saturating_add(quantity.units()),
        Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id } => {
            let (quantity, customer_id, order_id) = (*quantity, *customer_id, *order_id);
            let (hold_for, expires_at) = (*hold_for, *expires_at);
            state.open(*reservation_id, Reservation { quantity, customer_id, hold_for, expires_at, order_id });
        }
        Event::StockCommitted { reservation_id, quantity, .. } => {
            state.take(*reservation_id, *quantity, Closing::Committed);
            state.quantity = state.quantity.saturating_sub(quantity.units());
        }
        Event::StockReleased { reservation_id, quantity, cause } => {
            let closing = match cause {
                ReleaseCause::Requested(_) => Closing::Released,
                ReleaseCause::Expired => Closing::Expired,
                ReleaseCause::UncommittedPart => Closing::Committed,
            };
            state.take(*reservation_id, *quantity, closing);
        }
        Event::ReservationExtended { reservation_id, expires_at, .. } => {
            if let Some(reservation) = state.reservations.get_mut(reservation_id) {
                if let Some(deadline) = reservation.expires_at.replace(*expires_at) {
                    state.deadlines.remove(&(deadline, *reservation_id));
                }
                state.deadlines.insert((*expires_at, *reservation_id));
            }
        }
        Event::StockAdjusted { change, counted_at, .. } => {
            state.quantity = state.quantity.saturating_add_signed(*change);
            state.corrected = state.corrected.saturating_add(*change);
            state.counted_at = state.counted_at.max(Some(counted_at.unwrap_or(recorded_at)));
        }
        Event::StockTransferredOut { quantity, .. } => state.quantity = state.quantity.saturating_sub(quantity.units()),
        Event::StockTransferredIn { quantity, .. } | Event::StockTransferCancelled { quantity, .. } => {
            state.quantity = state.quantity.saturating_add(quantity.units());
        }
    }
    state.version += 1;
    state.recorded_at = state.recorded_at.max(recorded_at);
    state
}

impl Inventory {
    fn open(&mut self, id: ReservationId, reservation: Reservation) {
        self.reserved = self.reserved.saturating_add(reservation.quantity.units());
        if let Some(deadline) = reservation.expires_at {
            self.deadlines.insert((deadline, id));
        }
        self.reservations.insert(id, reservation);
    }

    /// Takes `quantity` units out of a reservation; the one that is emptied is closed.
    fn take(&mut self, id: ReservationId, quantity: Quantity, closing: Closing) {
        let Some(reservation) = self.reservations.get_mut(&id) else { return };
        self.reserved = self.reserved.saturating_sub(quantity.units());
        if let Some(rest) = reservation.quantity.less(quantity) {
            reservation.quantity = rest;
            return;
        }
        if let Some(deadline) = reservation.expires_at {
            self.deadlines.remove(&(deadline, id));
        }
        self.reservations.remove(&id);
        self.closed.remember(id, closing, self.version + 1);
    }
}
