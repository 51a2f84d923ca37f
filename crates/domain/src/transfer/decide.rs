//! State + command -> events, or a rejection.

use super::{Command, Event, Rejection, Start, Transfer, TransferStatus};
use crate::Quantity;

/// What happens to `transfer` when `command` is asked for, as far as the transfer itself has a say; the stock that it
/// touches has its own.
///
/// No events means that the command is granted and changes nothing.
///
/// # Errors
///
/// The [`Rejection`] that tells why nothing happens.
pub fn decide(transfer: &Transfer, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Start(start) => send(transfer, start),
        Command::Receive { quantity } => {
            let in_transit = in_transit(transfer)?;
            let arrived = quantity.unwrap_or(in_transit);
            if arrived > in_transit {
                let (requested, in_transit) = (arrived.units(), in_transit.units());
                return Err(Rejection::ExceedsTransfer { requested, in_transit });
            }
            Ok(vec![Event::TransferReceived { quantity: arrived }])
        }
        Command::Cancel => in_transit(transfer).map(|quantity| vec![Event::TransferCancelled { quantity }]),
    }
}

fn send(transfer: &Transfer, start: &Start) -> Result<Vec<Event>, Rejection> {
    let Start { route, quantity, reason } = start;
    let Some(started) = &transfer.started else {
        let (route, quantity, reason) = (*route, *quantity, reason.clone());
        return Ok(vec![Event::TransferStarted { route, quantity, reason }]);
    };
    let same = started.route == *route && started.quantity == *quantity && started.reason == *reason;
    if same && transfer.status() == TransferStatus::InTransit {
        Ok(Vec::new()) // The same request again.
    } else {
        Err(Rejection::TransferExists)
    }
}

/// The units on their way, where there are any.
fn in_transit(transfer: &Transfer) -> Result<Quantity, Rejection> {
    if transfer.started.is_none() {
        return Err(Rejection::TransferNotFound);
    }
    let units = i64::try_from(transfer.in_transit()).unwrap_or(i64::MAX);
    Quantity::new(units).map_err(|_| match transfer.status() {
        TransferStatus::Cancelled => Rejection::TransferCancelled,
        TransferStatus::Received | TransferStatus::InTransit => Rejection::TransferReceived,
    })
}
