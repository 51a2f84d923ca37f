//! Who follows the log gets every event that they want, in order, each once, wherever they start and whatever happens.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::event_feed::{Listener, Piece};
use inventory_application::ports::{
    AppendGroup, CommitListener, CommittedGroup, EventForm, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent,
    RecordedEvent, StoreError, StreamAppend,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    Broadcaster, EventFeed, EventFeedSettings, EventFilter, EventId, FeedError, Position, StreamId,
};
use inventory_domain::inventory::Event;
use inventory_domain::{DomainEvent, OrderId, Quantity, Reason, order};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use support::{NOON, settled, stock};

/// A log, a feed of it, and the broadcaster at work.
struct Scene {
    store: Arc<InMemoryEventStore>,
    reads: Arc<CountedReads>,
    feed: EventFeed,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Small, so that every bound is met.
const SETTINGS: EventFeedSettings = EventFeedSettings {
    page_events_max: 8,
    look_events_max: 20,
    reads_max: 2,
    read_wait_ms_max: 1_000,
    listeners_max: 3,
    listener_bytes_max: 400,
    waiting_bytes_max: 1_000_000,
    queue_batches_max: 4,
    linger_ms: 20,
    poll_ms: 1_000,
};

impl Scene {
    fn new(settings: EventFeedSettings) -> Self {
        let store = Arc::new(InMemoryEventStore::exclusive());
        let reads =
            Arc::new(CountedReads { log: store.clone(), reads: AtomicUsize::new(0), fails: AtomicBool::new(false) });
        let (feed, broadcaster) = EventFeed::new(reads.clone(), Arc::new(Lines), settings);
        Self { store, reads, feed, running: Some(run(broadcaster)) }
    }

    /// Commits a group on these stocks, and lets the feed hear of it.
    async fn commit(&self, numbers: &[u128]) {
        let (batch, groups) = append(&self.store, numbers).await;
        self.feed.committed(&batch, groups);
    }

    /// Commits as another node would.
    async fn commit_elsewhere(&self, numbers: &[u128]) {
        append(&self.store, numbers).await;
    }

    async fn listen(&self, filter: EventFilter, after: Option<u64>) -> Listener {
        self.feed.listen(filter, after.map(Position)).await.unwrap()
    }
}

fn run(broadcaster: Broadcaster) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(broadcaster.run(async move { drop(stopped.await) }, |_| ()));
    (stop, running)
}

/// A log that counts its reads, and fails when it is told to.
struct CountedReads {
    log: Arc<InMemoryEventStore>,
    reads: AtomicUsize,
    fails: AtomicBool,
}

#[async_trait]
impl EventLog for CountedReads {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("as told".into()));
        }
        self.log.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.log.appended()
    }
}

/// An event is a line: its position, its stream's version, its type.
struct Lines;

const ADDED: &str = "Added";
const PLACED: &str = "Placed";

impl EventForm for Lines {
    fn type_of(&self, event: &DomainEvent) -> &'static str {
        if matches!(event, DomainEvent::Inventory(_)) { ADDED } else { PLACED }
    }

    fn encode(&self, event: &RecordedEvent, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let RecordedEvent { position, version, remaining, event_id, .. } = event;
        let line =
            format!("{position} v{version} -{remaining} {:x} {}\n", event_id.0.as_u128(), self.type_of(&event.event));
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }
}

/// Appends one event to each of these stocks' streams, as one group; number 0 is an order's.
async fn append(store: &Arc<InMemoryEventStore>, numbers: &[u128]) -> (Arc<Vec<AppendGroup>>, Vec<CommittedGroup>) {
    static EVENTS: AtomicUsize = AtomicUsize::new(1);
    let mut streams: Vec<StreamAppend> = Vec::new();
    for number in numbers {
        let event_id = EventId(Uuid::from_u128(EVENTS.fetch_add(1, Ordering::SeqCst) as u128));
        let (stream, event) = if *number == 0 {
            (StreamId::Order(OrderId::from_u128(event_id.0.as_u128())), order::Event::OrderCommitted.into())
        } else {
            let (quantity, reason) = (Quantity::new(1).unwrap(), Reason::new("x").unwrap());
            (StreamId::Inventory(stock(*number)), Event::StockAdded { quantity, reason }.into())
        };
        let version = store.load(vec![stream]).await.unwrap()[0].version;
        let expected = ExpectedVersion::of(version);
        let new = NewEvent { event_id, event };
        match streams.iter_mut().find(|part| part.stream == stream) {
            Some(part) => part.events.push(new),
            None => streams.push(StreamAppend { stream, expected, events: vec![new] }),
        }
    }
    let group = AppendGroup { key: None, streams, recorded_at: NOON, metadata: Arc::new(Metadata::default()) };
    let batch = Arc::new(vec![group]);
    store.append(Arc::clone(&batch)).await.unwrap();
    (batch, vec![CommittedGroup { index: 0, position: store.head().await.unwrap() }])
}

fn product(number: u128) -> EventFilter {
    EventFilter { product_id: Some(stock(number).product_id), ..EventFilter::default() }
}

fn of_types(types: &[&'static str]) -> EventFilter {
    EventFilter { types: types.to_vec(), ..EventFilter::default() }
}

/// The next piece, waiting for as long as it takes in time that is not real.
async fn next(listener: &mut Listener) -> Result<Piece, FeedError> {
    listener.next(Instant::now() + Duration::from_secs(15)).await
}

/// All lines up to the listener's having seen `end`.
async fn lines_until(listener: &mut Listener, end: u64) -> Vec<String> {
    let mut lines = Vec::new();
    while listener.seen() < Position(end) {
        let piece = next(listener).await.unwrap();
        lines.extend(String::from_utf8(piece.events).unwrap().lines().map(str::to_owned));
    }
    lines
}

/// What the log has after `after` that the filter lets through, as lines.
async fn expected(scene: &Scene, filter: &EventFilter, after: u64) -> Vec<String> {
    let log = scene.store.read(Position(after), usize::MAX).await.unwrap();
    let wanted = log.iter().filter(|event| filter.matches(event.stream, Lines.type_of(&event.event)));
    let line = |event: &RecordedEvent| {
        let mut line = Vec::new();
        Lines.encode(event, &mut line).unwrap();
        String::from_utf8(line).unwrap().trim_end().to_owned()
    };
    wanted.map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_starts_anywhere_gets_exactly_the_rest() {
    let filters = [EventFilter::default(), product(1), product(9), of_types(&[PLACED]), of_types(&[ADDED, PLACED])];
    for filter in filters {
        for after in 0..=31 {
            let scene = Scene::new(SETTINGS);
            for number in 1..=10 {
                scene.commit_elsewhere(&[1, 1 + number % 3, 0]).await;
            }
            scene.commit_elsewhere(&[2]).await;
            let mut listener = scene.listen(filter.clone(), Some(after)).await;
            let mut lines = lines_until(&mut listener, 31).await;
            scene.commit(&[0, 1, 2]).await;
            scene.commit(&[1]).await;
            scene.commit_elsewhere(&[1]).await;
            scene.commit(&[2, 1]).await;
            lines.extend(lines_until(&mut listener, 38).await);
            assert_eq!(lines, expected(&scene, &filter, after).await, "{filter:?} after {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_listens_from_now_on() {
    let scene = Scene::new(SETTINGS);
    scene.commit(&[1]).await;
    let mut listener = scene.listen(EventFilter::default(), None).await;
    assert_eq!(listener.seen(), Position(1));
    scene.commit(&[1, 2]).await;
    assert_eq!(lines_until(&mut listener, 3).await, expected(&scene, &EventFilter::default(), 1).await);
}

#[tokio::test(start_paused = true)]
async fn the_log_is_not_read_for_what_is_handed_over() {
    let scene = Scene::new(SETTINGS);
    for _ in 0..50 {
        scene.commit_elsewhere(&[1, 2]).await;
    }
    let mut listener = scene.listen(product(1), None).await;
    for _ in 0..3 {
        assert!(listener.next(Instant::now()).await.unwrap().events.is_empty(), "nothing has happened");
    }
    settled().await;
    let before = scene.reads.reads.load(Ordering::SeqCst);
    assert!(before <= 2, "nor for what was before: {before} reads");
    for _ in 0..50 {
        scene.commit(&[1, 2]).await;
        lines_until(&mut listener, scene.store.head().await.unwrap().0 - 1).await;
    }
    assert_eq!(scene.reads.reads.load(Ordering::SeqCst), before);
    scene.commit_elsewhere(&[1]).await;
    assert_eq!(lines_until(&mut listener, 201).await.len(), 1, "and is for what isn't");
    assert!(scene.reads.reads.load(Ordering::SeqCst) > before);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_listener_is_told_how_far_the_log_is() {
    let scene = Scene::new(SETTINGS);
    let mut listener = scene.listen(product(9), None).await;
    assert_eq!(next(&mut listener).await.unwrap().seen, Position::START);
    scene.commit(&[1, 2, 3]).await;
    scene.commit_elsewhere(&[1]).await;
    let begun = Instant::now();
    let piece = next(&mut listener).await.unwrap();
    assert_eq!((piece.events.len(), piece.seen), (0, Position(4)));
    assert_eq!(begun.elapsed(), Duration::from_secs(15), "it isn't woken for what others want");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_too_slow_goes_back_to_the_log() {
    let scene = Scene::new(SETTINGS);
    let mut listener = scene.listen(EventFilter::default(), None).await;
    let mut other = scene.listen(product(2), None).await;
    next(&mut listener).await.unwrap();
    next(&mut other).await.unwrap();
    for _ in 0..100 {
        scene.commit(&[1, 1]).await;
        settled().await;
    }
    scene.commit(&[2]).await;
    assert_eq!(lines_until(&mut other, 201).await.len(), 1);
    assert_eq!(scene.feed.overflows(), 1);
    let lines = lines_until(&mut listener, 201).await;
    assert_eq!(lines, expected(&scene, &EventFilter::default(), 0).await);
    scene.commit(&[1]).await;
    assert_eq!(lines_until(&mut listener, 202).await.len(), 1, "and is back");
    assert_eq!(scene.feed.overflows(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_mailboxes_together_have_a_bound() {
    let scene = Scene::new(EventFeedSettings { listener_bytes_max: 1_000_000, waiting_bytes_max: 2_000, ..SETTINGS });
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let mut listener = scene.listen(EventFilter::default(), None).await;
        next(&mut listener).await.unwrap();
        listeners.push(listener);
    }
    for _ in 0..50 {
        scene.commit(&[1; 3]).await; // 22 bytes each; three who wait for the same one hold it once.
        settled().await;
    }
    assert_eq!(scene.feed.overflows(), 3);
    for mut listener in listeners {
        assert_eq!(lines_until(&mut listener, 150).await, expected(&scene, &EventFilter::default(), 0).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_missed_or_repeated_while_many_write() {
    const EVENTS: u64 = 6_000;
    let settings = EventFeedSettings { listeners_max: 100, linger_ms: 1, poll_ms: 5, ..SETTINGS };
    let scene = Arc::new(Scene::new(settings));
    let mut listening = Vec::new();
    for start in 0..24u64 {
        let scene = Arc::clone(&scene);
        listening.push(tokio::spawn(async move {
            let filter = match start % 4 {
                0 => EventFilter::default(),
                1 => product(2),
                2 => of_types(&[PLACED]),
                _ => EventFilter { types: vec![ADDED], ..product(1) },
            };
            while scene.store.head().await.unwrap() < Position(start * 100) {
                tokio::task::yield_now().await;
            }
            let mut after = start * 50; // Some are far behind, and some come back again and again.
            let mut lines = Vec::new();
            while after < EVENTS {
                let mut listener = scene.listen(filter.clone(), Some(after)).await;
                for _ in 0..if start % 3 == 0 { 5 } else { usize::MAX } {
                    let piece = listener.next(Instant::now() + Duration::from_millis(3)).await.unwrap();
                    lines.extend(String::from_utf8(piece.events).unwrap().lines().map(str::to_owned));
                    after = piece.seen.0;
                    if after >= EVENTS {
                        break;
                    }
                }
            }
            (filter, start * 50, lines)
        }));
    }
    for number in 0u64.. {
        match scene.store.head().await.unwrap().0 {
            EVENTS => break,
            head if EVENTS - head < 4 => scene.commit(&[1]).await,
            _ if number % 7 == 0 => scene.commit_elsewhere(&[1, 2]).await,
            _ => scene.commit(&[1 + u128::from(number) % 3, 0, 2]).await,
        }
        if number % 16 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for listener in listening {
        let (filter, after, lines) = listener.await.unwrap();
        assert_eq!(lines, expected(&scene, &filter, after).await, "{filter:?} after {after}");
    }
    settled().await;
    assert_eq!(scene.feed.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_listeners_and_no_more() {
    let scene = Scene::new(SETTINGS);
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(scene.listen(EventFilter::default(), None).await);
    }
    let refused = scene.feed.listen(EventFilter::default(), None).await.err().unwrap();
    assert_eq!(refused.to_string(), "there are 3 listeners already");
    listeners.pop();
    assert_eq!(scene.feed.listeners(), 2);
    scene.listen(EventFilter::default(), None).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_can_be_beyond_the_end() {
    let scene = Scene::new(SETTINGS);
    scene.commit(&[1, 2]).await;
    let beyond = "position 3 is beyond the end of the log, 2";
    let refused = scene.feed.listen(EventFilter::default(), Some(Position(3))).await.err().unwrap();
    assert_eq!(refused.to_string(), beyond);
    let refused = scene.feed.pages().page(&product(9), Position(3), 5).await.unwrap_err();
    assert_eq!(refused.to_string(), beyond);
    assert_eq!(scene.feed.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_closes_ends_every_listener() {
    let scene = Scene::new(SETTINGS);
    let mut there = scene.listen(EventFilter::default(), None).await;
    next(&mut there).await.unwrap();
    let waiting = tokio::spawn(async move { next(&mut there).await });
    settled().await;
    let mut behind = scene.listen(EventFilter::default(), None).await;
    scene.feed.close();
    assert!(matches!(waiting.await.unwrap(), Err(FeedError::Closed)));
    assert!(matches!(next(&mut behind).await, Err(FeedError::Closed)));
    assert!(matches!(scene.feed.listen(EventFilter::default(), None).await, Err(FeedError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_for_a_while_loses_nobody_anything() {
    let scene = Scene::new(SETTINGS);
    let mut listener = scene.listen(EventFilter::default(), None).await;
    next(&mut listener).await.unwrap();
    scene.commit(&[1; 10]).await;
    assert_eq!(lines_until(&mut listener, 10).await.len(), 10);
    scene.reads.fails.store(true, Ordering::SeqCst);
    scene.commit_elsewhere(&[1, 2]).await;
    scene.commit(&[3]).await;
    assert!(next(&mut listener).await.unwrap().events.is_empty(), "it waits");
    let mut late = scene.listen(EventFilter::default(), Some(0)).await;
    assert!(matches!(next(&mut late).await, Err(FeedError::Store(StoreError::Unavailable(_)))));
    scene.reads.fails.store(false, Ordering::SeqCst);
    assert_eq!(lines_until(&mut listener, 13).await, expected(&scene, &EventFilter::default(), 10).await);
}

#[tokio::test(start_paused = true)]
async fn a_broadcaster_stops_when_it_is_told_to() {
    for listens in [false, true] {
        let mut scene = Scene::new(SETTINGS);
        let mut listener = scene.listen(EventFilter::default(), None).await;
        if listens {
            next(&mut listener).await.unwrap();
        }
        let (stop, running) = scene.running.take().unwrap();
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn pages_one_after_the_other_are_the_whole_log() {
    let scene = Scene::new(SETTINGS);
    for number in 1..=40 {
        scene.commit(&[1, 1 + number % 5, 0]).await;
    }
    for filter in [EventFilter::default(), product(1), product(4), product(77), of_types(&[PLACED])] {
        for limit in [1, 2, 7, 50, 1_000] {
            let (mut after, mut positions, mut pages) = (Position::START, Vec::new(), 0);
            loop {
                let page = scene.feed.pages().page(&filter, after, limit).await.unwrap();
                assert!(page.events.len() <= limit);
                assert!(page.next_after > after || page.is_end, "it goes on");
                positions.extend(page.events.iter().map(|event| event.position));
                after = page.next_after;
                pages += 1;
                if page.is_end {
                    break;
                }
            }
            let all = scene.store.read(Position::START, usize::MAX).await.unwrap();
            let wanted = all.iter().filter(|event| filter.matches(event.stream, Lines.type_of(&event.event)));
            assert_eq!(positions, wanted.map(|event| event.position).collect::<Vec<_>>(), "{filter:?} by {limit}");
            assert_eq!(after, Position(120));
            // A page looks at 20 events and the rest of a group, if its filter lets nothing through.
            assert!(filter != product(77) || pages == 6, "{pages}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_for_a_turn_is_told() {
    let scene = Scene::new(EventFeedSettings { reads_max: 1, ..SETTINGS });
    scene.commit(&[1]).await;
    let slow = Arc::new(SlowLog { log: scene.store.clone(), go: watch::Sender::new(false) });
    let (feed, _broadcaster) =
        EventFeed::new(slow.clone(), Arc::new(Lines), EventFeedSettings { reads_max: 1, ..SETTINGS });
    let first = tokio::spawn({
        let feed = feed.clone();
        async move { feed.pages().page(&EventFilter::default(), Position::START, 5).await.map(|page| page.events.len()) }
    });
    settled().await;
    let refused = feed.pages().page(&EventFilter::default(), Position::START, 5).await;
    assert!(matches!(refused, Err(FeedError::Overloaded)));
    slow.go.send_replace(true);
    assert_eq!(first.await.unwrap().unwrap(), 1);
}

/// A log whose reads wait.
struct SlowLog {
    log: Arc<InMemoryEventStore>,
    go: watch::Sender<bool>,
}

#[async_trait]
impl EventLog for SlowLog {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.go.subscribe().wait_for(|go| *go).await.unwrap();
        self.log.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.log.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.log.appended()
    }
}
