//! The naive store: a list of events and a map of append ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, ExpectedVersion, Metadata, NewEvent, RecordedEvent, StreamAppend,
};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::inventory::{Event, ReleaseCause, evolve};
use inventory_domain::order::{self, OrderReleaseCause};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, Inventory, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId,
    Timestamp, TransferId, transfer,
};
use uuid::Uuid;

use super::operation::{GroupPlan, KeyPlan, PartPlan, VersionPlan};

/// The streams that are asked about: stocks, some of the same product or store, an order, a transfer.
pub const STREAMS: usize = 6;
/// The first so many are stocks.
pub const STOCKS: usize = 4;
/// For how long an append id has to be known.
const DAY_MS: i64 = 24 * 3_600_000;

/// What a store ought to hold, and what it ought to have answered last.
#[derive(Clone, Debug)]
pub struct Model {
    pub log: Vec<RecordedEvent>,
    pub known: BTreeMap<[u8; 16], Known>,
    /// What the clock shows.
    pub clock: Timestamp,
    /// The versions that were kept as snapshots.
    pub snapshots: BTreeSet<(StreamId, u64)>,
    /// The last batch, and what became of it.
    pub batch: Arc<Vec<AppendGroup>>,
    pub outcomes: Vec<AppendOutcome>,
    /// How many names have been given.
    named: u64,
}

/// A group with an append id that was appended.
#[derive(Clone, Debug)]
pub struct Known {
    request_hash: [u8; 16],
    result: Vec<u8>,
    position: Option<Position>,
    since: Timestamp,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            known: BTreeMap::new(),
            clock: Timestamp::from_millis(1_764_000_000_000),
            snapshots: BTreeSet::new(),
            batch: Arc::default(),
            outcomes: Vec::new(),
            named: 0,
        }
    }
}

impl Model {
    /// Appends what is planned, group by group.
    pub fn append(&mut self, plans: &[GroupPlan]) {
        let (mut tainted, mut hoped) = (BTreeSet::new(), BTreeMap::new());
        let (mut batch, mut outcomes) = (Vec::new(), Vec::new());
        for plan in plans {
            let group = self.group(plan, &mut hoped);
            let outcome = self.append_group(&group, &tainted);
            if !matches!(outcome, AppendOutcome::Appended { .. }) {
                tainted.extend(group.streams.iter().map(|part| part.stream));
            }
            batch.push(group);
            outcomes.push(outcome);
        }
        (self.batch, self.outcomes) = (Arc::new(batch), outcomes);
    }

    fn append_group(&mut self, group: &AppendGroup, tainted: &BTreeSet<StreamId>) -> AppendOutcome {
        if let Some(key) = &group.key
            && let Some(known) = self.known.get(&key.append_id)
        {
            if known.request_hash != key.request_hash {
                return AppendOutcome::AppendIdReused;
            }
            return AppendOutcome::Repeated { result: known.result.clone(), position: known.position };
        }
        for part in &group.streams {
            if tainted.contains(&part.stream) {
                return AppendOutcome::Tainted { stream: part.stream };
            }
        }
        for part in &group.streams {
            let actual = self.version(part.stream);
            if actual != part.expected.version() {
                return AppendOutcome::Conflict { stream: part.stream, actual };
            }
        }
        let count = group.event_count() as u64;
        let end = self.log.len() as u64 + count;
        for part in &group.streams {
            for new in &part.events {
                let position = self.log.len() as u64 + 1;
                self.log.push(RecordedEvent {
                    position: Position(position),
                    event_id: new.event_id,
                    stream: part.stream,
                    version: self.version(part.stream) + 1,
                    recorded_at: group.recorded_at,
                    event: new.event.clone(),
                    remaining: end - position,
                    metadata: Arc::clone(&group.metadata),
                });
            }
        }
        let position = (count > 0).then_some(Position(end));
        if let Some(AppendKey { append_id, request_hash, result: Some(result) }) = &group.key {
            let (request_hash, result, since) = (*request_hash, result.clone(), self.clock);
            self.known.insert(*append_id, Known { request_hash, result, position, since });
        }
        AppendOutcome::Appended { position }
    }

    /// The group that is planned. `hoped` are the versions at which the streams are if all of the batch so far is appended.
    fn group(&mut self, plan: &GroupPlan, hoped: &mut BTreeMap<StreamId, u64>) -> AppendGroup {
        let key = plan.key.as_ref().map(|key| self.key(key));
        let mut streams: Vec<StreamAppend> = Vec::new();
        for part in &plan.parts {
            if streams.iter().all(|other| other.stream != stream(part.stream)) {
                streams.push(self.part(part, hoped));
            }
        }
        let last = |part: &StreamAppend| self.of(part.stream).last().map(|event| event.recorded_at);
        let last = streams.iter().filter_map(last).max().unwrap_or(Timestamp::from_millis(1_763_942_400_000));
        let request_id = plan.later_ms.is_multiple_of(2).then(|| format!("request-{}", self.named));
        let actor = plan.key.as_ref().map(|_| "till 7".to_owned());
        AppendGroup {
            key,
            streams,
            recorded_at: Timestamp::from_millis(last.millis() + i64::from(plan.later_ms)),
            metadata: Arc::new(Metadata { request_id, actor, ..Metadata::default() }),
        }
    }

    fn part(&mut self, plan: &PartPlan, hoped: &mut BTreeMap<StreamId, u64>) -> StreamAppend {
        let stream = stream(plan.stream);
        let actual = self.version(stream);
        let hoped = hoped.entry(stream).or_insert(actual);
        let expected = match plan.version {
            VersionPlan::Actual => actual,
            VersionPlan::Hoped => *hoped,
            VersionPlan::Behind(by) => actual.saturating_sub(u64::from(by)),
            VersionPlan::Ahead(by) => actual + u64::from(by),
        };
        *hoped = expected + u64::from(plan.events);
        let versions = expected + 1..=*hoped;
        let events = versions.map(|version| NewEvent { event_id: self.event_id(), event: event(stream, version) });
        StreamAppend { stream, expected: ExpectedVersion::of(expected), events: events.collect() }
    }

    /// An append id that is new, or one that has to be known still. What may have been forgotten is not asked for.
    fn key(&mut self, plan: &KeyPlan) -> AppendKey {
        let known: Vec<_> =
            self.known.iter().filter(|(_, known)| self.clock.millis() - known.since.millis() < DAY_MS).collect();
        let (append_id, first_hash) = match &plan.known {
            Some(which) if !known.is_empty() => {
                let (append_id, known) = known[which.index(known.len())];
                (*append_id, known.request_hash)
            }
            _ => {
                self.named += 1;
                let mut append_id = [0; 16];
                append_id[8..].copy_from_slice(&self.named.to_be_bytes()); // They start alike.
                (append_id, [self.named.to_be_bytes()[7]; 16])
            }
        };
        let request_hash = if plan.is_another_request { first_hash.map(|byte| !byte) } else { first_hash };
        let result = plan.result_bytes.map(|bytes| vec![self.named.to_be_bytes()[7]; bytes.into()]);
        AppendKey { append_id, request_hash, result }
    }

    fn event_id(&mut self) -> EventId {
        self.named += 1;
        EventId(Uuid::from_u128(u128::from(self.named) << 64 | 0xe))
    }

    /// A stream's events.
    pub fn of(&self, stream: StreamId) -> impl Iterator<Item = &RecordedEvent> {
        self.log.iter().filter(move |event| event.stream == stream)
    }

    pub fn version(&self, stream: StreamId) -> u64 {
        self.of(stream).count() as u64
    }

    /// A stock's state after its first `version` events.
    pub fn state(&self, stream: StreamId, version: u64) -> Inventory {
        let first = self.of(stream).take_while(|event| event.version <= version);
        first.fold(Inventory::default(), |state, recorded| match &recorded.event {
            DomainEvent::Inventory(event) => evolve(state, event, recorded.recorded_at),
            other => panic!("not of a stock: {other:?}"),
        })
    }
}

/// One of the streams that are asked about.
pub fn stream(number: usize) -> StreamId {
    match number % STREAMS {
        number @ 0..STOCKS => stock(number).into(),
        4 => OrderId::from_u128(1).into(),
        _ => TransferId::from_u128(1).into(),
    }
}

/// One of the stocks that are asked about.
pub fn stock(number: usize) -> StockId {
    let number = number as u128 % STOCKS as u128;
    StockId { product_id: ProductId::from_u128(number / 2), store_id: StoreId::from_u128(number % 2) }
}

/// What happens to a stream at this version: stocks take in units, hold some, and free them again.
fn event(stream: StreamId, version: u64) -> DomainEvent {
    let quantity = |units: i64| Quantity::new(units).unwrap();
    let reason = || Reason::new(&format!("the {version}th")).unwrap();
    let reserved = |hold_for: Option<HoldFor>| Event::StockReserved {
        reservation_id: ReservationId::from_u128(version.into()),
        quantity: quantity(1),
        customer_id: CustomerId::from_u128(version.into()),
        hold_for,
        expires_at: hold_for.map(|hold_for| Timestamp::from_millis(version.cast_signed()) + hold_for),
        order_id: None,
    };
    match stream {
        StreamId::Inventory(_) => match version % 4 {
            1 => Event::StockAdded { quantity: quantity(3), reason: reason() }.into(),
            2 => reserved(None).into(),
            3 => reserved(HoldFor::from_minutes(15).ok()).into(),
            _ => {
                let (reservation_id, cause) =
                    (ReservationId::from_u128(u128::from(version) - 1), ReleaseCause::Expired);
                Event::StockReleased { reservation_id, quantity: quantity(1), cause }.into()
            }
        },
        StreamId::Order(_) => order::Event::OrderReleased { cause: OrderReleaseCause::Requested(reason()) }.into(),
        StreamId::Transfer(_) => transfer::Event::TransferReceived { quantity: quantity(version.cast_signed()) }.into(),
    }
}
