//! Answers a second of the cache in front of the read models: hits, misses, and copies that are dropped.
//!
//! Its source answers from memory at once, so what a miss costs is the cache's own part: looking, joining those who read the same,
//! filling. Not measured: `SQLite`, many threads at a time. The limit is what a bare LRU under a mutex takes for the same: a look; a look, a put;
//! a removal.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers are small")]

use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use inventory_application::ports::{
    ChangedStock, ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed,
};
use inventory_application::{AcknowledgedLevels, Position};
use inventory_cache::{CacheSettings, CachedStockViews};
use inventory_domain::{Level, ProductId, StockId};
use lru::LruCache;

use measuring::Measuring;
use shop::stock;

mod measuring;
mod shop;

/// As the service's default.
const ENTRIES: usize = 1_000;
/// Stocks that one step of the read models changes.
const CHANGED: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut measuring = Measuring::of("cache");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // As many keys as there is room for are always hits, twice as many in turn never are.
    for (name, keys) in [("hit", ENTRIES), ("miss", 2 * ENTRIES)] {
        let stocks: Vec<_> = (0..keys as u64).map(stock).collect();
        measuring.compare(&format!("cache {name}"), keys as u64, &[("cache", "bare LRU")], |group| {
            let (cache, _) = cache();
            group.bench_function("cache", |bencher| {
                bencher.iter(|| {
                    runtime.block_on(async {
                        for stock_id in &stocks {
                            black_box(cache.level(*stock_id, Position::START).await.unwrap());
                        }
                    });
                });
            });
            let said = cache.statistics();
            assert!(if keys > ENTRIES { said.hits == 0 } else { said.misses <= keys as u64 }, "{said:?}");
            let lru = bare();
            group.bench_function("bare LRU", |bencher| {
                bencher.iter(|| {
                    for stock_id in &stocks {
                        let found = lru.lock().unwrap().get(stock_id).copied();
                        if black_box(found).is_none() {
                            lru.lock().unwrap().put(*stock_id, LEVEL);
                        }
                    }
                });
            });
        });
    }

    let stocks: Vec<_> = (0..CHANGED as u64).map(stock).collect();
    measuring.compare("cache, drop what has changed", CHANGED as u64, &[("cache", "bare LRU")], |group| {
        let (cache, source) = cache();
        group.bench_function("cache", |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    runtime.block_on(async {
                        for stock_id in &stocks {
                            cache.level(*stock_id, Position::START).await.unwrap();
                        }
                    });
                    assert_eq!(cache.statistics().entries, CHANGED);
                    let checkpoint = Position(source.as_of.fetch_add(1, Ordering::Relaxed) + 1);
                    let changed: Vec<_> =
                        stocks.iter().map(|stock_id| ChangedStock { stock_id: *stock_id, last: checkpoint }).collect();
                    let begun = Instant::now();
                    cache.projected(Projected { checkpoint, stocks: &changed });
                    took += begun.elapsed();
                    assert_eq!(cache.statistics().entries, 0);
                }
                took
            });
        });
        let lru = bare();
        group.bench_function("bare LRU", |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    for stock_id in &stocks {
                        lru.lock().unwrap().put(*stock_id, LEVEL);
                    }
                    let begun = Instant::now();
                    let mut entries = lru.lock().unwrap();
                    for stock_id in &stocks {
                        black_box(entries.pop(stock_id));
                    }
                    took += begun.elapsed();
                }
                took
            });
        });
    });
    measuring.report()
}

const LEVEL: Level = Level { quantity: 10, reserved: 1, version: 2 };

fn bare() -> Mutex<LruCache<StockId, Level>> {
    Mutex::new(LruCache::new(NonZeroUsize::new(ENTRIES).unwrap()))
}

fn cache() -> (CachedStockViews, Arc<AtOnce>) {
    let entries_max = NonZeroUsize::new(ENTRIES).unwrap();
    let settings = CacheSettings {
        entries_max,
        ttl_ms: 3_600_000,
        stale_ms_max: 0,
        floors_max: NonZeroUsize::new(10 * ENTRIES).unwrap(),
    };
    let source = Arc::new(AtOnce { as_of: AtomicU64::new(1) });
    let acknowledged = Arc::new(AcknowledgedLevels::new(1, Position::START));
    (CachedStockViews::new(Arc::clone(&source) as _, acknowledged, settings), source)
}

/// Knows every stock.
struct AtOnce {
    as_of: AtomicU64,
}

#[async_trait]
impl StockViews for AtOnce {
    async fn level(&self, _: StockId, _: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        Ok(Viewed::fresh(Some(LEVEL), Position(self.as_of.load(Ordering::Relaxed))))
    }

    async fn product(&self, _: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        Err(ViewError("only levels are asked for here".into()))
    }
}
