//! Who follows the log through its newest events finds what the log has, and asks the store only for what isn't in memory.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, CommitListener, CommittedGroup, EventLog, EventStore, ExpectedVersion, Metadata,
    NewEvent, RecordedEvent, StoreError, StreamAppend,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{EventId, Position, RecentEvents, StreamId};
use inventory_domain::inventory::Event;
use inventory_domain::{Quantity, Reason};
use tokio::sync::watch;
use uuid::Uuid;

use support::{NOON, stock};

/// A log, and its newest events in front of it.
struct Scene {
    store: Arc<InMemoryEventStore>,
    reads: Arc<CountedReads>,
    recent: RecentEvents,
    event_ids: AtomicUsize,
}

struct CountedReads {
    log: Arc<InMemoryEventStore>,
    count: AtomicUsize,
}

#[async_trait]
impl EventLog for CountedReads {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.log.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.log.appended()
    }
}

impl Scene {
    fn new(events_max: usize) -> Self {
        let store = Arc::new(InMemoryEventStore::shared());
        let reads = Arc::new(CountedReads { log: Arc::clone(&store), count: AtomicUsize::new(0) });
        let recent = RecentEvents::new(Arc::clone(&reads) as _, events_max);
        Self { store, reads, recent, event_ids: AtomicUsize::new(1) }
    }

    /// Appends a batch of one group for each of `groups`, with one event on each stock that it names; one that names stock 0 conflicts.
    async fn append(&self, groups: &[&[u128]]) -> (Arc<Vec<AppendGroup>>, Vec<CommittedGroup>) {
        let mut versions = std::collections::HashMap::new();
        let mut batch = Vec::new();
        for numbers in groups {
            let mut streams = Vec::new();
            for number in *numbers {
                let stream = StreamId::Inventory(stock(*number));
                let loaded = self.store.load(vec![stream]).await.unwrap()[0].version;
                let version = *versions.entry(stream).and_modify(|version| *version += 1).or_insert(loaded);
                let expected = ExpectedVersion::of(if *number == 0 { 99 } else { version });
                let (quantity, reason) = (Quantity::new(1).unwrap(), Reason::new("x").unwrap());
                let event_id = EventId(Uuid::from_u128(self.event_ids.fetch_add(1, Ordering::SeqCst) as u128));
                let new = NewEvent { event_id, event: Event::StockAdded { quantity, reason }.into() };
                streams.push(StreamAppend { stream, expected, events: vec![new] });
            }
            batch.push(AppendGroup { key: None, streams, recorded_at: NOON, metadata: Arc::new(Metadata::default()) });
        }
        let batch = Arc::new(batch);
        let outcomes = self.store.append(Arc::clone(&batch)).await.unwrap();
        let done = outcomes.into_iter().enumerate().filter_map(|(index, outcome)| match outcome {
            AppendOutcome::Appended { position } => Some(CommittedGroup { index, position: position? }),
            _ => None,
        });
        (batch, done.collect())
    }

    async fn commit(&self, groups: &[&[u128]]) {
        let (batch, done) = self.append(groups).await;
        self.recent.committed(&batch, done);
    }

    /// What a reader at `after` is given, which is what the log has; and whether the store was asked for it.
    async fn page(&self, after: u64, limit: usize) -> (Vec<u64>, bool) {
        let before = self.reads.count.load(Ordering::SeqCst);
        let page = self.recent.read(Position(after), limit).await.unwrap();
        let was_asked = self.reads.count.load(Ordering::SeqCst) > before;
        let in_log = self.store.read(Position(after), page.len().max(1)).await.unwrap();
        assert_eq!(page, in_log, "after {after}");
        (page.iter().map(|event| event.position.0).collect(), was_asked)
    }
}

#[tokio::test]
async fn what_was_just_committed_is_not_read_back() {
    let scene = Scene::new(100);
    let hint = scene.recent.appended();
    assert_eq!(scene.page(0, 10).await, (vec![], true), "nothing is here, so the log is asked");
    scene.commit(&[&[1], &[2, 3], &[0], &[1]]).await;
    scene.commit(&[&[2]]).await;
    assert_eq!(*hint.borrow(), Position(5));
    assert_eq!(scene.page(0, 10).await, (vec![1, 2, 3, 4, 5], false));
    assert_eq!(scene.page(1, 1).await, (vec![2, 3], false), "a group is never split");
    assert_eq!(scene.page(1, 3).await, (vec![2, 3, 4], false));
    assert_eq!(scene.page(4, 10).await, (vec![5], false));
    assert_eq!(scene.page(5, 10).await, (vec![], true), "only the log knows that nothing follows");
}

#[tokio::test]
async fn what_is_not_here_is_read_from_the_log() {
    let scene = Scene::new(100);
    scene.append(&[&[1]]).await; // Before there was anybody to hear of it.
    scene.commit(&[&[1]]).await;
    assert_eq!(scene.page(0, 10).await, (vec![1, 2], true));
    assert_eq!(scene.page(1, 10).await, (vec![2], false));
    scene.append(&[&[2]]).await; // By another node.
    assert_eq!(scene.page(2, 10).await, (vec![3], true));
    scene.append(&[&[2]]).await;
    scene.commit(&[&[1]]).await;
    assert_eq!(scene.page(2, 10).await, (vec![3, 4, 5], true), "there is a gap before what is here");
    assert_eq!(scene.page(4, 10).await, (vec![5], false));
}

#[tokio::test]
async fn what_somebody_else_wrote_between_two_groups_is_not_passed_over() {
    let scene = Scene::new(100);
    let (first, done) = scene.append(&[&[1]]).await;
    scene.append(&[&[2]]).await;
    let (second, last) = scene.append(&[&[3]]).await;
    let both = Arc::new(first.iter().chain(&*second).cloned().collect::<Vec<_>>());
    let last = last.into_iter().map(|done| CommittedGroup { index: 1, ..done });
    scene.recent.committed(&both, done.into_iter().chain(last).collect());
    assert_eq!(scene.page(0, 10).await, (vec![1, 2, 3], true));
}

#[tokio::test]
async fn so_many_are_kept_and_no_more() {
    let scene = Scene::new(3);
    for _ in 0..4 {
        scene.commit(&[&[1], &[2]]).await;
    }
    assert_eq!(scene.page(4, 10).await, (vec![5, 6, 7, 8], true), "one batch is all that fits");
    assert_eq!(scene.page(6, 10).await, (vec![7, 8], false));
    scene.commit(&[&[1], &[2], &[3], &[4]]).await;
    assert_eq!(scene.page(8, 10).await, (vec![9, 10, 11, 12], false), "the newest one is kept in any case");
}

#[tokio::test]
async fn what_the_reader_has_seen_is_forgotten() {
    let scene = Scene::new(100);
    scene.commit(&[&[1]]).await;
    scene.commit(&[&[1]]).await;
    assert_eq!(scene.page(1, 10).await, (vec![2], false));
    assert_eq!(scene.page(0, 10).await, (vec![1, 2], true));
}
