//! `SQLite`'s write-ahead log, as the file that it is (<https://www.sqlite.org/fileformat2.html#walformat>).

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::schema::OpenError;
use crate::files::{Files, ReadFile, WriteFile};

/// What the log begins with.
const HEADER_BYTES: u64 = 32;

/// What a page in the log begins with.
const FRAME_HEADER_BYTES: u64 = 24;

/// How much is written again at a time.
const CHUNK_BYTES: usize = 64 * 1024;

thread_local! {
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Hears of each commit, on the thread that commits, how many pages the write-ahead log has.
#[allow(clippy::unnecessary_wraps, reason = "a hook may fail")]
pub(super) fn remember_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(pages.cast_unsigned());
    Ok(())
}

/// How many pages the write-ahead log had after the last commit of this thread; 0 where there was none since this was asked.
pub(super) fn pages_after_commit() -> u32 {
    PAGES.take()
}

/// Refuses a file that has nothing beside a write-ahead log that has something: `SQLite` would remove the log, even where it may only read.
pub(super) fn refuse_emptied(path: &Path) -> Result<(), OpenError> {
    // What can't be asked for is told by who opens it.
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let is_emptied = bytes(path) == 0 && bytes(&path_of(path)) > 0;
    if is_emptied { Err(OpenError::Emptied(path.to_owned())) } else { Ok(()) }
}

/// Where the write-ahead log of this file is; beside the file itself, where `path` is a link.
pub(super) fn path_of(path: &Path) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push("-wal");
    name.into()
}

/// Has the write-ahead log, and what of it was taken into `file`, reach the disk as they are now, whatever was written before, and by whom.
///
/// Where a sync has failed, the kernel holds for written what isn't, and the next sync succeeds without a write (Rebello et al., "Can
/// Applications Recover from fsync Failures?", USENIX ATC 2020). So the log is written once more, over itself, and synced: a checkpoint
/// after such a sync would copy it into the file while neither is on the disk.
///
/// And `SQLite` counts as taken what a checkpoint has copied that a reader holds up, without a sync of the file. It never copies that again,
/// also where the file's next sync fails; the count lasts as long as anybody has the file open. So that part is copied once more, too.
/// Nobody sees a difference: it is what is there.
///
/// Nobody else writes meanwhile: `connection`, which is in no transaction, holds the lock of who writes, and nobody but its owner takes
/// the log into the file. `file` has to stay open as long as any connection: when it is closed, all locks of this process on it go.
///
/// # Errors
///
/// What the file system says, or `SQLite`.
pub(super) fn write_again(
    connection: &Connection,
    path: &Path,
    files: &dyn Files,
    file: &dyn WriteFile,
) -> Result<(), OpenError> {
    let (frames, taken) = frames(connection)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let log = path_of(path);
    let written = match files.open_to_read(&log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        read => read.and_then(|read| write_all_again(&*read, &*files.open(&log)?, file, frames, taken)),
    };
    connection.execute_batch("ROLLBACK")?;
    written.map_err(OpenError::WriteAheadLog)
}

fn write_all_again(
    read: &dyn ReadFile,
    log: &dyn WriteFile,
    file: &dyn WriteFile,
    frames: u64,
    taken: u64,
) -> io::Result<()> {
    if frames == 0 {
        return log.sync(); // It may just have been cut.
    }
    let frame_bytes = FRAME_HEADER_BYTES + u64::from(number_at(read, 8)?); // The header has the size of a page there.
    write_over_itself(read, log, HEADER_BYTES + frames * frame_bytes)?;
    if taken > 0 { take_again(read, file, frames, taken, frame_bytes) } else { Ok(()) }
}

/// How many pages the log has that count, and how many of them are counted as taken into the file.
fn frames(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        let count = |column| row.get(column).map(|count: i64| u64::try_from(count).unwrap_or(0)); // -1: there is no log.
        Ok((count(1)?, count(2)?))
    })
}

fn number_at(log: &dyn ReadFile, offset: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    log.read_exact_at(&mut bytes, offset)?;
    Ok(u32::from_be_bytes(bytes))
}

fn write_over_itself(read: &dyn ReadFile, write: &dyn WriteFile, end: u64) -> io::Result<()> {
    let (mut offset, mut chunk) = (0, vec![0; CHUNK_BYTES]);
    while offset < end {
        let bytes = usize::try_from(end - offset).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        read.read_exact_at(&mut chunk[..bytes], offset)?;
        write.write_all_at(&chunk[..bytes], offset)?;
        offset += bytes as u64;
    }
    write.sync()
}

/// Copies into the file what counts as taken, as a checkpoint does: no page that is in the rest of the log again.
fn take_again(log: &dyn ReadFile, file: &dyn WriteFile, frames: u64, taken: u64, frame_bytes: u64) -> io::Result<()> {
    let mut last = HashMap::new();
    for frame in 0..frames {
        last.insert(number_at(log, HEADER_BYTES + frame * frame_bytes)?, frame);
    }
    let page_bytes = frame_bytes - FRAME_HEADER_BYTES;
    let mut page = vec![0; usize::try_from(page_bytes).map_err(io::Error::other)?];
    for (number, frame) in last.into_iter().filter(|(_, frame)| *frame < taken) {
        log.read_exact_at(&mut page, HEADER_BYTES + frame * frame_bytes + FRAME_HEADER_BYTES)?;
        file.write_all_at(&page, u64::from(number.saturating_sub(1)) * page_bytes)?; // Pages are counted from 1.
    }
    file.sync()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;
    use crate::files::RealFiles;

    /// As after a sync of the file that has failed, when the kernel has dropped what it had.
    #[test]
    fn what_counts_as_taken_and_is_lost_comes_back_and_no_more_than_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE lines (number INTEGER PRIMARY KEY, text TEXT)").unwrap();
        let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) SELECT i FROM n";
        let insert = format!("INSERT OR REPLACE INTO lines SELECT i, ?1 || i FROM ({numbers})");
        let put = |text: &str, to: u32| connection.execute(&insert, (text.repeat(50), to)).unwrap();
        put("first", 500);
        put("second", 400);
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM lines").unwrap();
        put("third", 300); // Isn't taken, as long as somebody reads what was there before.
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        let (frames, taken) = frames(&connection).unwrap();
        assert!(0 < taken && taken < frames, "{taken} of {frames}");
        assert!(fs::metadata(&path).unwrap().len() > 20 * 4_096);
        let (whole, log) = (fs::read(&path).unwrap(), fs::read(path_of(&path)).unwrap());
        let file = RealFiles.open(&path).unwrap();
        file.write_all_at(&vec![0; whole.len() - 4_096], 4_096).unwrap(); // The first page was there before the log.
        write_again(&connection, &path, &RealFiles, &*file).unwrap();
        assert!(fs::read(&path).unwrap() == whole, "the file isn't what it was");
        assert!(fs::read(path_of(&path)).unwrap() == log, "the log isn't what it was");
    }
}
