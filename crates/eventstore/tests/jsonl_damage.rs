//! A small journal, cut at every byte and with a flipped bit at every byte: the last batch is dropped whole and told of, or the
//! store refuses and names the file and the line. Nothing before the last batch is ever lost in silence.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_application::ports::{AppendGroup, AppendKey, EventLog, EventStore, RecordedEvent};
use inventory_application::{EventId, Position};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlOpenError, JsonlSettings, jsonl::RecoveryError};
use uuid::Uuid;

use support::{added, clock, stock};

/// Batches of the journal: in how many events each, and whether the last group of it has a key.
const BATCHES: [(u64, bool); 6] = [(1, false), (3, true), (2, false), (1, true), (2, true), (3, false)];

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_at_every_byte() {
    let journal = Journal::new().await;
    let (mut dropped, mut refused) = (0, 0);
    for segment in journal.segments() {
        let whole = fs::read(&segment).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            fs::write(&segment, &damaged).unwrap();
            match journal.open() {
                Err(error) => {
                    journal.is_named(&error, &segment, place);
                    refused += 1;
                }
                Ok(store) => {
                    journal.only_the_last_is_gone(&store, &segment, place).await;
                    dropped += 1;
                    drop(store);
                    let again = journal.open().unwrap();
                    assert_eq!(again.dropped(), None, "what was dropped is gone, byte {place}");
                    assert_eq!(again.append(Arc::new(vec![new_one(&again).await])).await.unwrap().len(), 1);
                }
            }
            journal.restore();
        }
        fs::write(&segment, &whole).unwrap();
    }
    assert!(dropped > 500 && refused > 1_000, "{dropped} dropped, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_at_every_byte() {
    let journal = Journal::new().await;
    for segment in journal.segments() {
        let whole = fs::read(&segment).unwrap();
        for place in 0..whole.len() {
            fs::write(&segment, &whole[..place]).unwrap();
            let error = journal.open().err().unwrap_or_else(|| panic!("{} cut at {place}", segment.display()));
            journal.is_named(&error, &segment, place);
        }
        fs::write(&segment, &whole).unwrap();
    }
    let missing = &journal.segments()[0];
    let kept = fs::read(missing).unwrap();
    fs::remove_file(missing).unwrap();
    journal.is_named(&journal.open().err().unwrap(), missing, 0);
    fs::write(missing, kept).unwrap();
    assert_eq!(journal.open().unwrap().head().await.unwrap(), Position(12));
}

/// A batch is written at once, and may be torn anywhere when the machine stops: as zeros from some byte on.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_batch_torn_at_every_byte() {
    let journal = Journal::new().await;
    let segment = journal.segments().pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let start = last_start(&whole);
    for place in start..end {
        let mut torn = whole.clone();
        torn[place..end].fill(0);
        fs::write(&segment, &torn).unwrap();
        let store = journal.open().unwrap();
        assert_eq!(store.head().await.unwrap(), Position(9), "torn at {place}");
        let dropped = store.dropped().cloned();
        if place == start {
            assert_eq!(dropped, None, "nothing of it was written");
        } else {
            let dropped = dropped.unwrap();
            assert_eq!((dropped.file, dropped.offset), (segment.clone(), start as u64));
        }
        let log = store.read(Position::START, 100).await.unwrap();
        assert_eq!(log, journal.log[..9]);
        drop(store);
        journal.restore();
    }
}

/// The last segment is as much a part of the log as the others, whether it holds a batch yet or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_segment_that_is_gone_is_missed() {
    let journal = Journal::new().await;
    let segments = journal.segments();
    fs::remove_file(&segments[1]).unwrap();
    let refused = |error: JsonlOpenError| {
        journal.is_named(&error, &segments[0], 0);
        assert!(error.to_string().contains("segment 2, which is missing"), "{error}");
    };
    refused(journal.open().err().unwrap());
    // A batch before the mark that is damaged as well is no last batch.
    let mut damaged = journal.files[0].1.clone();
    let at = last_start(&damaged) + 100;
    damaged[at] ^= 1;
    fs::write(&segments[0], &damaged).unwrap();
    journal.is_named(&journal.open().err().unwrap(), &segments[0], at);
    // The machine may have stopped before the mark was written: the next start writes it.
    journal.restore();
    let mut unmarked = journal.files[0].1.clone();
    let end = unmarked.iter().rposition(|byte| *byte != 0).unwrap();
    let mark = unmarked[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    unmarked[mark..].fill(0);
    fs::write(&segments[0], &unmarked).unwrap();
    let store = journal.open().unwrap();
    assert_eq!(store.head().await.unwrap(), Position(12));
    store.close().await;
    drop(store);
    fs::remove_file(&segments[1]).unwrap();
    refused(journal.open().err().unwrap());
}

/// A line feed that is damaged joins two lines: the batch that ends with the first is still not lost in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_line_feed_before_a_last_batch_without_events() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.append(Arc::new(vec![added(0, 0)])).await.unwrap();
    let key = AppendKey { append_id: [1; 16], request_hash: [1; 16], result: Some(b"told".to_vec()) };
    store.append(Arc::new(vec![AppendGroup { key: Some(key), streams: Vec::new(), ..added(0, 1) }])).await.unwrap();
    store.close().await;
    drop(store);
    let segment = folder.path().join("events/log/00000001.jsonl");
    let mut bytes = fs::read(&segment).unwrap();
    let line_feed = last_start(&bytes) - 1;
    assert_eq!(bytes[line_feed], b'\n');
    bytes[line_feed] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let error = open(folder.path()).err().expect("a batch before the last one is damaged");
    assert!(matches!(error, JsonlOpenError::Recovery(RecoveryError::Damaged { line: 3, .. })), "{error}");
}

/// A journal of two segments, and what is in it.
struct Journal {
    folder: tempfile::TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
    log: Vec<RecordedEvent>,
}

impl Journal {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut number = 0;
        let mut versions = [0; 3];
        for (batch, (events, has_key)) in BATCHES.into_iter().enumerate() {
            let groups = (0..events).map(|event| {
                let of = usize::try_from(number % 3).unwrap();
                let group = added(of as u128, versions[of]);
                (number, versions[of]) = (number + 1, versions[of] + 1);
                let id = [u8::try_from(batch).unwrap(); 16];
                let key = AppendKey { append_id: id, request_hash: id, result: Some(b"told".to_vec()) };
                AppendGroup { key: Some(key).filter(|_| has_key && event + 1 == events), ..group }
            });
            store.append(Arc::new(groups.collect())).await.unwrap();
        }
        let log = store.read(Position::START, 100).await.unwrap();
        store.close().await;
        drop(store);
        let mut paths: Vec<_> =
            fs::read_dir(folder.path().join("events/log")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert_eq!((paths.len(), log.len()), (2, 12));
        let files = paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Self { folder, files, log }
    }

    fn segments(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }

    fn open(&self) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
        open(self.folder.path())
    }

    /// Puts everything back as it was.
    fn restore(&self) {
        for entry in fs::read_dir(self.folder.path().join("events/log")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        self.files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }

    #[track_caller]
    fn is_named(&self, error: &JsonlOpenError, segment: &Path, place: usize) {
        let JsonlOpenError::Recovery(RecoveryError::Damaged { path, line, problem }) = error else {
            panic!("{}, byte {place}: {error}", segment.display())
        };
        assert!(*line > 0 && !problem.is_empty());
        // Where one segment ends is said by the header of the next: damage there may show in either.
        assert!(self.segments().contains(path), "{}, byte {place}: {error}", segment.display());
        assert!(error.to_string().contains(&format!("{}, line {line}", path.display())), "{error}");
    }

    /// All is there, or all but the last batch, and then that is told.
    async fn only_the_last_is_gone(&self, store: &JsonlEventStore, segment: &Path, place: usize) {
        let log = store.read(Position::START, 100).await.unwrap();
        let head = store.head().await.unwrap();
        let Some(dropped) = store.dropped() else { panic!("{}, byte {place}: lost in silence", segment.display()) };
        assert_eq!(dropped.file, segment);
        assert!(head == Position(9) || head == Position(12), "byte {place}: {head}");
        assert_eq!(log, self.log[..usize::try_from(head.0).unwrap()], "byte {place}");
    }
}

/// Where the last batch starts.
fn last_start(segment: &[u8]) -> usize {
    let text = String::from_utf8_lossy(segment);
    let commits: Vec<_> = text.match_indices("\"commit\":").collect();
    let before = commits[commits.len() - 2].0;
    before + text[before..].find('\n').unwrap() + 1
}

async fn new_one(store: &JsonlEventStore) -> AppendGroup {
    let version = store.load(vec![stock(0).into()]).await.unwrap()[0].version;
    let mut group = added(0, version);
    group.streams[0].events[0].event_id = EventId(Uuid::max());
    group
}

fn open(folder: &Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
    let settings = JsonlSettings { segment_bytes: 3_600, stream_files: false, ..JsonlSettings::default() };
    JsonlEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &settings, clock())
}
