//! Tokens that were checked lately, by their hash, so that a signature isn't checked with every request.

use std::num::NonZeroUsize;

use blake3::Hash;
use lru::LruCache;

use super::caller::Caller;

/// One worker's; the least recently used goes first.
#[derive(Debug)]
pub struct TokenCache {
    callers: LruCache<Hash, Caller>,
    /// The keys that its tokens were checked with.
    generation: u64,
}

impl TokenCache {
    /// An empty cache for `entries_max` tokens.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        let entries_max = NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN);
        Self { callers: LruCache::sparse(entries_max), generation: 0 }
    }

    /// Whose token it is, if it was good with the keys of this generation.
    pub fn caller(&mut self, token: &Hash, generation: u64) -> Option<Caller> {
        if self.generation != generation {
            self.callers.clear();
            self.generation = generation;
        }
        self.callers.get(token).cloned()
    }

    /// Remembers a token that is good with the keys that were asked for last.
    pub fn remember(&mut self, token: Hash, caller: Caller) {
        self.callers.put(token, caller);
    }

    /// Forgets a token that is over.
    pub fn forget(&mut self, token: &Hash) {
        self.callers.pop(token);
    }
}

#[cfg(test)]
mod tests {
    use inventory_domain::Timestamp;

    use super::*;
    use crate::access::scopes::Scopes;

    #[test]
    fn new_keys_clear_it_and_it_is_bounded() {
        let mut cache = TokenCache::new(2);
        let hash = |token: &str| blake3::hash(token.as_bytes());
        for token in ["a", "b", "c"] {
            assert!(cache.caller(&hash(token), 1).is_none());
            let caller = Caller::with_token(token, Scopes::of([]), Timestamp::from_millis(0), None);
            cache.remember(hash(token), caller);
        }
        assert!(cache.caller(&hash("a"), 1).is_none());
        assert_eq!(cache.caller(&hash("c"), 1).unwrap().actor(), "token:c");
        assert!(cache.caller(&hash("c"), 2).is_none());
        assert!(cache.caller(&hash("c"), 1).is_none(), "it doesn't come back");
    }
}
