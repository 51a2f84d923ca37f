//! When to stop calling what keeps failing. The only user of `failsafe`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Config, Instrument, StateMachine};
use thiserror::Error;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures_to_open: u32,
    /// How long it stays open before one probe is let through, in milliseconds.
    pub open_for_ms: u64,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// One call at a time goes through, to see whether it helps.
    HalfOpen,
}

/// The call was not made, because too many before it have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many calls have failed, none is made for a while")]
pub struct CircuitOpen;

/// Closed, then open after failures in a row, then half-open for one probe at a time.
///
/// `failsafe` lets every call through when half-open, so a gate with one place stands in front of it.
pub struct CircuitBreaker {
    machine: StateMachine<ConsecutiveFailures<Constant>, Watch>,
    watch: Watch,
}

/// What the machine says of itself.
#[derive(Clone, Default)]
struct Watch(Arc<Flags>);

#[derive(Default)]
struct Flags {
    is_open: AtomicBool,
    is_half_open: AtomicBool,
    is_probing: AtomicBool,
}

/// Leave to make one call; says how it went, or gives up its place when dropped.
pub struct Permit<'a> {
    breaker: &'a CircuitBreaker,
    is_probe: bool,
}

impl CircuitBreaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        let policy =
            consecutive_failures(settings.failures_to_open, constant(Duration::from_millis(settings.open_for_ms)));
        let watch = Watch::default();
        let machine = Config::new().failure_policy(policy).instrument(watch.clone()).build();
        Self { machine, watch }
    }

    /// Leave to make one call.
    ///
    /// # Errors
    ///
    /// [`CircuitOpen`] when none is to be made now.
    pub fn permit(&self) -> Result<Permit<'_>, CircuitOpen> {
        if !self.machine.is_call_permitted() {
            return Err(CircuitOpen);
        }
        let is_probe = self.watch.0.is_half_open.load(Ordering::SeqCst);
        if is_probe && self.watch.0.is_probing.swap(true, Ordering::SeqCst) {
            return Err(CircuitOpen); // Somebody else's probe is under way.
        }
        Ok(Permit { breaker: self, is_probe })
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        if self.watch.0.is_half_open.load(Ordering::SeqCst) {
            BreakerState::HalfOpen
        } else if self.watch.0.is_open.load(Ordering::SeqCst) {
            BreakerState::Open
        } else {
            BreakerState::Closed
        }
    }
}

impl Permit<'_> {
    /// The call went well (or failed for a reason that is not the callee's health).
    pub fn succeeded(self) {
        self.breaker.machine.on_success();
    }

    /// The call failed.
    pub fn failed(self) {
        self.breaker.machine.on_error();
    }
}

/// A call whose future was dropped says nothing, and frees the probe's place.
impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.watch.0.is_probing.store(false, Ordering::SeqCst);
        }
    }
}

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.is_half_open.store(false, Ordering::SeqCst);
        self.0.is_open.store(true, Ordering::SeqCst);
    }

    fn on_half_open(&self) {
        self.0.is_half_open.store(true, Ordering::SeqCst);
    }

    fn on_closed(&self) {
        self.0.is_half_open.store(false, Ordering::SeqCst);
        self.0.is_open.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_millis(40);

    #[test]
    fn five_failures_in_a_row_open_it() {
        let breaker = breaker();
        fail(&breaker, 4);
        breaker.permit().map(Permit::succeeded).unwrap();
        fail(&breaker, 4);
        assert_eq!(breaker.state(), BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.permit().is_err());
    }

    #[test]
    fn one_probe_at_a_time_goes_through_when_half_open() {
        let breaker = open();
        sleep(OPEN_FOR * 2);
        let probe = breaker.permit().unwrap();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!((0..64).all(|_| breaker.permit().is_err()), "only one");
        drop(probe); // The caller has gone: the next one may try.
        breaker.permit().map(Permit::succeeded).unwrap();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!((0..64).all(|_| breaker.permit().is_ok()));
    }

    #[test]
    fn a_probe_that_fails_opens_it_again() {
        let breaker = open();
        sleep(OPEN_FOR * 2);
        breaker.permit().map(Permit::failed).unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.permit().is_err());
    }

    #[test]
    fn many_threads_find_one_place() {
        let breaker = open();
        sleep(OPEN_FOR * 2);
        let held = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| held.lock().unwrap().extend(breaker.permit().ok()));
            }
        });
        assert_eq!(held.into_inner().unwrap().len(), 1);
    }

    fn breaker() -> CircuitBreaker {
        let open_for_ms = u64::try_from(OPEN_FOR.as_millis()).unwrap();
        CircuitBreaker::new(BreakerSettings { failures_to_open: 5, open_for_ms })
    }

    fn open() -> CircuitBreaker {
        let breaker = breaker();
        fail(&breaker, 5);
        breaker
    }

    fn fail(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            breaker.permit().map(Permit::failed).unwrap();
        }
    }
}
