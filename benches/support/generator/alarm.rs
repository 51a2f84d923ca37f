//! Wakes the generator when the next request is due.
//!
//! `epoll` counts in milliseconds, in which fifty requests may be due: Linux's timer files are exact. Elsewhere the
//! milliseconds have to do, and latencies are up to one longer than they were.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

/// Waits for answers, and for a moment.
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
}

impl Alarm {
    #[cfg(target_os = "linux")]
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use mio::Interest;
        use mio::unix::SourceFd;
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Waits until something has happened, or it is `wake_at`, or `longest` is over.
    #[cfg(target_os = "linux")]
    pub(super) fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        wake_at: Option<Instant>,
        longest: Duration,
    ) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if let Some(wake_at) = wake_at {
            // A time of zero would switch the timer off.
            let time = wake_at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let value = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        }
        wait(poll, events, longest)
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until something has happened, or it is `wake_at`, or `longest` is over.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "as on Linux")]
    pub(super) fn wait(
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

fn wait(poll: &mut Poll, events: &mut Events, time: Duration) -> io::Result<()> {
    match poll.poll(events, Some(time)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}
