//! What all benchmarks of `cargo bench` have in common: criterion, the pairs that are compared, and the table of ratios at the end.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use inventory_benches::machine::{Machine, Source};
use inventory_benches::ratios::{Pair, ratios, table};
use tempfile::TempDir;
use tikv_jemallocator::Jemalloc;

/// As in the service.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The benchmarks of one topic.
pub(crate) struct Measuring {
    topic: &'static str,
    criterion: Criterion,
    since: SystemTime,
    pairs: Vec<Pair>,
}

impl Measuring {
    /// By criterion's arguments.
    pub(crate) fn of(topic: &'static str) -> Self {
        let criterion = Criterion::default()
            .without_plots()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600))
            .configure_from_args()
            .output_directory(&results());
        Self { topic, criterion, since: SystemTime::now(), pairs: Vec::new() }
    }

    /// Measures a group; each time that one of its functions is called takes `elements`. `pairs` are what is measured, and the
    /// limit that stands beside it.
    pub(crate) fn compare(
        &mut self,
        group: &str,
        elements: u64,
        pairs: &[(&str, &str)],
        measure: impl FnOnce(&mut BenchmarkGroup<'_, WallTime>),
    ) {
        let mut measured = self.criterion.benchmark_group(group);
        measured.throughput(Throughput::Elements(elements));
        measure(&mut measured);
        measured.finish();
        self.pairs.extend(pairs.iter().map(|(ours, limit)| Pair {
            group: group.to_owned(),
            ours: (*ours).to_owned(),
            limit: (*limit).to_owned(),
        }));
    }

    /// Prints the ratios, and writes them to `target/criterion/ratios.md` beside those of the other topics.
    pub(crate) fn report(self) -> Result<(), Box<dyn Error>> {
        self.criterion.final_summary();
        let given: Vec<String> = env::args().collect();
        let is_given = |flag: &str| given.iter().any(|argument| argument.split('=').next() == Some(flag));
        let measures_nothing = ["--test", "--list", "--profile-time", "--load-baseline", "--ignored"];
        if !is_given("--bench") || measures_nothing.into_iter().any(is_given) {
            return Ok(());
        }
        let ratios = ratios(&results(), self.since, &self.pairs)?;
        if ratios.is_empty() {
            return Ok(()); // A filter asks for other topics.
        }
        let (machine, source) = (Machine::this(&target()), Source::this());
        let text = format!(
            "## {}\n\n{}, commit {}{}, {} cores, {}.\n\n{}",
            self.topic,
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%MZ"),
            source.commit,
            if source.has_changes { " with changes" } else { "" },
            machine.cores,
            machine.file_system,
            table(&ratios)
        );
        println!("\n{text}");
        let folder = results().join("ratios");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{}.md", self.topic)), &text)?;
        let mut topics =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
        topics.sort();
        let texts = topics.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
        fs::write(results().join("ratios.md"), texts.join("\n"))?;
        Ok(())
    }
}

/// A folder on the disk that holds `target`, which goes when it is dropped.
#[allow(dead_code, reason = "not every benchmark writes files")]
pub(crate) fn folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("bench-data-").tempdir_in(target())
}

fn results() -> PathBuf {
    target().join("criterion")
}

/// `target`, from the path of this program: `target/release/deps/<program>`.
fn target() -> PathBuf {
    let this = env::current_exe().unwrap_or_default();
    this.ancestors().nth(3).unwrap_or_else(|| Path::new("target")).to_owned()
}
