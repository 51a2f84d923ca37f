//! What this node has acknowledged and its read models may not show yet.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;

use inventory_domain::{Level, ProductId, StockId, StoreId};

use crate::Position;
use crate::ports::{Projected, ProjectionListener};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// New stocks that one part of a list takes in, at most: looking for them holds up others.
const NEW_MAX: usize = 1_000;

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
    /// Up to where entries have gone because the read models have them.
    shown: Position,
    /// The stocks among the entries that the read models may not know at all.
    new_stocks: BTreeSet<(StoreId, ProductId)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    level: Level,
    position: Position,
    is_new: bool,
}

/// A level that was made durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) stock_id: StockId,
    pub(crate) level: Level,
    /// Where the stock's last event stands.
    pub(crate) position: Position,
    /// Whether nobody had filled the stock before.
    pub(crate) is_new: bool,
}

/// A stretch of a list of levels: those that follow one another by store and then product.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The store, where the list is of one.
    pub(crate) store_id: Option<StoreId>,
    /// After which stock it starts.
    pub(crate) after: Option<StockId>,
    /// The levels.
    pub(crate) levels: Vec<(StockId, Level)>,
    /// The last place on it; `None` where it goes on to the end of the list.
    pub(crate) next: Option<StockId>,
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
        inner.entry(stock_id).map(|entry| (entry.level, entry.position)).ok_or(inner.mark)
    }

    /// The level after the event at `position`, if that is the stock's last one as far as is known here: what a row has that shows
    /// all up to there.
    #[must_use]
    pub fn level_after(&self, stock_id: StockId, position: Position) -> Option<Level> {
        self.lock().entry(stock_id).filter(|entry| entry.position == position).map(|entry| entry.level)
    }

    /// The levels of a product that are here, and the mark that a read model has to have reached to know the others.
    #[must_use]
    pub fn product(&self, product_id: ProductId) -> (Vec<(StoreId, Level)>, Position) {
        let inner = self.lock();
        let stores = inner.levels.get(&product_id);
        let levels = stores.into_iter().flatten().map(|(store_id, entry)| (*store_id, entry.level)).collect();
        (levels, inner.mark)
    }

    /// Shows in a part of a list, which was read as of `as_of`, what is acknowledged here: later levels, and stocks that are new. Where
    /// those are many the part ends earlier.
    ///
    /// # Errors
    ///
    /// The position that the part has to be as of, because what was here up to there is here no more.
    pub(crate) fn show_in(&self, stretch: &mut Stretch, as_of: Position) -> Result<(), Position> {
        let inner = self.lock();
        let needed = inner.mark.max(inner.shown);
        if as_of < needed {
            return Err(needed);
        }
        if inner.levels.is_empty() {
            return Ok(());
        }
        for (stock_id, level) in &mut stretch.levels {
            if let Some(entry) = inner.entry(*stock_id).filter(|entry| entry.level.version > level.version) {
                *level = entry.level;
            }
        }
        let start = match (stretch.after, stretch.store_id) {
            (Some(after), _) => Bound::Excluded(place(after)),
            (None, Some(store_id)) => Bound::Included((store_id, ProductId::from_u128(0))),
            (None, None) => Bound::Unbounded,
        };
        let is_on = |at: &(StoreId, ProductId)| {
            stretch.store_id.is_none_or(|store_id| store_id == at.0)
                && stretch.next.is_none_or(|next| *at <= place(next))
        };
        let new = inner.new_stocks.range((start, Bound::Unbounded)).take_while(|at| is_on(at));
        let new = new.take(NEW_MAX).map(|(store_id, product_id)| stock_at(*store_id, *product_id));
        let new: Vec<_> = new.filter_map(|stock_id| Some((stock_id, inner.entry(stock_id)?.level))).collect();
        drop(inner);
        if let Some((last, _)) = new.get(NEW_MAX - 1) {
            stretch.levels.retain(|(stock_id, _)| place(*stock_id) <= place(*last));
            stretch.next = Some(*last);
        }
        for (stock_id, level) in new {
            let found = stretch.levels.binary_search_by_key(&place(stock_id), |(stock_id, _)| place(*stock_id));
            if let Err(at) = found {
                stretch.levels.insert(at, (stock_id, level));
            }
        }
        Ok(())
    }

    /// Takes in levels, in the order of the log.
    pub(crate) fn acknowledge(&self, levels: Vec<Acknowledged>) {
        let mut inner = self.lock();
        let mut levels = levels.into_iter().peekable();
        let mut was_new = false; // The one that was just overtaken.
        while let Some(Acknowledged { stock_id, level, position, is_new }) = levels.next() {
            was_new |= is_new;
            if levels.peek().is_some_and(|next| next.stock_id == stock_id) {
                continue; // Overtaken before anybody could see it: a hot stock has one entry a batch.
            }
            let is_new = std::mem::take(&mut was_new);
            let stores = inner.levels.entry(stock_id.product_id).or_default();
            let before = stores.insert(stock_id.store_id, Entry { level, position, is_new });
            if before.is_some_and(|before| before.is_new) {
                stores.entry(stock_id.store_id).and_modify(|entry| entry.is_new = true);
            } else if is_new {
                inner.new_stocks.insert(place(stock_id));
            }
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
        inner.shown = inner.shown.max(step.checkpoint);
    }

    /// What is here is by the write side's own account; the read models have no say in it.
    fn rebuilt(&self, checkpoint: Position) {
        self.projected(Projected { checkpoint, stocks: &[] });
    }
}

fn stock_at(store_id: StoreId, product_id: ProductId) -> StockId {
    StockId { product_id, store_id }
}

/// Where a stock stands in lists.
fn place(stock_id: StockId) -> (StoreId, ProductId) {
    (stock_id.store_id, stock_id.product_id)
}

impl Inner {
    fn entry(&self, stock_id: StockId) -> Option<&Entry> {
        self.levels.get(&stock_id.product_id).and_then(|stores| stores.get(&stock_id.store_id))
    }

    /// Removes the stock's entry if it is the one of `position`, and says whether it was.
    fn remove(&mut self, stock_id: StockId, position: Position) -> bool {
        let Some(stores) = self.levels.get_mut(&stock_id.product_id) else { return false };
        if stores.get(&stock_id.store_id).is_none_or(|entry| entry.position != position) {
            return false;
        }
        let entry = stores.remove(&stock_id.store_id);
        if stores.is_empty() {
            self.levels.remove(&stock_id.product_id);
        }
        if entry.is_some_and(|entry| entry.is_new) {
            self.new_stocks.remove(&place(stock_id));
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
        levels.acknowledge([known(1, 1, 5), known(1, 2, 6)].to_vec());
        levels.projected(Projected { checkpoint: Position(5), stocks: &[] });
        assert_eq!(
            levels.level(stock(1)),
            Ok((level(2), Position(6))),
            "a later acknowledgement outlives an earlier step"
        );
        assert_eq!(levels.product(stock(1).product_id), (vec![(stock(1).store_id, level(2))], Position(4)));
        levels.projected(Projected { checkpoint: Position(6), stocks: &[] });
        assert_eq!(levels.level(stock(1)), Err(Position(4)));
        assert!(levels.lock().levels.is_empty(), "nothing is left behind");
    }

    #[test]
    fn the_level_after_a_position_is_known_while_nothing_later_is() {
        let levels = AcknowledgedLevels::new(10, Position(0));
        levels.acknowledge([known(1, 1, 5)].to_vec());
        let after = |position| levels.level_after(stock(1), Position(position));
        assert_eq!((after(4), after(5), after(6)), (None, Some(level(1)), None));
        levels.acknowledge([known(1, 2, 6)].to_vec());
        assert_eq!((after(5), after(6)), (None, Some(level(2))));
        levels.rebuilt(Position(5));
        assert_eq!(after(6), Some(level(2)), "the read models don't have it yet");
        levels.rebuilt(Position(6));
        assert_eq!((after(6), levels.level(stock(1))), (None, Err(Position(0))), "they do");
    }

    #[test]
    fn an_entry_that_has_to_go_early_raises_the_mark() {
        let levels = AcknowledgedLevels::new(2, Position(0));
        levels.acknowledge((1..=3).map(|number| known(number.into(), number, number)).collect());
        assert_eq!(levels.level(stock(1)), Err(Position(1)));
        assert_eq!(levels.level(stock(3)), Ok((level(3), Position(3))));
        levels.acknowledge([known(3, 4, 4)].to_vec());
        assert_eq!(levels.level(stock(2)), Err(Position(2)));
        levels.acknowledge([known(3, 5, 5)].to_vec());
        assert_eq!(levels.level(stock(3)), Ok((level(5), Position(5))));
        assert_eq!(levels.level(stock(2)), Err(Position(2)), "what was overtaken raises nothing");
    }

    #[test]
    fn a_list_shows_later_levels_and_new_stocks() {
        let levels = AcknowledgedLevels::new(3, Position(4));
        let shown = |as_of, after: Option<u128>, until: Option<u128>, rows: &[(u128, u64)]| {
            let levels_shown: Vec<_> = rows.iter().map(|(number, version)| (stock(*number), level(*version))).collect();
            let (after, next) = (after.map(stock), until.map(stock));
            let mut stretch = Stretch { store_id: None, after, levels: levels_shown, next };
            levels.show_in(&mut stretch, Position(as_of))?;
            let number = |(id, level): &(StockId, Level)| (id.store_id.uuid().as_u128(), level.version);
            Ok::<_, Position>(stretch.levels.iter().map(number).collect::<Vec<_>>())
        };
        assert_eq!(shown(3, None, None, &[]), Err(Position(4)), "what an earlier run has acknowledged");
        let new = Acknowledged { is_new: true, ..known(7, 1, 5) };
        levels.acknowledge([new, known(7, 2, 6), known(3, 9, 7)].to_vec());
        assert_eq!(shown(4, None, None, &[(1, 1), (3, 8)]), Ok(vec![(1, 1), (3, 9), (7, 2)]));
        assert_eq!(shown(4, None, Some(3), &[(1, 1), (3, 8)]), Ok(vec![(1, 1), (3, 9)]), "it comes on a later page");
        assert_eq!(shown(4, Some(7), None, &[(8, 1)]), Ok(vec![(8, 1)]), "it was on an earlier one");
        assert_eq!(shown(7, None, None, &[(3, 10), (7, 3)]), Ok(vec![(3, 10), (7, 3)]), "the view is ahead");
        levels.acknowledge([known(7, 4, 8)].to_vec());
        assert_eq!(shown(4, None, None, &[]), Ok(vec![(7, 4)]), "still new");
        levels.projected(Projected { checkpoint: Position(7), stocks: &[] });
        assert_eq!(shown(6, None, None, &[(3, 8)]), Err(Position(7)), "the part is older than what is here no more");
        levels.projected(Projected { checkpoint: Position(8), stocks: &[] });
        assert_eq!(shown(8, None, None, &[(3, 9), (7, 4)]), Ok(vec![(3, 9), (7, 4)]));
        assert!(levels.lock().new_stocks.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_list_is_of_one_store() {
        let levels = AcknowledgedLevels::new(10, Position(0));
        let new = |number| Acknowledged { is_new: true, ..known(number, 1, 1) };
        levels.acknowledge((1..=3).map(new).collect());
        let store_id = Some(StoreId::from_u128(2));
        let mut stretch = Stretch { store_id, after: None, levels: Vec::new(), next: None };
        levels.show_in(&mut stretch, Position(0)).unwrap();
        assert_eq!((stretch.levels, stretch.next), (vec![(stock(2), level(1))], None));
    }

    #[test]
    fn a_part_of_a_list_takes_in_so_many_new_stocks_and_ends_there() {
        let levels = AcknowledgedLevels::new(5_000, Position(0));
        let new = |number| Acknowledged { is_new: true, ..known(number, 1, 1) };
        levels.acknowledge((1..=2_500).map(new).collect());
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let rows = [9_999].map(|number| (stock(number), level(1))).to_vec();
            let mut stretch = Stretch { store_id: None, after, levels: rows, next: None };
            levels.show_in(&mut stretch, Position(0)).unwrap();
            found.extend(stretch.levels.iter().map(|(id, _)| id.store_id.uuid().as_u128()));
            after = stretch.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, (1..=2_500).chain([9_999]).collect::<Vec<_>>());
    }

    fn known(number: u128, version: u64, position: u64) -> Acknowledged {
        Acknowledged { stock_id: stock(number), level: level(version), position: Position(position), is_new: false }
    }

    fn stock(number: u128) -> StockId {
        StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(number) }
    }

    fn level(version: u64) -> Level {
        Level { quantity: 10, reserved: 0, version }
    }
}
