//! A small journal, cut at every byte, with a flipped bit at every byte, and torn at every byte of its last batch: that batch is
//! dropped whole and told of, or the store refuses. Nothing before the last batch is ever lost in silence; [`journal`] checks the rest.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::num::NonZero;
use std::panic::catch_unwind;
use std::thread;

use inventory_fuzz::journal::{self, Found, JOURNAL};

/// A damage of the journal, as the property takes it.
type Damage = [u8; 8];

#[test]
fn a_flipped_bit_at_every_byte() {
    let flips: Vec<_> = places().map(|(segment, at)| damage(0, segment, at, at % 8)).collect();
    let (mut dropped, mut refused) = (0, 0);
    for ((segment, at), found) in places().zip(found_with(&flips)) {
        match found {
            Found::Refused(_) => refused += 1,
            Found::Opened { events, dropped: Some(batch) } => {
                assert!(batch.file.ends_with(name_of(segment)), "byte {at}: {batch:?}");
                assert!(events == 9 || events == 12, "{}, byte {at}: {events}", name_of(segment));
                dropped += 1;
            }
            Found::Opened { .. } => panic!("{}, byte {at}: lost in silence", name_of(segment)),
        }
    }
    assert!(dropped > 500 && refused > 1_000, "{dropped} dropped, {refused} refused");
}

#[test]
fn a_file_cut_at_every_byte() {
    let cuts: Vec<_> = places().map(|(segment, at)| damage(4, segment, at, 0)).collect();
    for ((segment, at), found) in places().zip(found_with(&cuts)) {
        assert!(matches!(found, Found::Refused(_)), "{} cut at {at}: {found:?}", name_of(segment));
    }
}

/// A batch is written at once, and may be torn anywhere when the machine stops: as zeros from some byte on.
#[test]
fn a_last_batch_torn_at_every_byte() {
    let last = JOURNAL.batches.last().unwrap();
    let tears: Vec<_> = last.bytes.clone().map(|at| damage(6, last.segment, at, 0)).collect();
    for (at, found) in last.bytes.clone().zip(found_with(&tears)) {
        let Found::Opened { events: 9, dropped } = found else { panic!("torn at {at}: {found:?}") };
        let dropped = dropped.map(|batch| (batch.file.file_name().unwrap().to_owned(), batch.offset));
        let told = (name_of(last.segment).into(), last.bytes.start as u64);
        let expected = (at > last.bytes.start).then_some(told); // Else nothing of it was written.
        assert_eq!(dropped, expected, "torn at {at}");
    }
}

/// Every byte of the journal, by its segment.
fn places() -> impl Iterator<Item = (usize, usize)> {
    JOURNAL.segments.iter().enumerate().flat_map(|(segment, bytes)| (0..bytes.len()).map(move |at| (segment, at)))
}

fn name_of(segment: usize) -> String {
    format!("{:08}.jsonl", segment + 1)
}

fn damage(kind: u8, segment: usize, at: usize, bit: usize) -> Damage {
    let [at_high, at_low] = u16::try_from(at).unwrap().to_be_bytes();
    [kind, u8::try_from(segment).unwrap(), at_high, at_low, 0, u8::try_from(bit).unwrap(), 0, 0]
}

/// What became of the journal with each of these damages alone, in their order; as many are tried at a time as there are cores.
fn found_with(damages: &[Damage]) -> Vec<Found> {
    let found = |damage: &Damage| {
        let found = catch_unwind(|| journal::check_with(damage, journal::open));
        found.unwrap_or_else(|_| panic!("the property is broken by {damage:?}"))
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<&[Damage]> = damages.chunks(damages.len().div_ceil(threads)).collect();
    thread::scope(|scope| {
        let parts: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || part.iter().map(found).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}
