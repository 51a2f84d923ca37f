//! The way into the loop.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::request::{CommandError, StockAnswer, StockRequest, Waiting};

/// Puts requests on the loop's bounded queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CommandSender {
    inbox: mpsc::Sender<Waiting>,
    wait_max: Duration,
}

impl CommandSender {
    pub(super) fn new(inbox: mpsc::Sender<Waiting>, wait_max: Duration) -> Self {
        Self { inbox, wait_max }
    }

    /// Has `request` decided, and waits until what it changes is durable.
    ///
    /// Dropping the future interrupts nothing: what the queue has taken runs to its end.
    ///
    /// # Errors
    ///
    /// [`CommandError`] says why, and whether something may have been done all the same.
    pub async fn send(&self, request: StockRequest) -> Result<StockAnswer, CommandError> {
        let (reply, verdict) = oneshot::channel();
        let waiting = Waiting { request, deadline: Instant::now() + self.wait_max, tries: 0, reply };
        self.inbox.try_send(waiting).map_err(|refused| match refused {
            TrySendError::Full(_) => CommandError::Overloaded,
            TrySendError::Closed(_) => CommandError::ShuttingDown,
        })?;
        verdict.await.unwrap_or(Err(CommandError::Abandoned))
    }

    /// How many commands wait on the queue now.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.inbox.max_capacity() - self.inbox.capacity()
    }
}
