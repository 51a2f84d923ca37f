//! The scan of one segment: what is in it is checked line by line, and taken in batch by batch.

use std::path::{Path, PathBuf};

use inventory_application::{Position, StreamId};
use inventory_domain::Timestamp;

use super::line::{Commit, Header, Line, Place, mark_of, offset32, parse_moment, read, starts};
use super::recovery::{DroppedBatch, LastBatch, Recovered, RecoveryError, Writer, is_there, segment_path};
use crate::files::Files;

/// The scan of one segment.
pub(super) struct Scan<'a> {
    folder: PathBuf,
    files: &'a dyn Files,
    path: PathBuf,
    number: u32,
    writer: Writer,
    header: Header,
    /// The header of the segment after it.
    next: Option<Header>,
    pub(super) bytes: Vec<u8>,
    /// Where the line in hand starts, and its number.
    pub(super) offset: usize,
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
    pub(super) fn new(
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

    pub(super) fn run(mut self, recovered: &mut Recovered) -> Result<(), RecoveryError> {
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
