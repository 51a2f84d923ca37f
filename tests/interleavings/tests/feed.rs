//! Every listener gets every event that it wants, in order, each once: no wake-up is lost, and who overflows finds the rest in
//! the log.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inventory_application::event_feed::Listener;
use inventory_application::ports::{
    AppendGroup, CommitListener, CommittedGroup, EventForm, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent,
    RecordedEvent, StoreError, StreamAppend,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{EventFeed, EventFeedSettings, EventFilter, EventId, Position, StreamId};
use inventory_domain::inventory::Event;
use inventory_domain::{DomainEvent, Quantity, Reason};
use inventory_interleavings::{explore, find, schedules};
use shuttle::future::block_on;
use support::{NOON, stock};
use tokio::sync::{FORGETFUL, oneshot};
use tokio::time::Instant;

const EVENTS: u64 = 5;

/// So small that one event has room in a mailbox, and one batch on the way to the broadcaster.
const SETTINGS: EventFeedSettings = EventFeedSettings {
    page_events_max: 2,
    look_events_max: 20,
    reads_max: 1,
    read_wait_ms_max: 3_600_000,
    listeners_max: 3,
    listener_bytes_max: 1,
    waiting_bytes_max: 1_000,
    queue_batches_max: 1,
    linger_ms: 1,
    poll_ms: 3_600_000,
};

#[test]
fn listeners_get_every_event_once_and_miss_no_wake_up() {
    let overflows = Arc::new(AtomicU64::new(0));
    let counted = overflows.clone();
    explore(schedules(2_000), move || follow(&counted));
    assert!(overflows.load(Ordering::Relaxed) > 0, "some schedule is too fast for a listener");
}

#[test]
fn a_notification_that_is_lost_on_who_does_not_wait_yet_is_found() {
    let found = find(5_000, || {
        FORGETFUL.set(true);
        follow(&Arc::default());
    });
    FORGETFUL.set(false);
    assert!(found.unwrap().contains("deadlock"));
}

/// A writer, whose every second event is another node's, and two listeners: one wants all, one what happens to one stock.
fn follow(overflows: &Arc<AtomicU64>) {
    let overflows = Arc::clone(overflows);
    let store = Arc::new(InMemoryEventStore::exclusive());
    let (feed, broadcaster) = EventFeed::new(store.clone(), Arc::new(Numbers), SETTINGS);
    let (stop, stopped) = oneshot::channel::<()>();
    block_on(async move {
        let running =
            async move { broadcaster.run(async move { drop(stopped.await) }, |cause| panic!("{cause}")).await };
        let running = tokio::spawn(running);
        let one = EventFilter { product_id: Some(stock(1).product_id), ..EventFilter::default() };
        let all = feed.listen(EventFilter::default(), Some(Position::START)).await.unwrap();
        let one = feed.listen(one, Some(Position::START)).await.unwrap();
        let listening = [
            tokio::spawn(async move { check(&heard(all, EVENTS).await, |_| true) }),
            tokio::spawn(async move { check(&heard(one, EVENTS).await, |number| number % 2 == 1) }),
        ];
        for number in 1..=EVENTS {
            let (batch, groups) = append(&store, number).await;
            if number % 2 == 1 {
                feed.committed(&batch, groups);
            }
        }
        for listener in listening {
            listener.await.unwrap();
        }
        drop(stop);
        running.await.unwrap();
        assert_eq!(feed.listeners(), 0);
        overflows.fetch_add(feed.overflows(), Ordering::Relaxed);
    });
}

/// What the listener gets until it has event number `last`.
async fn heard(mut listener: Listener, last: u64) -> Vec<u64> {
    let (mut numbers, for_ever) = (Vec::new(), Instant::now() + Duration::from_secs(1 << 27));
    while numbers.last() != Some(&last) {
        let piece = listener.next(for_ever).await.unwrap();
        numbers.extend(piece.events.iter().map(|byte| u64::from(*byte)));
    }
    numbers
}

#[track_caller]
fn check(numbers: &[u64], wanted: impl Fn(u64) -> bool) {
    assert_eq!(numbers, (1..=EVENTS).filter(|number| wanted(*number)).collect::<Vec<_>>());
}

/// An event on stock 1 or 2, in turn.
async fn append(store: &InMemoryEventStore, number: u64) -> (Arc<Vec<AppendGroup>>, Vec<CommittedGroup>) {
    let stream = StreamId::Inventory(stock(2 - number % 2));
    let (quantity, reason) = (Quantity::new(1).unwrap(), Reason::new("delivery").unwrap());
    let event_id = EventId(uuid::Uuid::from_u128(number.into()));
    let events = vec![NewEvent { event_id, event: Event::StockAdded { quantity, reason }.into() }];
    let expected = ExpectedVersion::of((number - 1) / 2);
    let streams = vec![StreamAppend { stream, expected, events }];
    let group = AppendGroup { key: None, streams, recorded_at: NOON, metadata: Arc::new(Metadata::default()) };
    let batch = Arc::new(vec![group]);
    store.append(Arc::clone(&batch)).await.unwrap();
    (batch, vec![CommittedGroup { index: 0, position: store.head().await.unwrap() }])
}

/// An event is a byte: its position.
struct Numbers;

impl EventForm for Numbers {
    fn type_of(&self, _: &DomainEvent) -> &'static str {
        "Added"
    }

    fn encode(&self, event: &RecordedEvent, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.push(u8::try_from(event.position.0).unwrap());
        Ok(())
    }
}
