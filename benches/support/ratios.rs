//! What a benchmark reaches of the bare limit that was measured beside it, from the estimates that criterion leaves in
//! `target/criterion`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Two benchmarks of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The group.
    pub group: String,
    /// What is measured.
    pub ours: String,
    /// What it is compared with.
    pub limit: String,
}

/// How fast both of a pair are.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// Which pair.
    pub pair: Pair,
    /// Elements a second of what is measured, by the median of its samples.
    pub ours_per_s: f64,
    /// Likewise of the limit.
    pub limit_per_s: f64,
}

impl Ratio {
    /// What share of the limit is reached.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.ours_per_s / self.limit_per_s
    }
}

/// Why there is no ratio.
#[derive(Debug, Error)]
pub enum RatioError {
    /// One of a pair was measured in this run, and the other one wasn't.
    #[error("{measured:?} was measured in this run, {missing:?} was not: they are compared, so run both")]
    OneWithoutTheOther {
        /// The one that was.
        measured: String,
        /// The one that wasn't.
        missing: String,
    },
    /// It doesn't say how many elements it takes at a time.
    #[error("{0:?} has no number of elements")]
    NoElements(String),
    /// What criterion has left can't be read, or the table can't be written.
    #[error("{file}")]
    File {
        /// Which file or folder.
        file: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

fn at(file: &Path) -> impl FnOnce(io::Error) -> RatioError {
    let file = file.display().to_string();
    |cause| RatioError::File { file, cause }
}

/// The ratios of all `pairs` that were measured `since`, in their order. A pair of which neither was is left out: a filter has
/// excluded it.
///
/// # Errors
///
/// [`RatioError`].
pub fn ratios(folder: &Path, since: SystemTime, pairs: &[Pair]) -> Result<Vec<Ratio>, RatioError> {
    let mut measured = HashMap::new();
    collect(folder, since, &mut measured)?;
    let mut ratios = Vec::new();
    for pair in pairs {
        let [ours, limit] = [&pair.ours, &pair.limit].map(|function| format!("{}/{function}", pair.group));
        match (measured.get(&ours), measured.get(&limit)) {
            (Some(of_ours), Some(of_limit)) => {
                let ours_per_s = of_ours.ok_or(RatioError::NoElements(ours))?;
                let limit_per_s = of_limit.ok_or(RatioError::NoElements(limit))?;
                ratios.push(Ratio { pair: pair.clone(), ours_per_s, limit_per_s });
            }
            (Some(_), None) => return Err(RatioError::OneWithoutTheOther { measured: ours, missing: limit }),
            (None, Some(_)) => return Err(RatioError::OneWithoutTheOther { measured: limit, missing: ours }),
            (None, None) => (),
        }
    }
    Ok(ratios)
}

/// The ratios as a table in Markdown.
#[must_use]
pub fn table(ratios: &[Ratio]) -> String {
    let mut table =
        String::from("| what | ours | a second | limit | a second | ours / limit |\n|---|---|---:|---|---:|---:|\n");
    for ratio in ratios {
        let Pair { group, ours, limit } = &ratio.pair;
        let [of_ours, of_limit] = [ratio.ours_per_s, ratio.limit_per_s].map(thousands);
        let value = ratio.value();
        let digits = if value < 0.095 { 3 } else { 2 };
        _ = writeln!(table, "| {group} | {ours} | {of_ours} | {limit} | {of_limit} | {value:.digits$} |");
    }
    table
}

/// A rate without a fraction, its digits in threes.
fn thousands(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What criterion says that a benchmark is.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: Option<f64>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Elements a second of each benchmark below `folder` that was measured `since`; `None` of one that has no elements.
fn collect(folder: &Path, since: SystemTime, measured: &mut HashMap<String, Option<f64>>) -> Result<(), RatioError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if !path.is_dir() {
            continue;
        }
        let estimates = path.join("estimates.json");
        if !path.ends_with("new") || !estimates.exists() {
            collect(&path, since, measured)?;
            continue;
        }
        let modified = fs::metadata(&estimates).and_then(|metadata| metadata.modified()).map_err(at(&estimates))?;
        if modified >= since {
            let benchmark: Benchmark = read(&path.join("benchmark.json"))?;
            let Estimates { median } = read(&estimates)?;
            let elements = benchmark.throughput.and_then(|throughput| throughput.elements);
            measured.insert(benchmark.full_id, elements.map(|elements| elements * 1e9 / median.point_estimate));
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, RatioError> {
    let bytes = fs::read(file).map_err(at(file))?;
    serde_json::from_slice(&bytes).map_err(|error| at(file)(error.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ratio_is_that_of_its_own_pair() {
        let folder = tempfile::tempdir().unwrap();
        // The same functions in another group, and another limit in the same one, all of other speeds.
        estimate(folder.path(), "append, 1", "sqlite", Some(1), 400.0);
        estimate(folder.path(), "append, 1", "raw SQLite", Some(1), 100.0);
        estimate(folder.path(), "append, 64", "sqlite", Some(64), 1_000.0);
        estimate(folder.path(), "append, 64", "raw SQLite", Some(64), 800.0);
        estimate(folder.path(), "append, 64", "raw fdatasync", Some(64), 10.0);
        let pairs = [pair("append, 64", "sqlite", "raw SQLite"), pair("append, 1", "sqlite", "raw SQLite")];
        let ratios = ratios(folder.path(), SystemTime::UNIX_EPOCH, &pairs).unwrap();
        assert_eq!(ratios.iter().map(Ratio::value).collect::<Vec<_>>(), [0.8, 0.25]);
        let table = table(&ratios);
        let expected = "| append, 64 | sqlite | 64,000,000 | raw SQLite | 80,000,000 | 0.80 |";
        assert_eq!(table.lines().nth(2), Some(expected), "{table}");
    }

    #[test]
    fn the_ratio_is_of_elements_and_not_of_calls() {
        let folder = tempfile::tempdir().unwrap();
        estimate(folder.path(), "evolve", "ours", Some(2), 100.0);
        estimate(folder.path(), "evolve", "map", Some(1), 25.0);
        let ratios = ratios(folder.path(), SystemTime::UNIX_EPOCH, &[pair("evolve", "ours", "map")]).unwrap();
        assert!((ratios[0].value() - 0.5).abs() < 1e-9, "{ratios:?}");
    }

    #[test]
    fn a_missing_limit_is_an_error_and_so_is_a_limit_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = [pair("append", "sqlite", "raw SQLite")];
        let outcome = || ratios(folder.path(), SystemTime::UNIX_EPOCH, &pairs).map_err(|error| error.to_string());
        assert_eq!(outcome(), Ok(Vec::new()), "neither was asked for");
        estimate(folder.path(), "append", "sqlite", Some(1), 400.0);
        assert!(outcome().unwrap_err().contains(r#""append/raw SQLite" was not"#), "{outcome:?}", outcome = outcome());
        fs::remove_dir_all(folder.path().join("append")).unwrap();
        estimate(folder.path(), "append", "raw SQLite", Some(1), 400.0);
        assert!(outcome().unwrap_err().contains(r#""append/sqlite" was not"#), "{outcome:?}", outcome = outcome());
    }

    #[test]
    fn a_limit_of_an_earlier_run_is_no_limit() {
        let folder = tempfile::tempdir().unwrap();
        let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        estimate(folder.path(), "append", "sqlite", Some(1), 400.0);
        let limit = estimate(folder.path(), "append", "raw SQLite", Some(1), 100.0);
        fs::File::options().write(true).open(limit).unwrap().set_modified(early).unwrap();
        let pairs = [pair("append", "sqlite", "raw SQLite")];
        assert_eq!(ratios(folder.path(), early, &pairs).unwrap().len(), 1);
        let outcome = ratios(folder.path(), early + Duration::from_secs(1), &pairs);
        assert!(matches!(outcome, Err(RatioError::OneWithoutTheOther { .. })), "{outcome:?}");
    }

    #[test]
    fn what_has_no_elements_and_what_cannot_be_read_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = [pair("append", "sqlite", "raw SQLite")];
        estimate(folder.path(), "append", "sqlite", Some(1), 400.0);
        let limit = estimate(folder.path(), "append", "raw SQLite", None, 100.0);
        let outcome = ratios(folder.path(), SystemTime::UNIX_EPOCH, &pairs);
        assert!(matches!(outcome, Err(RatioError::NoElements(_))), "{outcome:?}");
        fs::write(limit, "{}").unwrap();
        let outcome = ratios(folder.path(), SystemTime::UNIX_EPOCH, &pairs);
        assert!(matches!(outcome, Err(RatioError::File { .. })), "{outcome:?}");
    }

    fn pair(group: &str, ours: &str, limit: &str) -> Pair {
        Pair { group: group.to_owned(), ours: ours.to_owned(), limit: limit.to_owned() }
    }

    /// Leaves what criterion leaves of a benchmark; returns the file of its estimates.
    fn estimate(
        folder: &Path,
        group: &str,
        function: &str,
        elements: Option<u64>,
        median_ns: f64,
    ) -> std::path::PathBuf {
        let new = folder.join(group).join(function).join("new");
        fs::create_dir_all(&new).unwrap();
        let throughput = elements.map_or("null".to_owned(), |elements| format!(r#"{{"Elements":{elements}}}"#));
        let benchmark = format!(
            r#"{{"group_id":"{group}","function_id":"{function}","value_str":null,"throughput":{throughput},
                "full_id":"{group}/{function}","directory_name":"{group}/{function}","title":"{group}/{function}"}}"#
        );
        fs::write(new.join("benchmark.json"), benchmark).unwrap();
        let of = |name: &str, value: f64| {
            format!(
                r#""{name}":{{"confidence_interval":{{"confidence_level":0.95,"lower_bound":1.0,"upper_bound":2.0}},
                    "point_estimate":{value},"standard_error":0.1}}"#
            )
        };
        let file = new.join("estimates.json");
        // The mean is far off, as one stall makes it.
        fs::write(&file, format!(r#"{{{},{},"slope":null}}"#, of("mean", 7e9), of("median", median_ns))).unwrap();
        file
    }
}
