//! The n-th operation of the file system fails, for every n, and the power goes at every moment: nothing that was acknowledged is
//! missing afterwards, nothing that wasn't is half there, readers go on, and nothing is acknowledged before the repair.

use std::path::Path;

use inventory_application::EventId;
use inventory_application::ports::{AppendGroup, AppendOutcome, ExpectedVersion, Metadata, NewEvent, StreamAppend};
use inventory_application::testing::ManualClock;
use inventory_domain::inventory::Event;
use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
use inventory_faults::{
    Aim, Backend, Change, Disk, Entry, Fault, How, Opened, PowerCut, ReaderBeside, Scope, Survival, Trace, appends,
    lose_power_after_a_kill, lose_power_everywhere,
};
use uuid::Uuid;

use super::*;
use crate::files::on_disk::DiskFiles;

inventory_faults::campaigns! {
    store: Journals::SMALL,
    appends: more than 60 changes, 60 reads, 60 steps, 20 looks,
    commands: more than 30 changes, 30 reads, 50 steps,
}

/// A planted bug: what is written to the journal is never synced.
#[test]
fn a_journal_whose_syncs_do_nothing_is_seen_to_lose_what_it_acknowledged() {
    let plant = |disk: &Disk| disk.swallow_syncs(|path| path.starts_with("events/log"));
    let lost = lose_power_everywhere(&appends(&Journals::SMALL), Scope::Short, plant).unwrap_err();
    assert!(lost.contains("was acknowledged, and 0 of") || lost.contains("can't be opened"), "{lost}");
}

/// A planted bug: a start syncs nothing of the journal that it finds.
#[test]
fn a_start_after_a_kill_that_syncs_nothing_is_seen_to_lose_what_it_has_shown() {
    let plant = |disk: &Disk| disk.swallow_syncs(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let every_step = Scope::Long { seeds: 0 };
    let lost = lose_power_after_a_kill(&Journals::SMALL, &appends(&Journals::SMALL), every_step, plant).unwrap_err();
    assert!(lost.contains("events were shown, and then without power"), "{lost}");
}

/// A batch was torn, and a sync of the start that drops it fails; then the log goes on, soon in another segment.
#[test]
fn what_is_left_of_a_dropped_batch_is_never_in_the_way() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let journals = Journals { segment_bytes: 16_000 };
    let (mut failed, mut starts) = (0, 0);
    for nth in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::over(folder.path());
        let opened = journals.open(folder.path(), &clock).unwrap();
        append(&runtime, &opened, 0..1);
        drop(opened);
        let path = folder.path().join("events/log/00000001.jsonl");
        let end = std::fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let torn = DiskFiles::new(disk.clone()).open(&path).unwrap();
        torn.write_all_at(&[b'x'; 14_000], end as u64).unwrap();
        torn.sync().unwrap();
        disk.fail(Fault { aim: Aim::Syncs, nth, how: How::Fails });
        failed += usize::from(journals.open(folder.path(), &clock).is_err());
        if !disk.has_failed() {
            break;
        }
        disk.heal();
        let opened = journals.open(folder.path(), &clock).unwrap();
        append(&runtime, &opened, 1..2);
        append(&runtime, &opened, 2..40); // Doesn't fit any more.
        drop(opened);
        let trace = disk.trace();
        let mut cut = PowerCut::new(&trace);
        cut.step_to(trace.entries.len());
        for survival in [Survival::Nothing, Survival::Everything, Survival::Some(nth)] {
            let left = tempfile::tempdir().unwrap();
            cut.write_to(left.path(), survival).unwrap();
            let _disk = Disk::over(left.path());
            let opened = journals.open(left.path(), &clock);
            let opened = opened.unwrap_or_else(|problem| panic!("sync {nth} failed, {survival:?} is left: {problem}"));
            append(&runtime, &opened, 40..41); // At the version that all of them come to.
            starts += 1;
        }
    }
    assert!(failed >= 2 && starts > 3 * failed, "{failed} starts were refused, {starts} went well");
}

/// Nobody else has seen the log, so only a start itself knows that there is one.
#[test]
fn whatever_a_start_can_not_look_at_the_log_is_not_taken_for_a_new_one() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::over(folder.path());
    append(&runtime, &Journals::SMALL.open(folder.path(), &clock).unwrap(), 0..1);
    let mut refused = 0;
    for nth in 1.. {
        disk.fail(Fault { aim: Aim::Reads, nth, how: How::Fails });
        let opened = Journals::SMALL.open(folder.path(), &clock);
        refused += u32::from(opened.is_err());
        drop(opened);
        if !disk.has_failed() {
            break;
        }
        disk.heal();
        let opened = Journals::SMALL.open(folder.path(), &clock).unwrap();
        assert_eq!(runtime.block_on(opened.log.head()).unwrap(), Position(1), "look {nth} had failed");
    }
    assert!(refused > 5, "{refused} starts were refused");
}

/// The mark only tells that a segment is missing.
#[test]
fn a_start_goes_on_where_the_mark_of_the_segment_before_can_not_be_written_any_more() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::over(folder.path());
    let opened = Journals::SMALL.open(folder.path(), &clock).unwrap();
    (0..8).for_each(|version| append(&runtime, &opened, version..version + 1));
    drop(opened);
    let before_last = std::fs::read_dir(folder.path().join("events/log")).unwrap().count() - 1;
    let before_last = Path::new("events/log").join(format!("{before_last:08}.jsonl"));
    let path = folder.path().join(&before_last);
    let marked = std::fs::read(&path).unwrap();
    let end = marked.iter().rposition(|byte| *byte != 0).unwrap();
    let mark = marked[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let unmarked = [&marked[..mark], &vec![0; marked.len() - mark]].concat();
    let mut went_on = Vec::new();
    for nth in 1.. {
        std::fs::write(&path, &unmarked).unwrap();
        disk.fail(Fault { aim: Aim::Changes, nth, how: How::Fails });
        let opened = Journals::SMALL.open_store(folder.path(), &clock);
        let Some(failed) = disk.failed_at() else { break };
        disk.heal();
        if let (Ok(opened), Entry::Failed(change)) = (opened, &disk.trace().entries[failed]) {
            went_on.push(change.clone());
            let told = opened.failure();
            assert!(told.has_changed().unwrap(), "{change:?}");
            assert!(told.borrow().as_deref().is_some_and(|told| told.contains("injected")), "{told:?}");
        }
    }
    let is_of_mark = matches!(&went_on[..], [Change::Open { path }, Change::Write { file, .. }, Change::Sync { file: synced }]
        if *path == before_last && [*file, *synced].map(Some) == [disk.file(&before_last); 2]);
    assert!(is_of_mark, "{went_on:?}");
}

/// The repair starts another one, and the segment stays without its mark.
#[test]
fn a_batch_is_refused_and_told_of_where_the_mark_before_its_segment_can_not_be_written() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut refused = 0;
    for nth in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::over(folder.path());
        let store = Journals::SMALL.open_store(folder.path(), &clock).unwrap();
        runtime.block_on(store.append(added(0..2))).unwrap(); // Another one doesn't fit.
        disk.fail(Fault { aim: Aim::Changes, nth, how: How::Fails });
        let outcome = runtime.block_on(store.append(added(2..4)));
        let Some(failed) = disk.failed_at() else { break };
        disk.heal();
        let is_of_mark = matches!(&disk.trace().entries[failed], Entry::Failed(Change::Open { path }) if path.ends_with("00000001.jsonl"));
        if is_of_mark {
            refused += 1;
            assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        }
        let is_told = store.failure().borrow().as_deref().is_some_and(|told| told.contains("00000002.jsonl"));
        assert!(is_told || !is_of_mark, "{:?}", store.failure());
    }
    assert_eq!(refused, 1);
}

/// They may have been moved to where nobody may write.
#[test]
fn a_start_opens_for_writing_only_the_last_segment() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::over(folder.path());
    let opened = Journals::SMALL.open(folder.path(), &clock).unwrap();
    (0..20).for_each(|version| append(&runtime, &opened, version..version + 1));
    drop(opened);
    let last = std::fs::read_dir(folder.path().join("events/log")).unwrap().count();
    assert!(last > 3, "{last} segments");
    let before = disk.trace().entries.len();
    drop(Journals::SMALL.open(folder.path(), &clock).unwrap());
    let trace = disk.trace();
    let opened: Vec<_> = trace.entries[before..]
        .iter()
        .filter_map(|entry| match entry {
            Entry::Done(Change::Open { path }) => Some(path.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [Path::new("events/log").join(format!("{last:08}.jsonl"))]);
}

/// Appends the events of these versions to one stream, in one batch.
fn append(runtime: &tokio::runtime::Runtime, opened: &Opened, versions: std::ops::Range<u64>) {
    let outcomes = runtime.block_on(opened.events.append(added(versions))).unwrap();
    assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{outcomes:?}");
}

/// A batch of the events of these versions, of one stream.
fn added(versions: std::ops::Range<u64>) -> Arc<Vec<AppendGroup>> {
    let reason = Reason::new(&"x".repeat(400)).unwrap();
    let added = |_| Event::StockAdded { quantity: Quantity::new(1).unwrap(), reason: reason.clone() }.into();
    let stock_id = StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) };
    let streams = vec![StreamAppend {
        stream: StreamId::Inventory(stock_id),
        expected: ExpectedVersion::of(versions.start),
        events: versions.map(|version| NewEvent { event_id: EventId(Uuid::nil()), event: added(version) }).collect(),
    }];
    let metadata = Arc::new(Metadata::default());
    Arc::new(vec![AppendGroup { key: None, streams, recorded_at: Timestamp::from_millis(0), metadata }])
}

/// A store on the disk below it.
struct Journals {
    segment_bytes: u64,
}

impl Journals {
    /// Batches often go on in another segment.
    const SMALL: Self = Self { segment_bytes: 3_000 };

    fn open_store(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Arc<JsonlEventStore>, String> {
        let (disk, _) = Disk::of(&folder.canonicalize().unwrap()).expect("a disk");
        let data = Arc::new(DataFolder::open(folder).map_err(|error| error.to_string())?);
        let segment_bytes = self.segment_bytes;
        let settings =
            JsonlSettings { segment_bytes, stream_files: false, repair_pause_ms: 2, ..JsonlSettings::default() };
        let store = JsonlEventStore::open_with(data, &settings, clock.clone(), None, Arc::new(DiskFiles::new(disk)));
        store.map_err(|error| error.to_string())
    }
}

impl Backend for Journals {
    fn open(&self, folder: &Path, clock: &Arc<ManualClock>) -> Result<Opened, String> {
        let store = self.open_store(folder, clock)?;
        let poisoned = Arc::clone(&store);
        let is_poisoned = Arc::new(move || poisoned.is_poisoned());
        Ok(Opened { events: store.clone(), log: store, is_poisoned })
    }

    fn reader_beside(&self, _: &Path) -> Option<Box<dyn ReaderBeside>> {
        None
    }

    /// A new segment has got its name.
    fn has_repaired(&self, trace: &Trace, from: usize, to: usize) -> bool {
        let steps = &trace.entries[from..to];
        let is_named =
            |entry: &Entry| matches!(entry, Entry::Done(Change::Rename { to, .. }) if to.starts_with("events/log"));
        let lasts = |entry: &Entry| matches!(entry, Entry::Done(Change::SyncFolder { path }) if path.ends_with("log"));
        steps.iter().position(is_named).is_some_and(|named| steps[named..].iter().any(lasts))
    }
}
