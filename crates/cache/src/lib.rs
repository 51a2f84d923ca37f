//! An LRU with expiry in front of any stock view, and the floors that keep an old value out of it.
//!
//! In reading order: [`cache_key`] (what a value is kept under), `value_cache` (values, floors, expiry; the rules),
//! `single_flight` (one read for all who miss together), [`cached_stock_views`] (the decorator).

pub mod cache_key;
pub mod cached_stock_views;
mod single_flight;
mod sync;
mod value_cache;

pub use cache_key::CacheKey;
pub use cached_stock_views::{CacheSettings, CacheStatistics, CachedStockViews};
