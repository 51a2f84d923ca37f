//! The aggregates that the loop holds in memory.

use inventory_domain::{DomainEvent, Inventory, Order, OrderId, StockId, Timestamp, Transfer, TransferId};
use inventory_domain::{inventory, order, transfer};
use lru::LruCache;

use crate::ports::{LoadedStream, Snapshot};
use crate::{Position, StreamId};

/// An aggregate's state, which may run ahead of what is durable while a batch is being written.
pub(super) struct WorkingState {
    pub(super) aggregate: Aggregate,
    /// Where its last durable event stands.
    pub(super) position: Position,
    /// Whether the batch in work has events of it.
    pub(super) is_ahead: bool,
    /// The version of the last snapshot that is known.
    snapshot_version: u64,
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
        }
        self.is_ahead |= !events.is_empty();
    }

    /// A snapshot, where one is due: after so many events, and half as many as the state has live reservations, so that what is
    /// kept of a stream stays in proportion to its events.
    pub(super) fn snapshot_due(&mut self, stock_id: StockId, every_events: u64) -> Option<Snapshot> {
        let Aggregate::Inventory(inventory) = &self.aggregate else { return None };
        let since = inventory.version().saturating_sub(self.snapshot_version);
        if since < every_events.max(inventory.live_count() as u64 / 2) {
            return None;
        }
        self.snapshot_version = inventory.version();
        Some(Snapshot { stock_id, position: self.position, inventory: inventory.clone() })
    }
}

/// The states, the most recently used ones when there are too many.
///
/// Only [`WorkingStates::evict`] evicts, and it is called when no batch is in work, so a state with unanswered events
/// always stays.
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
        self.states.put(stream, WorkingState { aggregate, position, is_ahead: false, snapshot_version });
    }

    pub(super) fn evict(&mut self) {
        while self.states.len() > self.states_max {
            self.states.pop_lru();
        }
    }
}
