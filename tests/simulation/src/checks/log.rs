//! The log by itself: gapless, never oversold, never negative, units conserved, and each group what its request comes to.

use std::collections::{BTreeMap, HashSet};

use inventory_application::audit::{Checkpoints, LogAudit, Share};
use inventory_application::ports::RecordedEvent;
use inventory_application::{Ask, Condition, Position, StreamId};
use inventory_domain::inventory::{Command, Event};
use inventory_domain::{DomainEvent, ProductId, StockId, Timestamp, order, transfer};

use crate::account::Attempt;
use crate::history::{Group, History};
use crate::plan::EXPIRY;
use crate::serial::{Decided, decide};

/// The service's own audit has nothing to say, and no event id is there twice.
pub(crate) fn audit(log: &[RecordedEvent], findings: &mut Vec<String>) {
    let mut audit = LogAudit::new(Share::WHOLE, Checkpoints::default(), HashSet::new(), 0);
    log.iter().for_each(|event| audit.observe(event.clone()));
    findings.extend(audit.finish().0.said.into_iter().map(|said| format!("audit: {said}")));
    let ids: HashSet<_> = log.iter().map(|event| event.event_id).collect();
    if ids.len() != log.len() {
        findings.push("an event id is there twice".to_owned());
    }
}

/// Adds up, in numbers that may go below 0, and without the domain's own functions.
pub(crate) fn conservation(log: &[RecordedEvent], history: &History, findings: &mut Vec<String>) {
    let mut levels: BTreeMap<StockId, (i128, i128)> = BTreeMap::new();
    let mut came_in: BTreeMap<ProductId, i128> = BTreeMap::new();
    let mut on_the_way: BTreeMap<ProductId, i128> = BTreeMap::new();
    for recorded in log {
        if let (StreamId::Transfer(_), DomainEvent::Transfer(_)) = (recorded.stream, &recorded.event) {
            continue; // Its stocks' events say the same.
        }
        let (StreamId::Inventory(id), DomainEvent::Inventory(event)) = (recorded.stream, &recorded.event) else {
            continue;
        };
        let (quantity, reserved) = levels.entry(id).or_default();
        let (came_in, on_the_way) =
            (came_in.entry(id.product_id).or_default(), on_the_way.entry(id.product_id).or_default());
        let units = |quantity: &inventory_domain::Quantity| i128::from(quantity.units());
        match event {
            Event::StockAdded { quantity: added, .. } => {
                *quantity += units(added);
                *came_in += units(added);
            }
            Event::StockReserved { quantity: held, .. } => *reserved += units(held),
            Event::StockReleased { quantity: freed, .. } => *reserved -= units(freed),
            Event::StockCommitted { quantity: sold, .. } => {
                *reserved -= units(sold);
                *quantity -= units(sold);
                *came_in -= units(sold);
            }
            Event::StockAdjusted { change, .. } => {
                *quantity += i128::from(*change);
                *came_in += i128::from(*change);
            }
            Event::StockTransferredOut { quantity: sent, .. } => {
                *quantity -= units(sent);
                *on_the_way += units(sent);
            }
            Event::StockTransferredIn { quantity: arrived, .. }
            | Event::StockTransferCancelled { quantity: arrived, .. } => {
                *quantity += units(arrived);
                *on_the_way -= units(arrived);
            }
            Event::ReservationExtended { .. } => (),
        }
        if *reserved < 0 || *reserved > *quantity {
            findings.push(format!("at {}: {id} holds {reserved} units of {quantity} on hand", recorded.position));
        }
        if *on_the_way < 0 {
            findings.push(format!("at {}: {on_the_way} units are on their way", recorded.position));
        }
    }
    let end = Position(u64::MAX);
    for (product_id, came_in) in came_in {
        let of_product = history.stocks().filter(|stock_id| stock_id.product_id == product_id);
        let on_hand: u64 = of_product.map(|stock_id| history.stock_at(stock_id, end).quantity()).sum();
        let transfers = history.transfers().map(|id| history.transfer_at(id, end));
        let of_product = transfers.filter(|one| one.started().is_some_and(|one| one.route.product_id() == product_id));
        let in_transit: u64 = of_product.map(inventory_domain::Transfer::in_transit).sum();
        if came_in != i128::from(on_hand) + i128::from(in_transit) {
            findings.push(format!(
                "product {product_id}: {came_in} units came in and weren't sold, {on_hand} are on hand and {in_transit} on their way"
            ));
        }
    }
}

/// Each group is what its request comes to when it is decided all alone on what stood before it. The first that isn't is the last that
/// is looked at: what comes after it has no sound state to stand on.
pub(crate) fn groups(history: &History, attempts: &[Attempt], findings: &mut Vec<String>) {
    for group in &history.groups {
        let (ask, condition) = match group.attempt().map(|number| attempts.get(number)) {
            Some(Some(attempt)) => (attempt.ask.clone(), attempt.condition.clone()),
            Some(None) => {
                findings.push(format!("the group at {} is of a request that nobody has sent", group.last()));
                continue;
            }
            None => (by_itself(group), Condition::None),
        };
        let decided = decide(history, group.before(), &ask, &condition, group.recorded_at());
        let events: Vec<_> = group.events.iter().map(|event| (event.stream, event.event.clone())).collect();
        if !matches!(&decided, Decided::Granted(ought) if *ought == events) {
            findings.push(format!(
                "the group at {} of request {:?} doesn't follow from what stood before: {ask:?} comes to {decided:?}, not {events:?}",
                group.last(),
                group.attempt()
            ));
            return;
        }
    }
}

/// What the service must have asked itself for to append the group: it only frees what has expired.
fn by_itself(group: &Group) -> Ask {
    let of_order = group.events.iter().find_map(|event| match event.stream {
        StreamId::Order(order_id) => Some(order_id),
        StreamId::Inventory(_) | StreamId::Transfer(_) => None,
    });
    match (of_order, group.events[0].stream.stock_id()) {
        (Some(order_id), _) => Ask::Order { order_id, command: order::Command::Expire, is_dry_run: false },
        (None, Some(stock_id)) => {
            let command = Command::ReleaseExpired { reservations_max: EXPIRY.reservations_of_stock_max };
            Ask::Stock { stock_id, command, is_fresh: false }
        }
        (None, None) => {
            let transfer_id = inventory_domain::TransferId::from_u128(0);
            Ask::Transfer { transfer_id, command: transfer::Command::Cancel } // It never does that.
        }
    }
}

/// Whatever has run out at `now` is free again.
pub(crate) fn nothing_is_overdue(history: &History, now: Timestamp, findings: &mut Vec<String>) {
    for stock_id in history.stocks() {
        let stock = history.stock_at(stock_id, Position(u64::MAX));
        for (id, held) in stock.reservations().filter(|(_, held)| held.is_expired(now)) {
            findings.push(format!(
                "reservation {id} of {stock_id} ran out at {:?}, and is held at {now:?}",
                held.expires_at
            ));
        }
    }
}
