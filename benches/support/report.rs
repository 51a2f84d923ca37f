//! A run as Markdown, for people.

use std::fmt::Write as _;

use crate::compare::{Comparison, Verdict};
use crate::results::{Figure, Run, Subject, median};

/// The figure that says what one hot stock is of many, in turn.
pub const OF_SPREAD: &str = "of spread";
/// So many cores may be busy with something else before the page says so: the kernel's own work takes a tenth or two.
const OTHERS_CORES_MAX: f64 = 0.3;

/// The text about a run, without what it is compared with.
#[must_use]
pub fn report(run: &Run) -> String {
    let mut text = String::new();
    head(&mut text, run);
    speeds(&mut text, run);
    latencies(&mut text, run);
    growth(&mut text, run);
    replays(&mut text, run);
    text
}

fn head(text: &mut String, run: &Run) {
    let Run { started_at, source, machine, settings, .. } = run;
    let changed = if source.has_changes { " with changes" } else { "" };
    line(text, format!("Commit `{}`{changed}, {started_at}, {:.0} minutes.", source.commit, run.took_s / 60.0));
    line(
        text,
        format!(
            "{}, {} cores (the load generator has its share of them), {} MiB, Linux {}, {}.",
            machine.processor, machine.cores, machine.memory_mib, machine.kernel, machine.file_system
        ),
    );
    line(
        text,
        format!(
            "Medians of {} rounds of {} s, programs in turn; in brackets the least and the most of a round.",
            settings.rounds, settings.load_s
        ),
    );
    for refusal in &run.refusals {
        line(text, format!("\n**Refused**, {refusal}"));
    }
    let others = median(&run.others_cores);
    if others > OTHERS_CORES_MAX {
        line(
            text,
            format!("\n**Others kept {others:.1} of the cores busy meanwhile: don't trust what is not a ratio.**"),
        );
    }
}

fn speeds(text: &mut String, run: &Run) {
    let at_max: Vec<&Figure> =
        run.figures.iter().filter(|figure| figure.subject.load == "max" && is_speed(&figure.subject)).collect();
    if at_max.is_empty() {
        return;
    }
    line(text, "\n## How much\n");
    line(
        text,
        "| load | store | program | a second | of the ceiling | its processor time each, µs | generator, cores |",
    );
    line(text, "|---|---|---|---:|---:|---:|---:|");
    for figure in at_max {
        let other = |measure: &str| run.figure(&Subject { measure: measure.to_owned(), ..figure.subject.clone() });
        let Subject { scenario, store, program, measure, .. } = &figure.subject;
        let ratio = |measure| {
            let ratio = other(measure)?;
            Some(format!("**{:.2}** ({:.2} to {:.2})", ratio.median(), ratio.min(), ratio.max()))
        };
        let of_spread = ratio(OF_SPREAD).map(|ratio| format!("; {ratio} of spread"));
        let ratio = ratio("of the ceiling").unwrap_or_default() + &of_spread.unwrap_or_default();
        line(
            text,
            format!(
                "| {scenario} | {store} | {program} | {} {measure} ({} to {}) | {} | {} | {} |",
                whole(figure.median()),
                whole(figure.min()),
                whole(figure.max()),
                ratio,
                other("processor time").map_or(String::new(), |time| format!("{:.1}", time.median())),
                other("generator").map_or(String::new(), |cores| format!("{:.2}", cores.median())),
            ),
        );
    }
}

fn is_speed(subject: &Subject) -> bool {
    ["answers", "commands", "rows"].contains(&subject.measure.as_str())
}

fn latencies(text: &mut String, run: &Run) {
    let p50: Vec<&Figure> = run.figures.iter().filter(|figure| figure.subject.measure == "p50").collect();
    if p50.is_empty() {
        return;
    }
    line(text, "\n## How long\n");
    line(
        text,
        "Open-loop: requests come on the clock, at a share of what the service can do, and latencies count from when each was due. \
         A ceiling at the same rate shows what the machine itself adds.\n",
    );
    line(
        text,
        "| load | store | program | of the most | requests a second | p50, ms | p90, ms | p99, ms | p99.9, ms | longest, ms |",
    );
    line(text, "|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for figure in p50 {
        let Subject { scenario, store, program, load, .. } = &figure.subject;
        let other = |measure: &str| run.figure(&Subject { measure: measure.to_owned(), ..figure.subject.clone() });
        let cell = |measure: &str| other(measure).map_or(String::new(), |figure| format!("{:.2}", figure.median()));
        let p99 = other("p99")
            .map_or(String::new(), |p99| format!("**{:.2}** ({:.2} to {:.2})", p99.median(), p99.min(), p99.max()));
        line(
            text,
            format!(
                "| {scenario} | {store} | {program} | {load} | {} | {:.2} | {} | {p99} | {} | {} |",
                other("rate").map_or(String::new(), |rate| whole(rate.median())),
                figure.median(),
                cell("p90"),
                cell("p99.9"),
                cell("longest"),
            ),
        );
    }
}

fn growth(text: &mut String, run: &Run) {
    let sizes: Vec<&Figure> = run
        .figures
        .iter()
        .filter(|figure| figure.subject.scenario == "growth" && figure.subject.measure == "answers")
        .collect();
    if sizes.is_empty() {
        return;
    }
    line(text, "\n## As the log grows\n");
    line(
        text,
        "Durable reserves over all stocks, closed-loop; then SIGKILL, and the time until the service is ready again.\n",
    );
    line(
        text,
        "| store | events | after the load | reserves a second | ready after, s | anonymous memory, MiB | most ever resident, MiB | after the restart, MiB | on disk, bytes an event |",
    );
    line(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for figure in sizes {
        let Subject { store, load, .. } = &figure.subject;
        let cell = |measure: &str, places: usize| {
            let other = run.figure(&Subject { measure: measure.to_owned(), ..figure.subject.clone() });
            other.map_or(String::new(), |figure| format!("{:.places$}", figure.median()))
        };
        line(
            text,
            format!(
                "| {store} | {} | {} | {} ({} to {}) | {} | {} | {} | {} | {} |",
                load.trim_end_matches(" events").parse().map_or_else(|_| load.clone(), whole),
                run.figure(&Subject { measure: "events after".to_owned(), ..figure.subject.clone() })
                    .map_or(String::new(), |figure| whole(figure.median())),
                whole(figure.median()),
                whole(figure.min()),
                whole(figure.max()),
                cell("ready after", 3),
                cell("anonymous memory", 0),
                cell("most resident", 0),
                cell("anonymous after restart", 0),
                cell("on disk", 0),
            ),
        );
    }
}

fn replays(text: &mut String, run: &Run) {
    let replays: Vec<&Figure> = run.figures.iter().filter(|figure| figure.subject.measure == "replay").collect();
    if replays.is_empty() {
        return;
    }
    line(text, format!("\n## Real baskets, by `inventory replay --orders --url` ({})\n", run.settings.baskets));
    line(text, "| store | took, s | baskets a second |");
    line(text, "|---|---:|---:|");
    for figure in replays {
        let speed = run.figure(&Subject { measure: "baskets".to_owned(), ..figure.subject.clone() });
        line(
            text,
            format!(
                "| {} | {:.2} ({:.2} to {:.2}) | {} |",
                figure.subject.store,
                figure.median(),
                figure.min(),
                figure.max(),
                speed.map_or(String::new(), |speed| whole(speed.median()))
            ),
        );
    }
}

/// What has moved since an earlier run, and what has not.
#[must_use]
pub fn comparison(earlier: &Run, now: &Run, comparisons: &[Comparison]) -> String {
    let mut text = String::new();
    line(&mut text, format!("\n## Since {} (commit `{}`)\n", earlier.started_at, earlier.source.commit));
    if earlier.machine != now.machine {
        line(&mut text, "**Another machine: only ratios say something.**\n");
    }
    if (earlier.settings.load_s, earlier.settings.stocks) != (now.settings.load_s, now.settings.stocks) {
        line(&mut text, "**Other settings: loads were not as long, or not over as many stocks.**\n");
    }
    if comparisons.is_empty() {
        line(&mut text, "Nothing was measured in both.");
        return text;
    }
    let count = |verdict| comparisons.iter().filter(|comparison| comparison.verdict == verdict).count();
    line(
        &mut text,
        format!(
            "{} better, {} worse, {} within the noise of the rounds{}. Where a ceiling has moved too, the machine has: see the ratio.\n",
            count(Verdict::Better),
            count(Verdict::Worse),
            count(Verdict::WithinNoise),
            [
                (Verdict::OtherRate, "latencies at another rate"),
                (Verdict::TooFewRounds, "with too few rounds to tell (there have to be 5)")
            ]
            .map(|(verdict, what)| match count(verdict) {
                0 => String::new(),
                some => format!(", {some} {what}"),
            })
            .concat()
        ),
    );
    line(&mut text, "| | load | store | program | at | measure | before | now | change |");
    line(&mut text, "|---|---|---|---|---|---|---:|---:|---:|");
    let mut sorted: Vec<&Comparison> = comparisons.iter().collect();
    sorted.sort_by_key(|comparison| match comparison.verdict {
        Verdict::Worse => 0,
        Verdict::Better => 1,
        Verdict::WithinNoise | Verdict::OtherRate | Verdict::TooFewRounds => 2,
    });
    for comparison in sorted {
        let said = match comparison.verdict {
            Verdict::Better => "**better**",
            Verdict::Worse => "**worse**",
            Verdict::WithinNoise => "within noise",
            Verdict::OtherRate => "other rate",
            Verdict::TooFewRounds => "too few rounds",
        };
        let Subject { scenario, store, program, load, measure } = &comparison.subject;
        line(
            &mut text,
            format!(
                "| {said} | {scenario} | {store} | {program} | {load} | {measure} | {} {unit} | {} {unit} | {:+.0} % |",
                short(comparison.before),
                short(comparison.now),
                comparison.change() * 100.0,
                unit = comparison.unit
            ),
        );
    }
    text
}

fn line(text: &mut String, line: impl AsRef<str>) {
    _ = writeln!(text, "{}", line.as_ref());
}

/// A number without a fraction, its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with as many places as say something.
fn short(number: f64) -> String {
    if number.abs() >= 100.0 { whole(number) } else { format!("{number:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::results::Better;

    fn run(speed: f64) -> Run {
        let mut run = Run::default();
        let subject = |program: &str, measure: &str| Subject {
            scenario: "spread".to_owned(),
            store: "sqlite".to_owned(),
            program: program.to_owned(),
            load: "max".to_owned(),
            measure: measure.to_owned(),
        };
        for round in 0..5 {
            let speed = speed + f64::from(round);
            run.add(&subject("service", "answers"), "1/s", Better::Higher, speed);
            run.add(&subject("service", "of the ceiling"), "", Better::Higher, speed / 50_000.0);
        }
        run
    }

    #[test]
    fn a_run_is_a_table() {
        let text = report(&run(48_807.0));
        let row = "| spread | sqlite | service | 48,809 answers (48,807 to 48,811) | **0.98** (0.98 to 0.98) |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn what_got_worse_comes_first() {
        let (before, mut now) = (run(50_000.0), run(40_000.0));
        now.figures.reverse();
        let text = comparison(&before, &now, &compare(&before, &now));
        assert!(text.contains("0 better, 2 worse"), "{text}");
        assert!(
            text.contains(
                "| **worse** | spread | sqlite | service | max | answers | 50,002 1/s | 40,002 1/s | -20 % |"
            ),
            "{text}"
        );
    }
}
