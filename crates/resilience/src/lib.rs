//! Circuit breaker and retry with backoff, as decorators of the ports.
//!
//! What is safe twice (loads, views) is tried again; an append never is, because a time-out is not a failure. A decorator
//! is itself the port that it wraps, so neither side knows of it.
//!
//! In reading order: [`circuit_breaker`] (when to stop calling; the only user of `failsafe`), [`retry_policy`] (how long to
//! wait; the only user of `backoff`), [`resilient_event_store`], [`guarded_views`] (how views are called),
//! [`resilient_stock_views`], [`resilient_lists`].

pub mod circuit_breaker;
pub mod guarded_views;
pub mod resilient_event_store;
pub mod resilient_lists;
pub mod resilient_stock_views;
pub mod retry_policy;

pub use circuit_breaker::{BreakerSettings, BreakerState, CircuitBreaker, CircuitOpen};
pub use guarded_views::GuardedViews;
pub use resilient_event_store::ResilientEventStore;
pub use resilient_lists::ResilientLists;
pub use resilient_stock_views::ResilientStockViews;
pub use retry_policy::{RetryPolicy, RetrySettings};
