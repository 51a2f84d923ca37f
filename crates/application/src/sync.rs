//! The standard library's locks and counters, or, in the packages of `tests/interleavings`, those whose schedule `shuttle` chooses.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};

/// What `shuttle`'s channel lacks of the real one's.
#[cfg(shuttle)]
pub(crate) trait ReceiveMany<T> {
    /// Waits for one, and takes what else is there, up to `limit`.
    async fn recv_many(&mut self, into: &mut Vec<T>, limit: usize) -> usize;
}

#[cfg(shuttle)]
impl<T> ReceiveMany<T> for tokio::sync::mpsc::UnboundedReceiver<T> {
    async fn recv_many(&mut self, into: &mut Vec<T>, limit: usize) -> usize {
        let Some(first) = self.recv().await else { return 0 };
        into.push(first);
        let mut count = 1;
        while count < limit
            && let Ok(next) = self.try_recv()
        {
            into.push(next);
            count += 1;
        }
        count
    }
}
