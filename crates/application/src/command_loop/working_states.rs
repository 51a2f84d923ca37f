//! The stocks that the loop holds in memory.

use inventory_domain::inventory::evolve;
use inventory_domain::{Inventory, StockId};
use lru::LruCache;

use crate::ports::LoadedStream;
use crate::{Position, StreamId};

/// A stock's state, which may run ahead of what is durable while a batch is being written.
pub(super) struct WorkingState {
    pub(super) inventory: Inventory,
    /// Where its last durable event stands.
    pub(super) position: Position,
    /// Whether the batch in work has events of it.
    pub(super) is_ahead: bool,
}

/// The states, the most recently used ones when there are too many.
///
/// Only [`WorkingStates::evict`] evicts, and it is called when no batch is in work, so a state with unanswered events
/// always stays.
pub(super) struct WorkingStates {
    states: LruCache<StockId, WorkingState>,
    states_max: usize,
    closed_remembered: usize,
}

impl WorkingStates {
    pub(super) fn new(states_max: usize, closed_remembered: usize) -> Self {
        Self { states: LruCache::unbounded(), states_max, closed_remembered }
    }

    pub(super) fn get(&mut self, stock_id: StockId) -> Option<&mut WorkingState> {
        self.states.get_mut(&stock_id)
    }

    pub(super) fn forget(&mut self, stock_id: StockId) {
        self.states.pop(&stock_id);
    }

    /// Takes in what was read of a stream.
    pub(super) fn fold(&mut self, stream: StreamId, history: &LoadedStream) {
        let empty = Inventory::remembering(self.closed_remembered);
        let past = &history.events;
        let inventory = past.iter().fold(empty, |state, past| evolve(state, &past.event, past.recorded_at));
        let state = WorkingState { inventory, position: history.position, is_ahead: false };
        self.states.put(stream.stock_id(), state);
    }

    pub(super) fn evict(&mut self) {
        while self.states.len() > self.states_max {
            self.states.pop_lru();
        }
    }
}
