//! Events -> changes of stock rows: what every projection of stock levels has in common. Pure.

use std::collections::HashMap;

use inventory_application::ports::RecordedEvent;
use inventory_domain::StockId;
use inventory_domain::inventory::Event;

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

/// A stream whose events don't follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionGap {
    /// Whose stream.
    pub stock_id: StockId,
    /// The version before.
    pub expected_after: u64,
    /// The version that came.
    pub actual: u64,
}

/// One change for each stock that `events` touch, in the order in which they first do.
///
/// # Errors
///
/// [`VersionGap`] when a stream's versions don't count up by one.
pub fn changes_of(events: &[RecordedEvent]) -> Result<Vec<StockChange>, VersionGap> {
    let mut changes: Vec<StockChange> = Vec::new();
    let mut places: HashMap<StockId, usize> = HashMap::new();
    for recorded in events {
        let stock_id = recorded.stream.stock_id();
        let place = *places.entry(stock_id).or_insert_with(|| {
            let before = recorded.version.saturating_sub(1);
            changes.push(StockChange { stock_id, from_version: before, to_version: before, quantity: 0, reserved: 0 });
            changes.len() - 1
        });
        let change = &mut changes[place];
        if recorded.version != change.to_version + 1 {
            return Err(VersionGap { stock_id, expected_after: change.to_version, actual: recorded.version });
        }
        let (quantity, reserved) = deltas(&recorded.event);
        change.to_version = recorded.version;
        change.quantity += quantity;
        change.reserved += reserved;
    }
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
    }
}
