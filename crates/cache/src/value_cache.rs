//! Values, and the floors that an old one doesn't get over.
//!
//! A value that was read as of a position is only taken in if nothing has invalidated its key since. Each invalidation
//! leaves a floor for its key; there is room for so many floors, and one that has to go raises the floor of all keys. So no
//! interleaving of slow reads and invalidations leaves an old value behind.

use std::num::NonZeroUsize;
use std::time::Duration;

use inventory_application::Position;
use lru::LruCache;
use tokio::time::Instant;

use crate::CacheKey;

/// A bounded map from keys to values that are not old.
pub(crate) struct ValueCache<V> {
    values: LruCache<CacheKey, Entry<V>>,
    time_to_live: Duration,
    floors: LruCache<CacheKey, Position>,
    global_floor: Position,
    /// Every invalidation up to here has been heard.
    seen: Position,
    /// How often everything was forgotten: what was read before is not taken in after.
    era: u64,
}

struct Entry<V> {
    value: V,
    as_of: Position,
    kept_since: Instant,
}

/// A value that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<V> {
    pub(crate) value: V,
    /// Up to which position it is true: as nothing has invalidated it, that is at least the last invalidation that was heard.
    pub(crate) as_of: Position,
    pub(crate) age: Duration,
}

/// How old a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Within its time.
    Fresh,
    /// Past it by so much: better than nothing.
    PastBy(Duration),
}

impl<V: Clone> ValueCache<V> {
    pub(crate) fn new(values_max: NonZeroUsize, floors_max: NonZeroUsize, time_to_live: Duration) -> Self {
        Self {
            values: LruCache::new(values_max),
            time_to_live,
            floors: LruCache::new(floors_max),
            global_floor: Position::START,
            seen: Position::START,
            era: 0,
        }
    }

    /// The era that a read begins in.
    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    /// The value under `key`: none that is true up to less than `at_least`, and none that is too old.
    pub(crate) fn get(&mut self, key: CacheKey, at_least: Position, age: Age, now: Instant) -> Option<Found<V>> {
        let longest = match age {
            Age::Fresh => self.time_to_live,
            Age::PastBy(longer) => self.time_to_live + longer,
        };
        let entry = self.values.get(&key)?;
        let (as_of, age) = (entry.as_of.max(self.seen), now.saturating_duration_since(entry.kept_since));
        (as_of >= at_least && age < longest).then(|| Found { value: entry.value.clone(), as_of, age })
    }

    /// Up to where a value under `key` has to be true, for all that was heard so far to be in it.
    pub(crate) fn floor(&self, key: CacheKey) -> Position {
        self.floors.peek(&key).copied().unwrap_or(self.global_floor)
    }

    /// Takes in a value that was read as of `as_of`, unless its key was invalidated since, or everything was since the `era`.
    pub(crate) fn fill(&mut self, key: CacheKey, value: V, as_of: Position, era: u64, now: Instant) {
        let is_newer = self.values.peek(&key).is_none_or(|entry| as_of >= entry.as_of);
        if as_of >= self.floor(key) && is_newer && era == self.era {
            self.values.put(key, Entry { value, as_of, kept_since: now });
        }
    }

    /// The source has changed under `key`, up to `position`. A value that is held there is replaced by the one that `renewed` knows to
    /// be true up to there, or dropped where it knows none; what nobody has asked for stays out.
    pub(crate) fn invalidate(
        &mut self,
        key: CacheKey,
        position: Position,
        renewed: impl FnOnce() -> Option<V>,
        now: Instant,
    ) {
        if let Some(entry) = self.values.peek_mut(&key) {
            match renewed() {
                Some(value) => *entry = Entry { value, as_of: position, kept_since: now },
                None => _ = self.values.pop(&key),
            }
        }
        if let Some((evicted, floor)) = self.floors.push(key, position)
            && evicted != key
        {
            self.global_floor = self.global_floor.max(floor);
        }
    }

    /// All that has changed up to `position` was heard of.
    pub(crate) fn heard(&mut self, position: Position) {
        self.seen = self.seen.max(position);
    }

    /// Drops all values: the source is another one, which has everything up to `position`.
    pub(crate) fn forget_all(&mut self, position: Position) {
        self.values.clear();
        self.floors.clear();
        (self.global_floor, self.seen) = (self.global_floor.max(position), self.seen.max(position));
        self.era += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use inventory_domain::ProductId;
    use proptest::prelude::*;

    use super::*;

    /// What may happen, in any order. Readers are slow: they read at one time and fill at another.
    #[derive(Clone, Debug)]
    enum Step {
        /// The source changes under a key; the cache hears of it at once or when the next step of it is heard.
        Change(u8),
        /// The cache hears of all changes so far; of some keys (those with their bits set) it also hears what is there now.
        Hear { known: u8 },
        /// A reader reads a key.
        Read { reader: u8, key: u8 },
        /// The reader fills in what it has read.
        Fill(u8),
        /// Somebody asks the cache.
        Get(u8),
        /// The source is made anew, and the cache hears of it.
        Rebuild,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..6).prop_map(Step::Change),
            (0u8..64).prop_map(|known| Step::Hear { known }),
            (0u8..3, 0u8..6).prop_map(|(reader, key)| Step::Read { reader, key }),
            (0u8..3).prop_map(Step::Fill),
            (0u8..6).prop_map(Step::Get),
            Just(Step::Rebuild),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever the interleaving, a value is never older than the last change of its key that was heard of.
        #[test]
        fn no_interleaving_leaves_an_old_value(steps in prop::collection::vec(step(), 1..80)) {
            let now = Instant::now();
            let mut cache = ValueCache::new(count(3), count(2), Duration::from_secs(60));
            let (mut position, mut unheard) = (Position(0), Vec::new());
            let mut changed = HashMap::<u8, Position>::new(); // When a key changed last.
            let mut heard = HashMap::<u8, Position>::new(); // What the cache has to know of that.
            let mut read = HashMap::<u8, (u8, (Position, u64), Position, u64)>::new();
            let mut rebuilds = 0; // What a value is read from.
            for step in steps {
                match step {
                    Step::Change(of) => {
                        position.0 += 1;
                        changed.insert(of, position);
                        unheard.push(of);
                    }
                    Step::Hear { known } => {
                        for of in unheard.drain(..) {
                            let renewed = || Some((changed[&of], rebuilds)).filter(|_| known & (1 << of) != 0);
                            cache.invalidate(key(of), position, renewed, now);
                        }
                        cache.heard(position);
                        heard.clone_from(&changed);
                    }
                    Step::Read { reader, key } => {
                        let value = changed.get(&key).copied().unwrap_or_default();
                        read.insert(reader, (key, (value, rebuilds), position, cache.era()));
                    }
                    Step::Fill(reader) => if let Some((of, value, as_of, era)) = read.remove(&reader) {
                        cache.fill(key(of), value, as_of, era, now);
                    },
                    Step::Get(of) => if let Some(Found { value: (value, made), as_of, .. }) = cache.get(key(of), Position::START, Age::Fresh, now) {
                        let last_heard = heard.get(&of).copied().unwrap_or_default();
                        prop_assert!(value >= last_heard, "{value:?} is older than {last_heard:?}");
                        let last = changed.get(&of).copied().unwrap_or_default();
                        prop_assert!(value == last || last > as_of, "{value:?} is not true as of {as_of:?}");
                        prop_assert_eq!(made, rebuilds, "it is of a source that has been made anew");
                    },
                    Step::Rebuild => {
                        rebuilds += 1;
                        cache.forget_all(position);
                        unheard.clear();
                        heard.clone_from(&changed);
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_goes_when_its_time_is_over() {
        let now = Instant::now();
        let mut cache = ValueCache::new(count(3), count(3), Duration::from_secs(30));
        cache.fill(key(1), "one", Position(1), 0, now);
        let mut get =
            |age, at| cache.get(key(1), Position(1), age, now + Duration::from_millis(at)).map(|found| found.age);
        assert_eq!(get(Age::Fresh, 29_999), Some(Duration::from_millis(29_999)));
        assert_eq!(get(Age::Fresh, 30_000), None);
        let past = Age::PastBy(Duration::from_secs(5));
        assert_eq!(get(past, 34_999), Some(Duration::from_millis(34_999)), "in need it is better than nothing");
        assert_eq!(get(past, 35_000), None);
        cache.invalidate(key(1), Position(2), || None, now);
        let now = now + Duration::from_secs(31);
        assert_eq!(cache.get(key(1), Position(1), past, now), None, "what is known to be wrong isn't");
    }

    #[test]
    fn the_least_recently_used_value_makes_room() {
        let now = Instant::now();
        let mut cache = ValueCache::new(count(2), count(2), Duration::from_secs(30));
        cache.fill(key(1), 1, Position(1), 0, now);
        cache.fill(key(2), 2, Position(1), 0, now);
        assert!(get(&mut cache, key(1), Position(1), now).is_some());
        cache.fill(key(3), 3, Position(1), 0, now);
        assert_eq!(get(&mut cache, key(2), Position(1), now), None);
        assert!(get(&mut cache, key(1), Position(1), now).is_some());
    }

    #[test]
    fn a_value_is_as_new_as_the_last_step_that_left_it_alone() {
        let now = Instant::now();
        let mut cache = ValueCache::new(count(2), count(2), Duration::from_secs(30));
        cache.fill(key(1), 1, Position(5), 0, now);
        assert_eq!(get(&mut cache, key(1), Position(6), now), None);
        cache.invalidate(key(2), Position(9), || None, now);
        cache.heard(Position(9));
        assert_eq!(get(&mut cache, key(1), Position(9), now), Some((1, Position(9))));
    }

    #[test]
    fn what_is_known_of_a_change_replaces_what_is_held_and_nothing_else_comes_in() {
        let now = Instant::now();
        let mut cache = ValueCache::new(count(2), count(2), Duration::from_secs(30));
        cache.fill(key(1), 1, Position(5), cache.era(), now);
        let later = now + Duration::from_secs(20);
        cache.invalidate(key(1), Position(9), || Some(2), later);
        cache.invalidate(key(2), Position(9), || Some(3), later);
        assert_eq!(get(&mut cache, key(1), Position(9), later + Duration::from_secs(29)), Some((2, Position(9))));
        assert_eq!(get(&mut cache, key(2), Position::START, later), None, "nobody has asked for it");
        cache.fill(key(1), 1, Position(8), cache.era(), later);
        assert_eq!(
            get(&mut cache, key(1), Position::START, later),
            Some((2, Position(9))),
            "a slow reader is too late"
        );
    }

    fn get(cache: &mut ValueCache<u8>, key: CacheKey, at_least: Position, now: Instant) -> Option<(u8, Position)> {
        cache.get(key, at_least, Age::Fresh, now).map(|found| (found.value, found.as_of))
    }

    fn key(number: u8) -> CacheKey {
        CacheKey::ProductInventory(ProductId::from_u128(number.into()))
    }

    fn count(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }
}
