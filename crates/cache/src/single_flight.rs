//! One read for all who miss the same thing at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The reads under way. There are never more than there are callers that wait for one.
pub(crate) struct SingleFlight<K, T> {
    flights: Mutex<HashMap<K, Flight<T>>>,
}

/// A read under way; its outcome is for everybody who waits for it.
type Flight<T> = Arc<OnceCell<T>>;

/// What a caller was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flown<T> {
    /// Its own read.
    Own(T),
    /// That of somebody who had come before it: what it says may be from before the caller asked.
    Joined(T),
}

impl<K: Copy + Eq + Hash, T: Clone> SingleFlight<K, T> {
    pub(crate) fn new() -> Self {
        Self { flights: Mutex::new(HashMap::new()) }
    }

    /// The outcome of `read`, or of the read of `key` that is under way. Where whoever was reading gives up, one of those who wait
    /// reads in its place.
    pub(crate) async fn run<F: Future<Output = T>>(&self, key: K, read: impl FnOnce() -> F) -> Flown<T> {
        let (flight, is_new) = match self.lock().entry(key) {
            Entry::Occupied(flight) => (Arc::clone(flight.get()), false),
            Entry::Vacant(place) => (Arc::clone(place.insert(Flight::default())), true),
        };
        let seat = Seat { flights: self, key, flight };
        let outcome = seat.flight.get_or_init(|| async {
            let outcome = read().await;
            seat.land(); // Before anybody is told: who comes now begins anew.
            outcome
        });
        let outcome = outcome.await.clone();
        if is_new { Flown::Own(outcome) } else { Flown::Joined(outcome) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place on a flight; the last one to leave takes the flight with it, also where it never landed.
struct Seat<'a, K: Copy + Eq + Hash, T: Clone> {
    flights: &'a SingleFlight<K, T>,
    key: K,
    flight: Flight<T>,
}

impl<K: Copy + Eq + Hash, T: Clone> Seat<'_, K, T> {
    fn land(&self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let is_last = |flight: &Flight<T>| Arc::ptr_eq(flight, &self.flight) && Arc::strong_count(flight) == 2;
        if flights.get(&self.key).is_some_and(is_last) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::Notify;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    #[tokio::test]
    async fn all_who_come_while_one_reads_are_given_what_it_reads() {
        let test = Test::default();
        LocalSet::new()
            .run_until(async {
                let asked: Vec<_> = (0..50).map(|_| test.ask(1)).collect();
                let other = test.ask(2);
                yield_now().await;
                assert_eq!(test.reads.get(), 2, "one for each key");
                test.done.notify_waiters();
                let mut own = 0;
                for asked in asked {
                    match asked.await.unwrap() {
                        Flown::Own(_) => own += 1,
                        Flown::Joined(read) => assert_eq!(read, 1),
                    }
                }
                assert_eq!((own, other.await.unwrap()), (1, Flown::Own(2)));
                assert!(test.flights.lock().is_empty());
            })
            .await;
    }

    #[tokio::test]
    async fn who_comes_after_the_answer_begins_anew() {
        let test = Test::default();
        LocalSet::new()
            .run_until(async {
                for expected in 1..=3 {
                    let asked = test.ask(1);
                    yield_now().await;
                    test.done.notify_waiters();
                    assert_eq!(asked.await.unwrap(), Flown::Own(expected));
                }
            })
            .await;
    }

    #[tokio::test]
    async fn a_reader_that_gives_up_leaves_its_place_to_one_who_waits() {
        let test = Test::default();
        LocalSet::new()
            .run_until(async {
                let (first, second) = (test.ask(1), test.ask(1));
                yield_now().await;
                first.abort();
                drop(first.await);
                yield_now().await;
                assert_eq!(test.reads.get(), 2);
                test.done.notify_waiters();
                assert_eq!(second.await.unwrap(), Flown::Joined(2));
                let alone = test.ask(1);
                yield_now().await;
                alone.abort();
                drop(alone.await);
                assert!(test.flights.lock().is_empty(), "nobody is left, so nothing is");
            })
            .await;
    }

    /// Reads that end when they are told to, and are numbered.
    #[derive(Clone)]
    struct Test {
        flights: Rc<SingleFlight<u8, u32>>,
        reads: Rc<Cell<u32>>,
        done: Rc<Notify>,
    }

    impl Default for Test {
        fn default() -> Self {
            Self { flights: Rc::new(SingleFlight::new()), reads: Rc::default(), done: Rc::default() }
        }
    }

    impl Test {
        fn ask(&self, key: u8) -> tokio::task::JoinHandle<Flown<u32>> {
            let test = self.clone();
            spawn_local(async move {
                let read = || async {
                    test.reads.set(test.reads.get() + 1);
                    let number = test.reads.get();
                    test.done.notified().await;
                    number
                };
                test.flights.run(key, read).await
            })
        }
    }
}
