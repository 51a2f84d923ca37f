//! What may be asked of a store, in terms that stay true while a failing run is made shorter.

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::{STOCKS, STREAMS};

/// One step.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Appends a batch.
    Append(Vec<GroupPlan>),
    /// Loads streams, some twice.
    Load(Vec<usize>),
    /// Reads a page of the log from somewhere on, also from beyond its end.
    Read { after: Index, limit: usize },
    /// Reads a page of a stream.
    StreamPage { stream: usize, after: Index, limit: usize },
    /// Loads a stock as it was at a time around that of one of its events.
    LoadAt { stock: usize, event: Index, off_ms: i64 },
    /// Keeps the state at one of a stock's versions.
    KeepSnapshot { stock: usize, version: Index },
    /// Closes the store, and opens it again.
    Reopen,
    /// Lets time pass.
    Wait { minutes: i64 },
}

/// A group of events to be.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    pub key: Option<KeyPlan>,
    pub parts: Vec<PartPlan>,
    /// How much later than the last event of its streams it was decided.
    pub later_ms: u8,
}

/// An append id to be.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    /// Which of those that are known, if there is one; otherwise a new one.
    pub known: Option<Index>,
    pub is_another_request: bool,
    /// How long the result is; `None` to look the id up only.
    pub result_bytes: Option<u16>,
}

/// A group's part on one stream, to be.
#[derive(Clone, Debug)]
pub struct PartPlan {
    pub stream: usize,
    pub version: VersionPlan,
    pub events: u8,
}

/// The version that is expected.
#[derive(Clone, Debug)]
pub enum VersionPlan {
    /// Where the stream is.
    Actual,
    /// Where it is if all that the batch has asked for so far was appended.
    Hoped,
    Behind(u8),
    Ahead(u8),
}

pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => prop::collection::vec(group(), 0..6).prop_map(Operation::Append),
        2 => prop::collection::vec(0..STREAMS, 0..5).prop_map(Operation::Load),
        2 => (any::<Index>(), 1usize..12).prop_map(|(after, limit)| Operation::Read { after, limit }),
        2 => (0..STREAMS, any::<Index>(), 1usize..7)
            .prop_map(|(stream, after, limit)| Operation::StreamPage { stream, after, limit }),
        2 => (0..STOCKS, any::<Index>(), -1i64..2)
            .prop_map(|(stock, event, off_ms)| Operation::LoadAt { stock, event, off_ms }),
        2 => (0..STOCKS, any::<Index>()).prop_map(|(stock, version)| Operation::KeepSnapshot { stock, version }),
        1 => Just(Operation::Reopen),
        1 => (1i64..900).prop_map(|minutes| Operation::Wait { minutes }),
    ]
}

fn group() -> impl Strategy<Value = GroupPlan> {
    (prop::option::weighted(0.5, key()), prop::collection::vec(part(), 1..4), 0u8..3)
        .prop_map(|(key, parts, later_ms)| GroupPlan { key, parts, later_ms })
}

fn key() -> impl Strategy<Value = KeyPlan> {
    let result_bytes = prop::option::weighted(0.8, prop_oneof![0u16..20, Just(3_000)]);
    (prop::option::weighted(0.4, any::<Index>()), prop::bool::weighted(0.2), result_bytes)
        .prop_map(|(known, is_another_request, result_bytes)| KeyPlan { known, is_another_request, result_bytes })
}

fn part() -> impl Strategy<Value = PartPlan> {
    let version = prop_oneof![
        8 => Just(VersionPlan::Actual),
        4 => Just(VersionPlan::Hoped),
        1 => (1u8..3).prop_map(VersionPlan::Behind),
        1 => (1u8..3).prop_map(VersionPlan::Ahead),
    ];
    let events = prop_oneof![4 => 0u8..4, 1 => 4u8..30];
    (0..STREAMS, version, events).prop_map(|(stream, version, events)| PartPlan { stream, version, events })
}
