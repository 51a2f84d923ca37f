//! One who follows the log live.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::board::Seat;
use super::mailbox::{Mailbox, Taken};
use super::pages::Turn;
use super::{EventFilter, EventPages, FeedError};
use crate::Position;

/// Bytes of one piece, about: what a connection takes at a time.
const PIECE_BYTES: usize = 65_536;

/// One who follows the log live: every event that its filter lets through, in order, each once.
pub struct Listener {
    seat: Seat,
    pages: EventPages,
    filter: EventFilter,
    /// It has everything up to here.
    seen: Position,
    place: Place,
    /// The turn to read that it waits for: it is not given up when the wait is interrupted.
    turn: Option<Pin<Box<dyn Future<Output = Turn> + Send>>>,
    closing: watch::Receiver<bool>,
}

/// Where a listener is.
enum Place {
    /// Behind the broadcaster: it reads the log, whose end it has seen or not.
    Behind { is_end: bool },
    /// It has a mailbox, and reads the log up to where that begins.
    Near { mailbox: Arc<Mailbox>, until: Position },
    /// It has a mailbox, and has all that was before it.
    There { mailbox: Arc<Mailbox> },
}

/// What a listener gets at a time.
#[derive(Debug)]
pub struct Piece {
    /// Events, one after the other, as they are encoded; empty where there were none for a while.
    pub events: Vec<u8>,
    /// The listener has everything up to here: where it goes on, in case it is cut off.
    pub seen: Position,
}

impl Listener {
    pub(super) fn new(
        seat: Seat,
        pages: EventPages,
        filter: EventFilter,
        after: Position,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { seat, pages, filter, seen: after, place: Place::Behind { is_end: false }, turn: None, closing }
    }

    /// The listener has everything up to here.
    #[must_use]
    pub fn seen(&self) -> Position {
        self.seen
    }

    /// Waits for the next events, until `until` at the longest. It may be dropped at any time, and nothing is lost.
    ///
    /// # Errors
    ///
    /// [`FeedError::Closed`] when the feed ends; [`FeedError::Store`] when the log can't be read. Either way the listener goes on
    /// later, with a new one, from where it is.
    pub async fn next(&mut self, until: Instant) -> Result<Piece, FeedError> {
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            // An error means that the feed is gone.
            _ = closing.wait_for(|is_closing| *is_closing) => Err(FeedError::Closed),
            piece = self.piece(until) => piece,
        }
    }

    async fn piece(&mut self, until: Instant) -> Result<Piece, FeedError> {
        loop {
            let is_last_look = Instant::now() >= until;
            let found = match &self.place {
                Place::There { mailbox } => {
                    let mailbox = Arc::clone(mailbox);
                    self.take_from_mailbox(&mailbox, until).await
                }
                Place::Near { until: end, .. } if self.seen >= *end => {
                    self.arrive();
                    None
                }
                Place::Near { .. } => self.read_log(until).await?,
                Place::Behind { is_end } => {
                    let is_end = *is_end;
                    if self.join(is_end) { None } else { self.read_log(until).await? }
                }
            };
            match found {
                Some(events) => return Ok(Piece { events, seen: self.seen }),
                None if is_last_look => return Ok(Piece { events: Vec::new(), seen: self.seen }),
                None => (),
            }
        }
    }

    /// Asks for a mailbox, if the broadcaster is near.
    fn join(&mut self, is_end: bool) -> bool {
        let near = self.pages.settings().page_events_max as u64;
        match self.seat.board.join(self.filter.interests(), self.seen, is_end, near) {
            Some((mailbox, until)) => {
                self.place = Place::Near { mailbox, until };
                true
            }
            None => false,
        }
    }

    fn arrive(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Behind { is_end: false });
        self.place = match place {
            Place::Near { mailbox, .. } | Place::There { mailbox } => {
                mailbox.skip(self.seen); // It may have read on further than it had to.
                Place::There { mailbox }
            }
            Place::Behind { .. } => place,
        };
    }

    async fn take_from_mailbox(&mut self, mailbox: &Arc<Mailbox>, until: Instant) -> Option<Vec<u8>> {
        let position = self.seat.board.position(); // Before the look: what it covers is in the mailbox by now.
        match mailbox.take(PIECE_BYTES) {
            Taken::Events(events, last) => {
                self.seen = last;
                return Some(events);
            }
            Taken::Overflow => self.place = Place::Behind { is_end: false },
            Taken::Nothing => {
                self.seen = self.seen.max(position);
                tokio::select! {
                    () = mailbox.news.notified() => (),
                    () = sleep_until(until) => (),
                }
            }
        }
        None
    }

    /// A page of the log, as soon as it is this one's turn.
    async fn read_log(&mut self, until: Instant) -> Result<Option<Vec<u8>>, FeedError> {
        let pages = self.pages.clone();
        let waiting = self.turn.get_or_insert_with(|| Box::pin(pages.turn()));
        let turn = tokio::select! {
            biased; // Who is late all the same reads a page.
            turn = waiting => turn,
            () = sleep_until(until) => return Ok(None),
        };
        self.turn = None;
        let page_max = pages.settings().page_events_max;
        let page = pages.read(&turn, &self.filter, self.seen, page_max, page_max).await?;
        drop(turn);
        let events = pages.encode(&page.events)?;
        self.seen = page.next_after;
        if let Place::Behind { is_end } = &mut self.place {
            *is_end = page.is_end;
        }
        Ok(Some(events).filter(|events| !events.is_empty()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Place::Near { mailbox, .. } | Place::There { mailbox } = &self.place {
            self.seat.board.leave(mailbox);
        }
    }
}
