//! A page of the log, as projections see it.

use std::cell::OnceCell;

use inventory_application::ports::RecordedEvent;

use crate::projection::ProjectionError;
use crate::stock_change::{StockChange, changes_of};

/// Events that follow one another, never a part of a group, and what several projections want to know of them.
pub struct Page<'a> {
    events: &'a [RecordedEvent],
    stock_changes: OnceCell<Vec<StockChange>>,
}

impl<'a> Page<'a> {
    /// A page of these events.
    #[must_use]
    pub fn new(events: &'a [RecordedEvent]) -> Self {
        Self { events, stock_changes: OnceCell::new() }
    }

    /// The events, in the order of the log.
    #[must_use]
    pub fn events(&self) -> &'a [RecordedEvent] {
        self.events
    }

    /// One change for each stock that the events touch; worked out once, whoever asks.
    ///
    /// # Errors
    ///
    /// [`ProjectionError::Inapplicable`] when a stream's versions don't count up by one.
    pub fn stock_changes(&self) -> Result<&[StockChange], ProjectionError> {
        if let Some(changes) = self.stock_changes.get() {
            return Ok(changes);
        }
        let changes = changes_of(self.events)?;
        Ok(self.stock_changes.get_or_init(|| changes))
    }
}
