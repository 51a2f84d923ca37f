//! What the read side knows of stocks.

use std::error::Error;
use std::sync::Arc;

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
    /// than `at_least`; the answer may be older all the same where the source is behind.
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
}

/// The read side can't be asked now.
#[derive(Debug, Error)]
#[error("the read model is unavailable")]
pub struct ViewError(#[source] pub Box<dyn Error + Send + Sync>);
