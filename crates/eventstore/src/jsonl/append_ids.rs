//! The append ids of the last day, by hour: where the commit line stands that has each.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{AppendKey, AppendOutcome};
use inventory_domain::Timestamp;
use lru::LruCache;

use super::line::{Commit, Place};

/// How long an id is known after its hour has ended.
const HOURS_KEPT: i64 = 24;

const HOUR_MS: i64 = 3_600_000;

/// Commit lines that are kept after they were read: a batch that is repeated asks for the same one again and again.
const LINES_KEPT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// What was kept under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    request_hash: [u8; 16],
    result: Vec<u8>,
    position: Option<Position>,
}

type ByKey = Arc<HashMap<[u8; 16], Known>>;

/// Where each id is, 24 bytes each.
pub(super) struct AppendIds {
    /// Oldest hour first.
    hours: Vec<(i64, HashMap<[u8; 16], Place>)>,
    lines: LruCache<Place, ByKey>,
}

impl AppendIds {
    pub(super) fn new() -> Self {
        Self { hours: Vec::new(), lines: LruCache::new(LINES_KEPT) }
    }

    /// Takes in the ids of a batch whose commit line stands at `place`.
    pub(super) fn add(&mut self, commit: &Commit, place: Place) {
        let hour = commit.at.div_euclid(HOUR_MS);
        if !commit.keys.is_empty() {
            let ids = commit.keys.iter().map(|key| (key.id.0, place));
            match self.hours.iter_mut().find(|(of, _)| *of == hour) {
                Some((_, known)) => known.extend(ids),
                None => self.hours.push((hour, ids.collect())),
            }
        }
    }

    /// Forgets the ids that are past their day.
    pub(super) fn forget_before(&mut self, now: Timestamp) {
        let now = now.millis().div_euclid(HOUR_MS);
        self.hours.retain(|(hour, _)| hour + 1 + HOURS_KEPT > now);
    }

    /// What an earlier append under the same id means for this one; `read` has the commit line at a place.
    pub(super) fn find<E>(
        &mut self,
        key: &AppendKey,
        read: impl Fn(Place) -> Result<Commit, E>,
    ) -> Result<Option<AppendOutcome>, E> {
        let place = self.hours.iter().rev().find_map(|(_, ids)| ids.get(&key.append_id).copied());
        let Some(place) = place else { return Ok(None) };
        let known = match self.lines.get(&place) {
            Some(known) => Arc::clone(known),
            None => {
                let known = Arc::new(known_of(&read(place)?));
                self.lines.put(place, Arc::clone(&known));
                known
            }
        };
        Ok(known.get(&key.append_id).map(|known| outcome(known, key)))
    }
}

/// What an id that is known means for a group with `key`.
pub(super) fn outcome(known: &Known, key: &AppendKey) -> AppendOutcome {
    if known.request_hash == key.request_hash {
        AppendOutcome::Repeated { result: known.result.clone(), position: known.position }
    } else {
        AppendOutcome::AppendIdReused
    }
}

impl Known {
    pub(super) fn new(request_hash: [u8; 16], result: Vec<u8>, position: Option<Position>) -> Self {
        Self { request_hash, result, position }
    }
}

fn known_of(commit: &Commit) -> HashMap<[u8; 16], Known> {
    let known = commit.keys.iter().map(|key| {
        let result = super::line::from_hex(&key.result).unwrap_or_default();
        (key.id.0, Known { request_hash: key.hash.0, result, position: key.position.map(Position) })
    });
    known.collect()
}
