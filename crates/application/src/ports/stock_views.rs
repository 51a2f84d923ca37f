//! What the read side knows of stocks.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use inventory_domain::{Level, ProductId, StockId, StoreId};
use thiserror::Error;

use crate::Position;

/// The levels of a product in the stores that have ever had it, in the order of the store ids.
pub type ProductLevels = Arc<Vec<(StoreId, Level)>>;

/// The read side's levels. It follows the log, so what it says is true as of a position.
#[async_trait]
pub trait StockViews: Send + Sync {
    /// The level of a stock; `None` where nobody has ever filled it. A view that holds copies takes none that is older
    /// than `at_least`; the answer may be older all the same where the source is behind. One that shows copies past their time,
    /// because the source can't be read, says so in [`Viewed::kept`].
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError>;

    /// The levels of a product in all stores; as with [`StockViews::level`].
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError>;
}

/// A value, and up to which event of the log it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewed<T> {
    /// The value.
    pub value: T,
    /// Every event up to here is in it.
    pub as_of: Position,
    /// What a cache says of it, where it is a copy that a cache has kept.
    pub kept: Option<Kept>,
}

impl<T> Viewed<T> {
    /// A value that was read just now, true as of a position.
    #[must_use]
    pub const fn fresh(value: T, as_of: Position) -> Self {
        Self { value, as_of, kept: None }
    }
}

/// What a cache says of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How long ago it was read.
    pub age: Duration,
    /// How old it may become. One that is older is stale: it is shown because its source can't be read.
    pub time_to_live: Duration,
}

/// The read side can't be asked now.
#[derive(Debug, Error)]
#[error("the read model is unavailable")]
pub struct ViewError(#[source] pub Box<dyn Error + Send + Sync>);
