//! Events -> changes of stock rows: what every projection of stock levels has in common. Pure.

use std::collections::HashMap;

use inventory_application::ports::RecordedEvent;
use inventory_domain::inventory::Event;
use inventory_domain::{DomainEvent, StockId};

use crate::projection::ProjectionError;

/// What a page of events does to one stock's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockChange {
    /// Which stock.
    pub stock_id: StockId,
    /// The version that the row has to be at.
    pub from_version: u64,
    /// The version that it is at afterwards.
    pub to_version: u64,
    /// What the units on hand change by.
    pub quantity: i64,
    /// What the reserved units change by.
    pub reserved: i64,
}

/// One change for each stock that `events` touch, by store and product: neighbours in a table are written one after the other, so
/// each of its pages is looked for once.
///
/// # Errors
///
/// [`ProjectionError::Inapplicable`] when a stream's versions don't count up by one.
pub fn changes_of(events: &[RecordedEvent]) -> Result<Vec<StockChange>, ProjectionError> {
    let mut changes: Vec<StockChange> = Vec::new();
    let mut places: HashMap<StockId, usize> = HashMap::new();
    for recorded in events {
        let (Some(stock_id), DomainEvent::Inventory(event)) = (recorded.stream.stock_id(), &recorded.event) else {
            continue; // Of an order or a transfer.
        };
        let place = *places.entry(stock_id).or_insert_with(|| {
            let before = recorded.version.saturating_sub(1);
            changes.push(StockChange { stock_id, from_version: before, to_version: before, quantity: 0, reserved: 0 });
            changes.len() - 1
        });
        let change = &mut changes[place];
        if recorded.version != change.to_version + 1 {
            let problem = format!("it doesn't follow version {}", change.to_version);
            return Err(ProjectionError::inapplicable(recorded, problem));
        }
        let (quantity, reserved) = deltas(event);
        change.to_version = recorded.version;
        change.quantity += quantity;
        change.reserved += reserved;
    }
    changes.sort_unstable_by_key(|change| (change.stock_id.store_id, change.stock_id.product_id));
    Ok(changes)
}

/// What an event changes the units on hand and the reserved ones by.
fn deltas(event: &Event) -> (i64, i64) {
    match event {
        Event::StockAdded { quantity, .. } => (i64::from(*quantity), 0),
        Event::StockReserved { quantity, .. } => (0, i64::from(*quantity)),
        Event::StockCommitted { quantity, .. } => (-i64::from(*quantity), -i64::from(*quantity)),
        Event::StockReleased { quantity, .. } => (0, -i64::from(*quantity)),
        Event::ReservationExtended { .. } => (0, 0),
        Event::StockAdjusted { change, .. } => (*change, 0),
        Event::StockTransferredOut { quantity, .. } => (-i64::from(*quantity), 0),
        Event::StockTransferredIn { quantity, .. } | Event::StockTransferCancelled { quantity, .. } => {
            (i64::from(*quantity), 0)
        }
    }
}
