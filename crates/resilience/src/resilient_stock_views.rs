//! Stock views that are not asked while they keep failing, and tried again when they fail now and then.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{ProductLevels, StockViews, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId};

use crate::guarded_views::GuardedViews;

/// A breaker in front of stock views, with retries.
pub struct ResilientStockViews {
    inner: Arc<dyn StockViews>,
    guard: GuardedViews,
}

impl ResilientStockViews {
    /// `inner`, called through `guard`.
    #[must_use]
    pub fn new(inner: Arc<dyn StockViews>, guard: GuardedViews) -> Self {
        Self { inner, guard }
    }
}

#[async_trait]
impl StockViews for ResilientStockViews {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        self.guard.call(|| self.inner.level(stock_id, at_least)).await
    }

    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        self.guard.call(|| self.inner.product(product_id, at_least)).await
    }
}
