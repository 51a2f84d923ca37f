//! The system's clock and a source of ids, behind their ports.

use std::time::SystemTime;

use inventory_application::EventId;
use inventory_application::ports::{Clock, IdSource};
use inventory_domain::Timestamp;
use uuid::Uuid;

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// The time by the system's clock.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// `UUIDv7`: fresh, and in the order of time.
#[derive(Clone, Copy, Debug)]
pub struct TimeOrderedIds;

impl IdSource for TimeOrderedIds {
    fn event_id(&self) -> EventId {
        EventId(Uuid::now_v7())
    }
}
