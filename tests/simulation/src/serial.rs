//! Decides a request anew, all alone, against what the log had at one moment: what the loop should have said.

use inventory_application::{Ask, CommandError, Condition, Position, Shortfall, StreamId};
use inventory_domain::inventory::Rejection;
use inventory_domain::{DomainEvent, Timestamp, inventory, order, transfer};

use crate::history::History;

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Decided {
    /// These events, in this order.
    Granted(Vec<(StreamId, DomainEvent)>),
    Refused(CommandError),
    /// An order has to be expired first, so this can't be the moment at which it was decided.
    NotYet,
}

/// Decides at `at`, when a clock shows `clock`.
pub(crate) fn decide(history: &History, at: Position, ask: &Ask, condition: &Condition, clock: Timestamp) -> Decided {
    let version = match ask {
        Ask::Level(id) | Ask::Stock { stock_id: id, .. } => history.stock_at(*id, at).version(),
        Ask::Order { order_id, .. } => history.order_at(*order_id, at).version(),
        Ask::Transfer { transfer_id, .. } => history.transfer_at(*transfer_id, at).version(),
    };
    if !condition.holds(version) {
        return Decided::Refused(CommandError::VersionMismatch { current: version });
    }
    match ask {
        Ask::Level(_) => Decided::Granted(Vec::new()),
        Ask::Stock { stock_id, command, .. } => {
            match inventory::decide(history.stock_at(*stock_id, at), command, clock) {
                Ok(events) => {
                    Decided::Granted(events.into_iter().map(|event| ((*stock_id).into(), event.into())).collect())
                }
                Err(Rejection::HeldByExpiredOrder(_)) => Decided::NotYet,
                Err(rejection) => Decided::Refused(rejection.into()),
            }
        }
        Ask::Order { order_id, command, .. } => {
            let order = history.order_at(*order_id, at);
            let lines = match (command, order.placed()) {
                (_, Some(placed)) => Some(&placed.lines),
                (order::Command::Place(place), None) => Some(&place.lines),
                (_, None) => None,
            };
            let stocks = lines.into_iter().flat_map(|lines| lines.iter().map(|line| line.stock_id));
            let moment =
                stocks.fold(clock.max(order.recorded_at()), |moment, id| history.stock_at(id, at).moment(moment));
            let own = match order::decide(order, command, moment) {
                Ok(events) => events,
                Err(rejection) => return Decided::Refused(rejection.into()),
            };
            let (mut events, mut shortfalls) = (Vec::new(), Vec::new());
            for (stock_id, ask) in own.iter().flat_map(|event| event.asks(*order_id, order)) {
                match inventory::decide(history.stock_at(stock_id, at), &ask, moment) {
                    Ok(granted) => events.extend(granted.into_iter().map(|event| (stock_id.into(), event.into()))),
                    Err(Rejection::InsufficientStock { requested, available }) => {
                        shortfalls.push(Shortfall { stock_id, requested, available });
                    }
                    Err(_) => return Decided::NotYet,
                }
            }
            if !shortfalls.is_empty() {
                return Decided::Refused(CommandError::Shortfalls(shortfalls));
            }
            events.extend(own.into_iter().map(|event| ((*order_id).into(), event.into())));
            Decided::Granted(events)
        }
        Ask::Transfer { transfer_id, command } => {
            let transfer = history.transfer_at(*transfer_id, at);
            let own = match transfer::decide(transfer, command) {
                Ok(events) => events,
                Err(rejection) => return Decided::Refused(rejection.into()),
            };
            let mut events = Vec::new();
            let mut moment = clock.max(transfer.recorded_at());
            for (stock_id, ask) in own.iter().filter_map(|event| event.ask(*transfer_id, transfer)) {
                let stock = history.stock_at(stock_id, at);
                moment = stock.moment(moment);
                match inventory::decide(stock, &ask, moment) {
                    Ok(granted) => events.extend(granted.into_iter().map(|event| (stock_id.into(), event.into()))),
                    Err(Rejection::HeldByExpiredOrder(_)) => return Decided::NotYet,
                    Err(rejection) => return Decided::Refused(rejection.into()),
                }
            }
            events.extend(own.into_iter().map(|event| ((*transfer_id).into(), event.into())));
            Decided::Granted(events)
        }
    }
}

/// The moments within which a decision may have been taken that can make a difference: the first, the last, and those around every
/// deadline between.
pub(crate) fn moments(history: &History, at: Position, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut moments = vec![from, to];
    for stock_id in history.stocks() {
        let stock = history.stock_at(stock_id, at);
        for deadline in stock.reservations().filter_map(|(_, held)| held.expires_at) {
            let just_before = Timestamp::from_millis(deadline.millis() - 1);
            moments.extend([just_before, deadline].into_iter().filter(|moment| (from..=to).contains(moment)));
        }
    }
    moments.sort_unstable();
    moments.dedup();
    moments
}
