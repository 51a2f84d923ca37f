//! Every event and its metadata come back as they were.

use std::sync::Arc;

use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::{CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, Timestamp};
use uuid::Uuid;

use super::subject::Subject;
use crate::EventId;
use crate::ports::{AppendGroup, Metadata, NewEvent};

/// The first and the last moment of the years 1 to 9998, which every calendar can write.
const EARLIEST: Timestamp = Timestamp::from_millis(-62_135_596_800_000);
const LATEST: Timestamp = Timestamp::from_millis(253_370_764_799_999);

pub(super) async fn every_event_comes_back_as_it_was(store: Arc<Subject>) {
    let mut groups = Vec::new();
    for (version, event) in events().into_iter().enumerate() {
        let mut group = a_group(&store, version);
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
        Metadata { request_id: some(&long), trace_id: some(&long), actor: some(&long), idempotency_key: some(&long) },
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

fn events() -> Vec<Event> {
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
    };
    let released = |cause| Event::StockReleased { reservation_id, quantity: most, cause };
    vec![
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
        },
        Event::StockAdjusted {
            counted: on_shelf(StockQuantity::MAX),
            change: StockQuantity::MAX.cast_signed(),
            reason: reason("found"),
        },
    ]
}
