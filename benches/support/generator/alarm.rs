//! Wakes the generator when the next request is due.
//!
//! `epoll` counts in milliseconds, in which fifty requests may be due: Linux's timer files are exact (`linux`). Elsewhere the
//! milliseconds have to do, and latencies are up to one longer than they were (`elsewhere`).

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::io;
use std::time::Duration;

use mio::{Events, Poll};

#[cfg(not(target_os = "linux"))]
pub(super) use self::elsewhere::Alarm;
#[cfg(target_os = "linux")]
pub(super) use self::linux::Alarm;

/// Waits until something has happened, or `time` is over.
fn wait(poll: &mut Poll, events: &mut Events, time: Duration) -> io::Result<()> {
    match poll.poll(events, Some(time)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}
