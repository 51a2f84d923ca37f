//! How every view is called: through one breaker, and again when it fails now and then.

use std::future::Future;
use std::sync::Arc;

use inventory_application::ports::ViewError;

use crate::circuit_breaker::{CircuitBreaker, CircuitOpen};
use crate::retry_policy::RetryPolicy;

/// The breaker that all views of the same read models share, and the retries.
#[derive(Clone)]
pub struct GuardedViews {
    breaker: Arc<CircuitBreaker>,
    retry: RetryPolicy,
}

impl GuardedViews {
    /// Calls through `breaker`.
    #[must_use]
    pub fn new(breaker: Arc<CircuitBreaker>, retry: RetryPolicy) -> Self {
        Self { breaker, retry }
    }

    pub(crate) async fn call<T, F: Future<Output = Result<T, ViewError>>>(
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
