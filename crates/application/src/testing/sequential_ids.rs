//! Ids that a test can foretell.

use uuid::Uuid;

use crate::EventId;
use crate::ports::IdSource;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Counts up from 1.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl IdSource for SequentialIds {
    fn event_id(&self) -> EventId {
        EventId(Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1))
    }
}
