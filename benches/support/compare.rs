//! Says which figures of a run have moved since an earlier one, beyond the noise that the rounds of both show.
//!
//! Two things have to hold. The rounds must lie apart more than chance explains: of all ways to deal the rounds of both runs into
//! two hands of these sizes, at most [`CHANCE_MAX`] may set them apart as far as they are (Mann and Whitney's test on ranks, counted
//! out, which is exact also where rounds are equal; no distribution is assumed, and one slow round moves nothing). And the
//! medians must differ by [`CHANGE_MIN`]: what is less changes from one start to the next by itself.

use crate::results::{Better, Figure, Run, Subject};

/// How probable a move may be by chance. Five rounds a run can show it; four can't.
pub const CHANCE_MAX: f64 = 0.02;
/// The least change of a median that counts, as a part of it.
pub const CHANGE_MIN: f64 = 0.05;
/// The figure that says at which rate latencies were measured.
pub const RATE: &str = "rate";
/// By how much rates may differ, as a part of them.
const RATE_CHANGE_MAX: f64 = 0.1;
/// The fewest rounds of both runs together that can show anything.
const ROUNDS_MIN: usize = 9;
/// So many are counted out: 20 rounds can be dealt in 184,756 ways.
const ROUNDS_MAX: usize = 20;

/// What is to be said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has moved to the good side.
    Better,
    /// It has moved to the bad side.
    Worse,
    /// What moved may be chance.
    WithinNoise,
    /// Latencies of requests that came at another rate.
    OtherRate,
    /// There are too few rounds to tell.
    TooFewRounds,
}

/// A figure that both runs have.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What it is of.
    pub subject: Subject,
    /// Its unit.
    pub unit: String,
    /// The earlier median.
    pub before: f64,
    /// The later one.
    pub now: f64,
    /// What is to be said.
    pub verdict: Verdict,
}

impl Comparison {
    /// The change, as a part of what was before.
    #[must_use]
    pub fn change(&self) -> f64 {
        self.now / self.before - 1.0
    }
}

/// Compares the figures that both runs have, and that have a good side.
#[must_use]
pub fn compare(before_run: &Run, now_run: &Run) -> Vec<Comparison> {
    let figures = now_run.figures.iter().filter(|figure| figure.better != Better::Neither);
    let both = figures.filter_map(|figure| Some((before_run.figure(&figure.subject)?, figure)));
    both.map(|(before, now)| Comparison {
        subject: now.subject.clone(),
        unit: now.unit.clone(),
        before: before.median(),
        now: now.median(),
        verdict: if is_at_another_rate(before_run, now_run, now) { Verdict::OtherRate } else { judge(before, now) },
    })
    .collect()
}

/// Latencies are measured at a share of what was possible. Where that has moved, so has the rate, and they say nothing of one another.
fn is_at_another_rate(before: &Run, now: &Run, figure: &Figure) -> bool {
    let rate = Subject { measure: RATE.to_owned(), ..figure.subject.clone() };
    let rate = |run: &Run| run.figure(&rate).map(Figure::median);
    matches!((rate(before), rate(now)), (Some(before), Some(now)) if (now / before - 1.0).abs() > RATE_CHANGE_MAX)
}

fn judge(before: &Figure, now: &Figure) -> Verdict {
    if before.rounds.len() + now.rounds.len() < ROUNDS_MIN {
        return Verdict::TooFewRounds;
    }
    let (old, new) = (before.median(), now.median());
    let is_large = (new - old).abs() > CHANGE_MIN * old.abs();
    if !is_large || chance(&before.rounds, &now.rounds) > CHANCE_MAX {
        return Verdict::WithinNoise;
    }
    match now.better {
        Better::Higher if new > old => Verdict::Better,
        Better::Lower if new < old => Verdict::Better,
        Better::Higher | Better::Lower | Better::Neither => Verdict::Worse,
    }
}

/// The probability that rounds of one kind, dealt into two hands at random, lie apart as far as these.
fn chance(before: &[f64], now: &[f64]) -> f64 {
    let shorten = |rounds: &[f64]| rounds[..rounds.len().min(ROUNDS_MAX / 2)].to_vec();
    let (before, now) = (shorten(before), shorten(now));
    let all: Vec<f64> = before.iter().chain(&now).copied().collect();
    // Twice the rank, so that equal rounds, which share the mean of theirs, have a whole number.
    let ranks: Vec<i64> = all
        .iter()
        .map(|value| {
            let below = all.iter().filter(|other| *other < value).count();
            let equal = all.iter().filter(|other| other.total_cmp(value).is_eq()).count();
            i64::try_from(2 * below + equal + 1).unwrap_or(i64::MAX)
        })
        .collect();
    let hand = before.len();
    let sum_of_all: i64 = ranks.iter().sum();
    // How far the sum of a hand's ranks is from what a fair hand would have, times the number of rounds.
    let distance = |sum: i64| {
        let (count, hand) = (all.len().cast_signed() as i64, hand.cast_signed() as i64);
        (sum * count - sum_of_all * hand).abs()
    };
    let seen = distance(ranks[..hand].iter().sum());
    let (mut hands, mut as_far) = (0_u32, 0_u32);
    for chosen in 0_u32..1 << all.len() {
        if chosen.count_ones() as usize == hand {
            let sum =
                ranks.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1).map(|(_, rank)| rank).sum();
            hands += 1;
            as_far += u32::from(distance(sum) >= seen);
        }
    }
    f64::from(as_far) / f64::from(hands)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
    use super::*;
    use fastrand::Rng;

    const RUNS: usize = 1_000;
    const ROUNDS: usize = 5;
    /// How far rounds on a noisy machine scatter, as a part of what they measure.
    const NOISE: f64 = 0.05;

    #[test]
    fn a_service_that_is_a_fifth_slower_is_found() {
        let found = moved(0.8);
        assert!(found.worse > RUNS * 95 / 100, "{} of {RUNS} were found", found.worse);
        assert_eq!(found.better, 0);
    }

    #[test]
    fn a_service_that_is_a_quarter_faster_is_found() {
        let found = moved(1.25);
        assert!(found.better > RUNS * 95 / 100, "{} of {RUNS} were found", found.better);
        assert_eq!(found.worse, 0);
    }

    #[test]
    fn the_same_service_measured_twice_has_not_moved() {
        let found = moved(1.0);
        assert!(found.better + found.worse < RUNS * 2 / 100, "{} of {RUNS} have moved", found.better + found.worse);
    }

    #[test]
    fn one_disturbed_round_moves_nothing() {
        let verdict = verdict(Better::Lower, &[1.0, 1.1, 1.05, 0.95, 1.0], &[1.0, 1.05, 9.0, 1.1, 0.9]);
        assert_eq!(verdict, Verdict::WithinNoise);
    }

    #[test]
    fn a_small_change_is_noise_however_steady_the_rounds_are() {
        assert_eq!(verdict(Better::Higher, &[100.0; 5], &[97.0; 5]), Verdict::WithinNoise);
        assert_eq!(verdict(Better::Higher, &[100.0; 5], &[94.0; 5]), Verdict::Worse);
        assert_eq!(verdict(Better::Lower, &[100.0; 5], &[94.0; 5]), Verdict::Better);
    }

    #[test]
    fn three_rounds_tell_nothing() {
        assert_eq!(verdict(Better::Higher, &[100.0, 101.0, 102.0], &[50.0, 51.0, 52.0]), Verdict::TooFewRounds);
    }

    #[test]
    fn chances_are_those_of_the_books() {
        // Of the 252 ways to deal ten rounds into two hands of five, two set them apart wholly.
        let apart = chance(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((apart - 2.0 / 252.0).abs() < 1e-12, "{apart}");
        let mixed = chance(&[1.0, 3.0, 5.0, 7.0, 9.0], &[2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!((mixed - 0.690_476).abs() < 1e-5, "{mixed}"); // scipy.stats.mannwhitneyu, method="exact"
        assert!((chance(&[1.0; 5], &[1.0; 5]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn latencies_at_another_rate_are_not_compared() {
        for (rate, said) in [(52_000.0, Verdict::Worse), (60_000.0, Verdict::OtherRate)] {
            let mut before = run("p99", Better::Lower, &[1.0; 5]);
            let mut now = run("p99", Better::Lower, &[2.0; 5]);
            before.figures.extend(run(RATE, Better::Neither, &[50_000.0; 5]).figures);
            now.figures.extend(run(RATE, Better::Neither, &[rate; 5]).figures);
            let comparisons = compare(&before, &now);
            assert_eq!(
                comparisons.iter().map(|comparison| comparison.verdict).collect::<Vec<_>>(),
                [said],
                "at {rate}"
            );
        }
    }

    #[derive(Default)]
    struct Found {
        better: usize,
        worse: usize,
    }

    /// What is said of a service that is so many times as fast as before, in many runs.
    fn moved(times: f64) -> Found {
        let mut rng = Rng::with_seed(5);
        let mut found = Found::default();
        for _ in 0..RUNS {
            let before: Vec<_> = (0..ROUNDS).map(|_| round(&mut rng)).collect();
            let now: Vec<_> = (0..ROUNDS).map(|_| round(&mut rng) * times).collect();
            match verdict(Better::Higher, &before, &now) {
                Verdict::Better => found.better += 1,
                Verdict::Worse => found.worse += 1,
                Verdict::WithinNoise | Verdict::OtherRate | Verdict::TooFewRounds => (),
            }
        }
        found
    }

    /// 100,000 answers a second and some noise, about normal: the sum of twelve throws has a deviation of 1.
    fn round(rng: &mut Rng) -> f64 {
        let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        100_000.0 * (1.0 + NOISE * normal)
    }

    fn verdict(better: Better, before: &[f64], now: &[f64]) -> Verdict {
        compare(&run("answers", better, before), &run("answers", better, now)).first().unwrap().verdict
    }

    fn run(measure: &str, better: Better, rounds: &[f64]) -> Run {
        let subject = Subject {
            scenario: "spread".to_owned(),
            store: "sqlite".to_owned(),
            program: "service".to_owned(),
            load: "max".to_owned(),
            measure: measure.to_owned(),
        };
        let mut run = Run::default();
        rounds.iter().for_each(|round| run.add(&subject, "1/s", better, *round));
        run
    }
}
