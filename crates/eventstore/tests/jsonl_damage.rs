//! What a store makes of a journal that lacks a segment, a mark or a line feed. `fuzz/tests/journal_damage.rs` has every flipped bit,
//! every cut, and every torn batch.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{AppendGroup, AppendKey, EventLog, EventStore};
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlOpenError, JsonlSettings, jsonl::RecoveryError};

use support::{added, clock};

/// The last segment is as much a part of the log as the others, whether it holds a batch yet or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_segment_that_is_gone_is_missed() {
    let journal = Journal::of_two_segments().await;
    let [(first, whole), (last, _)] = &journal.segments[..] else { panic!("{} segments", journal.segments.len()) };
    fs::remove_file(last).unwrap();
    assert!(journal.refused(first).contains("segment 2, which is missing"));
    // A batch before the mark that is damaged as well is no last batch.
    let mut damaged = whole.clone();
    damaged[last_start(whole) + 100] ^= 1;
    fs::write(first, &damaged).unwrap();
    journal.refused(first);
    // The machine may have stopped before the mark was written: the next start writes it.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mark = whole[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let mut unmarked = whole.clone();
    unmarked[mark..].fill(0);
    journal.restore();
    fs::write(first, &unmarked).unwrap();
    let store = journal.open().unwrap();
    assert_eq!(store.head().await.unwrap(), journal.head);
    store.close().await;
    drop(store);
    fs::remove_file(last).unwrap();
    assert!(journal.refused(first).contains("segment 2, which is missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_segment_that_is_gone_is_missed() {
    let journal = Journal::of_two_segments().await;
    let (first, _) = &journal.segments[0];
    fs::remove_file(first).unwrap();
    assert!(journal.refused(first).contains("the segment is missing"));
    journal.restore();
    assert_eq!(journal.open().unwrap().head().await.unwrap(), journal.head);
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
    segments: Vec<(PathBuf, Vec<u8>)>,
    head: Position,
}

impl Journal {
    /// With a batch at least in the second.
    async fn of_two_segments() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut version = 0;
        while segments_in(folder.path()).len() < 2 {
            store.append(Arc::new(vec![added(0, version)])).await.unwrap();
            version += 1;
        }
        store.close().await;
        drop(store);
        Self { segments: segments_in(folder.path()), folder, head: Position(version) }
    }

    fn open(&self) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
        open(self.folder.path())
    }

    /// Puts everything back as it was.
    fn restore(&self) {
        self.segments.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }

    /// Why it is refused: for the sake of this segment, with nothing changed.
    #[track_caller]
    fn refused(&self, segment: &Path) -> String {
        let before = segments_in(self.folder.path());
        let error = self.open().err().expect("it is refused");
        assert!(segments_in(self.folder.path()) == before, "nothing is changed");
        let told = error.to_string();
        let JsonlOpenError::Recovery(RecoveryError::Damaged { path, line, .. }) = error else { panic!("{told}") };
        assert_eq!(path, segment, "{told}");
        assert!(told.contains(&format!("{}, line {line}", path.display())), "{told}");
        told
    }
}

fn segments_in(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder.join("events/log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    segments.sort();
    segments
}

/// Where the last batch starts.
fn last_start(segment: &[u8]) -> usize {
    let text = String::from_utf8_lossy(segment);
    let commits: Vec<_> = text.match_indices("\"commit\":").collect();
    let before = commits[commits.len() - 2].0;
    before + text[before..].find('\n').unwrap() + 1
}

fn open(folder: &Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
    let settings = JsonlSettings { segment_bytes: 3_600, stream_files: false, ..JsonlSettings::default() };
    JsonlEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &settings, clock())
}
