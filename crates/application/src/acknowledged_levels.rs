//! What this node has acknowledged and its read models may not show yet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inventory_domain::{Level, ProductId, StockId, StoreId};

use crate::Position;
use crate::ports::{Projected, ProjectionListener};

/// The first step of every read: levels that are acknowledged, until the read models have them.
///
/// Bounded: where an entry has to go before the read models have it, a mark goes up to its position, and a read model
/// that is behind the mark is not to be believed.
#[derive(Debug)]
pub struct AcknowledgedLevels {
    entries_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    levels: HashMap<ProductId, HashMap<StoreId, Entry>>,
    /// Every acknowledgement in the order of the log; an entry that was overtaken by a later one is just skipped.
    by_position: VecDeque<(Position, StockId)>,
    mark: Position,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    level: Level,
    position: Position,
}

impl AcknowledgedLevels {
    /// Room for `entries_max` acknowledgements. `head` is where the log ends: what an earlier run has acknowledged is not
    /// known here, so the mark starts there.
    #[must_use]
    pub fn new(entries_max: usize, head: Position) -> Self {
        Self { entries_max, inner: Mutex::new(Inner { mark: head, ..Inner::default() }) }
    }

    /// The level of a stock, if it is here, and where the stock's last event stands.
    ///
    /// # Errors
    ///
    /// Where it is not: the mark that a read model has to have reached to be believed.
    pub fn level(&self, stock_id: StockId) -> Result<(Level, Position), Position> {
        let inner = self.lock();
        let entry = inner.levels.get(&stock_id.product_id).and_then(|stores| stores.get(&stock_id.store_id));
        entry.map(|entry| (entry.level, entry.position)).ok_or(inner.mark)
    }

    /// The levels of a product that are here, and the mark that a read model has to have reached to know the others.
    #[must_use]
    pub fn product(&self, product_id: ProductId) -> (Vec<(StoreId, Level)>, Position) {
        let inner = self.lock();
        let stores = inner.levels.get(&product_id);
        let levels = stores.into_iter().flatten().map(|(store_id, entry)| (*store_id, entry.level)).collect();
        (levels, inner.mark)
    }

    /// Takes in levels, each with the position of the stock's last event, in the order of the log.
    pub(crate) fn acknowledge(&self, levels: Vec<(StockId, Level, Position)>) {
        let mut inner = self.lock();
        let mut levels = levels.into_iter().peekable();
        while let Some((stock_id, level, position)) = levels.next() {
            if levels.peek().is_some_and(|(next, ..)| *next == stock_id) {
                continue; // Overtaken before anybody could see it: a hot stock has one entry a batch.
            }
            let stores = inner.levels.entry(stock_id.product_id).or_default();
            stores.insert(stock_id.store_id, Entry { level, position });
            inner.by_position.push_back((position, stock_id));
        }
        while inner.by_position.len() > self.entries_max {
            if let Some((position, stock_id)) = inner.by_position.pop_front()
                && inner.remove(stock_id, position)
            {
                inner.mark = inner.mark.max(position);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries go when the read models have them.
impl ProjectionListener for AcknowledgedLevels {
    fn projected(&self, step: Projected<'_>) {
        let mut inner = self.lock();
        while let Some((position, stock_id)) = inner.by_position.front().copied()
            && position <= step.checkpoint
        {
            inner.by_position.pop_front();
            inner.remove(stock_id, position);
        }
    }

    /// What is here is by the write side's own account; the read models have no say in it.
    fn rebuilt(&self, checkpoint: Position) {
        self.projected(Projected { checkpoint, stocks: &[] });
    }
}

impl Inner {
    /// Removes the stock's entry if it is the one of `position`, and says whether it was.
    fn remove(&mut self, stock_id: StockId, position: Position) -> bool {
        let Some(stores) = self.levels.get_mut(&stock_id.product_id) else { return false };
        if stores.get(&stock_id.store_id).is_none_or(|entry| entry.position != position) {
            return false;
        }
        stores.remove(&stock_id.store_id);
        if stores.is_empty() {
            self.levels.remove(&stock_id.product_id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_level_is_shown_until_the_read_models_have_it() {
        let levels = AcknowledgedLevels::new(10, Position(4));
        assert_eq!(levels.level(stock(1)), Err(Position(4)));
        levels.acknowledge([(stock(1), level(1), Position(5)), (stock(1), level(2), Position(6))].to_vec());
        levels.projected(Projected { checkpoint: Position(5), stocks: &[stock(1)] });
        assert_eq!(
            levels.level(stock(1)),
            Ok((level(2), Position(6))),
            "a later acknowledgement outlives an earlier step"
        );
        assert_eq!(levels.product(stock(1).product_id), (vec![(stock(1).store_id, level(2))], Position(4)));
        levels.projected(Projected { checkpoint: Position(6), stocks: &[stock(1)] });
        assert_eq!(levels.level(stock(1)), Err(Position(4)));
        assert!(levels.lock().levels.is_empty(), "nothing is left behind");
    }

    #[test]
    fn an_entry_that_has_to_go_early_raises_the_mark() {
        let levels = AcknowledgedLevels::new(2, Position(0));
        let all = (1..=3).map(|number| (stock(u128::from(number)), level(number), Position(number))).collect();
        levels.acknowledge(all);
        assert_eq!(levels.level(stock(1)), Err(Position(1)));
        assert_eq!(levels.level(stock(3)), Ok((level(3), Position(3))));
        levels.acknowledge([(stock(3), level(4), Position(4))].to_vec());
        assert_eq!(levels.level(stock(2)), Err(Position(2)));
        levels.acknowledge([(stock(3), level(5), Position(5))].to_vec());
        assert_eq!(levels.level(stock(3)), Ok((level(5), Position(5))));
        assert_eq!(levels.level(stock(2)), Err(Position(2)), "what was overtaken raises nothing");
    }

    fn stock(number: u128) -> StockId {
        StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(number) }
    }

    fn level(version: u64) -> Level {
        Level { quantity: 10, reserved: 0, version }
    }
}
