//! A cache in front of any `StockViews`, that is itself one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed};
use inventory_domain::{Level, ProductId, StockId};
use tokio::time::Instant;

use crate::CacheKey;
use crate::value_cache::ValueCache;

/// The cache's bounds.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Values that are kept, at most.
    pub entries_max: NonZeroUsize,
    /// How long a value is shown, in milliseconds.
    pub ttl_ms: u64,
    /// Keys whose last invalidation is remembered one by one, at most.
    pub floors_max: NonZeroUsize,
}

/// What the cache has done since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Questions that it could answer.
    pub hits: u64,
    /// Questions that it had to hand on.
    pub misses: u64,
    /// Values that it holds now.
    pub entries: usize,
}

/// Answers from memory what it can, and hands the rest on.
///
/// It has to hear of every step of the read models ([`ProjectionListener`]), after the step's commit.
pub struct CachedStockViews {
    source: Arc<dyn StockViews>,
    values: Mutex<ValueCache<Value>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Clone)]
enum Value {
    Stock(Option<Level>),
    Product(ProductLevels),
}

impl CachedStockViews {
    /// An empty cache in front of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn StockViews>, settings: CacheSettings) -> Self {
        let time_to_live = Duration::from_millis(settings.ttl_ms);
        let values = ValueCache::new(settings.entries_max, settings.floors_max, time_to_live);
        Self { source, values: Mutex::new(values), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What it has done so far.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        let entries = self.values().len();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries,
        }
    }

    fn get(&self, key: CacheKey, at_least: Position) -> Option<(Value, Position)> {
        let found = self.values().get(key, at_least, Instant::now());
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn fill(&self, key: CacheKey, value: Value, as_of: Position) {
        self.values().fill(key, value, as_of, Instant::now());
    }

    fn values(&self) -> MutexGuard<'_, ValueCache<Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StockViews for CachedStockViews {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        let key = CacheKey::Stock(stock_id);
        if let Some((Value::Stock(value), as_of)) = self.get(key, at_least) {
            return Ok(Viewed { value, as_of });
        }
        let viewed = self.source.level(stock_id, at_least).await?;
        self.fill(key, Value::Stock(viewed.value), viewed.as_of);
        Ok(viewed)
    }

    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        let key = CacheKey::ProductInventory(product_id);
        if let Some((Value::Product(value), as_of)) = self.get(key, at_least) {
            return Ok(Viewed { value, as_of });
        }
        let viewed = self.source.product(product_id, at_least).await?;
        self.fill(key, Value::Product(Arc::clone(&viewed.value)), viewed.as_of);
        Ok(viewed)
    }
}

/// Drops what a step of the read models has changed.
impl ProjectionListener for CachedStockViews {
    fn projected(&self, step: Projected<'_>) {
        let keys = step
            .stocks
            .iter()
            .flat_map(|stock_id| [CacheKey::Stock(*stock_id), CacheKey::ProductInventory(stock_id.product_id)]);
        self.values().invalidate(keys, step.checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use inventory_domain::StoreId;

    use super::*;

    /// Says how often it was asked.
    #[derive(Default)]
    struct Counting(AtomicU64);

    #[async_trait]
    impl StockViews for Counting {
        async fn level(&self, _: StockId, _: Position) -> Result<Viewed<Option<Level>>, ViewError> {
            let asked = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(Viewed { value: Some(Level { quantity: asked, reserved: 0, version: asked }), as_of: Position(asked) })
        }

        async fn product(&self, _: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
            let asked = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let level = Level { quantity: asked, reserved: 0, version: asked };
            Ok(Viewed { value: Arc::new(vec![(StoreId::from_u128(1), level)]), as_of: Position(asked) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_until_it_is_invalidated_or_old() {
        let cache = cache();
        assert_eq!(level(&cache).await, 1);
        assert_eq!(level(&cache).await, 1);
        cache.projected(Projected { checkpoint: Position(1), stocks: &[stock()] });
        assert_eq!(level(&cache).await, 2);
        assert_eq!(level(&cache).await, 2);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(level(&cache).await, 3);
        assert_eq!(cache.statistics(), CacheStatistics { hits: 2, misses: 3, entries: 1 });
    }

    #[tokio::test]
    async fn a_stock_that_changes_takes_its_product_along() {
        let cache = cache();
        let product =
            || async { cache.product(stock().product_id, Position::START).await.unwrap().value[0].1.quantity };
        assert_eq!((product().await, product().await), (1, 1));
        cache.projected(Projected { checkpoint: Position(1), stocks: &[stock()] });
        assert_eq!(product().await, 2);
    }

    #[tokio::test]
    async fn what_is_too_old_for_the_question_is_read_again() {
        let cache = cache();
        assert_eq!(level(&cache).await, 1);
        assert_eq!(cache.level(stock(), Position(2)).await.unwrap().as_of, Position(2));
    }

    fn cache() -> CachedStockViews {
        let count = |number| NonZeroUsize::new(number).unwrap();
        let settings = CacheSettings { entries_max: count(10), ttl_ms: 30_000, floors_max: count(10) };
        CachedStockViews::new(Arc::new(Counting::default()), settings)
    }

    async fn level(cache: &CachedStockViews) -> u64 {
        cache.level(stock(), Position::START).await.unwrap().value.unwrap().quantity
    }

    fn stock() -> StockId {
        StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) }
    }
}
