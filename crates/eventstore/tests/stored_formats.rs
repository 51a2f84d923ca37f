//! Every format that was ever written still reads, and today's is written as it was.
//!
//! A file under `stored_formats/v1`, `v2`… is one event as it stands in the log: its type, its data, its metadata. Files are
//! never changed: a new format gets a folder of its own. What is in the newest folder is also written so.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use inventory_application::ports::Metadata;
use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::order::{self, OrderLine, OrderLines, OrderReleaseCause};
use inventory_domain::transfer::{self, Route};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity,
    StoreId, Timestamp, TransferId,
};
use inventory_eventstore::event_codec::{
    CodecError, EVENT_TYPES, SCHEMA_VERSION, decode_event, decode_metadata, decode_schema_version, encode_event,
    encode_metadata, event_type,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What every file of a name stands for, whatever its version.
fn meant(name: &str) -> DomainEvent {
    let customer_id = CustomerId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0001);
    let order_id = OrderId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0002);
    let transfer_id = TransferId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0003);
    let store = |number: u128| StoreId::from_u128(0x0000_0000_0000_4000_b000_0000_0000_0000 + number);
    let product_id = ProductId::from_u128(0x0000_0000_0000_4000_c000_0000_0000_0001);
    let reserved = |quantity, hold_for, expires_at, order_id| Event::StockReserved {
        reservation_id: reservation_id(),
        quantity,
        customer_id,
        hold_for,
        expires_at,
        order_id,
    };
    let adjusted = |counted_at| Event::StockAdjusted {
        counted: StockQuantity::new(117).unwrap(),
        change: -3,
        reason: reason("Stocktaking"),
        counted_at,
    };
    let half_hour = HoldFor::from_minutes(30).ok();
    let deadline = Some(Timestamp::from_millis(1_763_944_200_005));
    let line = |number: u128, units| OrderLine {
        stock_id: StockId { product_id, store_id: store(number) },
        quantity: quantity(units),
        reservation_id: ReservationId::from_u128(reservation_id().uuid().as_u128() + number),
    };
    let placed = |hold_for, expires_at, lines: Vec<OrderLine>| order::Event::OrderPlaced {
        customer_id,
        hold_for,
        expires_at,
        lines: OrderLines::new(lines).unwrap(),
    };
    match name {
        "stock_added" => {
            Event::StockAdded { quantity: quantity(120), reason: reason("Delivery 4711, \"spring\" 📦") }.into()
        }
        "stock_reserved" => reserved(quantity(3), half_hour, deadline, None).into(),
        "stock_reserved_without_a_deadline" => reserved(quantity(1), None, None, None).into(),
        "stock_reserved_for_an_order" => reserved(quantity(3), half_hour, deadline, Some(order_id)).into(),
        "stock_committed" => {
            Event::StockCommitted { reservation_id: reservation_id(), order_id, quantity: quantity(2) }.into()
        }
        "stock_released_on_request" => released(ReleaseCause::Requested(reason("The customer has left"))).into(),
        "stock_released_after_its_deadline" => released(ReleaseCause::Expired).into(),
        "stock_released_as_the_uncommitted_part" => released(ReleaseCause::UncommittedPart).into(),
        "reservation_extended" => {
            let (hold_for, expires_at) =
                (HoldFor::from_minutes(45).unwrap(), Timestamp::from_millis(1_763_945_100_000));
            Event::ReservationExtended { reservation_id: reservation_id(), hold_for, expires_at }.into()
        }
        "stock_adjusted" => adjusted(None).into(),
        "stock_adjusted_late" => adjusted(deadline).into(),
        "stock_transferred_out" => {
            let (quantity, reason) = (quantity(4), reason("Rebalance"));
            Event::StockTransferredOut { transfer_id, to_store_id: store(2), quantity, reason }.into()
        }
        "stock_transferred_in" => {
            Event::StockTransferredIn { transfer_id, from_store_id: store(1), quantity: quantity(3) }.into()
        }
        "stock_transfer_cancelled" => Event::StockTransferCancelled { transfer_id, quantity: quantity(1) }.into(),
        "order_placed" => placed(half_hour, deadline, vec![line(1, 2), line(2, 1)]).into(),
        "order_placed_without_a_deadline" => placed(None, None, vec![line(1, 2)]).into(),
        "order_committed" => order::Event::OrderCommitted.into(),
        "order_released_on_request" => {
            let cause = OrderReleaseCause::Requested(reason("The customer has left"));
            order::Event::OrderReleased { cause }.into()
        }
        "order_released_after_its_deadline" => order::Event::OrderReleased { cause: OrderReleaseCause::Expired }.into(),
        "transfer_started" => {
            let route = Route::new(product_id, store(1), store(2)).unwrap();
            transfer::Event::TransferStarted { route, quantity: quantity(4), reason: reason("Rebalance") }.into()
        }
        "transfer_received" => transfer::Event::TransferReceived { quantity: quantity(3) }.into(),
        "transfer_cancelled" => transfer::Event::TransferCancelled { quantity: quantity(1) }.into(),
        _ => panic!("nobody knows what {name} means"),
    }
}

#[test]
fn every_stored_format_still_reads() {
    for (version, files) in [(1, 9), (2, 22)] {
        let names = names(version);
        assert_eq!(names.len(), files, "files of version {version}");
        for name in names {
            let stored = stored(version, &name);
            let (metadata, schema_version) = decode_metadata(&stored.metadata).unwrap();
            assert_eq!(schema_version, version, "{name}");
            let event = decode_event(&stored.event_type, schema_version, &stored.data).unwrap();
            assert_eq!(event, meant(&name), "{name} of version {version}");
            let today = stored.metadata.replace(&format!("\"schema_version\":{version}"), "\"schema_version\":2");
            assert_eq!(encode(&event, &metadata).2, today, "{name} of version {version}");
        }
    }
}

#[test]
fn the_newest_format_is_what_is_written() {
    for name in names(SCHEMA_VERSION) {
        let stored = stored(SCHEMA_VERSION, &name);
        let (metadata, _) = decode_metadata(&stored.metadata).unwrap();
        assert_eq!(encode(&meant(&name), &metadata), (&*stored.event_type, stored.data, stored.metadata), "{name}");
    }
}

#[test]
fn an_unknown_type_is_refused() {
    check_refused("StockEatenEvent", 1, "{}", r#"unknown event type "StockEatenEvent""#);
}

#[test]
fn a_schema_version_from_the_future_is_refused() {
    let data = r#"{"quantity":1,"reason":"x"}"#;
    check_refused("StockAddedEvent", 3, data, "schema version 3 is newer than this program");
    check_refused("StockAddedEvent", 0, data, "schema version 0");
}

#[test]
fn bad_values_are_refused_by_name() {
    check_refused("StockAddedEvent", 1, r#"{"quantity":0,"reason":"x"}"#, "the JSON of StockAddedEvent");
    check_refused("StockAddedEvent", 1, r#"{"quantity":1000000001,"reason":"x"}"#, "must be from 1 to 1000000000");
    check_refused("StockAddedEvent", 1, r#"{"quantity":1,"reason":" "}"#, "must have 1 to 500 characters");
    check_refused("StockAddedEvent", 1, r#"{"quantity":1}"#, "missing field `reason`");
    check_refused("StockAddedEvent", 1, r#"{"quantity":1,"reason":"x""#, "EOF");
    check_refused("StockAddedEvent", 1, "", "EOF");
    check_refused("StockAdjustedEvent", 1, r#"{"quantity":-1,"change":0,"reason":"x"}"#, "must be from 0");
    let released = r#"{"reservation_id":"01890a5d-ac96-774b-bcce-b302099a8057","quantity":1,"cause":"#;
    check_refused("StockReleasedEvent", 1, &format!(r#"{released}"requested"}}"#), "missing field `reason`");
    check_refused("StockReleasedEvent", 1, &format!(r#"{released}"stolen"}}"#), "unknown variant `stolen`");
    let extended = r#"{"reservation_id":"01890a5d-ac96-774b-bcce-b302099a8057","ttl_minutes":"#;
    let (soon, never) = (r#""expires_at":"2025-11-24T00:00:00.000Z"}"#, r#""expires_at":"2025-02-30T00:00:00.000Z"}"#);
    check_refused("ReservationExtendedEvent", 1, &format!("{extended}1441,{soon}"), "must be from 1 to 1440 minutes");
    check_refused(
        "ReservationExtendedEvent",
        1,
        &format!("{extended}30,{never}"),
        "the JSON of ReservationExtendedEvent",
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(event in any_event(), metadata in any_metadata()) {
        let (event_type, data, written) = encode(&event, &metadata);
        prop_assert_eq!(decode_schema_version(&written).unwrap(), SCHEMA_VERSION);
        let (read, schema_version) = decode_metadata(&written).unwrap();
        prop_assert_eq!(read, metadata);
        prop_assert_eq!(decode_event(event_type, schema_version, &data).unwrap(), event);
    }

    #[test]
    fn whatever_is_read_nothing_panics(event in any_event(), position in any::<prop::sample::Index>(), byte: u8) {
        let (event_type, mut data, _) = encode(&event, &Metadata::default());
        let mut bytes = std::mem::take(&mut data).into_bytes();
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(damaged) = String::from_utf8(bytes) {
            let _ = decode_event(event_type, 1, &damaged);
            let _ = decode_metadata(&damaged);
        }
    }
}

/// A file as it is.
struct Stored {
    event_type: String,
    data: String,
    metadata: String,
}

fn stored(version: u32, name: &str) -> Stored {
    #[derive(Deserialize)]
    struct Parts<'a> {
        event_type: String,
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let text = fs::read_to_string(folder(version).join(format!("{name}.json"))).unwrap();
    let Parts { event_type, data, metadata } = serde_json::from_str(&text).unwrap();
    Stored { event_type, data: data.get().to_owned(), metadata: metadata.get().to_owned() }
}

fn names(version: u32) -> Vec<String> {
    let entries = fs::read_dir(folder(version)).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn check_refused(event_type: &str, schema_version: u32, data: &str, says: &str) {
    let error: CodecError = decode_event(event_type, schema_version, data).expect_err(data);
    assert!(error.to_string().contains(says), "{error}");
}

fn encode(event: &DomainEvent, metadata: &Metadata) -> (&'static str, String, String) {
    let (mut data, mut written) = (Vec::new(), Vec::new());
    let name = encode_event(event, &mut data);
    assert!(name == event_type(event) && EVENT_TYPES.contains(&name), "{name}");
    encode_metadata(metadata, &mut written);
    (name, String::from_utf8(data).unwrap(), String::from_utf8(written).unwrap())
}

fn folder(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stored_formats/v{version}"))
}

fn reservation_id() -> ReservationId {
    ReservationId::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057)
}

fn quantity(units: i64) -> Quantity {
    Quantity::new(units).unwrap()
}

fn reason(text: &str) -> Reason {
    Reason::new(text).unwrap()
}

fn released(cause: ReleaseCause) -> Event {
    Event::StockReleased { reservation_id: reservation_id(), quantity: quantity(3), cause }
}

fn any_quantity() -> impl Strategy<Value = Quantity> {
    (1..=Quantity::MAX.cast_signed()).prop_map(quantity)
}

fn any_reason() -> impl Strategy<Value = Reason> {
    any::<String>().prop_filter_map("not blank", |text| Reason::new(&text).ok())
}

fn any_hold() -> impl Strategy<Value = HoldFor> {
    (1..=i64::from(HoldFor::MAX_MINUTES)).prop_map(|minutes| HoldFor::from_minutes(minutes).unwrap())
}

/// Any moment of the years 1 to 9998.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000..253_370_764_800_000_i64).prop_map(Timestamp::from_millis)
}

fn any_cause() -> impl Strategy<Value = ReleaseCause> {
    prop_oneof![
        any_reason().prop_map(ReleaseCause::Requested),
        Just(ReleaseCause::Expired),
        Just(ReleaseCause::UncommittedPart)
    ]
}

fn any_event() -> impl Strategy<Value = DomainEvent> {
    prop_oneof![
        6 => any_stock_event().prop_map(DomainEvent::from),
        2 => any_order_event().prop_map(DomainEvent::from),
        1 => any_transfer_event().prop_map(DomainEvent::from),
    ]
}

fn any_stock() -> impl Strategy<Value = StockId> {
    any::<(u128, u128)>().prop_map(|(product, store)| StockId {
        product_id: ProductId::from_u128(product),
        store_id: StoreId::from_u128(store),
    })
}

fn any_order_event() -> impl Strategy<Value = order::Event> {
    let line = (any_stock(), any_quantity(), any::<u128>()).prop_map(|(stock_id, quantity, id)| OrderLine {
        stock_id,
        quantity,
        reservation_id: ReservationId::from_u128(id),
    });
    let lines =
        prop::collection::vec(line, 1..20).prop_filter_map("another stock each", |lines| OrderLines::new(lines).ok());
    prop_oneof![
        (any::<u128>(), prop::option::of(any_hold()), prop::option::of(any_moment()), lines).prop_map(
            |(customer, hold_for, expires_at, lines)| {
                let customer_id = CustomerId::from_u128(customer);
                order::Event::OrderPlaced { customer_id, hold_for, expires_at, lines }
            }
        ),
        Just(order::Event::OrderCommitted),
        Just(order::Event::OrderReleased { cause: OrderReleaseCause::Expired }),
        any_reason().prop_map(|reason| order::Event::OrderReleased { cause: OrderReleaseCause::Requested(reason) }),
    ]
}

fn any_transfer_event() -> impl Strategy<Value = transfer::Event> {
    prop_oneof![
        (any_stock(), any::<u128>(), any_quantity(), any_reason()).prop_filter_map(
            "another store",
            |(stock, to, quantity, reason)| {
                let route = Route::new(stock.product_id, stock.store_id, StoreId::from_u128(to)).ok()?;
                Some(transfer::Event::TransferStarted { route, quantity, reason })
            }
        ),
        any_quantity().prop_map(|quantity| transfer::Event::TransferReceived { quantity }),
        any_quantity().prop_map(|quantity| transfer::Event::TransferCancelled { quantity }),
    ]
}

fn any_stock_event() -> impl Strategy<Value = Event> {
    let reservation_id = || any::<u128>().prop_map(ReservationId::from_u128);
    let most = StockQuantity::MAX.cast_signed();
    prop_oneof![
        (any_quantity(), any_reason()).prop_map(|(quantity, reason)| Event::StockAdded { quantity, reason }),
        (
            reservation_id(),
            any_quantity(),
            any::<u128>(),
            prop::option::of(any_hold()),
            prop::option::of(any_moment()),
            prop::option::of(any::<u128>())
        )
            .prop_map(|(reservation_id, quantity, customer, hold_for, expires_at, order)| {
                let (customer_id, order_id) = (CustomerId::from_u128(customer), order.map(OrderId::from_u128));
                Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id }
            }),
        (any::<u128>(), any::<u128>(), any_quantity(), any_reason()).prop_map(|(transfer, store, quantity, reason)| {
            let (transfer_id, to_store_id) = (TransferId::from_u128(transfer), StoreId::from_u128(store));
            Event::StockTransferredOut { transfer_id, to_store_id, quantity, reason }
        }),
        (any::<u128>(), any::<u128>(), any_quantity()).prop_map(|(transfer, store, quantity)| {
            let (transfer_id, from_store_id) = (TransferId::from_u128(transfer), StoreId::from_u128(store));
            Event::StockTransferredIn { transfer_id, from_store_id, quantity }
        }),
        (any::<u128>(), any_quantity()).prop_map(|(transfer, quantity)| {
            Event::StockTransferCancelled { transfer_id: TransferId::from_u128(transfer), quantity }
        }),
        (reservation_id(), any::<u128>().prop_map(OrderId::from_u128), any_quantity()).prop_map(
            |(reservation_id, order_id, quantity)| Event::StockCommitted { reservation_id, order_id, quantity }
        ),
        (reservation_id(), any_quantity(), any_cause())
            .prop_map(|(reservation_id, quantity, cause)| Event::StockReleased { reservation_id, quantity, cause }),
        (reservation_id(), any_hold(), any_moment()).prop_map(|(reservation_id, hold_for, expires_at)| {
            Event::ReservationExtended { reservation_id, hold_for, expires_at }
        }),
        (0..=most, -most..=most, any_reason(), prop::option::of(any_moment())).prop_map(
            |(counted, change, reason, counted_at)| Event::StockAdjusted {
                counted: StockQuantity::new(counted).unwrap(),
                change,
                reason,
                counted_at,
            }
        ),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let text = || prop::option::of(any::<String>());
    (text(), text(), text(), text()).prop_map(|(request_id, trace_id, actor, idempotency_key)| Metadata {
        request_id,
        trace_id,
        actor,
        idempotency_key,
        ..Metadata::default()
    })
}
