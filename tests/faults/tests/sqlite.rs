//! The disk under `SQLite` itself: it notices a missing sync, and each way to fail is met.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::sync::Arc;

use inventory_faults::{Aim, Disk, Fault, How, PowerCut, Survival, vfs};
use rusqlite::{Connection, ErrorCode};

#[test]
fn a_synced_commit_outlasts_a_power_cut_at_any_moment_after_it() {
    let (acknowledged, losses) = cut_everywhere("FULL", |_| ());
    assert_eq!((acknowledged, losses), (COMMITS, vec![]));
}

/// The planted bug of the store's own tests: commits that nobody has synced.
#[test]
fn synchronous_normal_is_seen_to_lose_a_commit() {
    let (_, losses) = cut_everywhere("NORMAL", |_| ());
    assert!(losses.iter().any(Loss::is_of_commits), "{losses:?}");
}

#[test]
fn a_sync_of_the_write_ahead_log_that_does_nothing_is_seen_to_lose_a_commit() {
    let (_, losses) = cut_everywhere("FULL", |disk| disk.swallow_syncs(|path| path.ends_with("test.db-wal")));
    assert!(losses.iter().any(Loss::is_of_commits), "{losses:?}");
}

#[test]
fn a_sync_of_the_file_that_does_nothing_is_seen_to_lose_it() {
    let (_, losses) = cut_everywhere("FULL", |disk| disk.swallow_syncs(|path| path.ends_with("test.db")));
    assert!(losses.iter().any(Loss::is_of_the_file), "the write-ahead log starts anew after a checkpoint: {losses:?}");
}

#[test]
fn every_way_to_fail_is_met_and_says_what_it_is() {
    for how in How::ALL {
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let disk = disk_over(folder.path());
            disk.fail(Fault { aim: Aim::Changes, nth, how });
            let mut told = 0;
            let done = write(folder.path(), "FULL", |commit| told = commit);
            if !disk.has_failed() {
                assert!(nth > 20, "{how:?}: only {nth} changes");
                done.unwrap();
                break;
            }
            if let Err(error) = done {
                let known = [ErrorCode::SystemIoFailure, ErrorCode::CannotOpen, ErrorCode::DiskFull];
                assert!(
                    error.sqlite_error_code().is_some_and(|code| known.contains(&code)),
                    "{how:?} at {nth}: {error}"
                );
            }
            disk.heal();
            assert!(told == 0 || count(folder.path()).unwrap() >= told, "{how:?} at {nth}");
        }
    }
    for nth in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk_over(folder.path());
        write(folder.path(), "FULL", |_| ()).unwrap();
        disk.fail(Fault { aim: Aim::Reads, nth, how: How::Fails });
        let read = count(folder.path());
        if !disk.has_failed() {
            assert!(nth > 3, "only {nth} reads");
            assert_eq!(read.unwrap(), COMMITS);
            break;
        }
        assert!(read.is_err() || read == Ok(COMMITS), "{nth}: {read:?}");
        disk.heal();
        assert_eq!(count(folder.path()), Ok(COMMITS), "{nth}: it is all there");
    }
}

#[test]
fn what_is_on_no_disk_is_left_alone() {
    vfs::install();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FULL", |_| ()).unwrap();
    assert_eq!(count(folder.path()), Ok(COMMITS));
}

const COMMITS: u64 = 12;

/// What was left where something that was told of is gone.
#[derive(Debug, PartialEq)]
enum Loss {
    /// A file that can be read, with fewer commits.
    Commits { told: u64, there: u64 },
    /// A file with other rows than those that were written.
    Rows,
    /// A file that isn't there, or isn't one any more.
    File(rusqlite::Error),
}

impl Loss {
    fn is_of_commits(&self) -> bool {
        matches!(self, Self::Commits { told, there } if there < told)
    }

    fn is_of_the_file(&self) -> bool {
        let Self::File(error) = self else { return *self == Self::Rows };
        let is_none = [ErrorCode::NotADatabase, ErrorCode::DatabaseCorrupt];
        error.sqlite_error_code().is_some_and(|code| is_none.contains(&code))
            || error.to_string().contains("no such table")
    }
}

/// Commits a few times with a checkpoint in between, cuts the power after each step, and says how many commits were told of, and
/// what was lost anywhere.
fn cut_everywhere(synchronous: &str, plant: impl FnOnce(&Disk)) -> (u64, Vec<Loss>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk_over(folder.path());
    plant(&disk);
    write(folder.path(), synchronous, |commit| {
        disk.mark(commit);
    })
    .unwrap();
    let trace = disk.trace();
    let mut cut = PowerCut::new(&trace);
    let (mut acknowledged, mut losses) = (0, Vec::new());
    while let Some(entry) = cut.step() {
        if let inventory_faults::Entry::Mark(commit) = entry {
            acknowledged = *commit;
        }
        for survival in [Survival::Nothing, Survival::Some(1), Survival::Some(2)] {
            let left = tempfile::tempdir().unwrap();
            cut.write_to(left.path(), survival).unwrap();
            let _disk = Disk::over(left.path()); // So that nothing waits for a real disk.
            let there = if acknowledged == 0 { Ok(Vec::new()) } else { read(left.path()) };
            match there {
                Ok(rows) if !are_written(&rows) => losses.push(Loss::Rows),
                Ok(rows) if (rows.len() as u64) < acknowledged => {
                    losses.push(Loss::Commits { told: acknowledged, there: rows.len() as u64 });
                }
                Ok(_) => (),
                Err(error) => losses.push(Loss::File(error)),
            }
        }
    }
    (acknowledged, losses)
}

fn disk_over(folder: &Path) -> Arc<Disk> {
    vfs::install();
    Disk::over(folder)
}

fn write(folder: &Path, synchronous: &str, mut committed: impl FnMut(u64)) -> rusqlite::Result<()> {
    let connection = Connection::open(folder.join("test.db"))?;
    let set = format!("PRAGMA journal_mode = wal; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 7;");
    connection.execute_batch(&format!("{set} CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT)"))?;
    for number in 1..=COMMITS {
        let text = number.to_string().repeat(3_000);
        connection.execute("INSERT INTO numbers VALUES (?1, ?2)", (number.cast_signed(), text))?;
        committed(number);
    }
    Ok(())
}

fn count(folder: &Path) -> rusqlite::Result<u64> {
    let rows = read(folder)?;
    assert!(are_written(&rows));
    Ok(rows.len() as u64)
}

fn read(folder: &Path) -> rusqlite::Result<Vec<(u64, String)>> {
    let connection = Connection::open(folder.join("test.db"))?;
    let mut all = connection.prepare("SELECT number, text FROM numbers ORDER BY number")?;
    let rows = all.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))?;
    rows.collect()
}

/// Whether these are the first of the rows that are written.
fn are_written(rows: &[(u64, String)]) -> bool {
    rows.iter().zip(1..).all(|((number, text), place)| *number == place && *text == place.to_string().repeat(3_000))
}
