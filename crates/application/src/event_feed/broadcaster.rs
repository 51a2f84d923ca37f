//! Goes through what is committed, once for all listeners.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use inventory_domain::DomainEvent;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::EventFeedSettings;
use super::board::Board;
use super::mailbox::Mailbox;
use crate::ports::{AppendGroup, CommittedGroup, EventForm, EventLog, NewEvent, RecordedEvent, StoreError};
use crate::{Position, StreamId};

/// Events of one lock of the board: who joins meanwhile waits for no more than that.
const EVENTS_AT_ONCE: usize = 512;

/// A batch that this node has committed.
pub(super) struct Committed {
    pub(super) batch: Arc<Vec<AppendGroup>>,
    pub(super) groups: Vec<CommittedGroup>,
}

/// Puts what is committed into the mailboxes of those who want it; sleeps while nobody listens.
///
/// It is handed what this node commits and needs not read it. What it isn't handed (others have written, or it could not keep up) it reads
/// from the log: it knows by the positions.
pub struct Broadcaster {
    log: Arc<dyn EventLog>,
    form: Arc<dyn EventForm>,
    board: Arc<Board>,
    inbox: mpsc::Receiver<Committed>,
    settings: EventFeedSettings,
}

impl Broadcaster {
    pub(super) fn new(
        log: Arc<dyn EventLog>,
        form: Arc<dyn EventForm>,
        board: Arc<Board>,
        inbox: mpsc::Receiver<Committed>,
        settings: EventFeedSettings,
    ) -> Self {
        Self { log, form, board, inbox, settings }
    }

    /// Works until `stop` comes. `failed` hears of each time that the log could not be read, with the cause.
    pub async fn run(mut self, stop: impl Future<Output = ()>, failed: impl Fn(String)) {
        let mut stop = pin!(stop);
        let mut hint = self.log.appended();
        loop {
            let done = tokio::select! {
                () = &mut stop => return,
                done = self.step(&mut hint) => done,
            };
            if let Err(cause) = done {
                failed(cause.to_string());
                tokio::select! {
                    () = &mut stop => return,
                    () = sleep(Duration::from_millis(self.settings.poll_ms)) => (),
                }
            }
        }
    }

    async fn step(&mut self, hint: &mut watch::Receiver<Position>) -> Result<(), StoreError> {
        if !self.board.has_joined() {
            while self.inbox.try_recv().is_ok() {} // Nobody waits for it, and it would be kept.
            self.board.somebody_joined.notified().await;
            return Ok(());
        }
        let (linger, poll) = (self.settings.linger_ms, self.settings.poll_ms);
        tokio::select! {
            Some(committed) = self.inbox.recv() => self.hand_on(&committed).await,
            () = is_ahead(hint, &self.board, linger, poll) => self.read_on(None).await,
        }
    }

    /// Hands on what was committed here, after what the log has before it.
    async fn hand_on(&self, committed: &Committed) -> Result<(), StoreError> {
        let mut to_tell = Vec::new();
        let done = self.hand_on_groups(committed, &mut to_tell).await;
        tell(&mut to_tell);
        done
    }

    async fn hand_on_groups(&self, committed: &Committed, to_tell: &mut Vec<Arc<Mailbox>>) -> Result<(), StoreError> {
        for done in &committed.groups {
            let group = &committed.batch[done.index];
            let before = Position(done.position.0 - group.event_count() as u64);
            if before > self.board.position() {
                tell(to_tell);
                self.read_on(Some(before)).await?;
            }
            let events = Handed::of_group(group, before);
            if !self.board.hand_out(&*self.form, events, done.position, to_tell)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads the log and hands on what it has, up to `until`, or to its end.
    async fn read_on(&self, until: Option<Position>) -> Result<(), StoreError> {
        while self.board.has_joined() && until.is_none_or(|until| self.board.position() < until) {
            let events = self.log.read(self.board.position(), self.settings.page_events_max).await?;
            if events.is_empty() {
                return Ok(());
            }
            let mut to_tell = Vec::new();
            for part in events.chunks(EVENTS_AT_ONCE) {
                let end = part.last().map_or(Position::START, |last| last.position);
                self.board.hand_out(&*self.form, part.iter().map(Handed::Recorded), end, &mut to_tell)?;
            }
            tell(&mut to_tell);
        }
        Ok(())
    }
}

/// Comes when the log has had something for a while that nobody has handed over, or when it is time to look whether it has.
async fn is_ahead(hint: &mut watch::Receiver<Position>, board: &Board, linger_ms: u64, poll_ms: u64) {
    let poll = Duration::from_millis(poll_ms);
    while *hint.borrow_and_update() <= board.position() {
        match timeout(poll, hint.changed()).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) => return sleep(poll).await, // The writer has gone, and gives no more hints.
            Err(_) => return,
        }
    }
    sleep(Duration::from_millis(linger_ms)).await;
}

fn tell(owners: &mut Vec<Arc<Mailbox>>) {
    owners.drain(..).for_each(|owner| owner.news.notify_one());
}

/// An event on its way to the listeners.
pub(crate) enum Handed<'a> {
    /// As it was read.
    Recorded(&'a RecordedEvent),
    /// As it was committed.
    Committed {
        /// Where it stands.
        position: Position,
        /// The stream that it is part of.
        stream: StreamId,
        /// Its number in that stream.
        version: u64,
        /// How many events of its group follow it.
        remaining: u64,
        /// The event itself.
        new: &'a NewEvent,
        /// Its group.
        group: &'a AppendGroup,
    },
}

impl<'a> Handed<'a> {
    /// The events of a group that stands right behind `before`.
    pub(crate) fn of_group(group: &'a AppendGroup, before: Position) -> impl Iterator<Item = Self> {
        let all = group.event_count() as u64;
        let events = group.streams.iter().flat_map(|part| {
            let versions = part.expected.version() + 1..;
            versions.zip(&part.events).map(|(version, new)| (part.stream, version, new))
        });
        (1..).zip(events).map(move |(number, (stream, version, new))| Self::Committed {
            position: Position(before.0 + number),
            stream,
            version,
            remaining: all - number,
            new,
            group,
        })
    }

    pub(super) fn position(&self) -> Position {
        match self {
            Self::Recorded(event) => event.position,
            Self::Committed { position, .. } => *position,
        }
    }

    pub(super) fn stream(&self) -> StreamId {
        match self {
            Self::Recorded(event) => event.stream,
            Self::Committed { stream, .. } => *stream,
        }
    }

    pub(super) fn event(&self) -> &DomainEvent {
        match self {
            Self::Recorded(event) => &event.event,
            Self::Committed { new, .. } => &new.event,
        }
    }

    /// The event as the log has it.
    pub(crate) fn recorded(&self) -> Cow<'a, RecordedEvent> {
        match *self {
            Self::Recorded(event) => Cow::Borrowed(event),
            Self::Committed { position, stream, version, remaining, new, group } => Cow::Owned(RecordedEvent {
                position,
                event_id: new.event_id,
                stream,
                version,
                recorded_at: group.recorded_at,
                event: new.event.clone(),
                remaining,
                metadata: Arc::clone(&group.metadata),
            }),
        }
    }
}
