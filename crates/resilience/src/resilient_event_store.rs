//! An event store that is not called while it keeps failing, and whose loads are tried again.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::StreamId;
use inventory_application::ports::{AppendGroup, AppendOutcome, EventStore, LoadedStream, Snapshot, StoreError};

use crate::circuit_breaker::{CircuitBreaker, CircuitOpen, Permit};
use crate::retry_policy::RetryPolicy;

/// A breaker in front of an event store, with retries of its loads.
///
/// An append is never tried again: whether it happened is not known when it fails. A conflict is no failure.
pub struct ResilientEventStore {
    inner: Arc<dyn EventStore>,
    breaker: Arc<CircuitBreaker>,
    retry: RetryPolicy,
}

impl ResilientEventStore {
    /// `inner`, called through `breaker`.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>, breaker: Arc<CircuitBreaker>, retry: RetryPolicy) -> Self {
        Self { inner, breaker, retry }
    }

    async fn load_once(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        let permit = self.permit()?;
        report(permit, self.inner.load(streams).await)
    }

    fn permit(&self) -> Result<Permit<'_>, StoreError> {
        self.breaker.permit().map_err(|open| StoreError::Unavailable(Box::new(open)))
    }
}

#[async_trait]
impl EventStore for ResilientEventStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let permit = self.permit()?;
        report(permit, self.inner.append(batch).await)
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        // While the breaker is open, waiting for another try only makes the answer late.
        let is_worth_another_try =
            |error: &StoreError| matches!(error, StoreError::Unavailable(cause) if !cause.is::<CircuitOpen>());
        self.retry.run(|| self.load_once(streams.clone()), is_worth_another_try).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.inner.keep_snapshots(snapshots).await // A cache: whether it can be kept says nothing about anything else.
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}

/// Damage is found by a store that works: it says nothing about its health.
fn report<T>(permit: Permit<'_>, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    match &outcome {
        Ok(_) | Err(StoreError::Damaged(_)) => permit.succeeded(),
        Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => permit.failed(),
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::circuit_breaker::{BreakerSettings, BreakerState};
    use crate::retry_policy::RetrySettings;

    /// Fails as long as it is told to, and counts its calls.
    #[derive(Default)]
    struct Flaky {
        failures: AtomicU64,
        calls: AtomicU64,
    }

    impl Flaky {
        fn call<T>(&self, value: T) -> Result<T, StoreError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let left = self.failures.load(Ordering::SeqCst);
            self.failures.store(left.saturating_sub(1), Ordering::SeqCst);
            if left > 0 { Err(StoreError::Unavailable("injected".into())) } else { Ok(value) }
        }
    }

    #[async_trait]
    impl EventStore for Flaky {
        async fn append(&self, _: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
            self.call(Vec::new())
        }

        async fn load(&self, _: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
            self.call(Vec::new())
        }

        async fn keep_snapshots(&self, _: Vec<Snapshot>) -> Result<(), StoreError> {
            Ok(())
        }

        fn is_exclusive(&self) -> bool {
            true
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_is_tried_again_and_an_append_is_not() {
        let (store, flaky, _) = resilient(2);
        assert!(store.load(Vec::new()).await.is_ok());
        assert_eq!(flaky.calls.load(Ordering::SeqCst), 3);
        flaky.failures.store(1, Ordering::SeqCst);
        assert!(store.append(Arc::default()).await.is_err());
        assert_eq!(flaky.calls.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_keeps_failing_is_left_alone() {
        let (store, flaky, breaker) = resilient(100);
        for _ in 0..5 {
            assert!(store.append(Arc::default()).await.is_err());
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        let refused = store.append(Arc::default()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable(_)), "nothing was done: {refused:?}");
        let asked = Instant::now();
        assert!(store.load(Vec::new()).await.is_err());
        assert_eq!(asked.elapsed(), Duration::ZERO, "nobody waits for a breaker that stays open for longer");
        assert_eq!(flaky.calls.load(Ordering::SeqCst), 5);
    }

    fn resilient(failures: u64) -> (ResilientEventStore, Arc<Flaky>, Arc<CircuitBreaker>) {
        let flaky = Arc::new(Flaky { failures: AtomicU64::new(failures), calls: AtomicU64::new(0) });
        let breaker = Arc::new(CircuitBreaker::new(BreakerSettings { failures_to_open: 5, open_for_ms: 30_000 }));
        let retry = RetryPolicy::new(RetrySettings {
            tries_max: 3,
            first_delay_ms: 1_000,
            delay_multiplier: 2.0,
            delay_ms_max: 10_000,
            jitter: 0.1,
        });
        let inner: Arc<dyn EventStore> = Arc::clone(&flaky) as _;
        (ResilientEventStore::new(inner, Arc::clone(&breaker), retry), flaky, breaker)
    }
}
