//! What it costs to write events, metadata and states, and to read them: events (or states) a second.
//!
//! Not measured: checksums, envelopes, `SQLite`. The limits: `copy` copies the bytes that writing makes; `parse` has `serde_json` go over
//! the bytes that are read, and keep nothing.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::error::Error;
use std::hint::black_box;

use inventory_domain::inventory::{Event, evolve};
use inventory_domain::order::{self, OrderLines};
use inventory_domain::{CustomerId, DomainEvent, HoldFor, Inventory, OrderId, Timestamp};
use inventory_eventstore::event_codec::{
    SCHEMA_VERSION, decode_event, decode_metadata, encode_event, encode_metadata, event_type,
};
use inventory_eventstore::state_codec::{decode_state, encode_state};
use serde::de::IgnoredAny;

use measuring::Measuring;
use shop::{added, fresh_reservation, metadata, reserved, stock, units};

mod measuring;
mod shop;

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("codec");
    let reservation_id = fresh_reservation();
    let committed = Event::StockCommitted { reservation_id, order_id: OrderId::from_u128(7), quantity: units(1) };
    for (name, event) in [
        ("StockAdded", added().into()),
        ("StockReserved", reserved(reservation_id, NOW).into()),
        ("StockCommitted", committed.into()),
        ("OrderPlaced of 10 lines", order_of(10)),
    ] {
        events(&mut measuring, name, &event);
    }
    request(&mut measuring);
    for live in [1_000, 50_000] {
        states(&mut measuring, live);
    }
    measuring.report()
}

fn events(measuring: &mut Measuring, name: &str, event: &DomainEvent) {
    let mut bytes = Vec::new();
    _ = encode_event(event, &mut bytes);
    let (kind, text) = (event_type(event), String::from_utf8(bytes).unwrap());
    measuring.compare(&format!("encode {name}"), 1, &[("codec", "copy")], |group| {
        let mut out = Vec::new();
        group.bench_function("codec", |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_event(black_box(event), &mut out)
            });
        });
        group.bench_function("copy", |bencher| bencher.iter(|| copy(&text, &mut out)));
    });
    measuring.compare(&format!("decode {name}"), 1, &[("codec", "parse")], |group| {
        group.bench_function("codec", |bencher| {
            bencher.iter(|| decode_event(kind, SCHEMA_VERSION, black_box(&text)).unwrap());
        });
        group.bench_function("parse", |bencher| bencher.iter(|| parse(text.as_bytes())));
    });
}

fn request(measuring: &mut Measuring) {
    let metadata = metadata();
    let mut bytes = Vec::new();
    encode_metadata(&metadata, &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    measuring.compare("encode metadata", 1, &[("codec", "copy")], |group| {
        let mut out = Vec::new();
        group.bench_function("codec", |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_metadata(black_box(&metadata), &mut out);
            });
        });
        group.bench_function("copy", |bencher| bencher.iter(|| copy(&text, &mut out)));
    });
    measuring.compare("decode metadata", 1, &[("codec", "parse")], |group| {
        group.bench_function("codec", |bencher| bencher.iter(|| decode_metadata(black_box(&text)).unwrap()));
        group.bench_function("parse", |bencher| bencher.iter(|| parse(text.as_bytes())));
    });
}

fn states(measuring: &mut Measuring, live: u32) {
    let events = (0..live).map(|_| reserved(fresh_reservation(), NOW));
    let state = events.fold(evolve(Inventory::default(), &added(), NOW), |state, event| evolve(state, &event, NOW));
    let bytes = encode_state(&state);
    let text = str::from_utf8(&bytes).unwrap();
    measuring.compare(&format!("encode a state of {live} reservations"), 1, &[("codec", "copy")], |group| {
        group.bench_function("codec", |bencher| bencher.iter(|| encode_state(black_box(&state))));
        group.bench_function("copy", |bencher| bencher.iter(|| copy(text, &mut Vec::new())));
    });
    measuring.compare(&format!("decode a state of {live} reservations"), 1, &[("codec", "parse")], |group| {
        group.bench_function("codec", |bencher| {
            bencher.iter(|| decode_state(black_box(&bytes), Inventory::CLOSED_REMEMBERED).unwrap());
        });
        group.bench_function("parse", |bencher| bencher.iter(|| parse(&bytes)));
    });
}

fn copy(text: &str, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(black_box(text).as_bytes());
    black_box(out);
}

fn parse(bytes: &[u8]) -> IgnoredAny {
    serde_json::from_slice(black_box(bytes)).unwrap()
}

fn order_of(lines: u64) -> DomainEvent {
    let asked: Vec<_> = (0..lines).map(|number| (stock(number), units(1))).collect();
    let lines = OrderLines::summed(&asked, fresh_reservation).unwrap();
    let (hold_for, expires_at) = (Some(HoldFor::DEFAULT), Some(NOW + HoldFor::DEFAULT));
    order::Event::OrderPlaced { customer_id: CustomerId::from_u128(1), hold_for, expires_at, lines }.into()
}
