//! How long to wait before another try, and how many there are. The only user of `backoff`.
//!
//! `backoff` (no longer maintained upstream) bounds by time only, so only its delays are taken; the tries are counted here.

use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;
use tokio::time::sleep;

/// How often something is tried, and how long is waited in between.
#[derive(Clone, Copy, Debug)]
pub struct RetrySettings {
    /// Tries in all, the first one included.
    pub tries_max: u32,
    /// The wait after the first try, in milliseconds.
    pub first_delay_ms: u64,
    /// How much longer each further wait is.
    pub delay_multiplier: f64,
    /// The longest wait, in milliseconds.
    pub delay_ms_max: u64,
    /// By which part of it a wait is longer or shorter, at random.
    pub jitter: f64,
}

/// Tries again what is safe twice.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    settings: RetrySettings,
}

impl RetryPolicy {
    /// A policy with these bounds.
    #[must_use]
    pub fn new(settings: RetrySettings) -> Self {
        Self { settings }
    }

    /// Calls until it goes well, or fails in a way that another try won't mend, or the tries are used up.
    ///
    /// # Errors
    ///
    /// The last failure.
    pub async fn run<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        mut call: impl FnMut() -> F,
        is_worth_another_try: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let mut delays = self.delays();
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(error) if !is_worth_another_try(&error) => return Err(error),
                Err(error) => match delays.next() {
                    Some(delay) => sleep(delay).await,
                    None => return Err(error),
                },
            }
        }
    }

    /// The waits between the tries.
    fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let settings = self.settings;
        let mut backoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(settings.first_delay_ms))
            .with_multiplier(settings.delay_multiplier)
            .with_max_interval(Duration::from_millis(settings.delay_ms_max))
            .with_randomization_factor(settings.jitter)
            .with_max_elapsed_time(None)
            .build();
        (1..settings.tries_max).map_while(move |_| backoff.next_backoff())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_tries_at_once_after_one_second_after_two() {
        let (tries, started) = (Cell::new(0), Instant::now());
        let call = || {
            tries.set(tries.get() + 1);
            async { Err::<(), _>("no") }
        };
        assert_eq!(policy(0.0).run(call, |_| true).await, Err("no"));
        assert_eq!((tries.get(), started.elapsed()), (3, Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_first_success_or_what_no_try_mends() {
        let tries = Cell::new(0);
        let call = || {
            tries.set(tries.get() + 1);
            let tries = tries.get();
            async move { if tries == 2 { Ok(tries) } else { Err("no") } }
        };
        assert_eq!(policy(0.1).run(call, |_| true).await, Ok(2));
        tries.set(0);
        assert_eq!(policy(0.1).run(call, |_| false).await, Err("no"));
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn waits_are_jittered_and_bounded() {
        let seen: Vec<Vec<Duration>> = (0..20).map(|_| policy(0.1).delays().collect()).collect();
        for delays in &seen {
            assert_eq!(delays.len(), 2);
            assert!((900..=1_100).contains(&delays[0].as_millis()), "{delays:?}");
            assert!((1_800..=2_200).contains(&delays[1].as_millis()), "{delays:?}");
        }
        assert!(seen.iter().any(|delays| delays != &seen[0]), "they differ");
    }

    fn policy(jitter: f64) -> RetryPolicy {
        RetryPolicy::new(RetrySettings {
            tries_max: 3,
            first_delay_ms: 1_000,
            delay_multiplier: 2.0,
            delay_ms_max: 10_000,
            jitter,
        })
    }
}
