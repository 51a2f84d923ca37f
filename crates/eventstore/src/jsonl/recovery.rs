//! Reads the whole journal at the start: every line is checked, and everything finds its place in the index.
//!
//! Damage in the last batch drops that batch as a whole: nobody can tell a batch that was never finished from one that was
//! damaged later. Damage anywhere else is no accident that a store may get over by itself: it refuses to open, and names
//! the file and the line.
//!
//! Who reads beside the writer sees the last segment while it changes: the log ends for it where nothing whole was there yet, or
//! where a segment that was listed goes on in one that wasn't.

use std::io;
use std::path::{Path, PathBuf};

use inventory_application::{Position, StreamId};
use inventory_domain::Timestamp;
use thiserror::Error;

use super::append_ids::AppendIds;
use super::index::{Index, Segment};
use super::line::{Commit, Header, Line, Place, mark_of, read, starts};
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
    fn file(path: &Path) -> impl Fn(io::Error) -> Self {
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
enum Writer {
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

fn is_there(folder: &Path, files: &dyn Files, number: u32) -> Result<bool, RecoveryError> {
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

/// The scan of one segment.
struct Scan<'a> {
    folder: PathBuf,
    files: &'a dyn Files,
    path: PathBuf,
    number: u32,
    writer: Writer,
    header: Header,
    /// The header of the segment after it.
    next: Option<Header>,
    bytes: Vec<u8>,
    /// Where the line in hand starts, and its number.
    offset: usize,
    line: u64,
    /// Where the batch in hand starts, and the number of its first line.
    batch: usize,
    batch_line: u64,
    /// Where the batch before it starts.
    before: usize,
    pending: Vec<Pending>,
}

/// An event whose batch isn't committed yet, as far as the scan has come.
struct Pending {
    stream: StreamId,
    version: u64,
    previous: Place,
    offset: usize,
    recorded_at: Timestamp,
    remaining: u64,
}

/// What comes next in a segment.
enum Next {
    /// A line that is whole, and where the one after it starts.
    Event(Pending, u64, usize),
    Commit(Commit, usize),
    /// The log goes on in another segment.
    Continued(u32),
    /// Nothing but zeros.
    End,
    Damage(&'static str),
}

impl<'a> Scan<'a> {
    fn new(
        folder: &Path,
        files: &'a dyn Files,
        header: Header,
        next: Option<Header>,
        writer: Writer,
    ) -> Result<Self, RecoveryError> {
        let path = segment_path(folder, header.segment);
        let bytes = files.read(&path).map_err(RecoveryError::file(&path))?;
        let start = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        let (folder, number) = (folder.to_owned(), header.segment);
        let (offset, line, pending) = (start, 2, Vec::new());
        let (batch, batch_line, before) = (start, 2, start);
        Ok(Self {
            folder,
            files,
            path,
            number,
            writer,
            header,
            next,
            bytes,
            offset,
            line,
            batch,
            batch_line,
            before,
            pending,
        })
    }

    fn run(mut self, recovered: &mut Recovered) -> Result<(), RecoveryError> {
        if self.header.after != recovered.index.head.0 {
            let problem = format!(
                "it continues after position {}, but the log is at {}",
                self.header.after, recovered.index.head
            );
            self.line = 1;
            return Err(self.damaged(problem));
        }
        let segment = usize::try_from(self.number - 1).unwrap_or(0);
        recovered.index.segments.0[segment].start = self.offset as u64;
        recovered.index.segments.0[segment].end = self.offset as u64;
        let limit = match self.next {
            Some(next) => usize::try_from(next.previous_end).unwrap_or(usize::MAX).min(self.bytes.len()),
            None => self.bytes.len(),
        };
        let mut read_again = None;
        while let Some(problem) = self.take_in(recovered, limit)? {
            // The start of a batch may have been read before it was written, and the next batch after that.
            let may_be_too_early = self.writer == Writer::SomebodyElse && self.next.is_none();
            if may_be_too_early && read_again != Some(self.batch) && self.has_later_commit() {
                read_again = Some(self.batch);
                self.read_again()?;
            } else {
                self.damage(recovered, limit, problem)?;
                break;
            }
        }
        if self.next.is_none() && self.before < self.batch {
            let bytes = self.bytes[self.before..self.batch].to_vec();
            recovered.last = Some(LastBatch { offset: self.before as u64, bytes });
        }
        Ok(())
    }

    /// Takes in batches until the segment ends; says what is wrong where it doesn't end well.
    fn take_in(&mut self, recovered: &mut Recovered, limit: usize) -> Result<Option<&'static str>, RecoveryError> {
        while self.offset < limit {
            match self.next_line(limit) {
                Next::Event(pending, position, next) => {
                    if position != recovered.index.head.0 + self.pending.len() as u64 + 1 {
                        return Ok(Some("its position doesn't follow the one before"));
                    }
                    self.pending.push(pending);
                    self.offset = next;
                    self.line += 1;
                }
                Next::Commit(commit, next) => {
                    if !self.fits(&commit, recovered.index.head) {
                        return Ok(Some("the commit doesn't fit its batch"));
                    }
                    self.commit(&commit, recovered)?;
                    self.offset = next;
                    self.line += 1;
                    (self.before, self.batch, self.batch_line) = (self.batch, self.offset, self.line);
                    let segment = usize::try_from(self.number - 1).unwrap_or(0);
                    recovered.index.extend_segment(segment, next as u64);
                }
                // Only the last segment is read so far: the others end where the next one says.
                Next::Continued(number) if self.pending.is_empty() => {
                    if self.writer == Writer::SomebodyElse && is_there(&self.folder, self.files, number)? {
                        return Ok(None); // It wasn't there yet when the segments were counted.
                    }
                    return Err(self.damaged(format!("the log goes on in segment {number}, which is missing")));
                }
                Next::End if self.next.is_none() && self.pending.is_empty() => return Ok(None),
                Next::Continued(_) | Next::End => return Ok(Some("the batch has no end")),
                Next::Damage(problem) => return Ok(Some(problem)),
            }
        }
        if !self.pending.is_empty() {
            return Ok(Some("the batch has no end"));
        }
        self.check_behind(limit)?;
        Ok(None)
    }

    /// Goes back to the start of the batch in hand, with what is in the file by now.
    fn read_again(&mut self) -> Result<(), RecoveryError> {
        let failed = RecoveryError::file(&self.path);
        let file = self.files.open_to_read(&self.path).map_err(&failed)?;
        file.read_exact_at(&mut self.bytes[self.batch..], self.batch as u64).map_err(&failed)?;
        (self.offset, self.line) = (self.batch, self.batch_line);
        self.pending.clear();
        Ok(())
    }

    /// What a segment has behind its end, where another one follows it: the mark, or as much of it as was written before the machine
    /// stopped, unless it was left after a failure.
    fn check_behind(&self, limit: usize) -> Result<(), RecoveryError> {
        let Some(next) = self.next.filter(|next| !next.abandoned) else { return Ok(()) };
        let mark = mark_of(next.segment);
        let expected = mark.iter().copied().chain(std::iter::repeat(0));
        if self.bytes[limit..].iter().zip(expected).any(|(byte, expected)| *byte != 0 && *byte != expected) {
            return Err(self.damaged("something stands behind the end of the segment".to_owned()));
        }
        Ok(())
    }

    fn next_line(&self, limit: usize) -> Next {
        let rest = &self.bytes[self.offset..limit];
        if rest[0] == 0 {
            return if rest.iter().all(|byte| *byte == 0) { Next::End } else { Next::Damage("zeros stand in the log") };
        }
        let Some(end) = memchr::memchr(b'\n', rest) else { return Next::Damage("the line has no end") };
        let next = self.offset + end + 1;
        match read(&rest[..end]) {
            Some(Line::Event(event)) => {
                let Some(recorded_at) = parse_moment(event.recorded_at) else {
                    return Next::Damage("the time is none");
                };
                let pending = Pending {
                    stream: event.stream,
                    version: event.version,
                    previous: event.previous,
                    offset: self.offset,
                    recorded_at,
                    remaining: event.remaining,
                };
                Next::Event(pending, event.position.0, next)
            }
            Some(Line::Commit(commit)) => Next::Commit(commit, next),
            Some(Line::Continued(number)) => Next::Continued(number),
            Some(Line::Header(_)) => Next::Damage("a header stands in the log"),
            None => Next::Damage("the line is damaged"),
        }
    }

    fn fits(&self, commit: &Commit, head: Position) -> bool {
        let last = head.0 + self.pending.len() as u64;
        (commit.start, commit.first, commit.last) == (self.batch as u64, head.0 + 1, last)
            && self.pending.last().is_none_or(|event| event.remaining == 0)
    }

    /// Takes in the batch in hand. What it says about streams has to fit what is known of them: it was acknowledged.
    fn commit(&mut self, commit: &Commit, recovered: &mut Recovered) -> Result<(), RecoveryError> {
        for event in std::mem::take(&mut self.pending) {
            let head = recovered.index.stream(event.stream);
            if (head.version + 1, head.place) != (event.version, event.previous) {
                let problem =
                    format!("version {} of {} doesn't follow version {}", event.version, event.stream, head.version);
                return Err(self.damaged(problem));
            }
            let place = Place { segment: self.number, offset: offset32(event.offset) };
            recovered.index.add(event.stream, event.version, place, event.recorded_at);
        }
        recovered.append_ids.add(commit, Place { segment: self.number, offset: offset32(self.offset) });
        Ok(())
    }

    /// Drops the batch in hand, if it is the last of the log; refuses otherwise.
    fn damage(&self, recovered: &mut Recovered, limit: usize, problem: &str) -> Result<(), RecoveryError> {
        if self.next.is_some() || self.has_later_commit() {
            return Err(self.damaged(problem.to_owned()));
        }
        let end = self.bytes[..limit].iter().rposition(|byte| *byte != 0).map_or(self.batch, |last| last + 1);
        let bytes = (end - self.batch) as u64;
        recovered.dropped = Some(DroppedBatch { file: self.path.clone(), offset: self.batch as u64, bytes });
        Ok(())
    }

    /// Whether a batch that starts later than the one in hand is committed, or the log goes on in another segment. The ends of lines
    /// may be damaged as well, so each place is tried that looks like the start of one.
    fn has_later_commit(&self) -> bool {
        let rest = &self.bytes[self.offset..];
        let line = |start: usize| rest[start..].split(|byte| *byte == b'\n').next().and_then(read);
        starts(rest).filter_map(line).any(|line| match line {
            Line::Commit(commit) => commit.start > self.batch as u64,
            Line::Continued(_) => true,
            Line::Event(_) | Line::Header(_) => false,
        })
    }

    fn damaged(&self, problem: String) -> RecoveryError {
        RecoveryError::Damaged { path: self.path.clone(), line: self.line, problem }
    }
}

/// The moment that the codec has written so.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

/// Segments are smaller than 4 GiB.
pub(super) fn offset32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use inventory_application::EventId;
    use inventory_application::ports::{AppendGroup, EventStore, ExpectedVersion, Metadata, NewEvent, StreamAppend};
    use inventory_application::testing::ManualClock;
    use inventory_domain::inventory::Event;
    use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId};
    use uuid::Uuid;

    use super::super::line::{write_commit, write_header};
    use super::super::{JsonlEventStore, JsonlSettings};
    use super::*;
    use crate::data_folder::DataFolder;

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
        let (_folder, log) = written(3).await;
        let header = read_header(&log, &RealFiles, 1).unwrap();
        let scanned = |writer| {
            let mut recovered = Recovered::nothing();
            recovered.index.segments.0.push(segment_of(&log, &RealFiles, &header).unwrap());
            let mut scan = Scan::new(&log, &RealFiles, header, None, writer).unwrap();
            let start = scan.offset;
            scan.bytes[start + 40..start + 200].fill(0); // The first batch is not there yet, the second is.
            scan.run(&mut recovered).map(|()| recovered.index.head.0)
        };
        assert!(scanned(Writer::SomebodyElse).unwrap() >= 4);
        assert!(scanned(Writer::Nobody).is_err());
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
