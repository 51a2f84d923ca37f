//! The log for those who follow it from outside: by pages, and live.
//!
//! A page is read from the log. A listener gets what is committed from this process's memory: one [`Broadcaster`] goes through
//! each event once, finds those who asked for it by what they asked for, has it encoded once for all of them and puts it into
//! their mailboxes. So listeners to whom nothing happens cost nothing, however busy the log is. Who isn't where the
//! broadcaster is (it has just come back, or takes its events too slowly and its mailbox was full) reads pages of the log until it
//! is there. Nothing is missed at either turn: positions have no gap, so what the broadcaster is handed by the command loop goes on
//! where it stands, or the log is read up to there.
//!
//! In reading order: `settings`, `filter`, `pages`, `mailbox`, `board` (who listens to what), `broadcaster`, `listener`.

mod board;
mod broadcaster;
mod filter;
mod listener;
mod mailbox;
mod pages;
mod settings;

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, watch};

use self::board::Board;
use self::broadcaster::Committed;
use crate::Position;
use crate::ports::{AppendGroup, CommitListener, CommittedGroup, EventForm, EventLog, StoreError};

pub use self::broadcaster::Broadcaster;
pub(crate) use self::broadcaster::Handed;
pub use self::filter::EventFilter;
pub use self::listener::{Listener, Piece};
pub use self::pages::{EventPage, EventPages};
pub use self::settings::EventFeedSettings;

/// Why the log can't be followed.
#[derive(Debug, Error)]
pub enum FeedError {
    /// It can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody has ever been there.
    #[error("position {after} is beyond the end of the log, {head}")]
    BeyondEnd {
        /// Where the reader wanted to go on.
        after: Position,
        /// Where the last event stands.
        head: Position,
    },
    /// Too many read the log at once.
    #[error("too many read the log at once")]
    Overloaded,
    /// There are as many listeners as there may be.
    #[error("there are {0} listeners already")]
    TooManyListeners(usize),
    /// The node is going down: a listener goes on elsewhere, or later, from where it is.
    #[error("the service is going down")]
    Closed,
}

/// The log, live.
#[derive(Clone)]
pub struct EventFeed {
    board: Arc<Board>,
    pages: EventPages,
    inbox: mpsc::Sender<Committed>,
    closing: watch::Sender<bool>,
}

impl EventFeed {
    /// A feed of this log, and what keeps it going.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, form: Arc<dyn EventForm>, settings: EventFeedSettings) -> (Self, Broadcaster) {
        let board = Arc::new(Board::new(settings.listener_bytes_max, settings.waiting_bytes_max));
        let (inbox, committed) = mpsc::channel(settings.queue_batches_max.max(1));
        let broadcaster =
            Broadcaster::new(Arc::clone(&log), Arc::clone(&form), Arc::clone(&board), committed, settings);
        let pages = EventPages::new(log, form, settings);
        (Self { board, pages, inbox, closing: watch::channel(false).0 }, broadcaster)
    }

    /// Pages of the log.
    #[must_use]
    pub fn pages(&self) -> &EventPages {
        &self.pages
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.board.listeners()
    }

    /// How often a listener has had to go back to the log because it took its events too slowly.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.board.overflows()
    }

    /// Starts to listen to what `filter` lets through: after `after`, or from now on.
    ///
    /// # Errors
    ///
    /// [`FeedError`] says why not.
    pub async fn listen(&self, filter: EventFilter, after: Option<Position>) -> Result<Listener, FeedError> {
        if *self.closing.borrow() {
            return Err(FeedError::Closed);
        }
        let seat = Board::seat(&self.board, self.pages.settings().listeners_max)?;
        let head = self.pages.head().await?;
        let after = after.unwrap_or(head);
        if after > head {
            return Err(FeedError::BeyondEnd { after, head });
        }
        Ok(Listener::new(seat, self.pages.clone(), filter, after, self.closing.subscribe()))
    }

    /// Ends all listeners, and takes no more.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }
}

/// What is committed here goes on to the broadcaster, unless nobody listens. Where it can't keep up it is left to the log.
impl CommitListener for EventFeed {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        if self.board.has_joined() {
            // A full inbox, or a broadcaster that has ended: the log has it all.
            drop(self.inbox.try_send(Committed { batch: Arc::clone(batch), groups: committed }));
        }
    }
}
