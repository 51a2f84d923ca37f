//! Which requests are recorded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::trace_context::TraceId;

/// Decides whether a trace is recorded: as the caller has decided where it has, else a part of all; and never more than so many a
/// second, so that nobody can make us record everything.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Ids below it are recorded, by the 63 bits that are random in every id.
    below: u64,
    requests_per_s_max: u32,
    began: Instant,
    /// The second since `began`, and how many were recorded in it.
    second: AtomicU64,
}

const COUNT_BITS: u32 = 32;

impl Sampler {
    /// Records this part of all traces, from 0 to 1.
    #[must_use]
    pub(super) fn new(ratio: f64, requests_per_s_max: u32) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let below = (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
        Self { below, requests_per_s_max, began: Instant::now(), second: AtomicU64::new(0) }
    }

    /// Whether this trace is recorded; `caller` is what the caller has decided.
    pub(super) fn samples(&self, trace_id: TraceId, caller: Option<bool>) -> bool {
        caller.unwrap_or_else(|| self.is_chosen(trace_id)) && self.has_room(self.began.elapsed().as_secs())
    }

    /// The same on every node that has the same ratio.
    fn is_chosen(&self, trace_id: TraceId) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "the right half")]
        let right = trace_id.get() as u64;
        right >> 1 < self.below
    }

    /// Takes one of the places that this second has.
    fn has_room(&self, second: u64) -> bool {
        let taken = self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            // One that looked at the clock before another took the first place of a new second counts there.
            let (at, count) = (known >> COUNT_BITS, known & u64::from(u32::MAX));
            let (at, count) = if second > at { (second, 0) } else { (at, count) };
            (count < u64::from(self.requests_per_s_max)).then_some(at << COUNT_BITS | (count + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_kept_and_the_same_id_is_always_decided_alike() {
        let sampler = Sampler::new(0.25, u32::MAX);
        // The right half goes through all values evenly.
        let ids = (1..=1_000_u128).map(|number| TraceId::new(number * (u128::from(u64::MAX) / 1_000)).unwrap());
        let chosen = ids.filter(|id| sampler.samples(*id, None)).count();
        assert!((245..=255).contains(&chosen), "{chosen}");
        let all = Sampler::new(1.0, u32::MAX);
        let none = Sampler::new(0.0, u32::MAX);
        for id in [1, u128::from(u64::MAX), u128::MAX] {
            let id = TraceId::new(id).unwrap();
            assert!(all.samples(id, None) && !none.samples(id, None));
        }
    }

    #[test]
    fn the_caller_has_decided_but_not_over_the_bound() {
        let sampler = Sampler::new(0.0, 3);
        let id = TraceId::new(7).unwrap();
        assert!(!Sampler::new(1.0, 3).samples(id, Some(false)));
        let taken = (0..10).filter(|_| sampler.has_room(5)).count();
        assert_eq!(taken, 3);
        assert!(!sampler.has_room(4), "an older second has no room of its own");
        assert!(sampler.has_room(6), "the next one has");
        assert!(!Sampler::new(1.0, 0).samples(id, Some(true)));
    }
}
