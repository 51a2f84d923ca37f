//! Whether two events have the same name, exactly and in bounded memory.

use std::collections::HashMap;

use crate::ports::RecordedEvent;
use crate::{EventId, Position};

/// Looks for ids that are there twice, in one look at the log or in several.
///
/// Ids are made in order, so nearly every one is greater than all before it, and can be none of them. Only those that are not are
/// remembered, at most so many at a time, and looked for in the whole log again.
pub struct EventIds {
    suspects_max: usize,
    largest: Option<EventId>,
    /// Ids that may be there twice, with where they were found; to be looked for in this look.
    wanted: HashMap<EventId, Position>,
    /// The same, of this look, for the next one.
    suspects: HashMap<EventId, Position>,
    /// What is before it was looked at for suspects in earlier looks.
    from: Position,
    /// The first suspect that there was no room for: where the next look goes on.
    left: Option<Position>,
}

impl EventIds {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(suspects_max: usize) -> Self {
        Self {
            suspects_max,
            largest: None,
            wanted: HashMap::new(),
            suspects: HashMap::new(),
            from: Position::START,
            left: None,
        }
    }

    /// Takes in the next event of a look; `Some` says what is wrong.
    pub fn observe(&mut self, event: &RecordedEvent) -> Option<String> {
        let EventIds { largest, wanted, suspects, .. } = self;
        let wanted = if wanted.is_empty() { None } else { wanted.get(&event.event_id) };
        let mut twin = wanted.copied().filter(|position| *position != event.position);
        if largest.is_some_and(|largest| event.event_id <= largest) {
            if event.position >= self.from && self.left.is_none() {
                if let Some(known) = suspects.get(&event.event_id) {
                    twin = twin.or(Some(*known));
                } else if suspects.len() < self.suspects_max {
                    suspects.insert(event.event_id, event.position);
                } else {
                    self.left = Some(event.position);
                }
            }
        } else {
            *largest = Some(event.event_id);
        }
        twin.map(|twin| format!("event {} has the same id as event {twin}", event.position))
    }

    /// Ends a look; whether there has to be another one.
    pub fn look_again(&mut self) -> bool {
        self.wanted = std::mem::take(&mut self.suspects);
        self.largest = None;
        self.from = self.left.take().unwrap_or(Position(u64::MAX));
        !self.wanted.is_empty()
    }
}
