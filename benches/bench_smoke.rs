//! The smallest run of what `scripts/bench` runs, on debug builds: the figures mean nothing, but each part does its work.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use inventory_benches::program::build;
use inventory_benches::results::Run;

#[test]
fn a_run_is_written_and_the_next_one_compared_with_it() {
    let out = tempfile::tempdir().unwrap();
    let (first, _) = load(out.path());
    assert!(first.refusals.is_empty(), "{:?}", first.refusals);
    for (scenario, measure) in
        [("spread", "answers"), ("spread", "of the ceiling"), ("spread", "p99"), ("growth", "ready after")]
    {
        let is_it = |subject: &inventory_benches::results::Subject| {
            subject.scenario == scenario && subject.measure == measure && subject.program == "service"
        };
        let figure = first.figures.iter().find(|figure| is_it(&figure.subject));
        assert!(figure.is_some_and(|figure| figure.median() > 0.0), "{scenario}, {measure}: {figure:?}");
    }
    let table = fs::read_to_string(out.path().join("README.md")).unwrap();
    for plot in ["latency.svg", "throughput.svg", "growth.svg"] {
        let svg = fs::read_to_string(out.path().join(plot)).unwrap();
        assert!(svg.contains("</svg>"), "{plot}");
        assert!(table.contains(&format!("]({plot})")), "{table}");
    }

    // In the same folder, so that it finds the first one: one round a run tells nothing, and it says so.
    let (second, said) = load(out.path());
    assert!(second.started_at >= first.started_at);
    assert!(said.contains(&format!("## Since {}", first.started_at)), "{said}");
    assert!(said.contains("too few rounds") && !said.contains("**worse**"), "{said}");
}

/// Runs the load program; returns the run and what it has said.
fn load(out: &Path) -> (Run, String) {
    let output = Command::new(built().join("examples/load"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["--scenarios", "spread,growth", "--stores", "sqlite", "--rounds", "1", "--seconds", "0.2"])
        .args(["--stocks", "10", "--growth", "2000", "--out"])
        .arg(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, run) = Run::newest(out).unwrap().unwrap();
    (run, String::from_utf8(output.stdout).unwrap())
}

/// Builds what is run, and returns the folder that it is in. The examples have the features that a test of the whole workspace has,
/// which has built them already; a test of this alone would run what was built before.
fn built() -> PathBuf {
    let mut examples = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    examples.args(["build", "--quiet", "--workspace", "--all-features"]);
    examples.args(["--example", "load", "--example", "write_ceiling"]);
    if !cfg!(debug_assertions) {
        examples.arg("--release");
    }
    assert!(examples.status().unwrap().success(), "{examples:?}");
    build(&[]).unwrap()
}
