//! The newest events of the log, kept in memory for who follows it closely.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::Position;
use crate::event_feed::Handed;
use crate::ports::{AppendGroup, CommitListener, CommittedGroup, EventLog, RecordedEvent, StoreError};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// An [`EventLog`] that answers from what this node has just committed, where that goes on right behind what its reader has seen:
/// nothing is read back from the store, and decoded, that was here a moment ago.
///
/// The log alone is the truth. What isn't here (an earlier run's or another node's events, what a reader that is far behind
/// wants, what was too much to keep) is read from it, and so is what may follow the last event that is here.
///
/// For one reader that goes on: what it has seen is forgotten. Others find less here, and nothing wrong.
pub struct RecentEvents {
    log: Arc<dyn EventLog>,
    events_max: usize,
    recent: Mutex<Recent>,
    appended: watch::Sender<Position>,
}

/// Batches without a gap between them.
#[derive(Default)]
struct Recent {
    batches: VecDeque<Arc<Committed>>,
    events: usize,
}

struct Committed {
    batch: Arc<Vec<AppendGroup>>,
    groups: Vec<CommittedGroup>,
    /// Behind which event it stands, and its last event.
    before: Position,
    end: Position,
}

impl RecentEvents {
    /// Keeps about `events_max` events in front of `log`, the newest batch in any case.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, events_max: usize) -> Self {
        let head = *log.appended().borrow();
        Self { log, events_max, recent: Mutex::default(), appended: watch::channel(head).0 }
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batches that have the next `limit` events after `after`; none where the log has to be asked.
    fn batches_after(&self, after: Position, limit: usize) -> Vec<Arc<Committed>> {
        let mut recent = self.lock();
        while recent.batches.front().is_some_and(|oldest| oldest.end <= after) {
            recent.forget_oldest();
        }
        if recent.batches.front().is_none_or(|oldest| oldest.before > after) {
            return Vec::new();
        }
        let end = Position(after.0.saturating_add(limit as u64));
        recent.batches.iter().take_while(|batch| batch.before < end).cloned().collect()
    }
}

impl Recent {
    fn forget_oldest(&mut self) {
        let oldest = self.batches.pop_front();
        self.events -= oldest.map_or(0, |oldest| oldest.events());
    }
}

impl Committed {
    /// `None` where nothing was added, or something stands between its groups.
    fn new(batch: &Arc<Vec<AppendGroup>>, groups: Vec<CommittedGroup>) -> Option<Self> {
        let ([first, ..], Some(last)) = (&groups[..], groups.last()) else { return None };
        let events: u64 = groups.iter().map(|done| batch[done.index].event_count() as u64).sum();
        let before = Position(first.position.0 - batch[first.index].event_count() as u64);
        let end = last.position;
        (before.0 + events == end.0).then(|| Self { batch: Arc::clone(batch), groups, before, end })
    }

    fn events(&self) -> usize {
        usize::try_from(self.end.0 - self.before.0).unwrap_or(usize::MAX)
    }
}

impl CommitListener for RecentEvents {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        let Some(end) = committed.last().map(|last| last.position) else { return };
        let committed = Committed::new(batch, committed);
        let mut recent = self.lock();
        let follows = recent.batches.back().zip(committed.as_ref()).is_none_or(|(last, next)| last.end == next.before);
        if committed.is_none() || !follows {
            *recent = Recent::default();
        }
        if let Some(committed) = committed {
            recent.events += committed.events();
            recent.batches.push_back(Arc::new(committed));
        }
        while recent.events > self.events_max && recent.batches.len() > 1 {
            recent.forget_oldest();
        }
        drop(recent);
        self.appended.send_replace(end); // Afterwards: who is woken by it finds the events.
    }
}

#[async_trait]
impl EventLog for RecentEvents {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let batches = self.batches_after(after, limit);
        let Some(last) = batches.last() else { return self.log.read(after, limit).await };
        let mut events = Vec::with_capacity(limit.min(usize::try_from(last.end.0 - after.0).unwrap_or(usize::MAX)));
        for committed in &batches {
            for done in committed.groups.iter().filter(|done| done.position > after) {
                if events.len() >= limit {
                    return Ok(events);
                }
                let group = &committed.batch[done.index];
                let before = Position(done.position.0 - group.event_count() as u64);
                events.extend(Handed::of_group(group, before).map(|event| event.recorded().into_owned()));
            }
        }
        Ok(events)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    /// Of what this node has committed: of what others have, readers hear when they look by themselves.
    fn appended(&self) -> watch::Receiver<Position> {
        self.appended.subscribe()
    }
}
