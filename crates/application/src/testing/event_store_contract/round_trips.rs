//! Every event and its metadata come back as they were.

use std::sync::Arc;

use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::order::{self, OrderLine, OrderLines, OrderReleaseCause};
use inventory_domain::transfer::{self, Route};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity,
    StoreId, Timestamp, TransferId,
};
use uuid::Uuid;

use super::subject::Subject;
use crate::EventId;
use crate::ports::{AppendGroup, Metadata, NewEvent};

/// The first and the last moment of the years 1 to 9998, which every calendar can write.
const EARLIEST: Timestamp = Timestamp::from_millis(-62_135_596_800_000);
const LATEST: Timestamp = Timestamp::from_millis(253_370_764_799_999);

pub(super) async fn every_event_comes_back_as_it_was(store: Arc<Subject>) {
    let mut groups = Vec::new();
    let named = |of: &'static str, events: Vec<DomainEvent>| {
        events.into_iter().enumerate().map(move |(version, event)| (of, version, event))
    };
    let all = named("a", stock_events()).chain(named("o.a", order_events())).chain(named("t.a", transfer_events()));
    for (of, version, event) in all {
        let mut group = store.groups(&format!("{of} {version}+1")).remove(0);
        group.streams[0].events =
            vec![NewEvent { event_id: EventId(Uuid::from_u128(u128::MAX - version as u128)), event }];
        group.recorded_at = [EARLIEST, Timestamp::from_millis(-1), Timestamp::from_millis(0), LATEST][version.min(3)];
        groups.push(group);
    }
    store.submit(groups).await; // What the log and the stream hold is compared after every check.
}

pub(super) async fn metadata_comes_back_as_it_was(store: Arc<Subject>) {
    let some = |text: &str| Some(text.to_owned());
    let long = "\u{1f4e6}\"\\\n\u{0}".repeat(200);
    let cases = [
        Metadata::default(),
        Metadata { request_id: some("request-1"), ..Metadata::default() },
        Metadata { trace_id: some("4bf92f3577b34da6a3ce929d0e0e4736"), actor: some(""), ..Metadata::default() },
        Metadata {
            request_id: some(&long),
            trace_id: some(&long),
            actor: some(&long),
            idempotency_key: some(&long),
            ..Metadata::default()
        },
    ];
    let groups = cases.into_iter().enumerate().map(|(version, metadata)| {
        let mut group = a_group(&store, version);
        group.metadata = Arc::new(metadata);
        group
    });
    store.submit(groups.collect()).await;
}

fn a_group(store: &Subject, version: usize) -> AppendGroup {
    store.groups(&format!("a {version}+1")).remove(0)
}

fn stock_events() -> Vec<DomainEvent> {
    let reservation_id = ReservationId::from_u128(u128::MAX);
    let customer_id = CustomerId::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let quantity = |units| Quantity::new(units).expect("a quantity");
    let (one, most) = (quantity(1), quantity(Quantity::MAX.cast_signed()));
    let on_shelf = |units: u64| StockQuantity::new(units.cast_signed()).expect("a quantity on a shelf");
    let reason = |text: &str| Reason::new(text).expect("a reason");
    let hold = |minutes| HoldFor::from_minutes(minutes).expect("a hold");
    let (long, odd) =
        ("\u{1f4e6}".repeat(Reason::MAX_CHARACTERS), "a \"quote\", a \\, a\ttab, \u{1}, \u{2028}, \u{e9}");
    let reserved = |quantity, hold_for, expires_at| Event::StockReserved {
        reservation_id,
        quantity,
        customer_id,
        hold_for,
        expires_at,
        order_id: expires_at.map(|_| OrderId::from_u128(7)),
    };
    let released = |cause| Event::StockReleased { reservation_id, quantity: most, cause };
    let transfer_id = TransferId::from_u128(u128::MAX);
    let store_id = StoreId::from_u128(u128::MAX);
    let events = vec![
        Event::StockTransferredOut { transfer_id, to_store_id: store_id, quantity: most, reason: reason(odd) },
        Event::StockTransferredIn { transfer_id, from_store_id: store_id, quantity: one },
        Event::StockTransferCancelled { transfer_id, quantity: most },
        Event::StockAdded { quantity: one, reason: reason("x") },
        Event::StockAdded { quantity: most, reason: reason(&long) },
        Event::StockAdded { quantity: most, reason: reason(odd) },
        reserved(one, None, None),
        reserved(most, Some(hold(1440)), Some(LATEST)),
        reserved(one, Some(hold(1)), Some(EARLIEST)),
        Event::StockCommitted { reservation_id, order_id: OrderId::from_u128(1), quantity: most },
        released(ReleaseCause::Requested(reason(&long))),
        released(ReleaseCause::Expired),
        released(ReleaseCause::UncommittedPart),
        Event::ReservationExtended { reservation_id, hold_for: hold(1), expires_at: EARLIEST },
        Event::ReservationExtended { reservation_id, hold_for: hold(1440), expires_at: LATEST },
        Event::StockAdjusted {
            counted: on_shelf(0),
            change: -StockQuantity::MAX.cast_signed(),
            reason: reason("lost"),
            counted_at: None,
        },
        Event::StockAdjusted {
            counted: on_shelf(StockQuantity::MAX),
            change: StockQuantity::MAX.cast_signed(),
            reason: reason("found"),
            counted_at: Some(LATEST),
        },
    ];
    events.into_iter().map(Into::into).collect()
}

fn order_events() -> Vec<DomainEvent> {
    let line = |number: u128| OrderLine {
        stock_id: StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(u128::MAX) },
        quantity: Quantity::new(Quantity::MAX.cast_signed()).expect("a quantity"),
        reservation_id: ReservationId::from_u128(number),
    };
    let placed = |count: usize, hold_for, expires_at| order::Event::OrderPlaced {
        customer_id: CustomerId::from_u128(1),
        hold_for,
        expires_at,
        lines: OrderLines::new((0..count as u128).map(line).collect()).expect("lines"),
    };
    let reason = Reason::new("a \"quote\"").expect("a reason");
    let events = [
        placed(1, None, None),
        placed(OrderLines::MAX, HoldFor::from_minutes(1440).ok(), Some(LATEST)),
        order::Event::OrderCommitted,
        order::Event::OrderReleased { cause: OrderReleaseCause::Requested(reason) },
        order::Event::OrderReleased { cause: OrderReleaseCause::Expired },
    ];
    events.into_iter().map(Into::into).collect()
}

fn transfer_events() -> Vec<DomainEvent> {
    let store = StoreId::from_u128;
    let route = Route::new(ProductId::from_u128(1), store(1), store(u128::MAX)).expect("two stores");
    let quantity = Quantity::new(7).expect("a quantity");
    let reason = Reason::new("rebalance").expect("a reason");
    let events = [
        transfer::Event::TransferStarted { route, quantity, reason },
        transfer::Event::TransferReceived { quantity },
        transfer::Event::TransferCancelled { quantity },
    ];
    events.into_iter().map(Into::into).collect()
}
