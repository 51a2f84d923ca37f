//! A cache in front of any `StockViews`, that is itself one.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{
    ChangedStock, Kept, ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed,
};
use inventory_application::{AcknowledgedLevels, Position};
use inventory_domain::{Level, ProductId, StockId};
use tokio::time::Instant;

use crate::CacheKey;
use crate::single_flight::{Flown, SingleFlight};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::value_cache::{Age, Found, ValueCache};

/// The cache's bounds.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Values that are kept, at most.
    pub entries_max: NonZeroUsize,
    /// How long a value is shown, in milliseconds.
    pub ttl_ms: u64,
    /// How much longer it is shown while the source can't be read, in milliseconds.
    pub stale_ms_max: u64,
    /// Keys whose last invalidation is remembered one by one, at most.
    pub floors_max: NonZeroUsize,
}

/// What the cache has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Questions that it could answer.
    pub hits: u64,
    /// How old those answers were, all together.
    pub hit_age: Duration,
    /// Questions that it had to hand on.
    pub misses: u64,
    /// Misses that were given what somebody else was already reading.
    pub shared: u64,
    /// Misses that were answered with a value past its time, because the source could not be read.
    pub stale: u64,
    /// Values that it holds now.
    pub entries: usize,
}

/// Answers from memory what it can, and hands the rest on, one question of a kind at a time.
///
/// It has to hear of every step of the read models ([`ProjectionListener`]), after the step's commit, and before the acknowledged
/// levels do.
pub struct CachedStockViews {
    source: Arc<dyn StockViews>,
    acknowledged: Arc<AcknowledgedLevels>,
    values: Mutex<ValueCache<Value>>,
    reads: SingleFlight<CacheKey, Result<Viewed<Value>, SharedError>>,
    time_to_live: Duration,
    stale_max: Duration,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    hit_age_ms: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    stale: AtomicU64,
}

#[derive(Clone)]
enum Value {
    Stock(Option<Level>),
    Product(ProductLevels),
}

/// One failure, told to everybody who has waited for the same read.
#[derive(Clone, Debug)]
struct SharedError(Arc<ViewError>);

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl CachedStockViews {
    /// An empty cache in front of `source`, on a node that has `acknowledged` these levels.
    #[must_use]
    pub fn new(source: Arc<dyn StockViews>, acknowledged: Arc<AcknowledgedLevels>, settings: CacheSettings) -> Self {
        let time_to_live = Duration::from_millis(settings.ttl_ms);
        Self {
            source,
            acknowledged,
            values: Mutex::new(ValueCache::new(settings.entries_max, settings.floors_max, time_to_live)),
            reads: SingleFlight::new(),
            time_to_live,
            stale_max: Duration::from_millis(settings.stale_ms_max),
            counts: Counts::default(),
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStatistics {
            hits: of(&self.counts.hits),
            hit_age: Duration::from_millis(of(&self.counts.hit_age_ms)),
            misses: of(&self.counts.misses),
            shared: of(&self.counts.shared),
            stale: of(&self.counts.stale),
            entries: self.values().len(),
        }
    }

    /// The value under `key`: from memory, else by `read`; where that fails, one that is past its time.
    async fn view<F: Future<Output = Result<Viewed<Value>, ViewError>>>(
        &self,
        key: CacheKey,
        at_least: Position,
        read: impl Fn() -> F,
    ) -> Result<Viewed<Value>, ViewError> {
        let floor = {
            let mut values = self.values();
            match values.get(key, at_least, Age::Fresh, Instant::now()) {
                Some(found) => {
                    drop(values);
                    self.counts.hits.fetch_add(1, Ordering::Relaxed);
                    self.counts.hit_age_ms.fetch_add(millis(found.age), Ordering::Relaxed);
                    return Ok(self.kept(found));
                }
                None => values.floor(key),
            }
        };
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        match self.read(key, floor.max(at_least), read).await {
            Ok(viewed) => Ok(viewed),
            Err(SharedError(error)) => {
                let age = Age::PastBy(self.stale_max);
                let stale = self.values().get(key, at_least, age, Instant::now());
                let stale = stale.ok_or_else(|| ViewError(Box::new(SharedError(error))))?;
                self.counts.stale.fetch_add(1, Ordering::Relaxed);
                Ok(self.kept(stale))
            }
        }
    }

    /// Reads, together with whoever reads the same. What another one has begun to read earlier may lack what has been heard of since: it
    /// is taken if it has everything up to `at_least`, else what begins after it is.
    async fn read<F: Future<Output = Result<Viewed<Value>, ViewError>>>(
        &self,
        key: CacheKey,
        at_least: Position,
        read: impl Fn() -> F,
    ) -> Result<Viewed<Value>, SharedError> {
        let once = || async {
            let era = self.values().era();
            let viewed = read().await.map_err(|error| SharedError(Arc::new(error)))?;
            self.values().fill(key, viewed.value.clone(), viewed.as_of, era, Instant::now());
            Ok(viewed)
        };
        match self.reads.run(key, once).await {
            Flown::Own(outcome) => outcome,
            Flown::Joined(Ok(viewed)) if viewed.as_of < at_least => match self.reads.run(key, once).await {
                Flown::Own(outcome) | Flown::Joined(outcome) => outcome,
            },
            Flown::Joined(outcome) => {
                self.counts.shared.fetch_add(1, Ordering::Relaxed);
                outcome
            }
        }
    }

    fn kept(&self, found: Found<Value>) -> Viewed<Value> {
        let Found { value, as_of, age } = found;
        Viewed { value, as_of, kept: Some(Kept { age, time_to_live: self.time_to_live }) }
    }

    fn values(&self) -> MutexGuard<'_, ValueCache<Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What was viewed, as what was asked for.
fn as_kind<T>(viewed: Viewed<Value>, of: impl FnOnce(Value) -> Option<T>) -> Result<Viewed<T>, ViewError> {
    let Viewed { value, as_of, kept } = viewed;
    let value = of(value).ok_or_else(|| ViewError("the cache holds something else under the key".into()))?;
    Ok(Viewed { value, as_of, kept })
}

#[async_trait]
impl StockViews for CachedStockViews {
    async fn level(&self, stock_id: StockId, at_least: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        let read = || async {
            let viewed = self.source.level(stock_id, at_least).await?;
            Ok(Viewed { value: Value::Stock(viewed.value), as_of: viewed.as_of, kept: viewed.kept })
        };
        let viewed = self.view(CacheKey::Stock(stock_id), at_least, read).await?;
        as_kind(viewed, |value| match value {
            Value::Stock(level) => Some(level),
            Value::Product(_) => None,
        })
    }

    async fn product(&self, product_id: ProductId, at_least: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        let read = || async {
            let viewed = self.source.product(product_id, at_least).await?;
            Ok(Viewed { value: Value::Product(viewed.value), as_of: viewed.as_of, kept: viewed.kept })
        };
        let viewed = self.view(CacheKey::ProductInventory(product_id), at_least, read).await?;
        as_kind(viewed, |value| match value {
            Value::Product(levels) => Some(levels),
            Value::Stock(_) => None,
        })
    }
}

/// Replaces what a step of the read models has changed where this node has acknowledged just that, and drops the rest.
impl ProjectionListener for CachedStockViews {
    fn projected(&self, step: Projected<'_>) {
        let now = Instant::now();
        let mut values = self.values();
        for ChangedStock { stock_id, last } in step.stocks.iter().copied() {
            let up_to = step.checkpoint.max(last);
            let renewed = || self.acknowledged.level_after(stock_id, last).map(|level| Value::Stock(Some(level)));
            values.invalidate(CacheKey::Stock(stock_id), up_to, renewed, now);
            values.invalidate(CacheKey::ProductInventory(stock_id.product_id), step.checkpoint, || None, now);
        }
        values.heard(step.checkpoint);
    }

    fn rebuilt(&self, checkpoint: Position) {
        self.values().forget_all(checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use inventory_domain::StoreId;
    use tokio::sync::Semaphore;

    use super::*;

    /// Says how often it was asked, and fails when it is told to.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU64,
        is_broken: AtomicBool,
        /// Reads wait here for their leave, where they have to.
        gate: Option<Semaphore>,
    }

    impl Counting {
        /// As of so many reads: what a read sees is as it was when it began.
        async fn count(&self) -> Result<u64, ViewError> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            if self.is_broken.load(Ordering::SeqCst) { Err(ViewError("broken".into())) } else { Ok(asked) }
        }
    }

    #[async_trait]
    impl StockViews for Counting {
        async fn level(&self, _: StockId, _: Position) -> Result<Viewed<Option<Level>>, ViewError> {
            let asked = self.count().await?;
            Ok(Viewed::fresh(Some(Level { quantity: asked, reserved: 0, version: asked }), Position(asked)))
        }

        async fn product(&self, _: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
            let asked = self.count().await?;
            let level = Level { quantity: asked, reserved: 0, version: asked };
            Ok(Viewed::fresh(Arc::new(vec![(StoreId::from_u128(1), level)]), Position(asked)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_until_it_is_invalidated_or_old() {
        let cache = cache();
        assert_eq!(level(&cache).await, 1);
        assert_eq!(level(&cache).await, 1);
        cache.projected(Projected { checkpoint: Position(1), stocks: &[changed()] });
        assert_eq!(level(&cache).await, 2);
        assert_eq!(level(&cache).await, 2);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(level(&cache).await, 3);
        let expected = CacheStatistics { hits: 2, misses: 3, entries: 1, ..CacheStatistics::default() };
        assert_eq!(cache.statistics(), expected);
        tokio::time::advance(Duration::from_secs(7)).await;
        let kept = cache.level(stock(), Position::START).await.unwrap().kept;
        let (age, time_to_live) = (Duration::from_secs(7), Duration::from_secs(30));
        assert_eq!(kept, Some(Kept { age, time_to_live }));
        assert_eq!(cache.statistics().hit_age, age);
    }

    #[tokio::test]
    async fn a_stock_that_changes_takes_its_product_along() {
        let cache = cache();
        let product =
            || async { cache.product(stock().product_id, Position::START).await.unwrap().value[0].1.quantity };
        assert_eq!((product().await, product().await), (1, 1));
        cache.projected(Projected { checkpoint: Position(1), stocks: &[changed()] });
        assert_eq!(product().await, 2);
    }

    #[tokio::test]
    async fn what_is_too_old_for_the_question_is_read_again() {
        let cache = cache();
        assert_eq!(level(&cache).await, 1);
        assert_eq!(cache.level(stock(), Position(2)).await.unwrap().as_of, Position(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_past_its_time_is_shown_while_the_source_is_broken_and_not_for_ever() {
        let (cache, source) = cache_of(Counting::default());
        assert_eq!(level(&cache).await, 1);
        source.is_broken.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(31)).await;
        let stale = cache.level(stock(), Position(1)).await.unwrap();
        assert_eq!(
            stale.kept,
            Some(Kept { age: Duration::from_secs(31), time_to_live: Duration::from_secs(30) }),
            "and it says so"
        );
        assert_eq!(stale.value.unwrap().quantity, 1);
        assert!(cache.level(stock(), Position(2)).await.is_err(), "it is not true up to there");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(cache.level(stock(), Position(1)).await.is_err(), "too old");
        assert_eq!(cache.statistics().stale, 1);
        source.is_broken.store(false, Ordering::SeqCst);
        assert_eq!(cache.level(stock(), Position(1)).await.unwrap().kept, None);
    }

    #[tokio::test]
    async fn what_has_changed_is_not_shown_even_while_the_source_is_broken() {
        let (cache, source) = cache_of(Counting::default());
        assert_eq!(level(&cache).await, 1);
        source.is_broken.store(true, Ordering::SeqCst);
        cache.projected(Projected { checkpoint: Position(2), stocks: &[changed()] });
        assert!(cache.level(stock(), Position::START).await.is_err());
    }

    #[tokio::test]
    async fn who_misses_together_reads_once() {
        let (cache, source) = cache_of(Counting { gate: Some(Semaphore::new(0)), ..Counting::default() });
        let asked: Vec<_> = (0..20).map(|_| ask(&cache)).collect();
        while cache.statistics().misses < 20 {
            tokio::task::yield_now().await;
        }
        source.gate.as_ref().unwrap().add_permits(1);
        for asked in asked {
            assert_eq!(asked.await.unwrap(), 1);
        }
        assert_eq!((cache.statistics().shared, source.asked.load(Ordering::SeqCst)), (19, 1));
    }

    #[tokio::test]
    async fn a_read_that_began_before_a_change_is_not_for_those_who_ask_after_it() {
        let (cache, source) = cache_of(Counting { gate: Some(Semaphore::new(0)), ..Counting::default() });
        let early = ask(&cache);
        while source.asked.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        cache.projected(Projected { checkpoint: Position(2), stocks: &[changed()] });
        let late = ask(&cache);
        while cache.statistics().misses < 2 {
            tokio::task::yield_now().await;
        }
        source.gate.as_ref().unwrap().add_permits(2);
        assert_eq!((early.await.unwrap(), late.await.unwrap()), (1, 2));
    }

    fn ask(cache: &Arc<CachedStockViews>) -> tokio::task::JoinHandle<u64> {
        let cache = Arc::clone(cache);
        tokio::spawn(async move { level(&cache).await })
    }

    fn cache() -> Arc<CachedStockViews> {
        cache_of(Counting::default()).0
    }

    fn cache_of(source: Counting) -> (Arc<CachedStockViews>, Arc<Counting>) {
        let count = |number| NonZeroUsize::new(number).unwrap();
        let settings =
            CacheSettings { entries_max: count(10), ttl_ms: 30_000, stale_ms_max: 60_000, floors_max: count(10) };
        let (source, nothing) = (Arc::new(source), Arc::new(AcknowledgedLevels::new(1, Position::START)));
        (Arc::new(CachedStockViews::new(Arc::clone(&source) as _, nothing, settings)), source)
    }

    async fn level(cache: &CachedStockViews) -> u64 {
        cache.level(stock(), Position::START).await.unwrap().value.unwrap().quantity
    }

    fn changed() -> ChangedStock {
        ChangedStock { stock_id: stock(), last: Position(1) }
    }

    fn stock() -> StockId {
        StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) }
    }
}
