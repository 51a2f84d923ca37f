//! A journal with any damage opens or refuses; when it opens, no batch that is whole was lost, and nothing was made up.
//!
//! An input is a list of damages, eight bytes each, to a journal of two segments; or, behind a first byte of 0xff, a first segment.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent, RecordedEvent,
    StreamAppend,
};
use inventory_application::testing::ManualClock;
use inventory_application::{EventId, Position};
use inventory_domain::inventory::Event;
use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
use inventory_eventstore::jsonl::RecoveryError;
use inventory_eventstore::{DataFolder, DroppedBatch, JsonlEventStore, JsonlOpenError, JsonlSettings};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Opens the store in a folder.
pub type Open = fn(&Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError>;

/// Batches of the journal: how many events each has, and whether its last group has a key.
const BATCHES: [(u64, bool); 6] = [(1, false), (3, true), (2, false), (1, true), (2, true), (3, false)];

/// Damages of one input, at most.
const DAMAGES_MAX: usize = 6;

/// Flipped bits of one input, at most: so many a checksum tells for sure.
const FLIPS_MAX: usize = 3;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());

/// The journal that is damaged.
pub static JOURNAL: LazyLock<Journal> = LazyLock::new(Journal::new);

/// What became of a damaged journal.
#[derive(Debug)]
pub enum Found {
    /// It was refused, for this file's sake.
    Refused(PathBuf),
    /// It was opened.
    Opened {
        /// How many events it has.
        events: usize,
        /// What was dropped of it.
        dropped: Option<DroppedBatch>,
    },
}

/// Tries the recovery.
pub fn check(input: &[u8]) {
    drop(check_with(input, open));
}

/// Tries this recovery, and says what became of the journal.
#[must_use]
pub fn check_with(input: &[u8], open: Open) -> Found {
    let folder = temporary_folder();
    let (segments, is_ours) = match input {
        [0xff, segment @ ..] => (vec![segment.to_vec()], false),
        damages => (damaged(damages), true),
    };
    write_segments(folder.path(), &segments);
    let store = match open(folder.path()) {
        Ok(store) => store,
        Err(refused) => {
            assert!(segments_in(folder.path()) == segments, "nothing is changed where it is refused: {refused}");
            return Found::Refused(place_of(refused, folder.path()));
        }
    };
    let (log, dropped) = (log_of(&store), store.dropped().cloned());
    if is_ours {
        assert!(JOURNAL.log.starts_with(&log), "nothing is made up");
        let whole = JOURNAL.batches.iter().filter(|batch| batch.is_whole_in(&segments));
        let last_whole = whole.map(|batch| batch.last_event).max().unwrap_or(0);
        assert!(log.len() >= last_whole, "{} events of {last_whole} that are whole", log.len());
    }
    drop(store);
    let store = open(folder.path()).expect("what was repaired is whole");
    assert_eq!((log_of(&store), store.dropped()), (log.clone(), None), "it is dropped once");
    if is_ours {
        let outcomes = RUNTIME.block_on(store.append(Arc::new(vec![added(9, 0)]))).unwrap();
        assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{outcomes:?}");
        drop(store);
        assert_eq!(log_of(&open(folder.path()).unwrap()).len(), log.len() + 1);
    }
    Found::Opened { events: log.len(), dropped }
}

/// The file for whose sake a journal was refused: one of it, with a line of it.
fn place_of(refused: JsonlOpenError, folder: &Path) -> PathBuf {
    let told = refused.to_string();
    let JsonlOpenError::Recovery(RecoveryError::Damaged { path, line, problem }) = refused else {
        panic!("it is damaged, and refused for another reason: {told}")
    };
    assert!(path.parent() == Some(&log_folder(folder)) && line > 0 && !problem.is_empty(), "{told}");
    assert!(told.contains(&format!("{}, line {line}: ", path.display())), "it names the place: {told}");
    path
}

/// Opens the store in this folder, with small segments.
///
/// # Errors
///
/// As [`JsonlEventStore::open`].
pub fn open(folder: &Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
    let settings = JsonlSettings { segment_bytes: 3_600, stream_files: false, ..JsonlSettings::default() };
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)));
    JsonlEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &settings, clock)
}

/// The folder of the segments of the store in this folder.
#[must_use]
pub fn log_folder(folder: &Path) -> PathBuf {
    folder.join("events/log")
}

/// A journal of two segments.
pub struct Journal {
    /// What is in them.
    pub segments: Vec<Vec<u8>>,
    /// The batches in them, in order.
    pub batches: Vec<Batch>,
    log: Vec<RecordedEvent>,
}

/// A batch of the journal.
pub struct Batch {
    /// The segment that it stands in, from 0 on.
    pub segment: usize,
    /// Where in it.
    pub bytes: Range<usize>,
    /// The position of its last event.
    pub last_event: usize,
}

impl Journal {
    fn new() -> Self {
        let folder = temporary_folder();
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
            RUNTIME.block_on(store.append(Arc::new(groups.collect()))).unwrap();
        }
        let log = log_of(&store);
        drop(store);
        let segments = segments_in(folder.path());
        let batches = batches_of(&segments);
        assert_eq!((segments.len(), batches.len(), log.len()), (2, BATCHES.len(), 12));
        Self { segments, batches, log }
    }
}

impl Batch {
    fn is_whole_in(&self, segments: &[Vec<u8>]) -> bool {
        let there = segments.get(self.segment).and_then(|segment| segment.get(self.bytes.clone()));
        there == Some(&JOURNAL.segments[self.segment][self.bytes.clone()])
    }
}

/// Each batch ends with the line of its commit.
fn batches_of(segments: &[Vec<u8>]) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for (segment, bytes) in segments.iter().enumerate() {
        let (mut start, mut end) = (0, 0);
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            end += line.len();
            if number == 0 {
                start = end; // The header.
            } else if String::from_utf8_lossy(line).contains("\"commit\":") {
                let before = batches.last().map_or(0, |batch| batch.last_event);
                let events = usize::try_from(BATCHES[batches.len()].0).unwrap();
                batches.push(Batch { segment, bytes: start..end, last_event: before + events });
                start = end;
            }
        }
    }
    batches
}

/// The journal after all that `input` lists: what a disk, a file system or a hand may do to files.
fn damaged(input: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = JOURNAL.segments.clone();
    let (damages, _) = input.as_chunks::<8>();
    let mut flips = 0;
    for [kind, segment, at_high, at_low, length_high, length_low, to_high, to_low] in damages.iter().take(DAMAGES_MAX) {
        if segments.is_empty() {
            break;
        }
        let segment = usize::from(*segment) % segments.len();
        let bytes = &mut segments[segment];
        let place = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        let (at, to) = (place(*at_high, *at_low), place(*to_high, *to_low));
        let end = (at + usize::from(u16::from_be_bytes([*length_high, *length_low]))).min(bytes.len());
        match kind % 8 {
            0 if at < bytes.len() && flips < FLIPS_MAX => {
                bytes[at] ^= 1 << (length_low % 8);
                flips += 1;
            }
            1 => bytes[at..end].fill(0),
            2 => {
                let length = bytes.len();
                bytes.drain(at..end);
                bytes.resize(length, 0);
            }
            3 => {
                let copied = bytes[at..end].to_vec();
                let room = (bytes.len() - to).min(copied.len());
                bytes[to..to + room].copy_from_slice(&copied[..room]);
            }
            4 => bytes.truncate(at),
            5 => segments.truncate(segment), // This one and those after it are gone.
            6 => bytes[at..].fill(0),
            7 => {
                let last = segments.len() - 1;
                segments.swap(segment, last);
            }
            _ => (),
        }
    }
    segments
}

/// Five units more, on a stock at this version.
fn added(number: u128, version: u64) -> AppendGroup {
    let event = Event::StockAdded { quantity: Quantity::new(5).unwrap(), reason: Reason::new("delivery").unwrap() };
    let event_id = EventId(Uuid::from_u128(number << 64 | u128::from(version)));
    let stock = StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(2) };
    let events = vec![NewEvent { event_id, event: event.into() }];
    let streams = vec![StreamAppend { stream: stock.into(), expected: ExpectedVersion::of(version), events }];
    let recorded_at = Timestamp::from_millis(1_763_942_400_000 + version.cast_signed());
    AppendGroup { key: None, streams, recorded_at, metadata: Arc::new(Metadata::default()) }
}

fn log_of(store: &JsonlEventStore) -> Vec<RecordedEvent> {
    RUNTIME.block_on(store.read(Position::START, 1_000)).unwrap()
}

fn write_segments(folder: &Path, segments: &[Vec<u8>]) {
    let log = log_folder(folder);
    fs::create_dir_all(&log).unwrap();
    for (place, segment) in segments.iter().enumerate() {
        fs::write(log.join(format!("{:08}.jsonl", place + 1)), segment).unwrap();
    }
}

fn segments_in(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(log_folder(folder)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// In memory where that is possible: each input writes and syncs files.
fn temporary_folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}
