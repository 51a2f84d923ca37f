//! Groups and states that several tests use.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::sync::Arc;

use inventory_application::EventId;
use inventory_application::ports::{AppendGroup, ExpectedVersion, LoadedStream, Metadata, NewEvent, StreamAppend};
use inventory_application::testing::ManualClock;
use inventory_domain::inventory::{Event, evolve};
use inventory_domain::{DomainEvent, Inventory, ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
use uuid::Uuid;

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)))
}

pub fn stock(number: u128) -> StockId {
    StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(2) }
}

/// Five units more, on a stock at this version.
pub fn added(number: u128, version: u64) -> AppendGroup {
    let event = Event::StockAdded { quantity: Quantity::new(5).unwrap(), reason: Reason::new("delivery").unwrap() };
    let event_id = EventId(Uuid::from_u128(number << 64 | u128::from(version)));
    let events = vec![NewEvent { event_id, event: event.into() }];
    let streams = vec![StreamAppend { stream: stock(number).into(), expected: ExpectedVersion::of(version), events }];
    let recorded_at = Timestamp::from_millis(1_763_942_400_000 + version.cast_signed());
    AppendGroup { key: None, streams, recorded_at, metadata: Arc::new(Metadata::default()) }
}

/// A stock's state by what was loaded of it.
pub fn folded(loaded: &LoadedStream) -> Inventory {
    let start = loaded.snapshot.as_deref().cloned().unwrap_or_default();
    loaded.events.iter().fold(start, |state, past| match &past.event {
        DomainEvent::Inventory(event) => evolve(state, event, past.recorded_at),
        other => panic!("{other:?}"),
    })
}
