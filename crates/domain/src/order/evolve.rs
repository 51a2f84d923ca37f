//! State + event -> state.

use super::{Event, Order, OrderReleaseCause, OrderStatus, Placed};
use crate::Timestamp;

/// Folds one fact, recorded at `recorded_at`, into the state; never refuses, because it has already happened.
#[must_use]
pub fn evolve(mut order: Order, event: &Event, recorded_at: Timestamp) -> Order {
    match event {
        Event::OrderPlaced { customer_id, hold_for, expires_at, lines } => {
            order.placed = Some(Placed {
                customer_id: *customer_id,
                hold_for: *hold_for,
                expires_at: *expires_at,
                lines: lines.clone(),
                placed_at: recorded_at,
            });
            order.status = OrderStatus::Active;
        }
        Event::OrderCommitted => order.status = OrderStatus::Committed,
        Event::OrderReleased { cause: OrderReleaseCause::Requested(_) } => order.status = OrderStatus::Released,
        Event::OrderReleased { cause: OrderReleaseCause::Expired } => order.status = OrderStatus::Expired,
    }
    order.version += 1;
    order.recorded_at = order.recorded_at.max(recorded_at);
    order
}
