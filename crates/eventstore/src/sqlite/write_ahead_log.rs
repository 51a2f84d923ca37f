//! `SQLite`'s write-ahead log, as the file that it is.

use std::cell::Cell;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::schema::OpenError;
use crate::files::Files;

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

/// Has the write-ahead log reach the disk as it is read now, whatever was written to it before, and by whom.
///
/// Where a sync has failed, the kernel holds for written what isn't, and the next sync succeeds without a write (Rebello et al., "Can
/// Applications Recover from fsync Failures?", USENIX ATC 2020). A checkpoint after such a sync would copy the log into the file while
/// neither is on the disk. So all of the log is written once more, over itself, and synced. Nobody else writes it meanwhile:
/// `connection`, which is in no transaction, holds the lock of who writes.
///
/// # Errors
///
/// What the file system says, or `SQLite`.
pub(super) fn write_again(connection: &Connection, path: &Path, files: &dyn Files) -> Result<(), OpenError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = write_over_itself(&path_of(path), files);
    connection.execute_batch("ROLLBACK")?;
    written.map_err(OpenError::WriteAheadLog)
}

fn write_over_itself(log: &Path, files: &dyn Files) -> io::Result<()> {
    let read = match files.open_to_read(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let write = files.open(log)?;
    let (mut offset, end) = (0, read.length()?);
    let mut chunk = vec![0; CHUNK_BYTES];
    while offset < end {
        let bytes = usize::try_from(end - offset).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        read.read_exact_at(&mut chunk[..bytes], offset)?;
        write.write_all_at(&chunk[..bytes], offset)?;
        offset += bytes as u64;
    }
    write.sync()
}
