//! The limiters of those who have none of their own: subjects of tokens, and addresses. Bounded, least recently used first out.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::rate_limits::{Limiter, Rate};

/// How many locks there are, so that workers seldom meet at one.
const SHARDS: usize = 64;

/// A limiter for each `K` that has asked lately.
pub struct Limiters<K: Eq + Hash> {
    rate: Rate,
    hasher: RandomState,
    shards: Vec<Mutex<LruCache<K, Arc<Limiter>>>>,
}

impl<K: Eq + Hash> Limiters<K> {
    /// Limiters that allow `rate` each, for about `entries_max` at a time; whoever is dropped begins with a full allowance.
    #[must_use]
    pub fn new(rate: Rate, entries_max: usize) -> Self {
        let in_a_shard = NonZeroUsize::new(entries_max.div_ceil(SHARDS)).unwrap_or(NonZeroUsize::MIN);
        let shards = (0..SHARDS).map(|_| Mutex::new(LruCache::sparse(in_a_shard))).collect();
        Self { rate, hasher: RandomState::new(), shards }
    }

    /// The limiter of `key`.
    pub fn of<Q>(&self, key: &Q) -> Arc<Limiter>
    where
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash do")]
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shard.get_or_insert_ref(key, || Arc::new(Limiter::new(self.rate))))
    }

    #[cfg(test)]
    fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_and_memory_is_bounded() {
        let limiters: Limiters<u32> = Limiters::new(Rate::new(1, 1).unwrap(), 640);
        assert!(Arc::ptr_eq(&limiters.of(&1), &limiters.of(&1)));
        assert!(!Arc::ptr_eq(&limiters.of(&1), &limiters.of(&2)));
        for key in 0..100_000_u32 {
            let _ = limiters.of(&key);
        }
        assert!(limiters.entries() <= 640, "{}", limiters.entries());
    }
}
