//! The n-th write, sync, creation or rename fails, or is torn, for every n: nothing that was acknowledged is missing afterwards,
//! nothing that wasn't is half there, and the store goes on.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory_application::EventId;
use inventory_application::ports::{ExpectedVersion, Metadata, NewEvent, StreamAppend};
use inventory_application::testing::ManualClock;
use inventory_domain::inventory::Event;
use inventory_domain::{ProductId, Quantity, Reason, StoreId};
use uuid::Uuid;

use super::files::JournalFile;
use super::*;

/// How the n-th operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It does nothing.
    Fails,
    /// A write does half; anything else does nothing.
    Tears,
    /// It does what it should, and says that it failed.
    Lies,
    /// From then on every operation fails, as on a full disk, until space is made.
    Full,
}

/// The file system, but for one operation.
#[derive(Clone)]
struct FailingFiles {
    fault: Fault,
    left: Arc<AtomicU64>,
    is_full: Arc<Mutex<bool>>,
}

impl FailingFiles {
    fn new(fault: Fault, nth: u64) -> Self {
        Self { fault, left: Arc::new(AtomicU64::new(nth)), is_full: Arc::default() }
    }

    fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn make_space(&self) {
        *self.is_full.lock().unwrap() = false;
    }

    /// Does `whole`, or fails after `half`.
    fn operate<T>(&self, half: impl FnOnce(), whole: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let is_due = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1);
        let failed = || io::Error::other("injected");
        if is_due && self.fault == Fault::Full {
            *self.is_full.lock().unwrap() = true;
        }
        if *self.is_full.lock().unwrap() {
            half();
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        match (is_due, self.fault) {
            (false, _) => whole(),
            (true, Fault::Fails | Fault::Full) => Err(failed()),
            (true, Fault::Tears) => {
                half();
                Err(failed())
            }
            (true, Fault::Lies) => whole().and_then(|_| Err(failed())),
        }
    }
}

impl Files for FailingFiles {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn JournalFile>> {
        let file = self.operate(|| (), || RealFiles.create(path, bytes))?;
        Ok(Box::new(FailingFile { file, files: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn JournalFile>> {
        let file = self.operate(|| (), || RealFiles.open(path))?;
        Ok(Box::new(FailingFile { file, files: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(|| (), || RealFiles.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.operate(|| (), || RealFiles.sync_folder(path))
    }
}

struct FailingFile {
    file: Box<dyn JournalFile>,
    files: FailingFiles,
}

impl JournalFile for FailingFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let half = || drop(self.file.write_all_at(&bytes[..bytes.len() / 2], offset));
        self.files.operate(half, || self.file.write_all_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.files.operate(|| (), || self.file.sync())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    for fault in [Fault::Fails, Fault::Tears, Fault::Lies, Fault::Full] {
        let mut nth = 1;
        while run(fault, nth).await {
            nth += 1;
        }
        assert!(nth > 30, "{fault:?}: only {} operations were met", nth - 1);
    }
}

/// Appends through a failure of the `nth` operation; whether it was met.
async fn run(fault: Fault, nth: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let files = FailingFiles::new(fault, nth);
    let (mut acknowledged, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut store = open(folder.path(), &files);
    if store.is_none() {
        files.make_space();
        store = open(folder.path(), &files); // It couldn't be made; the next start can.
    }
    let store = store.expect("it opens once nothing fails any more");
    for number in 0..12u128 {
        let mut tries = 0;
        loop {
            let version = store.load(vec![stock()]).await.unwrap()[0].version;
            match store.append(Arc::new(vec![group(number, version)])).await {
                Ok(outcomes) => {
                    assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{outcomes:?}");
                    acknowledged.extend([2 * number, 2 * number + 1]);
                    break;
                }
                Err(StoreError::OutcomeUnknown(_)) => {
                    unknown.extend([2 * number, 2 * number + 1]);
                    break;
                }
                Err(StoreError::Unavailable(_)) => {
                    // Reads go on meanwhile, and nothing that failed is shown.
                    let shown = ids(&store).await;
                    assert!(
                        acknowledged.is_subset(&shown) && shown.iter().all(|id| acknowledged.contains(id)),
                        "{shown:?}"
                    );
                    files.make_space();
                    tries += 1;
                    assert!(tries < 100, "{fault:?} at {nth}: it doesn't get over it");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(StoreError::Damaged(damage)) => panic!("{fault:?} at {nth}: {damage}"),
            }
        }
    }
    assert_eq!(ids(&store).await, acknowledged, "{fault:?} at {nth}: what is shown is what was acknowledged");
    store.close().await;
    drop(store);
    for _ in 0..2 {
        let store = open(folder.path(), &FailingFiles::new(Fault::Fails, u64::MAX))
            .unwrap_or_else(|| panic!("{fault:?} at {nth}"));
        let there = ids(&store).await;
        assert!(acknowledged.is_subset(&there), "{fault:?} at {nth}: {acknowledged:?} {there:?}");
        for id in there.difference(&acknowledged) {
            assert!(unknown.contains(id) && there.contains(&(id ^ 1)), "{fault:?} at {nth}: {id} is half there");
        }
        let version = store.load(vec![stock()]).await.unwrap()[0].version;
        assert_eq!(version, there.len() as u64);
    }
    files.has_failed()
}

fn open(folder: &Path, files: &FailingFiles) -> Option<Arc<JsonlEventStore>> {
    let settings = JsonlSettings { segment_bytes: 2_000, stream_files: false, ..JsonlSettings::default() };
    let folder = Arc::new(DataFolder::open(folder).unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    JsonlEventStore::open_with(folder, &settings, clock, None, Box::new(files.clone())).ok()
}

/// Opens a store of small segments, on the file system as it is.
pub(super) fn open_small(folder: &Path) -> Arc<JsonlEventStore> {
    open(folder, &FailingFiles::new(Fault::Fails, u64::MAX)).unwrap()
}

async fn ids(store: &JsonlEventStore) -> BTreeSet<u128> {
    let log = store.read(Position::START, 1_000).await.unwrap();
    log.iter().map(|event| event.event_id.0.as_u128()).collect()
}

pub(super) fn stock() -> StreamId {
    StreamId::Inventory(StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) })
}

/// Two events that are there together or not at all.
pub(super) fn group(number: u128, version: u64) -> AppendGroup {
    let event = Event::StockAdded { quantity: Quantity::new(1).unwrap(), reason: Reason::new("delivery").unwrap() };
    let new = |id: u128| NewEvent { event_id: EventId(Uuid::from_u128(id)), event: event.clone().into() };
    let events = vec![new(2 * number), new(2 * number + 1)];
    let streams = vec![StreamAppend { stream: stock(), expected: ExpectedVersion::of(version), events }];
    let (recorded_at, metadata) = (Timestamp::from_millis(0), Arc::new(Metadata::default()));
    AppendGroup { key: None, streams, recorded_at, metadata }
}
