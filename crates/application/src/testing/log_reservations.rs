//! The read side's reservations, made anew from the log at every question.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use inventory_domain::inventory::{Closing, Event, ReleaseCause};
use inventory_domain::{DomainEvent, ReservationId, StockId, Timestamp};

use crate::ports::{Due, EventLog, RecalledReservation, RecordedEvent, ReservationViews, ViewError};
use crate::{Position, StreamId};

/// Answers from all of the log.
pub struct LogReservations {
    log: Arc<dyn EventLog>,
}

impl LogReservations {
    /// The reservations of this log.
    #[must_use]
    pub fn of(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    async fn events(&self) -> Result<Vec<RecordedEvent>, ViewError> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        loop {
            let after = events.last().map_or(Position::START, |event| event.position);
            let page = self.log.read(after, usize::MAX).await.map_err(|error| ViewError(Box::new(error)))?;
            if page.is_empty() {
                return Ok(events);
            }
            events.extend(page);
        }
    }
}

#[async_trait]
impl ReservationViews for LogReservations {
    async fn recall(&self, stock_id: StockId, reservation_id: ReservationId) -> Result<RecalledReservation, ViewError> {
        let mut recalled = RecalledReservation { version: 0, closing: None };
        for recorded in self.events().await?.iter().filter(|event| event.stream == StreamId::Inventory(stock_id)) {
            recalled.version = recorded.version;
            match &recorded.event {
                DomainEvent::Inventory(Event::StockCommitted { reservation_id: id, .. }) if *id == reservation_id => {
                    recalled.closing = Some(Closing::Committed);
                }
                DomainEvent::Inventory(Event::StockReleased { reservation_id: id, cause, .. })
                    if *id == reservation_id =>
                {
                    recalled.closing = Some(match cause {
                        ReleaseCause::Requested(_) => Closing::Released,
                        ReleaseCause::Expired => Closing::Expired,
                        ReleaseCause::UncommittedPart => Closing::Committed,
                    });
                }
                _ => (),
            }
        }
        Ok(recalled)
    }

    async fn due(&self, now: Timestamp, reservations_max: usize) -> Result<Vec<Due>, ViewError> {
        let mut held: HashMap<(StreamId, ReservationId), (Option<Timestamp>, Due)> = HashMap::new();
        for recorded in self.events().await? {
            let (stream, Some(stock_id)) = (recorded.stream, recorded.stream.stock_id()) else { continue };
            match recorded.event {
                DomainEvent::Inventory(Event::StockReserved { reservation_id, expires_at, order_id, .. }) => {
                    let due = order_id.map_or(Due::Stock(stock_id), Due::Order);
                    held.insert((stream, reservation_id), (expires_at, due));
                }
                DomainEvent::Inventory(Event::ReservationExtended { reservation_id, expires_at, .. }) => {
                    if let Some((deadline, _)) = held.get_mut(&(stream, reservation_id)) {
                        *deadline = Some(expires_at);
                    }
                }
                DomainEvent::Inventory(
                    Event::StockCommitted { reservation_id, .. } | Event::StockReleased { reservation_id, .. },
                ) => {
                    held.remove(&(stream, reservation_id));
                }
                _ => (),
            }
        }
        let mut due: Vec<_> = held.into_values().filter_map(|(deadline, due)| Some((deadline?, due))).collect();
        due.retain(|(deadline, _)| *deadline <= now);
        due.sort_by_key(|(deadline, _)| *deadline);
        Ok(due.into_iter().take(reservations_max).map(|(_, due)| due).collect())
    }
}
