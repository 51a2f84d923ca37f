//! The standard library's locks and counters, or, in the packages of `tests/interleavings`, those whose schedule `shuttle` chooses.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
