//! `SQLite`'s write-ahead log, as the file that it is (<https://www.sqlite.org/fileformat2.html#walformat>).

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::schema::OpenError;
use crate::files::{Files, ReadFile, WriteFile, named};

/// What the log begins with.
const HEADER_BYTES: usize = 32;

/// What a page in the log begins with.
const FRAME_HEADER_BYTES: usize = 24;

/// How many pages are written again at a time.
const FRAMES_AT_A_TIME: usize = 16;

/// What the log begins with where its checksums are of words with the highest byte first; one less where they aren't.
const BIG_ENDIAN: u32 = 0x377f_0683;

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
/// Refuses a link that leads nowhere as well: the log may be where the file was.
pub(super) fn refuse_emptied(path: &Path) -> Result<(), OpenError> {
    let bytes = |path: &Path| match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(0),
        file => file.map(|file| file.len()).map_err(named(path)).map_err(OpenError::File),
    };
    let log = bytes(&path_of(path))?; // First: what is made just now has no log before it has something itself.
    if bytes(path)? == 0 && log > 0 { Err(OpenError::Emptied(path.to_owned())) } else { Ok(()) }
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
/// The kernel may also drop such pages at any moment, and read what is on the disk. `SQLite` looks at the log's checksums when it opens
/// it, and never after that: so each page is compared with its checksum here, as it is written.
///
/// The log's name has to last as well: `SQLite` syncs the folder when it has made the log, and doesn't look whether that fails.
///
/// And `SQLite` counts as taken what a checkpoint has copied that a reader holds up, without a sync of the file. It never copies that again,
/// also where the file's next sync fails; the count lasts as long as anybody has the file open. So that part is copied once more, too.
/// Nobody sees a difference: it is what is there. The file is synced in any case: somebody may have copied it here.
///
/// Nobody else writes meanwhile: `connection`, which is in no transaction, holds the lock of who writes, and nobody but its owner takes
/// the log into the file. `file` has to stay open as long as any connection: when it is closed, all locks of this process on it go.
///
/// # Errors
///
/// What the file system says, or `SQLite`; [`OpenError::LogChanged`] where the log isn't what `connection` has found when it opened it. Who
/// opens it first after that finds what there is now.
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
        Err(error) if error.kind() == io::ErrorKind::NotFound && frames == 0 => Ok(()),
        read => read.and_then(|read| write_all_again(&*read, &*files.open(&log)?, file, frames, taken)),
    };
    let folder = log.parent().unwrap_or(Path::new("."));
    let written = written.and_then(|()| file.sync()).and_then(|()| files.sync_folder(folder));
    connection.execute_batch("ROLLBACK")?;
    written.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::LogChanged(log),
        _ => OpenError::WriteAheadLog(error),
    })
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
    let page_bytes = write_over_itself(read, log, frames)?;
    if taken > 0 { take_again(read, file, frames, taken, page_bytes) } else { Ok(()) }
}

/// How many pages the log has that count, and how many of them are counted as taken into the file.
fn frames(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        let count = |column| row.get(column).map(|count: i64| u64::try_from(count).unwrap_or(0)); // -1: there is no log.
        Ok((count(1)?, count(2)?))
    })
}

/// Where a page with its header begins.
fn start_of(frame: u64, page_bytes: usize) -> u64 {
    HEADER_BYTES as u64 + frame * (FRAME_HEADER_BYTES + page_bytes) as u64
}

/// Returns how many bytes a page has.
fn write_over_itself(read: &dyn ReadFile, write: &dyn WriteFile, frames: u64) -> io::Result<usize> {
    let mut header = [0; HEADER_BYTES];
    read.read_exact_at(&mut header, 0)?;
    let mut checksum = Checksum::of(&header)?;
    write.write_all_at(&header, 0)?;
    let page_bytes = usize::try_from(number_at(&header, 8)).map_err(io::Error::other)?;
    let mut some = Vec::new();
    for first in (0..frames).step_by(FRAMES_AT_A_TIME) {
        let (from, to) =
            (start_of(first, page_bytes), start_of(frames.min(first + FRAMES_AT_A_TIME as u64), page_bytes));
        some.resize(usize::try_from(to - from).map_err(io::Error::other)?, 0);
        read.read_exact_at(&mut some, from)?;
        some.chunks_exact(FRAME_HEADER_BYTES + page_bytes).try_for_each(|frame| checksum.go_on(frame))?;
        write.write_all_at(&some, from)?;
    }
    write.sync()?;
    Ok(page_bytes)
}

fn number_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The log's checksum up to some page, which each page goes on with.
struct Checksum {
    word: fn([u8; 4]) -> u32,
    /// What marks the log's pages, other than what is left of an earlier one.
    salts: [u8; 8],
    sums: [u32; 2],
}

impl Checksum {
    fn of(header: &[u8; HEADER_BYTES]) -> io::Result<Self> {
        let word = if number_at(header, 0) == BIG_ENDIAN { u32::from_be_bytes } else { u32::from_le_bytes };
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let mut checksum = Self { word, salts, sums: [0; 2] };
        checksum.add(&header[..24]);
        checksum.has_to_be(&header[24..])?;
        Ok(checksum)
    }

    fn go_on(&mut self, frame: &[u8]) -> io::Result<()> {
        let (header, page) = frame.split_at(FRAME_HEADER_BYTES);
        if header[8..16] != self.salts {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.add(&header[..8]);
        self.add(page);
        self.has_to_be(&header[16..])
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.sums;
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks().0 {
            first = first.wrapping_add((self.word)([*a, *b, *c, *d])).wrapping_add(second);
            second = second.wrapping_add((self.word)([*e, *f, *g, *h])).wrapping_add(first);
        }
        self.sums = [first, second];
    }

    fn has_to_be(&self, stored: &[u8]) -> io::Result<()> {
        let is_that = [number_at(stored, 0), number_at(stored, 4)] == self.sums;
        if is_that { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Copies into the file what counts as taken, as a checkpoint does: no page that is in the rest of the log again.
fn take_again(log: &dyn ReadFile, file: &dyn WriteFile, frames: u64, taken: u64, page_bytes: usize) -> io::Result<()> {
    let (mut last, mut number) = (HashMap::new(), [0; 4]);
    for frame in 0..frames {
        log.read_exact_at(&mut number, start_of(frame, page_bytes))?;
        last.insert(u32::from_be_bytes(number), frame);
    }
    let mut page = vec![0; page_bytes];
    for (number, frame) in last.into_iter().filter(|(_, frame)| *frame < taken) {
        log.read_exact_at(&mut page, start_of(frame, page_bytes) + FRAME_HEADER_BYTES as u64)?;
        file.write_all_at(&page, u64::from(number.saturating_sub(1)) * page_bytes as u64)?; // Pages are counted from 1.
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;
    use crate::files::RealFiles;

    #[test]
    fn a_file_that_can_not_be_asked_for_is_not_called_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        std::os::unix::fs::symlink("events.db", &path).unwrap();
        fs::write(folder.path().join("events.db-wal"), "x").unwrap();
        let refused = refuse_emptied(&path).unwrap_err();
        assert!(matches!(refused, OpenError::File(_)) && refused.to_string().contains("events.db: "), "{refused}");
        fs::remove_file(&path).unwrap();
        assert!(matches!(refuse_emptied(&path), Err(OpenError::Emptied(_))));
        fs::remove_file(folder.path().join("events.db-wal")).unwrap();
        std::os::unix::fs::symlink("moved.db", &path).unwrap();
        fs::write(folder.path().join("moved.db-wal"), "x").unwrap();
        assert!(matches!(refuse_emptied(&path), Err(OpenError::File(_))), "nobody knows where the log is");
        fs::write(folder.path().join("moved.db"), "x").unwrap();
        refuse_emptied(&path).unwrap();
    }

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

    /// As after a sync of the log that has failed, when the kernel drops what it had; byte by byte, in a header, a page, and the last one.
    #[test]
    fn a_log_that_has_changed_since_it_was_opened_is_refused_and_nothing_is_taken_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch("CREATE TABLE lines (text TEXT); INSERT INTO lines VALUES ('acknowledged')").unwrap();
        let (file, log_path) = (RealFiles.open(&path).unwrap(), path_of(&path));
        write_again(&connection, &path, &RealFiles, &*file).unwrap();
        let (whole, log) = (fs::read(&path).unwrap(), fs::read(&log_path).unwrap());
        let frame_bytes = FRAME_HEADER_BYTES + 4_096;
        for changed in [3, 9, 17, 27, 32, 41, 52, 60, 3_000, 32 + frame_bytes + 100, log.len() - 4_000, log.len() - 1] {
            let mut other = log.clone();
            other[changed] ^= 1;
            fs::write(&log_path, &other).unwrap();
            let refused = write_again(&connection, &path, &RealFiles, &*file);
            assert!(matches!(&refused, Err(OpenError::LogChanged(log)) if *log == log_path), "{changed}: {refused:?}");
            assert!(fs::read(&log_path).unwrap() == other, "the log isn't what it was");
            assert!(fs::read(&path).unwrap() == whole, "the file isn't what it was");
        }
        fs::write(&log_path, &log).unwrap();
        write_again(&connection, &path, &RealFiles, &*file).unwrap();
    }

    #[test]
    fn a_log_may_only_be_missing_where_it_has_no_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        let (file, log) = (RealFiles.open(&path).unwrap(), path_of(&path));
        assert_eq!(frames(&connection).unwrap(), (0, 0));
        fs::remove_file(&log).unwrap();
        write_again(&connection, &path, &RealFiles, &*file).unwrap();
        std::os::unix::fs::symlink(&log, &log).unwrap(); // It can't be opened, and isn't missing.
        assert!(matches!(write_again(&connection, &path, &RealFiles, &*file), Err(OpenError::WriteAheadLog(_))));
        fs::remove_file(&log).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE lines (text TEXT)").unwrap();
        fs::remove_file(&log).unwrap();
        assert!(matches!(write_again(&connection, &path, &RealFiles, &*file), Err(OpenError::WriteAheadLog(_))));
    }

    /// `SQLite` writes checksums in the order of bytes of the machine that has made the log.
    #[test]
    fn a_log_of_a_machine_that_has_the_highest_byte_first_is_read_too() {
        let mut header = [0; 32];
        header[..4].copy_from_slice(&BIG_ENDIAN.to_be_bytes());
        header[4..24].copy_from_slice(&[1, 2, 3, 4, 0, 0, 16, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2]);
        let (mut first, mut second) = (0_u32, 0_u32);
        for pair in header[..24].chunks(8) {
            first = first.wrapping_add(number_at(pair, 0)).wrapping_add(second);
            second = second.wrapping_add(number_at(pair, 4)).wrapping_add(first);
        }
        header[24..28].copy_from_slice(&first.to_be_bytes());
        header[28..].copy_from_slice(&second.to_be_bytes());
        assert!(Checksum::of(&header).is_ok());
        header[3] ^= 1; // As if the lowest came first.
        assert!(Checksum::of(&header).is_err());
    }
}
