//! An alarm to the millisecond: how long is polled.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

use super::wait;

/// Waits for answers, and for a moment.
pub(crate) struct Alarm;

impl Alarm {
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits until something has happened, or it is `wake_at`, or `longest` is over.
    #[allow(clippy::unused_self, reason = "as on Linux")]
    pub(crate) fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        wake_at: Option<Instant>,
        longest: Duration,
    ) -> io::Result<()> {
        let time = wake_at.map_or(longest, |wake_at| wake_at.saturating_duration_since(Instant::now()));
        wait(poll, events, time)
    }
}
