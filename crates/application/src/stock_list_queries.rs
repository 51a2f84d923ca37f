//! Lists of levels: of a store, and of what is running low.

use std::sync::Arc;

use inventory_domain::{Level, StockId, StoreId};
use tokio::sync::watch;

use crate::acknowledged_levels::{AcknowledgedLevels, Stretch};
use crate::freshness::{CatchUp, Freshness, NotFresh};
use crate::ports::{Slice, StockLists, StockSlice, ViewError, Viewed};
use crate::{Position, QueryError};

/// How often a part is read again because the read models have moved on while it was read, at most.
const READS_MAX: usize = 10;

/// Lists by the views, with what this node has acknowledged: no list shows an older level than the question about the stock
/// itself would, and none lacks a stock that was just filled for the first time. What was not low so far follows within moments.
#[derive(Clone)]
pub struct StockListQueries {
    acknowledged: Arc<AcknowledgedLevels>,
    views: Arc<dyn StockLists>,
    checkpoints: StockListCheckpoints,
    catch_up: CatchUp,
}

/// How far the read models of lists of levels are.
#[derive(Clone, Debug)]
pub struct StockListCheckpoints {
    /// The one that is asked about a store.
    pub levels: watch::Receiver<Position>,
    /// The one that is asked for what is low.
    pub low: watch::Receiver<Position>,
}

impl StockListQueries {
    /// Lists by these views.
    #[must_use]
    pub fn new(
        acknowledged: Arc<AcknowledgedLevels>,
        views: Arc<dyn StockLists>,
        checkpoints: StockListCheckpoints,
        catch_up: CatchUp,
    ) -> Self {
        Self { acknowledged, views, checkpoints, catch_up }
    }

    /// The levels of a store that follow `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the view can't be read, or doesn't get as far as is wanted in time.
    pub async fn of_store(
        &self,
        store_id: StoreId,
        after: Option<StockId>,
        limit: usize,
        wanted: Freshness,
    ) -> Result<StockSlice, QueryError> {
        let read = || self.views.of_store(store_id, after, limit);
        let part = Part { store_id: Some(store_id), after, limit };
        self.part(&self.checkpoints.levels, part, wanted, read, |_| true).await
    }

    /// The levels (of a store) with fewer than `units` available that follow `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the view can't be read, or doesn't get as far as is wanted in time.
    pub async fn below(
        &self,
        units: u64,
        store_id: Option<StoreId>,
        after: Option<StockId>,
        limit: usize,
        wanted: Freshness,
    ) -> Result<StockSlice, QueryError> {
        let read = || self.views.below(units, store_id, after, limit);
        let part = Part { store_id, after, limit };
        self.part(&self.checkpoints.low, part, wanted, read, |level| level.available() < units).await
    }

    async fn part<F: Future<Output = Result<Viewed<StockSlice>, ViewError>>>(
        &self,
        checkpoint: &watch::Receiver<Position>,
        Part { store_id, after, limit }: Part,
        wanted: Freshness,
        read: impl Fn() -> F,
        is_wanted: impl Fn(Level) -> bool,
    ) -> Result<StockSlice, QueryError> {
        let mut needed = self.catch_up.needed(wanted).await?;
        let mut reached = Position::START;
        for _ in 0..READS_MAX {
            self.catch_up.until(checkpoint, needed).await?;
            let Viewed { value: Slice { found: levels, next }, as_of, .. } = read().await?;
            let mut stretch = Stretch { store_id, after, levels, next };
            match self.acknowledged.show_in(&mut stretch, as_of) {
                Ok(()) if as_of >= needed => {
                    let Stretch { mut levels, mut next, .. } = stretch;
                    levels.retain(|(_, level)| is_wanted(*level));
                    if levels.len() > limit {
                        levels.truncate(limit);
                        next = levels.last().map(|(stock_id, _)| *stock_id);
                    }
                    return Ok(Slice { found: levels, next });
                }
                Ok(()) => reached = as_of, // The table was made anew, and isn't there again yet.
                Err(position) => (reached, needed) = (as_of, needed.max(position)),
            }
        }
        Err(NotFresh::Behind { reached, needed }.into())
    }
}

/// Which part of which list.
struct Part {
    store_id: Option<StoreId>,
    after: Option<StockId>,
    limit: usize,
}
