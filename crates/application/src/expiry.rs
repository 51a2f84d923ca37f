//! Frees what has run out and nobody has needed yet, soon after its deadline.
//!
//! A process on the read side's deadlines: what is due is asked of the command loop, which decides by the stock's own events,
//! so a deadline that was moved meanwhile, or a reservation that is gone, costs nothing. It keeps no state of its own; a restart
//! goes on with whatever is due then.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use inventory_domain::inventory::Command;
use inventory_domain::order;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::ports::{Clock, Due, Metadata, ReservationViews};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError};
use crate::{Answer, Ask, CommandError, CommandSender, Condition, Position, Request};

/// Who has asked, in the events' metadata.
pub const ACTOR: &str = "system:expiry";

/// The process's bounds.
#[derive(Clone, Copy, Debug)]
pub struct ExpirySettings {
    /// How often the deadlines are looked at, in milliseconds.
    pub poll_ms: u64,
    /// Reservations that are looked at in one pass, at most; more are met by the next one, at once.
    pub reservations_max: usize,
    /// Reservations of one stock that one command frees, at most.
    pub reservations_of_stock_max: usize,
    /// How long a pass waits for the read side to show what the last one has done, in milliseconds.
    pub catch_up_ms_max: u64,
}

impl Default for ExpirySettings {
    fn default() -> Self {
        Self { poll_ms: 200, reservations_max: 8_192, reservations_of_stock_max: 1_024, catch_up_ms_max: 1_000 }
    }
}

/// Frees what is due until it is stopped.
pub struct ExpiryProcess {
    views: Arc<dyn ReservationViews>,
    commands: CommandSender,
    clock: Arc<dyn Clock>,
    checkpoint: watch::Receiver<Position>,
    settings: ExpirySettings,
    status: Arc<ExpiryStatus>,
}

/// How far the process is, for whoever measures it.
#[derive(Debug)]
pub struct ExpiryStatus {
    due: AtomicUsize,
    failures: AtomicU64,
    /// When it was last known that nothing more was due than what had just been freed.
    caught_up_at: Mutex<Instant>,
}

impl ExpiryStatus {
    fn new() -> Arc<Self> {
        let (due, failures) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { due, failures, caught_up_at: Mutex::new(Instant::now()) })
    }

    /// Reservations and orders that the last look found past their deadlines; one look finds at most
    /// [`ExpirySettings::reservations_max`].
    #[must_use]
    pub fn due(&self) -> usize {
        self.due.load(Ordering::Relaxed)
    }

    /// Passes that came to nothing.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How long ago all that was due had been freed.
    #[must_use]
    pub fn behind_for(&self) -> Duration {
        self.caught_up_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn caught_up(&self) {
        *self.caught_up_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// What a pass has come to.
struct Pass {
    /// Whether more may be due.
    is_full: bool,
    /// Where the last event of it stands.
    position: Position,
}

impl ExpiryProcess {
    /// A process that does nothing yet; `checkpoint` shows how far the read side is.
    #[must_use]
    pub fn new(
        views: Arc<dyn ReservationViews>,
        commands: CommandSender,
        clock: Arc<dyn Clock>,
        checkpoint: watch::Receiver<Position>,
        settings: ExpirySettings,
    ) -> Self {
        Self { views, commands, clock, checkpoint, settings, status: ExpiryStatus::new() }
    }

    /// How far it is, now and later.
    #[must_use]
    pub fn status(&self) -> Arc<ExpiryStatus> {
        Arc::clone(&self.status)
    }

    /// Works until `stop` comes. `failed` hears of each pass that came to nothing, with the cause.
    pub async fn run(self, stop: impl Future<Output = ()>, failed: impl Fn(String)) {
        let mut stop = pin!(stop);
        let poll = Duration::from_millis(self.settings.poll_ms);
        loop {
            let pass = async {
                match self.pass().await {
                    Ok(Pass { is_full, position }) => {
                        self.catch_up(position).await;
                        if !is_full {
                            self.status.caught_up();
                            sleep(poll).await;
                        }
                    }
                    Err(cause) => {
                        self.status.failures.fetch_add(1, Ordering::Relaxed);
                        failed(cause);
                        sleep(poll).await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = pass => (),
            }
        }
    }

    async fn pass(&self) -> Result<Pass, String> {
        let now = self.clock.now();
        let due = self.views.due(now, self.settings.reservations_max).await.map_err(|error| error.to_string())?;
        self.status.due.store(due.len(), Ordering::Relaxed);
        let is_full = due.len() >= self.settings.reservations_max;
        let metadata = Arc::new(Metadata { actor: Some(ACTOR.to_owned()), ..Metadata::default() });
        let mut seen = HashSet::new();
        let requests: Vec<Request> = due
            .into_iter()
            .filter(|due| seen.insert(*due))
            .map(|due| Request {
                ask: self.ask(due),
                condition: Condition::None,
                key: None,
                metadata: Arc::clone(&metadata),
            })
            .collect();
        let verdicts = self.commands.send_all(requests).await.map_err(|error| error.to_string())?;
        let mut position = Position::START;
        for verdict in verdicts {
            match verdict {
                Ok(Answer::Stock(answer)) => position = position.max(answer.position),
                Ok(Answer::Order(answer)) => position = position.max(answer.position),
                // Still due: the next pass.
                Ok(Answer::Transfer(_)) | Err(CommandError::WaitedTooLong | CommandError::Contended { .. }) => (),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Pass { is_full, position })
    }

    fn ask(&self, due: Due) -> Ask {
        match due {
            Due::Stock(stock_id) => {
                let command = Command::ReleaseExpired { reservations_max: self.settings.reservations_of_stock_max };
                Ask::Stock { stock_id, command, is_fresh: false }
            }
            Due::Order(order_id) => Ask::Order { order_id, command: order::Command::Expire, is_dry_run: false },
        }
    }

    /// Waits, within bounds, until the read side no longer shows as due what has just been freed.
    async fn catch_up(&self, position: Position) {
        let mut checkpoint = self.checkpoint.clone();
        let longest = Duration::from_millis(self.settings.catch_up_ms_max);
        drop(timeout(longest, checkpoint.wait_for(|reached| *reached >= position)).await);
    }
}
