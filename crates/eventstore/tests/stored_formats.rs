//! Every format that was ever written still reads, and today's is written as it was.
//!
//! A file under `stored_formats/v1` is one event as it stands in the log: its type, its data, its metadata. Files are
//! never changed: a new format gets a folder of its own.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use inventory_application::ports::Metadata;
use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::{CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, Timestamp};
use inventory_eventstore::event_codec::{
    CodecError, decode_event, decode_metadata, decode_schema_version, encode_event, encode_metadata,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

#[test]
fn stock_added() {
    check(
        "stock_added",
        &Event::StockAdded { quantity: quantity(120), reason: reason("Delivery 4711, \"spring\" 📦") },
    );
}

#[test]
fn stock_reserved() {
    let event = Event::StockReserved {
        reservation_id: reservation_id(),
        quantity: quantity(3),
        customer_id: CustomerId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0001),
        hold_for: HoldFor::from_minutes(30).ok(),
        expires_at: Some(Timestamp::from_millis(1_763_944_200_005)),
    };
    check("stock_reserved", &event);
}

#[test]
fn stock_reserved_without_a_deadline() {
    let event = Event::StockReserved {
        reservation_id: reservation_id(),
        quantity: quantity(1),
        customer_id: CustomerId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0001),
        hold_for: None,
        expires_at: None,
    };
    check("stock_reserved_without_a_deadline", &event);
}

#[test]
fn stock_committed() {
    let order_id = OrderId::from_u128(0x0000_0000_0000_4000_a000_0000_0000_0002);
    check(
        "stock_committed",
        &Event::StockCommitted { reservation_id: reservation_id(), order_id, quantity: quantity(2) },
    );
}

#[test]
fn stock_released_on_request() {
    check("stock_released_on_request", &released(ReleaseCause::Requested(reason("The customer has left"))));
}

#[test]
fn stock_released_after_its_deadline() {
    check("stock_released_after_its_deadline", &released(ReleaseCause::Expired));
}

#[test]
fn stock_released_as_the_uncommitted_part() {
    check("stock_released_as_the_uncommitted_part", &released(ReleaseCause::UncommittedPart));
}

#[test]
fn reservation_extended() {
    let hold_for = HoldFor::from_minutes(45).unwrap();
    let expires_at = Timestamp::from_millis(1_763_945_100_000);
    check(
        "reservation_extended",
        &Event::ReservationExtended { reservation_id: reservation_id(), hold_for, expires_at },
    );
}

#[test]
fn stock_adjusted() {
    let counted = StockQuantity::new(117).unwrap();
    check("stock_adjusted", &Event::StockAdjusted { counted, change: -3, reason: reason("Stocktaking") });
}

#[test]
fn every_file_has_a_test() {
    let mut names: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let tests = include_str!("stored_formats.rs");
    for name in names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()) {
        assert!(tests.contains(&format!("fn {name}()")), "{name} is read by nobody");
    }
    assert_eq!(names.len(), 9);
}

#[test]
fn an_unknown_type_is_refused() {
    check_refused("StockEatenEvent", 1, "{}", r#"unknown event type "StockEatenEvent""#);
}

#[test]
fn a_schema_version_from_the_future_is_refused() {
    let data = r#"{"quantity":1,"reason":"x"}"#;
    check_refused("StockAddedEvent", 2, data, "schema version 2 is newer than this program");
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
        prop_assert_eq!(decode_schema_version(&written).unwrap(), 1);
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

/// The file `name` reads as `event`, and `event` is written as the file has it.
#[track_caller]
fn check(name: &str, event: &Event) {
    #[derive(Deserialize)]
    struct Stored<'a> {
        event_type: &'a str,
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let stored: Stored<'_> = serde_json::from_str(&text).unwrap();
    let (metadata, schema_version) = decode_metadata(stored.metadata.get()).unwrap();
    assert_eq!(decode_event(stored.event_type, schema_version, stored.data.get()).unwrap(), *event);
    let (event_type, data, written) = encode(event, &metadata);
    assert_eq!((event_type, data.as_str()), (stored.event_type, stored.data.get()));
    assert_eq!(written, stored.metadata.get());
}

#[track_caller]
fn check_refused(event_type: &str, schema_version: u32, data: &str, says: &str) {
    let error: CodecError = decode_event(event_type, schema_version, data).expect_err(data);
    assert!(error.to_string().contains(says), "{error}");
}

fn encode(event: &Event, metadata: &Metadata) -> (&'static str, String, String) {
    let (mut data, mut written) = (Vec::new(), Vec::new());
    let event_type = encode_event(event, &mut data);
    encode_metadata(metadata, &mut written);
    (event_type, String::from_utf8(data).unwrap(), String::from_utf8(written).unwrap())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored_formats/v1")
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

fn any_event() -> impl Strategy<Value = Event> {
    let reservation_id = || any::<u128>().prop_map(ReservationId::from_u128);
    let most = StockQuantity::MAX.cast_signed();
    prop_oneof![
        (any_quantity(), any_reason()).prop_map(|(quantity, reason)| Event::StockAdded { quantity, reason }),
        (reservation_id(), any_quantity(), any::<u128>(), prop::option::of(any_hold()), prop::option::of(any_moment()))
            .prop_map(|(reservation_id, quantity, customer, hold_for, expires_at)| {
                let customer_id = CustomerId::from_u128(customer);
                Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at }
            }),
        (reservation_id(), any::<u128>().prop_map(OrderId::from_u128), any_quantity()).prop_map(
            |(reservation_id, order_id, quantity)| Event::StockCommitted { reservation_id, order_id, quantity }
        ),
        (reservation_id(), any_quantity(), any_cause())
            .prop_map(|(reservation_id, quantity, cause)| Event::StockReleased { reservation_id, quantity, cause }),
        (reservation_id(), any_hold(), any_moment()).prop_map(|(reservation_id, hold_for, expires_at)| {
            Event::ReservationExtended { reservation_id, hold_for, expires_at }
        }),
        (0..=most, -most..=most, any_reason()).prop_map(|(counted, change, reason)| Event::StockAdjusted {
            counted: StockQuantity::new(counted).unwrap(),
            change,
            reason,
        }),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let text = || prop::option::of(any::<String>());
    (text(), text(), text(), text()).prop_map(|(request_id, trace_id, actor, idempotency_key)| Metadata {
        request_id,
        trace_id,
        actor,
        idempotency_key,
    })
}
