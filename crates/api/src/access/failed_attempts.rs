//! Addresses that try credentials which aren't good: after some they wait, and the log hears no more of them.
//!
//! Who has good credentials is not held up by who else comes from the address, so they are looked at first.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderValue};
use lru::LruCache;

use super::rate_limits::{RATE_LIMIT, RATE_LIMIT_POLICY, TooMany};

/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);

/// The failures of each address in its last minute. Only those without good credentials get to its lock.
#[derive(Debug)]
pub struct FailedAttempts {
    failures_max: u32,
    addresses: Mutex<LruCache<IpAddr, Failures>>,
}

/// What holds an address up; in the extensions of a request that was refused for it.
#[derive(Clone, Copy, Debug)]
pub struct HeldUp {
    failures_max: u32,
    wait_s: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

impl FailedAttempts {
    /// Allows `failures_max` an address and minute, and remembers `addresses_max` addresses.
    #[must_use]
    pub fn new(failures_max: u32, addresses_max: usize) -> Self {
        let addresses_max = NonZeroUsize::new(addresses_max).unwrap_or(NonZeroUsize::MIN);
        Self { failures_max, addresses: Mutex::new(LruCache::sparse(addresses_max)) }
    }

    /// Whether the address may try again.
    ///
    /// # Errors
    ///
    /// [`TooMany`] says when it may.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        match self.lock().peek(&address) {
            Some(failures) if failures.count >= self.failures_max => {
                let left = WINDOW.saturating_sub(now.saturating_duration_since(failures.since));
                if left.is_zero() { Ok(()) } else { Err(TooMany { retry_after_s: left.as_secs() + 1 }) }
            }
            _ => Ok(()),
        }
    }

    /// What an address is told that has to wait.
    #[must_use]
    pub fn held_up(&self, refused: TooMany) -> HeldUp {
        HeldUp { failures_max: self.failures_max, wait_s: refused.retry_after_s }
    }

    /// Counts a failure.
    pub fn count(&self, address: IpAddr, now: Instant) {
        let mut addresses = self.lock();
        let failures = addresses.get_or_insert_mut(address, || Failures { count: 0, since: now });
        if now.saturating_duration_since(failures.since) >= WINDOW {
            *failures = Failures { count: 0, since: now };
        }
        failures.count = failures.count.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<IpAddr, Failures>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldUp {
    /// Says in the headers what is allowed and when, beside what they say about requests.
    pub fn write(&self, headers: &mut HeaderMap) {
        let limit = format!("\"failed-attempts\";r=0;t={}", self.wait_s);
        let policy = format!("\"failed-attempts\";q={};w={}", self.failures_max, WINDOW.as_secs());
        for (name, text) in [(RATE_LIMIT, limit), (RATE_LIMIT_POLICY, policy)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits() {
        let attempts = FailedAttempts::new(3, 10);
        let (start, address, other) = (Instant::now(), "192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            assert_eq!(attempts.check(address, start), Ok(()));
            attempts.count(address, start);
        }
        assert_eq!(attempts.check(address, start + Duration::from_secs(20)), Err(TooMany { retry_after_s: 41 }));
        assert_eq!(attempts.check(other, start), Ok(()));
        let later = start + WINDOW;
        assert_eq!(attempts.check(address, later), Ok(()));
        attempts.count(address, later);
        assert_eq!(attempts.check(address, later), Ok(()), "the count begins anew");
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = FailedAttempts::new(3, 10);
        for number in 0..1_000_u32 {
            attempts.count(IpAddr::from(number.to_be_bytes()), Instant::now());
        }
        assert_eq!(attempts.lock().len(), 10);
    }
}
