//! Lists of stocks, by the read side.

use async_trait::async_trait;
use inventory_domain::{Level, StockId, StoreId};

use super::{Slice, ViewError, Viewed};

/// A part of a list of stocks.
pub type StockSlice = Slice<(StockId, Level), StockId>;

/// Levels, by store and then product: the place of a stock in a list never changes, so a part that starts after it is right
/// whatever has happened since. A look at a list passes over so many stocks and no more, and says where it has stopped.
#[async_trait]
pub trait StockLists: Send + Sync {
    /// The stocks of a store that follow `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn of_store(
        &self,
        store_id: StoreId,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError>;

    /// The stocks (of a store) with fewer than `units` available that follow `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn below(
        &self,
        units: u64,
        store_id: Option<StoreId>,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError>;
}
