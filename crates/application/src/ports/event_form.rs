//! How events are shown to those who follow the log.

use inventory_domain::DomainEvent;

use super::{RecordedEvent, StoreError};

/// The names of events' types, and the bytes that a listener gets of an event.
pub trait EventForm: Send + Sync {
    /// The name of the event's type: what clients filter by.
    fn type_of(&self, event: &DomainEvent) -> &'static str;

    /// Writes the event as listeners get it behind what is in `out`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when it can't be shown; nothing has been written then.
    fn encode(&self, event: &RecordedEvent, out: &mut Vec<u8>) -> Result<(), StoreError>;
}
