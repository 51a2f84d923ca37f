//! The end of the journal: batches are written there, and synced, one after the other.
//!
//! After a write or a sync that failed nobody knows what is on the disk, so nothing is acknowledged any more until a new
//! segment stands that says where the old one ends: what is behind that, the next start ignores.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use inventory_application::ports::{AppendGroup, AppendOutcome, Clock, StoreError};
use inventory_application::{Position, StreamId};
use tokio::sync::watch;

use super::append_ids::{AppendIds, Known, outcome};
use super::index::{Head, Index, Segment};
use super::line::{
    Commit, CommittedKey, EventPlace, Header, Hex16, MARK_BYTES, Place, mark_of, offset32, to_hex, write_commit,
    write_event, write_header,
};
use super::reader::read_commit;
use super::recovery::{JOURNAL_VERSION, LastBatch, Recovered, segment_path};
use crate::event_codec::{MetadataEncoder, rfc3339};
use crate::files::{Files, WriteFile, named};

/// A header is shorter than this.
const HEADER_BYTES_MAX: u64 = 512;

/// A segment's number and an offset have at most so many digits.
const PLACE_DIGITS_MAX: u64 = 20;

/// The journal's end, and all that appending needs to know.
pub(super) struct Journal {
    folder: PathBuf,
    files: Arc<dyn Files>,
    segment_bytes: u64,
    clock: Arc<dyn Clock>,
    index: Arc<RwLock<Index>>,
    append_ids: AppendIds,
    /// `None` from a failure on, until a new segment stands.
    open: Option<OpenSegment>,
    /// The last segment, open or left, and where its acknowledged part ends.
    number: u32,
    end: u64,
    /// The last segment that this journal has given its name; that, or a later step, may have failed.
    named: u32,
    /// What has failed last and is nobody's answer.
    failure: watch::Sender<Option<Arc<str>>>,
    /// Reused from batch to batch.
    buffer: Vec<u8>,
    data: Vec<u8>,
    metadata: MetadataEncoder,
}

/// The segment that is written.
struct OpenSegment {
    file: Box<dyn WriteFile>,
    bytes: u64,
}

/// A batch as it would be written.
struct Encoded {
    outcomes: Vec<AppendOutcome>,
    added: Vec<Added>,
    commit: Option<(Commit, Place)>,
}

/// An event of a batch that is being written.
struct Added {
    stream: StreamId,
    version: u64,
    place: Place,
    recorded_at: inventory_domain::Timestamp,
}

impl Journal {
    /// Goes on where the scan has ended; where a batch was dropped, in a new segment, and what is left of it is where it was. If zeros were
    /// written over it, and their sync failed, nobody would know that they aren't on the disk.
    pub(super) fn open(
        folder: &Path,
        files: Arc<dyn Files>,
        segment_bytes: u64,
        clock: Arc<dyn Clock>,
        recovered: Recovered,
    ) -> io::Result<(Self, Arc<RwLock<Index>>)> {
        let Recovered { index, append_ids, dropped, last: last_batch } = recovered;
        let last = index.segments.0.last().map(|segment| (segment.number, segment.end));
        let before = index.segments.0.iter().rev().nth(1).map(|segment| (segment.number, segment.end));
        let index = Arc::new(RwLock::new(index));
        let (number, end) = last.unwrap_or((0, 0));
        let mut journal = Self {
            folder: folder.to_owned(),
            files,
            segment_bytes,
            clock,
            index: Arc::clone(&index),
            append_ids,
            open: None,
            number,
            end,
            named: 0,
            failure: watch::Sender::new(None),
            buffer: Vec::new(),
            data: Vec::new(),
            metadata: MetadataEncoder::default(),
        };
        if number == 0 {
            journal.start_segment(segment_bytes, false)?;
        } else {
            journal.open = Some(journal.bring_to_disk(last_batch)?);
            // Who was here before may have been stopped before it was there; the log is whole without it.
            if let Some((previous, end)) = before
                && !journal.is_marked(previous, end)
            {
                drop(journal.mark_or_tell(previous, end));
            }
            if dropped.is_some() {
                journal.start_segment(segment_bytes, true)?;
            }
        }
        Ok((journal, index))
    }

    /// Who was here before may have been stopped before its syncs, or they have failed: what is found now has to outlast a power cut
    /// before anybody sees it. After a sync that has failed the next one proves nothing without a write (Rebello et al., "Can Applications
    /// Recover from fsync Failures?", USENIX ATC 2020), so what may not be on the disk is written once more. The segments before the last
    /// one were synced before anything came behind them; unless somebody has copied them here.
    fn bring_to_disk(&self, last: Option<LastBatch>) -> io::Result<OpenSegment> {
        self.files.sync_folder(&self.folder).map_err(named(&self.folder))?;
        for path in (1..self.number).map(|number| segment_path(&self.folder, number)) {
            self.files.sync(&path).map_err(named(&path))?;
        }
        let path = segment_path(&self.folder, self.number);
        let write = || {
            let file = self.files.open(&path)?;
            if let Some(last) = last {
                file.write_all_at(&last.bytes, last.offset)?;
            }
            file.sync()?;
            Ok(OpenSegment { file, bytes: self.files.open_to_read(&path)?.length()? })
        };
        write().map_err(named(&path))
    }

    pub(super) fn head(&self) -> Position {
        self.index.read().unwrap_or_else(PoisonError::into_inner).head
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.open.is_none()
    }

    /// What has failed and is nobody's answer; also what has before this was asked.
    pub(super) fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        let mut failure = self.failure.subscribe();
        failure.mark_changed();
        failure
    }

    /// Makes a batch durable.
    pub(super) fn append(&mut self, batch: &[AppendGroup]) -> Result<Vec<AppendOutcome>, StoreError> {
        let unavailable = |error: io::Error| StoreError::Unavailable(Box::new(error));
        if self.open.is_none() {
            return Err(StoreError::Unavailable("the journal is being repaired".into()));
        }
        self.append_ids.forget_before(self.clock.now());
        let mut encoded = self.encode(batch)?;
        if encoded.commit.is_none() {
            return Ok(encoded.outcomes); // Nothing is left by it.
        }
        let room = self.open.as_ref().map_or(0, |open| open.bytes.saturating_sub(self.end + MARK_BYTES));
        if self.buffer.len() as u64 > room {
            // The batch is encoded again for its new place, which may take more digits.
            let longer = (encoded.added.len() as u64 + 1) * PLACE_DIGITS_MAX;
            let bytes = self.segment_bytes.max(self.buffer.len() as u64 + longer + HEADER_BYTES_MAX + MARK_BYTES);
            if bytes > u64::from(u32::MAX) {
                let problem = format!("a batch of {} bytes is larger than a segment can be", self.buffer.len());
                return Err(StoreError::Unavailable(problem.into()));
            }
            if let Err(error) = self.start_segment(bytes, false) {
                self.open = None;
                return Err(unavailable(error));
            }
            encoded = self.encode(batch)?; // The places in it are others now.
        }
        let Some(open) = &self.open else { return Ok(encoded.outcomes) };
        if let Err(error) = open.file.write_all_at(&self.buffer, self.end) {
            self.open = None;
            return Err(StoreError::OutcomeUnknown(Box::new(error))); // What reached the disk before the machine stops, counts.
        }
        if let Err(error) = open.file.sync() {
            self.open = None;
            return Err(StoreError::OutcomeUnknown(Box::new(error)));
        }
        self.end += self.buffer.len() as u64;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for Added { stream, version, place, recorded_at } in encoded.added {
            index.add(stream, version, place, recorded_at);
        }
        if let Some((commit, place)) = &encoded.commit {
            self.append_ids.add(commit, *place);
        }
        let last = index.segments.0.len() - 1;
        index.extend_segment(last, self.end);
        Ok(encoded.outcomes)
    }

    /// Checks the groups in order, and writes those that stand into the buffer.
    fn encode(&mut self, batch: &[AppendGroup]) -> Result<Encoded, StoreError> {
        let index = Arc::clone(&self.index);
        let index = index.read().unwrap_or_else(PoisonError::into_inner);
        let mut heads: HashMap<StreamId, Head> = HashMap::new();
        let mut tainted: HashSet<StreamId> = HashSet::new();
        let mut ids: HashMap<[u8; 16], Known> = HashMap::new();
        let mut position = index.head.0;
        let mut encoded = Encoded { outcomes: Vec::with_capacity(batch.len()), added: Vec::new(), commit: None };
        let mut keys = Vec::new();
        let mut recorded = (None, String::new());
        self.buffer.clear();
        for group in batch {
            if let Some(refused) = self.refusal(group, &index, &heads, &tainted, &ids)? {
                tainted.extend(group.streams.iter().map(|part| part.stream));
                encoded.outcomes.push(refused);
                continue;
            }
            let mut remaining = group.event_count() as u64;
            let metadata = self.metadata.encode(&group.metadata);
            if recorded.0 != Some(group.recorded_at) {
                recorded = (Some(group.recorded_at), rfc3339(group.recorded_at));
            }
            let mut last = None;
            for part in &group.streams {
                let head = heads.entry(part.stream).or_insert_with(|| index.stream(part.stream));
                for new in &part.events {
                    (position, remaining) = (position + 1, remaining - 1);
                    head.version += 1;
                    let offset = usize::try_from(self.end).unwrap_or(usize::MAX) + self.buffer.len();
                    let place = EventPlace {
                        previous: head.place,
                        remaining,
                        position,
                        version: head.version,
                        recorded_at: &recorded.1,
                        metadata,
                    };
                    write_event(&mut self.buffer, part, new, &place, &mut self.data);
                    head.place = Place { segment: self.number, offset: offset32(offset) };
                    let (stream, version, place) = (part.stream, head.version, head.place);
                    encoded.added.push(Added { stream, version, place, recorded_at: group.recorded_at });
                    last = Some(Position(position));
                }
            }
            if let Some(key) = &group.key
                && let Some(result) = &key.result
            {
                ids.insert(key.append_id, Known::new(key.request_hash, result.clone(), last));
                keys.push(CommittedKey {
                    id: Hex16(key.append_id),
                    hash: Hex16(key.request_hash),
                    result: to_hex(result),
                    position: last.map(|Position(position)| position),
                });
            }
            encoded.outcomes.push(AppendOutcome::Appended { position: last });
        }
        if !encoded.added.is_empty() || !keys.is_empty() {
            let at = self.clock.now().millis();
            let commit = Commit { start: self.end, first: index.head.0 + 1, last: position, at, keys };
            let offset = usize::try_from(self.end).unwrap_or(usize::MAX) + self.buffer.len();
            write_commit(&mut self.buffer, &commit);
            encoded.commit = Some((commit, Place { segment: self.number, offset: offset32(offset) }));
        }
        Ok(encoded)
    }

    /// Why the group is not appended, if it isn't: the append id first, then taint, then the versions.
    fn refusal(
        &mut self,
        group: &AppendGroup,
        index: &Index,
        heads: &HashMap<StreamId, Head>,
        tainted: &HashSet<StreamId>,
        ids: &HashMap<[u8; 16], Known>,
    ) -> Result<Option<AppendOutcome>, StoreError> {
        if let Some(key) = &group.key {
            if let Some(known) = ids.get(&key.append_id) {
                return Ok(Some(outcome(known, key)));
            }
            if let Some(known) = self.append_ids.find(key, |place| read_commit(&index.segments, place))? {
                return Ok(Some(known));
            }
        }
        if !tainted.is_empty()
            && let Some(stream) = group.streams.iter().map(|part| part.stream).find(|stream| tainted.contains(stream))
        {
            return Ok(Some(AppendOutcome::Tainted { stream }));
        }
        let conflict = group.streams.iter().find_map(|part| {
            let actual = heads.get(&part.stream).map_or_else(|| index.stream(part.stream).version, |head| head.version);
            (actual != part.expected.version()).then_some(AppendOutcome::Conflict { stream: part.stream, actual })
        });
        Ok(conflict)
    }

    /// Starts a new segment after a failure: its header says where the one before it ends.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        self.start_segment(self.segment_bytes, true)
    }

    /// Makes the next segment, under another name until it is whole.
    fn start_segment(&mut self, bytes: u64, abandoned: bool) -> io::Result<()> {
        let number = self.number + 1;
        let after = self.head().0;
        let header =
            Header { journal: JOURNAL_VERSION, segment: number, bytes, after, previous_end: self.end, abandoned };
        let mut line = Vec::new();
        write_header(&mut line, &header);
        let path = segment_path(&self.folder, number);
        if number != self.named && self.files.exists(&path)? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", path.display())));
        }
        let unfinished = path.with_extension("new");
        let file = self.files.create(&unfinished, bytes)?;
        file.write_all_at(&line, 0)?;
        file.sync()?;
        self.named = number;
        self.files.rename(&unfinished, &path)?;
        self.files.sync_folder(&self.folder)?;
        let previous = (self.number, self.end);
        let (start, end) = (line.len() as u64, line.len() as u64);
        let segment = Segment { number, file: self.files.open_to_read(&path)?, start, end };
        self.index.write().unwrap_or_else(PoisonError::into_inner).segments.0.push(segment);
        (self.number, self.end) = (number, end);
        self.open = Some(OpenSegment { file, bytes });
        match self.mark_or_tell(previous.0, previous.1) {
            Err(error) if !abandoned => Err(error),
            _ => Ok(()), // What was left after a failure may be on a part of the disk that is gone.
        }
    }

    /// Whether the segment is known to say that another follows.
    fn is_marked(&self, segment: u32, end: u64) -> bool {
        let mut mark = mark_of(self.number);
        let expected = mark.clone();
        let file = self.files.open_to_read(&segment_path(&self.folder, segment));
        file.and_then(|file| file.read_exact_at(&mut mark, end)).is_ok() && mark == expected
    }

    fn mark_or_tell(&self, previous: u32, end: u64) -> io::Result<()> {
        let marked = self.mark_continued(previous, end);
        if let Err(error) = &marked {
            let path = segment_path(&self.folder, self.number);
            let unmarked = format!("if {} were lost, a start might not notice: {error}", path.display());
            self.failure.send_replace(Some(unmarked.into()));
        }
        marked
    }

    /// Says in the segment before the last one that another follows: if that were lost, nobody would miss it otherwise.
    fn mark_continued(&self, previous: u32, end: u64) -> io::Result<()> {
        if previous == 0 {
            return Ok(());
        }
        let path = segment_path(&self.folder, previous);
        let write = || {
            let file = self.files.open(&path)?;
            file.write_all_at(&mark_of(self.number), end)?;
            file.sync()
        };
        write().map_err(named(&path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::fs;

    use inventory_application::testing::ManualClock;
    use inventory_domain::Timestamp;

    use super::*;
    use crate::files::RealFiles;
    use crate::jsonl::recovery::recover;

    #[test]
    fn a_segment_that_somebody_else_has_made_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = recover(folder.path(), &RealFiles).unwrap();
        let path = segment_path(folder.path(), 1);
        fs::write(&path, "events").unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let refused = Journal::open(folder.path(), Arc::new(RealFiles), 10_000, clock, nothing).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "events");
    }
}
