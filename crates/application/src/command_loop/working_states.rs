//! The aggregates that the loop holds in memory.

use std::collections::HashMap;

use inventory_domain::inventory::Closing;
use inventory_domain::{
    DomainEvent, Inventory, Order, OrderId, ReservationId, StockId, Timestamp, Transfer, TransferId,
};
use inventory_domain::{inventory, order, transfer};
use lru::LruCache;

use crate::ports::LoadedStream;
use crate::{Position, StreamId};

/// An aggregate's state, which may run ahead of what is durable while batches are in work.
pub(super) struct WorkingState {
    pub(super) aggregate: Aggregate,
    /// Where its last durable event stands.
    pub(super) position: Position,
    /// The version after that event.
    durable_version: u64,
    /// The version of the last snapshot that is known.
    snapshot_version: u64,
    /// Whether the batch in hand is to take a snapshot of it.
    is_noted: bool,
    /// What was closed after the durable version, and at which version: the state itself may have forgotten it already.
    closed_ahead: HashMap<ReservationId, (Closing, u64)>,
}

/// The state of whatever a stream is the stream of.
pub(super) enum Aggregate {
    Inventory(Inventory),
    Order(Order),
    Transfer(Transfer),
}

impl Aggregate {
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Inventory(inventory) => inventory.version(),
            Self::Order(order) => order.version(),
            Self::Transfer(transfer) => transfer.version(),
        }
    }

    pub(super) fn recorded_at(&self) -> Timestamp {
        match self {
            Self::Inventory(inventory) => inventory.recorded_at(),
            Self::Order(order) => order.recorded_at(),
            Self::Transfer(transfer) => transfer.recorded_at(),
        }
    }

    /// Folds an event of its own kind; others are none of its business.
    fn fold(&mut self, event: &DomainEvent, recorded_at: Timestamp) {
        match (self, event) {
            (Self::Inventory(state), DomainEvent::Inventory(event)) => {
                let before = std::mem::replace(state, Inventory::remembering(0));
                *state = inventory::evolve(before, event, recorded_at);
            }
            (Self::Order(state), DomainEvent::Order(event)) => {
                *state = order::evolve(std::mem::take(state), event, recorded_at);
            }
            (Self::Transfer(state), DomainEvent::Transfer(event)) => {
                *state = transfer::evolve(std::mem::take(state), event, recorded_at);
            }
            _ => (),
        }
    }
}

impl WorkingState {
    pub(super) fn version(&self) -> u64 {
        self.aggregate.version()
    }

    /// Folds events that are not durable yet.
    pub(super) fn run_ahead(&mut self, events: &[DomainEvent], recorded_at: Timestamp) {
        for event in events {
            self.aggregate.fold(event, recorded_at);
            if let (Aggregate::Inventory(inventory), Some(id)) = (&self.aggregate, maybe_closed(event))
                && let Some(closing) = inventory.closing(id)
            {
                self.closed_ahead.insert(id, (closing, inventory.version()));
            }
        }
    }

    /// How a reservation ended that was closed after the durable version.
    pub(super) fn closing_ahead(&self, id: ReservationId) -> Option<Closing> {
        self.closed_ahead.get(&id).map(|(closing, _)| *closing)
    }

    /// What has to be asked elsewhere about a reservation: what was closed at this version or before, and may be forgotten. It is a
    /// durable version: whatever was closed after that is known here.
    pub(super) fn forgotten_version(&self) -> u64 {
        match &self.aggregate {
            Aggregate::Inventory(inventory) => inventory.forgotten_version().min(self.durable_version),
            Aggregate::Order(_) | Aggregate::Transfer(_) => 0,
        }
    }

    /// Whether it has events that are not durable yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.aggregate.version() > self.durable_version
    }

    /// Its next `events` events are durable, the last of them at `position`.
    pub(super) fn stand(&mut self, events: u64, position: Position) {
        self.durable_version += events;
        self.position = position;
        let durable = self.durable_version;
        if self.is_ahead() {
            self.closed_ahead.retain(|_, (_, version)| *version > durable);
        } else {
            self.closed_ahead = HashMap::new();
        }
    }

    /// Whether a snapshot becomes due: after `every_events`, or as many as the state has live reservations, whichever is more. So a
    /// state that only grows, as in a rush, isn't written again and again while everybody waits. Said once; then
    /// [`WorkingState::snapshot`] has to be taken.
    ///
    /// A state with more than `reservations_max` is not kept at all: writing it would hold the others up.
    pub(super) fn note_snapshot(&mut self, every_events: u64, reservations_max: usize) -> bool {
        let Aggregate::Inventory(inventory) = &self.aggregate else { return false };
        let since = inventory.version().saturating_sub(self.snapshot_version);
        let live = inventory.live_count();
        if self.is_noted || live > reservations_max || since < every_events.max(live as u64) {
            return false;
        }
        self.is_noted = true;
        true
    }

    /// The state as it is now, which may be ahead of what is durable.
    pub(super) fn snapshot(&mut self) -> Option<Inventory> {
        let Aggregate::Inventory(inventory) = &self.aggregate else { return None };
        (self.snapshot_version, self.is_noted) = (inventory.version(), false);
        Some(inventory.clone())
    }

    /// Where the state of this version stands, if that is what is durable.
    pub(super) fn position_of(&self, version: u64) -> Option<Position> {
        (self.durable_version == version).then_some(self.position)
    }
}

/// The reservation that an event may have closed.
fn maybe_closed(event: &DomainEvent) -> Option<ReservationId> {
    match event {
        DomainEvent::Inventory(
            inventory::Event::StockCommitted { reservation_id, .. }
            | inventory::Event::StockReleased { reservation_id, .. },
        ) => Some(*reservation_id),
        DomainEvent::Inventory(_) | DomainEvent::Order(_) | DomainEvent::Transfer(_) => None,
    }
}

/// The states, the most recently used ones when there are too many.
///
/// Only [`WorkingStates::evict`] evicts, and a state with unanswered events always stays.
pub(super) struct WorkingStates {
    states: LruCache<StreamId, WorkingState>,
    states_max: usize,
    closed_remembered: usize,
}

impl WorkingStates {
    pub(super) fn new(states_max: usize, closed_remembered: usize) -> Self {
        Self { states: LruCache::unbounded(), states_max, closed_remembered }
    }

    pub(super) fn get(&mut self, stream: StreamId) -> Option<&mut WorkingState> {
        self.states.get_mut(&stream)
    }

    pub(super) fn holds(&self, stream: StreamId) -> bool {
        self.states.contains(&stream)
    }

    pub(super) fn inventory(&mut self, stock_id: StockId) -> Option<&Inventory> {
        match &self.states.get(&stock_id.into())?.aggregate {
            Aggregate::Inventory(inventory) => Some(inventory),
            Aggregate::Order(_) | Aggregate::Transfer(_) => None,
        }
    }

    pub(super) fn order(&mut self, order_id: OrderId) -> Option<&Order> {
        match &self.states.get(&order_id.into())?.aggregate {
            Aggregate::Order(order) => Some(order),
            Aggregate::Inventory(_) | Aggregate::Transfer(_) => None,
        }
    }

    pub(super) fn transfer(&mut self, transfer_id: TransferId) -> Option<&Transfer> {
        match &self.states.get(&transfer_id.into())?.aggregate {
            Aggregate::Transfer(transfer) => Some(transfer),
            Aggregate::Inventory(_) | Aggregate::Order(_) => None,
        }
    }

    pub(super) fn forget(&mut self, stream: StreamId) {
        self.states.pop(&stream);
    }

    /// Takes in what was read of a stream.
    pub(super) fn fold(&mut self, stream: StreamId, history: LoadedStream) {
        let LoadedStream { position, snapshot, events, .. } = history;
        let snapshot_version = snapshot.as_ref().map_or(0, |snapshot| snapshot.version());
        let mut aggregate = match stream {
            StreamId::Inventory(_) => Aggregate::Inventory(match snapshot {
                Some(snapshot) => *snapshot,
                None => Inventory::remembering(self.closed_remembered),
            }),
            StreamId::Order(_) => Aggregate::Order(Order::default()),
            StreamId::Transfer(_) => Aggregate::Transfer(Transfer::default()),
        };
        for past in &events {
            aggregate.fold(&past.event, past.recorded_at);
        }
        let durable_version = aggregate.version();
        let (is_noted, closed_ahead) = (false, HashMap::new());
        let state = WorkingState { aggregate, position, durable_version, snapshot_version, is_noted, closed_ahead };
        self.states.put(stream, state);
    }

    pub(super) fn evict(&mut self) {
        // One that is ahead was used just now, and so were all that are behind it in the queue.
        while self.states.len() > self.states_max && self.states.peek_lru().is_some_and(|(_, state)| !state.is_ahead())
        {
            self.states.pop_lru();
        }
    }
}
