//! Fresh ids.

use crate::EventId;

/// Makes ids that nobody else has.
pub trait IdSource: Send + Sync {
    /// An id for a new event.
    fn event_id(&self) -> EventId;
}
