//! How fresh an answer has to be, and the bounded wait until the read side is.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::Position;
use crate::ports::{EventLog, StoreError};

/// How long a question waits before it looks again for a version, at first: about as long as a step of the read models takes.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// What a reader wants to be in the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Every event up to here.
    pub min_position: Position,
    /// This version of the thing that is asked about.
    pub min_version: u64,
    /// All that was acknowledged before the question, by any node.
    pub is_strong: bool,
}

impl Freshness {
    /// Whatever is there.
    pub const ANY: Self = Self { min_position: Position::START, min_version: 0, is_strong: false };
}

/// Why an answer can't be as fresh as it has to be.
#[derive(Debug, Error)]
pub enum NotFresh {
    /// The read side doesn't have that event yet, and didn't get it in time.
    #[error("the read side is at position {reached}, the question needs {needed}")]
    Behind {
        /// How far it is.
        reached: Position,
        /// How far it has to be.
        needed: Position,
    },
    /// The thing isn't at that version yet, and didn't get there in time.
    #[error("it is at version {version}, the question needs {needed}")]
    OlderVersion {
        /// The version that it is at.
        version: u64,
        /// The version that it has to be at.
        needed: u64,
    },
    /// Too many questions wait already.
    #[error("too many questions wait for the read side")]
    TooManyWaiting,
    /// Where the log ends can't be had.
    #[error(transparent)]
    Log(#[from] StoreError),
}

/// The bounds of waiting.
#[derive(Clone, Copy, Debug)]
pub struct CatchUpSettings {
    /// How long a question may wait, in milliseconds.
    pub wait_ms_max: u64,
    /// Questions that may wait at a time.
    pub waiting_max: usize,
}

/// Lets questions wait for the read side, so many at a time and so long. Cheap to clone; all clones share the places.
#[derive(Clone)]
pub struct CatchUp {
    log: Arc<dyn EventLog>,
    places: Arc<Semaphore>,
    wait_max: Duration,
}

/// A question that waits: its place, and when it gives up.
pub struct Wait<'a> {
    _place: SemaphorePermit<'a>,
    end: Instant,
    pause: Duration,
}

impl CatchUp {
    /// Waiting for what follows this log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, settings: CatchUpSettings) -> Self {
        let places = Semaphore::new(settings.waiting_max.min(Semaphore::MAX_PERMITS));
        Self { log, places: Arc::new(places), wait_max: Duration::from_millis(settings.wait_ms_max) }
    }

    /// The position that an answer has to be true of. Whoever wants all that is acknowledged wants all that the log has now.
    ///
    /// # Errors
    ///
    /// [`NotFresh::Log`].
    pub async fn needed(&self, wanted: Freshness) -> Result<Position, NotFresh> {
        let head = if wanted.is_strong { self.log.head().await? } else { Position::START };
        Ok(wanted.min_position.max(head))
    }

    /// Begins to wait.
    ///
    /// # Errors
    ///
    /// [`NotFresh::TooManyWaiting`].
    pub fn begin(&self) -> Result<Wait<'_>, NotFresh> {
        let place = self.places.try_acquire().map_err(|_| NotFresh::TooManyWaiting)?;
        Ok(Wait { _place: place, end: Instant::now() + self.wait_max, pause: PAUSE_MIN })
    }

    /// Waits until what shows itself in `reached` is at `needed`; takes no place where it is there already.
    ///
    /// # Errors
    ///
    /// [`NotFresh`] when it doesn't get there in time.
    pub async fn until(&self, reached: &watch::Receiver<Position>, needed: Position) -> Result<(), NotFresh> {
        if *reached.borrow() >= needed {
            return Ok(());
        }
        self.begin()?.until(reached, needed).await
    }

    /// Waits until the log itself has `needed`.
    ///
    /// # Errors
    ///
    /// [`NotFresh`] when it doesn't get there in time.
    pub async fn until_log(&self, needed: Position) -> Result<(), NotFresh> {
        if needed == Position::START || self.log.head().await? >= needed {
            return Ok(());
        }
        let waited = self.begin()?.until(&self.log.appended(), needed).await;
        // The hint may never come when somebody else has written.
        let Err(NotFresh::Behind { .. }) = waited else { return waited };
        let reached = self.log.head().await?;
        if reached >= needed { Ok(()) } else { Err(NotFresh::Behind { reached, needed }) }
    }
}

impl Wait<'_> {
    /// Waits until what shows itself in `reached` is at `needed`.
    ///
    /// # Errors
    ///
    /// [`NotFresh::Behind`].
    pub async fn until(&self, reached: &watch::Receiver<Position>, needed: Position) -> Result<(), NotFresh> {
        let mut reached = reached.clone();
        if let Ok(Ok(_)) = timeout_at(self.end, reached.wait_for(|reached| *reached >= needed)).await {
            return Ok(());
        }
        // Time is up, or nobody moves it any more.
        Err(NotFresh::Behind { reached: *reached.borrow(), needed })
    }

    /// Waits for a while, longer each time; says whether it is worth another look.
    pub(crate) async fn pause(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.end {
            return false;
        }
        sleep_until((now + self.pause).min(self.end)).await;
        self.pause *= 2;
        true
    }
}
