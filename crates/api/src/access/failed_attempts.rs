//! Addresses that try credentials which aren't good: after some they wait, and the log hears no more of them.
//!
//! Who has good credentials is not held up by who else comes from the address, so they are looked at first.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::rate_limits::TooMany;

/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);

/// The failures of each address in its last minute. Only those without good credentials get to its lock.
#[derive(Debug)]
pub struct FailedAttempts {
    failures_max: u32,
    addresses: Mutex<LruCache<IpAddr, Failures>>,
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
