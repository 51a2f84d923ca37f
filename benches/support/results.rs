//! The figures of a run, as they are kept in `benches/results`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::{Machine, Source};

/// All figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it was started, in UTC.
    pub started_at: String,
    /// How long it took.
    pub took_s: f64,
    /// What was measured.
    pub source: Source,
    /// Where.
    pub machine: Machine,
    /// Cores that others kept busy, in each load: processes of others, the kernel's own, the host. What is more than a few tenths
    /// has disturbed it.
    pub others_cores: Vec<f64>,
    /// How it was measured.
    pub settings: Settings,
    /// What came out.
    pub figures: Vec<Figure>,
    /// How latencies were distributed.
    pub curves: Vec<Curve>,
    /// What was refused, which nothing should be: such figures are of something else.
    pub refusals: Vec<String>,
}

/// How a run measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rounds of each comparison.
    pub rounds: usize,
    /// Length of one load.
    pub load_s: f64,
    /// Stocks that are filled, read and reserved.
    pub stocks: u64,
    /// Events in the log, where growth is measured.
    pub growth_events: Vec<u64>,
    /// The file of baskets, without its folders.
    pub baskets: String,
}

/// One thing that was measured, once a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is a figure of.
    #[serde(flatten)]
    pub subject: Subject,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// Which way it should go.
    pub better: Better,
    /// What each round gave, in order.
    pub rounds: Vec<f64>,
}

/// What a figure is of: the same words in each run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The load's name.
    pub scenario: String,
    /// The event store.
    pub store: String,
    /// The service, or the program that it is compared with.
    pub program: String,
    /// `max`, a share of it such as `50 %`, or how many events the log has.
    pub load: String,
    /// What was measured.
    pub measure: String,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It says how something was measured, and isn't compared.
    Neither,
}

/// The latencies of all rounds of a load together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The load's name.
    pub scenario: String,
    /// The event store.
    pub store: String,
    /// A share of the maximum.
    pub load: String,
    /// Percentile and milliseconds.
    pub percentiles: Vec<(f64, f64)>,
}

impl Run {
    /// Adds what a round gave.
    pub fn add(&mut self, subject: &Subject, unit: &str, better: Better, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.subject == *subject) {
            Some(figure) => figure.rounds.push(value),
            None => self.figures.push(Figure {
                subject: subject.clone(),
                unit: unit.to_owned(),
                better,
                rounds: vec![value],
            }),
        }
    }

    /// A figure, if it was measured.
    #[must_use]
    pub fn figure(&self, subject: &Subject) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.subject == *subject)
    }

    /// Reads a run that was written.
    ///
    /// # Errors
    ///
    /// When the file can't be read or holds no run.
    pub fn read(file: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// Writes it into a folder, under its date and commit, and returns the file.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let moment: String = self.started_at.chars().take(19).filter(char::is_ascii_alphanumeric).collect();
        let file = folder.join(format!("{moment}-{}.json", self.source.commit));
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The run in a folder that was started last.
    ///
    /// # Errors
    ///
    /// When a file of it can't be read.
    pub fn newest(folder: &Path) -> io::Result<Option<(PathBuf, Self)>> {
        if !folder.exists() {
            return Ok(None);
        }
        let mut newest: Option<(PathBuf, Self)> = None;
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                let run = Self::read(&file)?;
                if newest.as_ref().is_none_or(|(_, newest)| run.started_at > newest.started_at) {
                    newest = Some((file, run));
                }
            }
        }
        Ok(newest)
    }
}

impl Figure {
    /// The middle one of the rounds.
    #[must_use]
    pub fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// The smallest of the rounds.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest of the rounds.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The middle one of `numbers`; of an even number of them, what is half-way between the two middle ones.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}
