//! State + event -> state.

use super::{Event, Started, Transfer};
use crate::Timestamp;

/// Folds one fact, recorded at `recorded_at`, into the state; never refuses, because it has already happened.
#[must_use]
pub fn evolve(mut transfer: Transfer, event: &Event, recorded_at: Timestamp) -> Transfer {
    match event {
        Event::TransferStarted { route, quantity, reason } => {
            let (route, quantity, reason) = (*route, *quantity, reason.clone());
            transfer.started = Some(Started { route, quantity, reason, started_at: recorded_at });
        }
        Event::TransferReceived { quantity } => {
            transfer.received = transfer.received.saturating_add(quantity.units());
        }
        Event::TransferCancelled { quantity } => {
            transfer.cancelled = transfer.cancelled.saturating_add(quantity.units());
        }
    }
    transfer.version += 1;
    transfer.recorded_at = transfer.recorded_at.max(recorded_at);
    transfer
}
