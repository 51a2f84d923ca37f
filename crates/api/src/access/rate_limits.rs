//! How often somebody may ask, and the headers that say so (draft-ietf-httpapi-ratelimit-headers).

use std::cell::Cell;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// What is left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is allowed.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many requests somebody may send a second over time, and how many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    /// This many a second, and `burst` at once; `None`, without a limit, where `per_second` is 0. A burst of 0 is a second's worth.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        Some(Self { per_second, burst: NonZeroU32::new(burst).unwrap_or(per_second) })
    }

    /// How long it takes until `requests` are allowed again, in whole seconds.
    fn seconds_for(self, requests: u32) -> u32 {
        requests.div_ceil(self.per_second.get())
    }
}

/// Counts the requests of one caller or address.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    counter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
    policy: HeaderValue,
}

impl Limiter {
    /// A limiter that has seen nothing yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let policy = format!("\"default\";q={};w={}", rate.burst, rate.seconds_for(rate.burst.get()));
        let policy = HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { rate, counter: RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware(), policy }
    }

    /// What it allows.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts `requests` at once; more than the burst count as the burst, or they could never be made.
    ///
    /// # Errors
    ///
    /// How long to wait, in seconds, where that many are not allowed now; then none is counted.
    fn count(&self, requests: NonZeroU32) -> Result<u32, u64> {
        let requests = requests.min(self.rate.burst);
        match self.counter.check_n(requests) {
            Ok(Ok(state)) => Ok(state.remaining_burst_capacity()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(self.counter.clock().now());
                Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0).max(u64::from(wait.as_secs() == 0)))
            }
            // `requests` is not above the burst.
            Err(_) => Err(u64::from(self.rate.seconds_for(requests.get()))),
        }
    }
}

/// What one request has used up, and what is left after it; in the request's extensions.
#[derive(Debug)]
pub struct Allowance {
    limiter: Arc<Limiter>,
    left: Cell<Left>,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    requests: u32,
    /// Seconds until there is more, where a request was refused.
    wait_s: Option<u64>,
}

/// Too much was asked; the seconds after which it may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// The seconds.
    pub retry_after_s: u64,
}

impl Allowance {
    /// Counts a request, and says whether it is allowed.
    pub fn of_request(limiter: &Arc<Limiter>) -> (Self, Result<(), TooMany>) {
        let allowance = Self { limiter: Arc::clone(limiter), left: Cell::new(Left { requests: 0, wait_s: None }) };
        let counted = allowance.count(NonZeroU32::MIN);
        (allowance, counted)
    }

    /// Counts what a request stands for beside itself: a batch counts as the commands that are in it, and as the burst where
    /// that is less.
    ///
    /// # Errors
    ///
    /// [`TooMany`] where that is not allowed now.
    pub fn count_also(&self, requests: usize) -> Result<(), TooMany> {
        let below_burst = self.limiter.rate.burst.get() - 1; // The request itself is counted already.
        let requests = u32::try_from(requests).unwrap_or(u32::MAX).min(below_burst);
        let Some(requests) = NonZeroU32::new(requests) else { return Ok(()) };
        // Whoever comes back is counted from the start, so the wait is for all of it. What is refused is not counted.
        self.count(requests).or_else(|_| self.count(requests.saturating_add(1)))
    }

    fn count(&self, requests: NonZeroU32) -> Result<(), TooMany> {
        match self.limiter.count(requests) {
            Ok(requests) => {
                self.left.set(Left { requests, wait_s: None });
                Ok(())
            }
            Err(retry_after_s) => {
                self.left.set(Left { requests: 0, wait_s: Some(retry_after_s) });
                Err(TooMany { retry_after_s })
            }
        }
    }

    /// Says in the headers what is allowed, what is left, and in how many seconds there is all of it again (or more, where
    /// nothing is left).
    pub fn write(&self, headers: &mut HeaderMap) {
        let Left { requests, wait_s } = self.left.get();
        let used = self.limiter.rate.burst.get().saturating_sub(requests);
        let seconds = wait_s.unwrap_or_else(|| self.limiter.rate.seconds_for(used).into());
        let mut text = ShortText { bytes: [0; 64], length: 0 };
        if write!(text, "\"default\";r={requests};t={seconds}").is_ok()
            && let Ok(value) = HeaderValue::from_bytes(text.bytes())
        {
            headers.insert(RATE_LIMIT, value);
        }
        headers.insert(RATE_LIMIT_POLICY, self.limiter.policy.clone());
    }
}

/// A header's text on the stack: one is written for every answer.
struct ShortText {
    bytes: [u8; 64],
    length: usize,
}

impl ShortText {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_rate() {
        assert_eq!(Rate::new(0, 100), None);
        assert_eq!(Rate::new(5, 0), Rate::new(5, 5));
    }

    #[test]
    fn a_burst_is_allowed_and_no_more() {
        // One a second, so that none comes back while the test runs; three at once.
        let limiter = limiter(1, 3);
        assert_eq!(ask(&limiter, 0), "ok \"default\";r=2;t=1 \"default\";q=3;w=3");
        assert_eq!(ask(&limiter, 0), "ok \"default\";r=1;t=2 \"default\";q=3;w=3");
        assert_eq!(ask(&limiter, 0), "ok \"default\";r=0;t=3 \"default\";q=3;w=3");
        assert_eq!(ask(&limiter, 0), "after 1 s \"default\";r=0;t=1 \"default\";q=3;w=3");
    }

    #[test]
    fn a_batch_counts_as_its_commands_up_to_the_burst() {
        let limiter_of_ten = limiter(1, 10);
        assert_eq!(ask(&limiter_of_ten, 4), "ok \"default\";r=5;t=5 \"default\";q=10;w=10");
        assert_eq!(ask(&limiter_of_ten, 5), "after 2 s \"default\";r=0;t=2 \"default\";q=10;w=10");
        assert!(
            ask(&limiter(1, 10), 8_191).starts_with("ok \"default\";r=0"),
            "a rested caller may send the largest batch"
        );
        assert!(ask(&limiter(1, 1), 8_191).starts_with("ok "));
    }

    #[test]
    fn a_batch_that_waits_as_long_as_it_is_told_is_allowed() {
        let limiter = limiter(1, 3);
        assert!(ask(&limiter, 0).starts_with("ok "));
        assert_eq!(ask(&limiter, 2), "after 2 s \"default\";r=0;t=2 \"default\";q=3;w=3");
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert!(ask(&limiter, 2).starts_with("ok "));
    }

    #[test]
    fn the_largest_numbers_fit() {
        let limiter = limiter(u32::MAX, u32::MAX);
        assert!(ask(&limiter, 0).starts_with("ok \"default\";r="));
    }

    fn limiter(per_second: u32, burst: u32) -> Arc<Limiter> {
        Arc::new(Limiter::new(Rate::new(per_second, burst).unwrap()))
    }

    fn ask(limiter: &Arc<Limiter>, also: usize) -> String {
        let (allowance, counted) = Allowance::of_request(limiter);
        let counted = counted.and_then(|()| allowance.count_also(also));
        let mut headers = HeaderMap::new();
        allowance.write(&mut headers);
        let counted = counted.map_or_else(|no| format!("after {} s", no.retry_after_s), |()| "ok".to_owned());
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        format!("{counted} {} {}", text(RATE_LIMIT), text(RATE_LIMIT_POLICY))
    }
}
