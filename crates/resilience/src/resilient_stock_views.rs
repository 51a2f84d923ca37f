//! Stock views that are not asked while they keep failing, and tried again when they fail now and then.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{ProductLevels, StockViews, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId};

use crate::circuit_breaker::{CircuitBreaker, CircuitOpen};
use crate::retry_policy::RetryPolicy;

/// A breaker in front of stock views, with retries.
pub struct ResilientStockViews {
    inner: Arc<dyn StockViews>,
    breaker: Arc<CircuitBreaker>,
    retry: RetryPolicy,
}

impl ResilientStockViews {
    /// `inner`, called through `breaker`.
    #[must_use]
    pub fn new(inner: Arc<dyn StockViews>, breaker: Arc<CircuitBreaker>, retry: RetryPolicy) -> Self {
        Self { inner, breaker, retry }
    }

    async fn call<T, F: Future<Output = Result<T, ViewError>>>(
        &self,
        ask: impl Fn() -> F + Send,
    ) -> Result<T, ViewError> {
        let once = || async {
            let permit = self.breaker.permit().map_err(|open| ViewError(Box::new(open)))?;
            let outcome = ask().await;
            if outcome.is_ok() {
                permit.succeeded();
            } else {
                permit.failed();
            }
            outcome
        };
        // While the breaker is open, waiting for another try only makes the answer late.
        self.retry.run(once, |error: &ViewError| !error.0.is::<CircuitOpen>()).await
    }
}

#[async_trait]
impl StockViews for ResilientStockViews {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        self.call(|| self.inner.level(stock_id, at_least)).await
    }

    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        self.call(|| self.inner.product(product_id, at_least)).await
    }
}
