//! The questions about levels that the read side answers.

use std::sync::Arc;

use inventory_domain::{Level, ProductId, StockId, StoreId};
use thiserror::Error;
use tokio::sync::watch;

use crate::freshness::{CatchUp, Freshness, NotFresh};
use crate::ports::{Kept, StockViews, ViewError, Viewed};
use crate::{AcknowledgedLevels, Ask, CommandError, CommandSender, Position, Request};

/// Answers from what this node has acknowledged, then from the views (cache and read model), and from the write side
/// where those can't know.
#[derive(Clone)]
pub struct StockQueries {
    acknowledged: Arc<AcknowledgedLevels>,
    views: Arc<dyn StockViews>,
    commands: CommandSender,
    checkpoints: StockCheckpoints,
    catch_up: CatchUp,
}

/// How far the read models of levels are; each is looked at alone, so that one that has stopped holds up no question to another.
#[derive(Clone, Debug)]
pub struct StockCheckpoints {
    /// The one that is asked about one stock.
    pub levels: watch::Receiver<Position>,
    /// The one that is asked about a product.
    pub products: watch::Receiver<Position>,
}

/// An answer, and whether it is a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<T> {
    /// The answer.
    pub value: T,
    /// What the cache says of it, where it comes from there.
    pub kept: Option<Kept>,
}

/// Why a question has no answer now.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The views can't be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The read side doesn't have what the question needs.
    #[error(transparent)]
    NotFresh(#[from] NotFresh),
    /// The write side can't be asked.
    #[error(transparent)]
    WriteSide(#[from] CommandError),
}

impl StockQueries {
    /// Queries over these views.
    #[must_use]
    pub fn new(
        acknowledged: Arc<AcknowledgedLevels>,
        views: Arc<dyn StockViews>,
        commands: CommandSender,
        checkpoints: StockCheckpoints,
        catch_up: CatchUp,
    ) -> Self {
        Self { acknowledged, views, commands, checkpoints, catch_up }
    }

    /// The level of a stock; `None` where nobody has ever filled it.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when neither the views nor the write side can tell, or they don't get as far as is wanted in time.
    pub async fn level(&self, stock_id: StockId, wanted: Freshness) -> Result<Told<Option<Level>>, QueryError> {
        if wanted.is_strong {
            self.catch_up.until(&self.checkpoints.levels, wanted.min_position).await?;
            let written = self.written(stock_id).await?;
            if version(written.value) >= wanted.min_version {
                return Ok(written.into());
            }
            // Whatever shows a later version has all of that, too.
        }
        let known = self.known(stock_id, wanted.min_position).await?;
        if suffices(&known, wanted) {
            return Ok(known.into());
        }
        let mut wait = self.catch_up.begin()?;
        wait.until(&self.checkpoints.levels, wanted.min_position).await?;
        loop {
            let known = self.known(stock_id, wanted.min_position).await?;
            if suffices(&known, wanted) {
                return Ok(known.into());
            }
            if !wait.pause().await {
                let (version, needed) = (version(known.value), wanted.min_version);
                return Err(NotFresh::OlderVersion { version, needed }.into());
            }
        }
    }

    /// The level as it is known here, if possible with every event up to `at_least`.
    async fn known(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, QueryError> {
        let (acknowledged, mark) = match self.acknowledged.level(stock_id) {
            Ok((level, as_of)) if as_of >= at_least => return Ok(Viewed::fresh(Some(level), as_of)),
            Ok((level, as_of)) => (Some(Viewed::fresh(Some(level), as_of)), as_of),
            Err(mark) => (None, mark),
        };
        let viewed = self.views.level(stock_id, mark.max(at_least)).await?;
        if viewed.as_of >= mark {
            return Ok(viewed);
        }
        match acknowledged {
            Some(acknowledged) => Ok(acknowledged),
            None => {
                let written = self.written(stock_id).await?;
                Ok(Viewed { as_of: written.as_of.max(viewed.as_of), ..written }) // It is ahead of every view.
            }
        }
    }

    /// The level as the write side knows it, as of its last event.
    async fn written(&self, stock_id: StockId) -> Result<Viewed<Option<Level>>, QueryError> {
        let answer = self.commands.send_stock(Request::plain(Ask::Level(stock_id))).await?;
        Ok(Viewed::fresh(Some(answer.level).filter(|level| level.version > 0), answer.position))
    }

    /// The levels of a product in all stores that have ever had it, in the order of the store ids. A product has no version.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the views can't tell, or don't catch up in time.
    pub async fn product(
        &self,
        product_id: ProductId,
        wanted: Freshness,
    ) -> Result<Told<Vec<(StoreId, Level)>>, QueryError> {
        let needed = self.catch_up.needed(wanted).await?;
        // Before the views are read: what leaves here meanwhile is in them.
        let (acknowledged, mark) = self.acknowledged.product(product_id);
        let needed = needed.max(mark);
        let mut viewed = self.views.product(product_id, needed).await?;
        if viewed.as_of < needed {
            self.catch_up.until(&self.checkpoints.products, needed).await?;
            viewed = self.views.product(product_id, needed).await?;
        }
        if viewed.as_of < needed {
            return Err(NotFresh::Behind { reached: viewed.as_of, needed }.into());
        }
        let mut levels = Arc::unwrap_or_clone(viewed.value);
        for (store_id, level) in acknowledged {
            match levels.binary_search_by_key(&store_id, |(store_id, _)| *store_id) {
                Ok(place) if levels[place].1.version < level.version => levels[place].1 = level,
                Ok(_) => (),
                Err(place) => levels.insert(place, (store_id, level)),
            }
        }
        Ok(Told { value: levels, kept: viewed.kept })
    }
}

impl<T> From<Viewed<T>> for Told<T> {
    fn from(viewed: Viewed<T>) -> Self {
        Self { value: viewed.value, kept: viewed.kept }
    }
}

fn version(level: Option<Level>) -> u64 {
    level.map_or(0, |level| level.version)
}

fn suffices(known: &Viewed<Option<Level>>, wanted: Freshness) -> bool {
    known.as_of >= wanted.min_position && version(known.value) >= wanted.min_version
}
