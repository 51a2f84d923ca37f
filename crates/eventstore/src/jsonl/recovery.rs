//! Reads the whole journal at the start: every line is checked (`scan.rs`), and everything finds its place in the index.
//!
//! Damage in the last batch drops that batch as a whole: nobody can tell a batch that was never finished from one that was
//! damaged later. Damage anywhere else is no accident that a store may get over by itself: it refuses to open, and names
//! the file and the line.
//!
//! Who reads beside the writer sees the last segment while it changes: the log ends for it where nothing whole was there yet, or
//! where a segment that was listed goes on in one that wasn't.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::append_ids::AppendIds;
use super::index::{Index, Segment};
use super::line::{Header, Line, read};
use super::scan::Scan;
use crate::files::{Files, RealFiles};

/// A header is shorter than this.
const HEADER_BYTES_MAX: usize = 512;

/// The version of the journal's form.
pub(super) const JOURNAL_VERSION: u32 = 1;

/// A batch that was never finished, or was damaged, and was dropped as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedBatch {
    /// The segment that it stood in.
    pub file: PathBuf,
    /// Where it started.
    pub offset: u64,
    /// How long it was.
    pub bytes: u64,
}

/// Why a journal can't be used.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// A file can't be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something that was acknowledged is damaged.
    #[error("{path}, line {line}: {problem}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The line, from 1 on.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl RecoveryError {
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }
}

/// What the scan has found.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) append_ids: AppendIds,
    pub(super) dropped: Option<DroppedBatch>,
    pub(super) last: Option<LastBatch>,
}

impl Recovered {
    fn nothing() -> Self {
        let (index, append_ids) = (Index::default(), AppendIds::new());
        Self { index, append_ids, dropped: None, last: None }
    }
}

/// The last batch of the log, as it was checked. Its sync may have failed, and nobody else's: the one before was acknowledged.
pub(super) struct LastBatch {
    /// Where in the last segment it starts.
    pub(super) offset: u64,
    /// Its lines.
    pub(super) bytes: Vec<u8>,
}

/// The path of the segment with this number.
pub(super) fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.jsonl"))
}

/// Who else may write the journal while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    Nobody,
    SomebodyElse,
}

/// Reads the journal in `folder`, which nobody else writes; it is empty where there is no folder.
pub(super) fn recover(folder: &Path, files: &dyn Files) -> Result<Recovered, RecoveryError> {
    let count = match segment_count(folder, files) {
        Err(RecoveryError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => 0,
        counted => counted?,
    };
    recover_segments(folder, files, count, Writer::Nobody)
}

/// Reads the journal in `folder`, which somebody else may be writing, as far as it was whole at some moment since the call.
pub(super) fn recover_beside_a_writer(folder: &Path) -> Result<Recovered, RecoveryError> {
    recover_segments(folder, &RealFiles, segment_count(folder, &RealFiles)?, Writer::SomebodyElse)
}

fn recover_segments(folder: &Path, files: &dyn Files, count: u32, writer: Writer) -> Result<Recovered, RecoveryError> {
    let mut recovered = Recovered::nothing();
    let headers = headers(folder, files, count)?;
    for header in &headers {
        recovered.index.segments.0.push(segment_of(folder, files, header)?);
    }
    for (place, header) in headers.iter().enumerate() {
        Scan::new(folder, files, *header, headers.get(place + 1).copied(), writer)?.run(&mut recovered)?;
    }
    Ok(recovered)
}

/// Each segment's header; each says where the segment before it ends, which has to be within it.
fn headers(folder: &Path, files: &dyn Files, count: u32) -> Result<Vec<Header>, RecoveryError> {
    let headers: Vec<Header> =
        (1..=count).map(|number| read_header(folder, files, number)).collect::<Result<_, _>>()?;
    match headers.windows(2).find(|pair| pair[1].previous_end > pair[0].bytes) {
        Some(pair) => Err(RecoveryError::Damaged {
            path: segment_path(folder, pair[1].segment),
            line: 1,
            problem: "it says that the segment before it is longer than it is".to_owned(),
        }),
        None => Ok(headers),
    }
}

/// How many segments there are; none may be missing in between. A folder that is written may be listed with a file and without an
/// older one, so each is asked for by its name.
fn segment_count(folder: &Path, files: &dyn Files) -> Result<u32, RecoveryError> {
    let mut count = 0;
    for name in files.names(folder).map_err(RecoveryError::file(folder))? {
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".jsonl")) else { continue };
        count = stem.parse::<u32>().ok().filter(|_| stem.len() == 8).unwrap_or(0).max(count);
    }
    for number in 1..=count {
        if !is_there(folder, files, number)? {
            let (path, problem) = (segment_path(folder, number), "the segment is missing".to_owned());
            return Err(RecoveryError::Damaged { path, line: 1, problem });
        }
    }
    Ok(count)
}

pub(super) fn is_there(folder: &Path, files: &dyn Files, number: u32) -> Result<bool, RecoveryError> {
    let path = segment_path(folder, number);
    files.exists(&path).map_err(RecoveryError::file(&path))
}

fn segment_of(folder: &Path, files: &dyn Files, header: &Header) -> Result<Segment, RecoveryError> {
    let path = segment_path(folder, header.segment);
    let file = files.open_to_read(&path).map_err(RecoveryError::file(&path))?;
    Ok(Segment { number: header.segment, file, start: 0, end: 0 })
}

/// The header of a segment, which has to fit the file.
fn read_header(folder: &Path, files: &dyn Files, number: u32) -> Result<Header, RecoveryError> {
    let path = segment_path(folder, number);
    let damaged = |problem: String| RecoveryError::Damaged { path: path.clone(), line: 1, problem };
    let failed = RecoveryError::file(&path);
    let file = files.open_to_read(&path).map_err(&failed)?;
    let length = file.length().map_err(&failed)?;
    let mut start = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(HEADER_BYTES_MAX)];
    file.read_exact_at(&mut start, 0).map_err(&failed)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let header = match read(line) {
        Some(Line::Header(header)) if line.len() < start.len() => header,
        _ => return Err(damaged("this is no header of a segment".to_owned())),
    };
    let Header { journal, segment, bytes, .. } = header;
    if journal != JOURNAL_VERSION {
        return Err(damaged(format!("the journal's form has version {journal}, this program knows {JOURNAL_VERSION}")));
    }
    if segment != number {
        return Err(damaged(format!("this is segment {segment}, and named {number}")));
    }
    if bytes != length {
        return Err(damaged(format!("the segment has {length} bytes, and should have {bytes}")));
    }
    Ok(header)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use inventory_application::ports::{AppendGroup, EventStore, ExpectedVersion, Metadata, NewEvent, StreamAppend};
    use inventory_application::testing::ManualClock;
    use inventory_application::{EventId, Position, StreamId};
    use inventory_domain::inventory::Event;
    use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
    use uuid::Uuid;

    use super::super::line::{Commit, mark_of, write_commit, write_header};
    use super::super::{JsonlEventStore, JsonlSettings};
    use super::*;
    use crate::data_folder::DataFolder;

    #[test]
    fn what_can_not_be_listed_is_not_taken_for_a_new_journal() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(recover(&log, &RealFiles).unwrap().index.head, Position(0));
        fs::write(&log, "").unwrap();
        assert!(matches!(recover(&log, &RealFiles), Err(RecoveryError::File { .. })));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_that_rolls_over_during_a_scan_beside_the_writer_is_no_damage() {
        let (folder, log) = written(12).await;
        let count = segment_count(&log, &RealFiles).unwrap();
        assert!(count > 3, "only {count} segments");
        let mut heads = Vec::new();
        for listed in 1..=count {
            let seen = recover_segments(&log, &RealFiles, listed, Writer::SomebodyElse).unwrap();
            assert_eq!((seen.index.stream(stock()).version, seen.dropped), (seen.index.head.0, None));
            heads.push(seen.index.head.0);
        }
        assert!(heads.is_sorted() && heads.last() == Some(&24), "{heads:?}");
        let refused = recover_segments(&log, &RealFiles, count - 1, Writer::Nobody).err().unwrap().to_string();
        assert!(refused.contains("which is missing"), "an owner knows of all: {refused}");
        fs::remove_file(segment_path(&log, count)).unwrap();
        let refused = recover_beside_a_writer(&log).err().unwrap().to_string();
        assert!(refused.contains(&format!("segment {count}, which is missing")), "{refused}");
        drop(folder);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_before_it_was_written_is_read_again_beside_a_writer() {
        let (_folder, log) = written(2).await;
        let header = read_header(&log, &RealFiles, 1).unwrap();
        let scanned = |writer| {
            let mut recovered = Recovered::nothing();
            recovered.index.segments.0.push(segment_of(&log, &RealFiles, &header).unwrap());
            let mut scan = Scan::new(&log, &RealFiles, header, None, writer).unwrap();
            let start = scan.offset;
            scan.bytes[start + 40..start + 200].fill(0); // The first batch is not there yet, the second is.
            scan.run(&mut recovered).map(|()| recovered.index.head.0)
        };
        assert_eq!(scanned(Writer::SomebodyElse).unwrap(), 4);
        assert!(matches!(scanned(Writer::Nobody), Err(RecoveryError::Damaged { .. })), "an owner reads what is there");
        let path = segment_path(&log, 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes[150] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(recover_beside_a_writer(&log).is_err(), "what stays damaged is");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_header_that_says_the_segment_before_it_is_longer_than_it_is_is_damage() {
        let (_folder, log) = written(12).await;
        let (first, second) = (read_header(&log, &RealFiles, 1).unwrap(), read_header(&log, &RealFiles, 2).unwrap());
        assert!(second.previous_end <= first.bytes);
        let put = |previous_end| {
            let (mut line, path) = (Vec::new(), segment_path(&log, 2));
            write_header(&mut line, &Header { previous_end, ..second });
            let mut bytes = fs::read(&path).unwrap();
            bytes[..line.len()].copy_from_slice(&line);
            fs::write(path, bytes).unwrap();
        };
        put(first.bytes); // As many digits, or the line would be longer.
        headers(&log, &RealFiles, 2).unwrap();
        put(first.bytes + 1);
        let refused = headers(&log, &RealFiles, 2).err().unwrap().to_string();
        assert!(refused.contains("longer than it is"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_that_ends_with_its_header_before_the_line_feed_is_damage() {
        let (_folder, log) = written(1).await;
        let header = read_header(&log, &RealFiles, 1).unwrap();
        let line = |bytes: u64| {
            let mut line = Vec::new();
            write_header(&mut line, &Header { bytes, ..header });
            line.pop();
            line
        };
        let length = line(100).len(); // Of three digits, as its own length is.
        fs::write(segment_path(&log, 1), line(length as u64)).unwrap();
        let refused = read_header(&log, &RealFiles, 1).err().unwrap().to_string();
        assert!(refused.contains("no header"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_batch_without_an_end_before_the_mark_is_damage_also_beside_a_writer() {
        let (_folder, log) = written(12).await;
        let path = segment_path(&log, 1);
        let mut bytes = fs::read(&path).unwrap();
        let mark = mark_of(2);
        let end = bytes.windows(mark.len()).position(|part| part == mark).unwrap();
        let commit = bytes[..end - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        bytes.copy_within(end.., commit);
        fs::write(&path, bytes).unwrap();
        let refused = recover_segments(&log, &RealFiles, 1, Writer::SomebodyElse).err().unwrap().to_string();
        assert!(refused.contains("the batch has no end"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stands_behind_the_end_of_a_segment_is_damage() {
        let (_folder, log) = written(12).await;
        recover(&log, &RealFiles).unwrap();
        let path = segment_path(&log, 1);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() = 1;
        fs::write(&path, bytes).unwrap();
        let refused = recover(&log, &RealFiles).err().unwrap().to_string();
        assert!(refused.contains("something stands behind"), "{refused}");
    }

    /// Lines that are whole in themselves, and a batch that isn't: the last one goes as a whole, and not a byte more.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_last_batch_that_its_commit_does_not_fit_or_that_has_none_is_dropped() {
        let (_folder, log) = written(2).await;
        let path = segment_path(&log, 1);
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        let [_, _, _, batch, first, second, end] = ends[..] else { panic!("{ends:?}") }; // Header, two and a commit, twice.
        let Some(Line::Commit(commit)) = read(&whole[second..end - 1]) else { panic!("no commit") };
        let dropped = |lines: &[&[u8]]| {
            let mut bytes = [&whole[..batch], &lines.concat()].concat();
            let length = (bytes.len() - batch) as u64;
            bytes.resize(whole.len(), 0);
            fs::write(&path, bytes).unwrap();
            let recovered = recover(&log, &RealFiles).unwrap();
            assert_eq!(recovered.index.head, Position(2));
            let dropped = recovered.dropped.unwrap();
            assert_eq!((dropped.offset, dropped.bytes), (batch as u64, length));
        };
        let line = |commit: Commit| {
            let mut line = Vec::new();
            write_commit(&mut line, &commit);
            line
        };
        let events = &whole[batch..second];
        dropped(&[events]);
        dropped(&[events, &line(Commit { start: commit.start - 1, ..commit.clone() })]);
        dropped(&[events, &line(Commit { first: commit.first + 1, ..commit.clone() })]);
        dropped(&[events, &line(Commit { last: commit.last + 1, ..commit.clone() })]);
        // It says itself that one is to follow.
        dropped(&[&whole[batch..first], &line(Commit { last: commit.first, ..commit.clone() })]);
        fs::write(&path, &whole).unwrap();
        assert_eq!(recover(&log, &RealFiles).unwrap().index.head, Position(4));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn damage_is_named_with_its_line() {
        let (_folder, log) = written(3).await;
        let path = segment_path(&log, 1);
        let whole = fs::read(&path).unwrap();
        let starts: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        for line in 2..=7 {
            let mut bytes = whole.clone();
            bytes[starts[line - 2] + 40] ^= 1;
            fs::write(&path, bytes).unwrap();
            let refused = recover(&log, &RealFiles).err().unwrap();
            assert!(matches!(refused, RecoveryError::Damaged { line: named, .. } if named == line as u64), "{refused}");
        }
    }

    /// A journal of so many batches, and the folder that its segments are in.
    async fn written(batches: u128) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let store = open_small(folder.path());
        for number in 0..batches {
            let version = u64::try_from(2 * number).unwrap();
            store.append(Arc::new(vec![group(number, version)])).await.unwrap();
        }
        store.close().await;
        let log = folder.path().join("events/log");
        (folder, log)
    }

    fn open_small(folder: &Path) -> Arc<JsonlEventStore> {
        let settings = JsonlSettings { segment_bytes: 2_000, stream_files: false, ..JsonlSettings::default() };
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        JsonlEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &settings, clock).unwrap()
    }

    fn stock() -> StreamId {
        StreamId::Inventory(StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) })
    }

    /// Two events that are there together or not at all.
    fn group(number: u128, version: u64) -> AppendGroup {
        let event = Event::StockAdded { quantity: Quantity::new(1).unwrap(), reason: Reason::new("delivery").unwrap() };
        let new = |id: u128| NewEvent { event_id: EventId(Uuid::from_u128(id)), event: event.clone().into() };
        let events = vec![new(2 * number), new(2 * number + 1)];
        let streams = vec![StreamAppend { stream: stock(), expected: ExpectedVersion::of(version), events }];
        let (recorded_at, metadata) = (Timestamp::from_millis(0), Arc::new(Metadata::default()));
        AppendGroup { key: None, streams, recorded_at, metadata }
    }
}
