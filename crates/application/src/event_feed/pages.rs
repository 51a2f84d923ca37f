//! Pages of the log.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{EventFeedSettings, EventFilter, FeedError};
use crate::Position;
use crate::ports::{EventForm, EventLog, RecordedEvent, StoreError};

/// Reads the log for those who follow it, a bounded number of them at a time: the command loop's reads come first.
#[derive(Clone)]
pub struct EventPages {
    log: Arc<dyn EventLog>,
    form: Arc<dyn EventForm>,
    turns: Arc<Semaphore>,
    settings: EventFeedSettings,
}

/// Some events in a row of those that a filter lets through.
#[derive(Debug)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<RecordedEvent>,
    /// How far the log was looked through: where the next page goes on, also where this one is empty.
    pub next_after: Position,
    /// Whether the log ended there.
    pub is_end: bool,
}

/// The right to read the log.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl EventPages {
    pub(super) fn new(log: Arc<dyn EventLog>, form: Arc<dyn EventForm>, settings: EventFeedSettings) -> Self {
        Self { log, form, turns: Arc::new(Semaphore::new(settings.reads_max.max(1))), settings }
    }

    /// At most `limit` events after `after` that `filter` lets through.
    ///
    /// # Errors
    ///
    /// [`FeedError`] when the log can't be read, too many do, or `after` is beyond its end.
    pub async fn page(&self, filter: &EventFilter, after: Position, limit: usize) -> Result<EventPage, FeedError> {
        let wait = Duration::from_millis(self.settings.read_wait_ms_max);
        let turn = timeout(wait, self.turn()).await.map_err(|_| FeedError::Overloaded)?;
        let page = self.read(&turn, filter, after, limit, self.settings.look_events_max).await?;
        if page.is_end && page.next_after == after {
            let head = self.log.head().await?;
            if after > head {
                return Err(FeedError::BeyondEnd { after, head });
            }
        }
        Ok(page)
    }

    pub(super) fn settings(&self) -> &EventFeedSettings {
        &self.settings
    }

    pub(super) async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    /// Waits for the right to read.
    pub(super) fn turn(&self) -> impl Future<Output = Turn> + Send + use<> {
        let turns = Arc::clone(&self.turns);
        // An error would mean that the semaphore is closed, which it never is.
        async move { Turn { _permit: turns.acquire_owned().await.ok() } }
    }

    /// At most `limit` events, after looking at about `look_max`.
    pub(super) async fn read(
        &self,
        _: &Turn,
        filter: &EventFilter,
        after: Position,
        limit: usize,
        look_max: usize,
    ) -> Result<EventPage, StoreError> {
        let mut page = EventPage { events: Vec::new(), next_after: after, is_end: false };
        let mut looked_at = 0;
        while looked_at < look_max {
            let wanted = if filter.is_open() { limit - page.events.len() } else { look_max - looked_at };
            let read = self.log.read(page.next_after, wanted.clamp(1, self.settings.page_events_max)).await?;
            if read.is_empty() {
                page.is_end = true;
                break;
            }
            looked_at += read.len();
            // The log never splits a group, and goes over what was asked for where it must; a page is as long as was asked for.
            for event in read {
                page.next_after = event.position;
                if filter.matches(event.stream, self.form.type_of(&event.event)) {
                    page.events.push(event);
                    if page.events.len() == limit {
                        return Ok(page);
                    }
                }
            }
        }
        Ok(page)
    }

    pub(super) fn encode(&self, events: &[RecordedEvent]) -> Result<Vec<u8>, StoreError> {
        let mut encoded = Vec::new();
        events.iter().try_for_each(|event| self.form.encode(event, &mut encoded))?;
        Ok(encoded)
    }
}
