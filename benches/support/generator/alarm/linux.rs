//! An alarm to the nanosecond: a timer file that is polled with the connections.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::wait;

/// Waits for answers, and for a moment.
pub(crate) struct Alarm {
    timer: OwnedFd,
}

impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Waits until something has happened, or it is `wake_at`, or `longest` is over.
    pub(crate) fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        wake_at: Option<Instant>,
        longest: Duration,
    ) -> io::Result<()> {
        if let Some(wake_at) = wake_at {
            // A time of zero would switch the timer off.
            let time = wake_at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let value = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        }
        wait(poll, events, longest)
    }
}
