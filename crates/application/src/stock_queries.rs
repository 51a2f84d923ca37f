//! The questions that the read side answers.

use std::sync::Arc;
use std::time::Duration;

use inventory_domain::{Level, ProductId, StockId, StoreId};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ports::{Kept, StockViews, ViewError};
use crate::{AcknowledgedLevels, Ask, CommandError, CommandSender, Position, Request};

/// Answers from what this node has acknowledged, then from the views (cache and read model), and from the write side
/// where those can't know.
#[derive(Clone)]
pub struct StockQueries {
    acknowledged: Arc<AcknowledgedLevels>,
    views: Arc<dyn StockViews>,
    commands: CommandSender,
    checkpoint: watch::Receiver<Position>,
    settings: StockQueriesSettings,
}

/// The queries' bounds.
#[derive(Clone, Copy, Debug)]
pub struct StockQueriesSettings {
    /// How long a query may wait for the read models to catch up, in milliseconds.
    pub catch_up_ms_max: u64,
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
    /// The read models don't yet have what this node knows to be there.
    #[error("the read model is at {checkpoint}, the question needs {needed}")]
    Behind {
        /// How far the read models are.
        checkpoint: Position,
        /// How far they have to be.
        needed: Position,
    },
    /// The write side can't be asked.
    #[error(transparent)]
    WriteSide(#[from] CommandError),
}

impl StockQueries {
    /// Queries over these views; `checkpoint` shows how far the read models are.
    #[must_use]
    pub fn new(
        acknowledged: Arc<AcknowledgedLevels>,
        views: Arc<dyn StockViews>,
        commands: CommandSender,
        checkpoint: watch::Receiver<Position>,
        settings: StockQueriesSettings,
    ) -> Self {
        Self { acknowledged, views, commands, checkpoint, settings }
    }

    /// The level of a stock; `None` where nobody has ever filled it.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when neither the views nor the write side can tell.
    pub async fn level(&self, stock_id: StockId) -> Result<Told<Option<Level>>, QueryError> {
        let mark = match self.acknowledged.level(stock_id) {
            Ok(level) => return Ok(Told { value: Some(level), kept: None }),
            Err(mark) => mark,
        };
        let viewed = self.views.level(stock_id, mark).await?;
        if viewed.as_of >= mark {
            return Ok(Told { value: viewed.value, kept: viewed.kept });
        }
        let answer = self.commands.send_stock(Request::plain(Ask::Level(stock_id))).await?;
        Ok(Told { value: Some(answer.level).filter(|level| level.version > 0), kept: None })
    }

    /// The levels of a product in all stores that have ever had it, in the order of the store ids.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the views can't tell, or don't catch up in time.
    pub async fn product(&self, product_id: ProductId) -> Result<Told<Vec<(StoreId, Level)>>, QueryError> {
        // Before the views are read: what leaves here meanwhile is in them.
        let (acknowledged, mark) = self.acknowledged.product(product_id);
        let mut viewed = self.views.product(product_id, mark).await?;
        if viewed.as_of < mark {
            self.wait_for(mark).await?;
            viewed = self.views.product(product_id, mark).await?;
        }
        if viewed.as_of < mark {
            return Err(QueryError::Behind { checkpoint: viewed.as_of, needed: mark });
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

    async fn wait_for(&self, needed: Position) -> Result<(), QueryError> {
        let mut checkpoint = self.checkpoint.clone();
        let longest = Duration::from_millis(self.settings.catch_up_ms_max);
        match timeout(longest, checkpoint.wait_for(|reached| *reached >= needed)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(QueryError::Behind { checkpoint: *self.checkpoint.borrow(), needed }),
        }
    }
}
