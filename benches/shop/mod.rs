//! Stocks, events and groups for benchmarks: the same in every run but for ids and times.
#![allow(dead_code, reason = "not every benchmark needs all of it")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use inventory_application::ports::{AppendGroup, Clock, ExpectedVersion, Metadata, NewEvent, StreamAppend};
use inventory_application::{EventId, StreamId};
use inventory_domain::inventory::Event;
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};
use uuid::Uuid;

/// More than any benchmark takes.
pub(crate) const UNITS: i64 = 1_000_000_000;

/// The machine's clock.
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

pub(crate) fn stock(number: u64) -> StockId {
    let product_id = ProductId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes()));
    StockId { product_id, store_id: StoreId::from_u128(1) }
}

pub(crate) fn units(count: i64) -> Quantity {
    Quantity::new(count).unwrap()
}

pub(crate) fn reason() -> Reason {
    Reason::new("benchmark").unwrap()
}

pub(crate) fn added() -> Event {
    Event::StockAdded { quantity: units(UNITS), reason: reason() }
}

/// A reservation of one unit with a deadline in half an hour, as a client makes it that says nothing else.
pub(crate) fn reserved(reservation_id: ReservationId, now: Timestamp) -> Event {
    Event::StockReserved {
        reservation_id,
        quantity: units(1),
        customer_id: CustomerId::new(Uuid::from_u128(0x0a00_4000_a000_0000_0000_0001)),
        hold_for: Some(HoldFor::DEFAULT),
        expires_at: Some(now + HoldFor::DEFAULT),
        order_id: None,
    }
}

pub(crate) fn fresh_reservation() -> ReservationId {
    ReservationId::new(Uuid::now_v7())
}

/// The metadata of a request.
pub(crate) fn metadata() -> Metadata {
    Metadata {
        request_id: Some(Uuid::now_v7().to_string()),
        actor: Some("anonymous".to_owned()),
        ..Metadata::default()
    }
}

/// Streams that one writer appends to: it knows their versions.
pub(crate) struct Streams {
    ids: Vec<StreamId>,
    versions: Vec<u64>,
    draw: Draw,
}

impl Streams {
    /// So many stocks, to which nobody has written.
    pub(crate) fn new(count: u32) -> Self {
        let ids = (0..u64::from(count)).map(|number| stock(number).into()).collect();
        Self { ids, versions: vec![0; count as usize], draw: Draw::among(count) }
    }

    pub(crate) fn id(&self, stream: u32) -> StreamId {
        self.ids[stream as usize]
    }

    /// Groups of one event each, in turn on the streams from `first` on: units come in on an empty one, else one is reserved.
    pub(crate) fn in_turn(&mut self, first: u64, groups: usize) -> Vec<AppendGroup> {
        let count = self.ids.len() as u64;
        let metadata = Arc::new(metadata());
        (first..).take(groups).map(|number| self.group((number % count) as usize, &metadata)).collect()
    }

    /// Likewise, on streams that are drawn.
    pub(crate) fn drawn(&mut self, groups: usize) -> Vec<AppendGroup> {
        let metadata = Arc::new(metadata());
        (0..groups)
            .map(|_| {
                let stream = self.draw.next() as usize;
                self.group(stream, &metadata)
            })
            .collect()
    }

    fn group(&mut self, stream: usize, metadata: &Arc<Metadata>) -> AppendGroup {
        let version = &mut self.versions[stream];
        let (expected, now) = (ExpectedVersion::of(*version), System.now());
        let event: DomainEvent = if *version == 0 { added().into() } else { reserved(fresh_reservation(), now).into() };
        *version += 1;
        let events = vec![NewEvent { event_id: EventId(Uuid::now_v7()), event }];
        let streams = vec![StreamAppend { stream: self.ids[stream], expected, events }];
        AppendGroup { key: None, streams, recorded_at: now, metadata: Arc::clone(metadata) }
    }
}

/// Numbers in an order that is the same in every run and has no pattern that an index could profit from.
pub(crate) struct Draw {
    state: u64,
    end: u32,
}

impl Draw {
    /// Numbers below `end`.
    pub(crate) const fn among(end: u32) -> Self {
        Self { state: 0, end }
    }

    pub(crate) fn next(&mut self) -> u32 {
        // Knuth's generator (MMIX); its high bits are the good ones.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) % u64::from(self.end)) as u32
    }
}
