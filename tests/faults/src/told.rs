//! What was asked of a store and what it said, and whether that is what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, LoadedStream, Metadata, RecordedEvent, StoreError,
};
use inventory_application::{Position, StreamId};
use inventory_domain::inventory::evolve;
use inventory_domain::{DomainEvent, Inventory, Timestamp};

use crate::stores::Opened;

/// Events of a page of the log: fewer than there are, so that there are several.
const PAGE: usize = 40;

/// Whether a batch has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    There,
    /// Nobody knows: it is there whole or not at all.
    WholeOrNot,
    /// It was said that nothing has happened.
    NotThere,
}

/// A batch that was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The groups.
    pub groups: Arc<Vec<AppendGroup>>,
    /// What is known of it.
    pub fate: Fate,
    /// The time at which it was asked for: keys are forgotten in the end.
    pub at: Timestamp,
}

/// How long a key is known at least.
const KEY_KEPT_MS: i64 = 24 * 3_600_000;

/// Checks that what is there is what was told. `fate` says what is known of each batch, by its place.
///
/// # Errors
///
/// What is wrong.
pub async fn check(
    opened: &Opened,
    asked: &[Asked],
    fate: impl Fn(usize) -> Fate,
    now: Timestamp,
) -> Result<(), String> {
    let log = read_all(opened).await.map_err(|error| format!("the log can't be read: {error:?}"))?;
    check_log(&log)?;
    let places: HashMap<u128, usize> =
        log.iter().enumerate().map(|(place, event)| (event.event_id.0.as_u128(), place)).collect();
    let mut known: BTreeSet<u128> = BTreeSet::new();
    for (number, batch) in asked.iter().enumerate() {
        let ids: Vec<u128> = batch.groups.iter().flat_map(ids).collect();
        let there = ids.iter().filter(|id| places.contains_key(id)).count();
        let is_there = there == ids.len();
        known.extend(&ids);
        match fate(number) {
            Fate::There if !is_there => {
                return Err(format!("batch {number} was acknowledged, and {there} of {} events are there", ids.len()));
            }
            Fate::NotThere if there > 0 => {
                return Err(format!("batch {number} had not happened, and {there} events are there"));
            }
            Fate::WholeOrNot if there > 0 && !is_there => {
                return Err(format!("batch {number} is half there: {there} of {} events", ids.len()));
            }
            _ => (),
        }
        if is_there {
            check_batch(number, batch, &log, places[&ids[0]])?;
        }
        let is_kept = now.millis() - batch.at.millis() < KEY_KEPT_MS;
        for group in batch.groups.iter().filter(|group| group.key.is_some() && is_kept) {
            check_key(opened, number, group, is_there.then(|| &log[places[&last_id(group)]])).await?;
        }
    }
    if let Some(stranger) = places.keys().find(|id| !known.contains(id)) {
        return Err(format!("event {stranger:x} was never asked for"));
    }
    check_streams(opened, &log).await
}

/// The whole log, page by page.
///
/// # Errors
///
/// What the store says.
pub(crate) async fn read_all(opened: &Opened) -> Result<Vec<RecordedEvent>, StoreError> {
    let mut log: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = log.last().map_or(Position::START, |event| event.position);
        let page = opened.log.read(after, PAGE).await?;
        if page.is_empty() {
            return Ok(log);
        }
        log.extend(page);
    }
}

/// Positions, versions and groups have no gap.
pub(crate) fn check_log(log: &[RecordedEvent]) -> Result<(), String> {
    let (mut versions, mut remaining) = (HashMap::<StreamId, u64>::new(), 0);
    for (event, position) in log.iter().zip(1..) {
        if event.position != Position(position) {
            return Err(format!("event {} stands where {position} should", event.position));
        }
        let version = versions.entry(event.stream).or_default();
        *version += 1;
        if event.version != *version {
            return Err(format!("event {position} is version {} of its stream, not {version}", event.version));
        }
        if remaining > 0 && event.remaining != remaining - 1 {
            return Err(format!("event {position} is not the next of its group"));
        }
        remaining = event.remaining;
    }
    if remaining == 0 { Ok(()) } else { Err(format!("{remaining} events of the last group are missing")) }
}

fn ids(group: &AppendGroup) -> impl Iterator<Item = u128> {
    group.streams.iter().flat_map(|part| &part.events).map(|event| event.event_id.0.as_u128())
}

fn last_id(group: &AppendGroup) -> u128 {
    ids(group).last().expect("every group of a test has events")
}

/// A batch stands in the log as it was asked for.
fn check_batch(number: usize, batch: &Asked, log: &[RecordedEvent], first: usize) -> Result<(), String> {
    let events = batch.groups.iter().flat_map(|group| group.streams.iter().map(move |part| (group, part)));
    let events = events.flat_map(|(group, part)| part.events.iter().map(move |event| (group, part.stream, event)));
    for ((group, stream, event), found) in events.zip(&log[first..]) {
        let is_it = found.event_id == event.event_id
            && found.stream == stream
            && found.event == event.event
            && found.recorded_at == group.recorded_at;
        if !is_it {
            return Err(format!("batch {number} is not there as it was asked for, at {}", found.position));
        }
    }
    Ok(())
}

/// A key is known where its group is there, and where it isn't, it isn't.
async fn check_key(
    opened: &Opened,
    number: usize,
    group: &AppendGroup,
    last: Option<&RecordedEvent>,
) -> Result<(), String> {
    let Some(key) = &group.key else { return Ok(()) };
    let look = AppendGroup {
        key: Some(AppendKey { result: None, ..key.clone() }),
        streams: Vec::new(),
        recorded_at: group.recorded_at,
        metadata: Arc::new(Metadata::default()),
    };
    let outcome = opened.events.append(Arc::new(vec![look])).await.map_err(|error| format!("a key: {error:?}"))?;
    let expected = match last {
        Some(last) => {
            AppendOutcome::Repeated { result: key.result.clone().unwrap_or_default(), position: Some(last.position) }
        }
        None => AppendOutcome::Appended { position: None },
    };
    if outcome == [expected] {
        return Ok(());
    }
    Err(format!(
        "batch {number} is {}, and its key says {outcome:?}",
        if last.is_some() { "there" } else { "not there" }
    ))
}

/// What is loaded of each stream, by its snapshot or not, is what the log says.
pub(crate) async fn check_streams(opened: &Opened, log: &[RecordedEvent]) -> Result<(), String> {
    let mut streams: BTreeMap<String, (StreamId, Vec<&RecordedEvent>)> = BTreeMap::new();
    for event in log {
        streams.entry(event.stream.to_string()).or_insert_with(|| (event.stream, Vec::new())).1.push(event);
    }
    let all: Vec<StreamId> = streams.values().map(|(stream, _)| *stream).collect();
    let loaded = opened.events.load(all).await.map_err(|error| format!("streams can't be loaded: {error:?}"))?;
    for ((stream, events), loaded) in streams.values().zip(loaded) {
        let position = events.last().map_or(Position::START, |event| event.position);
        if (loaded.version, loaded.position) != (events.len() as u64, position) {
            return Err(format!("{stream} is loaded at version {}, it has {} events", loaded.version, events.len()));
        }
        let by_log =
            events.iter().fold(Inventory::default(), |state, event| fold(state, &event.event, event.recorded_at));
        if folded(&loaded) != by_log {
            return Err(format!("{stream} is loaded as another state than its events make"));
        }
    }
    Ok(())
}

/// A stock's state by what was loaded of it.
#[must_use]
pub fn folded(loaded: &LoadedStream) -> Inventory {
    let start = loaded.snapshot.as_deref().cloned().unwrap_or_default();
    loaded.events.iter().fold(start, |state, past| fold(state, &past.event, past.recorded_at))
}

fn fold(state: Inventory, event: &DomainEvent, recorded_at: Timestamp) -> Inventory {
    match event {
        DomainEvent::Inventory(event) => evolve(state, event, recorded_at),
        DomainEvent::Order(_) | DomainEvent::Transfer(_) => state,
    }
}
