//! What the past is, for whoever asks about it.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use inventory_application::ports::{EventHistory, EventLog, LoadedStream, RecordedEvent, StoreError};
use inventory_application::testing::{FailingEventStore, Fault, InMemoryEventStore};
use inventory_application::{
    CatchUp, CatchUpSettings, CommandError, CommandSender, Freshness, HistoryError, HistoryQueries, NotFresh, Position,
    StreamId,
};
use inventory_domain::inventory::{Command, Reserve};
use inventory_domain::order::{self, OrderStatus};
use inventory_domain::transfer::{self, TransferStatus};
use inventory_domain::{CustomerId, Level, OrderId, Quantity, ReservationId, StockId, Timestamp, TransferId};
use tokio::sync::watch;

use support::{NOON, Node, SlowStore, add, change, commit, place, reserve, settled, start, stock};

const CATCH_UP: CatchUpSettings = CatchUpSettings { wait_ms_max: 2_000, waiting_max: 1 };

/// Events have the time at which they were decided: one that is still being written belongs to a past moment already.
#[tokio::test]
async fn a_moment_that_has_just_passed_is_told_once_all_that_belongs_to_it_is_in_the_log() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    node.ask(add(1, 5)).await.unwrap();
    store.hold_appends();
    let written = node.send(add(1, 7));
    settled().await;
    let told = tokio::spawn(async move { queries.level_at(stock(1), NOON).await.unwrap().unwrap() });
    settled().await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(!told.is_finished());
    store.let_appends_go();
    assert_eq!(told.await.unwrap().quantity, 12);
    written.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_moment_long_past_is_told_by_the_log_alone() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    for minutes in 0..3 {
        node.clock.set(after_noon(minutes));
        node.ask(add(1, 5)).await.unwrap();
    }
    node.clock.set(after_noon(3));
    node.stop().await.unwrap();
    let level = async |at: Timestamp| queries.level_at(stock(1), at).await;
    assert_eq!(level(Timestamp::from_millis(NOON.millis() - 1)).await.unwrap(), None, "nobody had filled it");
    assert_eq!(level(NOON).await.unwrap(), Some(Level { quantity: 5, reserved: 0, version: 1 }));
    assert_eq!(level(after_noon(2)).await.unwrap(), Some(Level { quantity: 15, reserved: 0, version: 3 }));
    // What is younger than a minute may still be on its way, and only the write side knows.
    let error = level(Timestamp::from_millis(after_noon(2).millis() + 1)).await.unwrap_err();
    assert!(matches!(error, HistoryError::WriteSide(CommandError::ShuttingDown)), "{error:?}");
}

#[tokio::test]
async fn a_page_of_a_stock_has_the_events_that_follow_and_no_others() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    for number in [1, 2, 1, 2, 1, 1] {
        node.ask(add(number, 5)).await.unwrap();
    }
    let queries = queries(&store, &node);
    let page = async |after, limit| {
        let events = queries.events(stock(1), after, limit).await.unwrap();
        events.iter().map(|event| (event.version, event.position.0)).collect::<Vec<_>>()
    };
    assert_eq!(page(1, 2).await, [(2, 3), (3, 5)]);
    assert_eq!(page(3, 2).await, [(4, 6)]);
    assert_eq!(page(4, 2).await, []);
}

#[tokio::test]
async fn a_stock_is_explained_by_what_it_holds_and_by_what_happened_last() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    node.ask(add(1, 20)).await.unwrap();
    let forever = Reserve {
        reservation_id: ReservationId::from_u128(1),
        quantity: Quantity::new(4).unwrap(),
        customer_id: CustomerId::from_u128(9),
        hold_for: None,
        order_id: None,
    };
    node.ask(change(1, Command::Reserve(forever))).await.unwrap();
    node.ask(reserve(1, 5, 1)).await.unwrap();
    node.clock.set(after_noon(1));
    for id in [2, 3] {
        node.ask(reserve(1, id, 2)).await.unwrap();
    }
    node.ask(commit(1, 3)).await.unwrap();

    let explanation = queries.explain(stock(1), 10, 3, Freshness::ANY).await.unwrap().unwrap();
    assert_eq!(explanation.level, Level { quantity: 18, reserved: 7, version: 6 });
    let held =
        explanation.reservations.iter().map(|(id, held)| (id.uuid().as_u128(), held.quantity.units(), held.expires_at));
    let expected = [(5, 1, Some(after_noon(30))), (2, 2, Some(after_noon(31))), (1, 4, None)];
    assert_eq!(held.collect::<Vec<_>>(), expected, "the earliest deadline first, none at all last");
    let versions = |events: &[RecordedEvent]| events.iter().map(|event| event.version).collect::<Vec<_>>();
    assert_eq!(versions(&explanation.events), [6, 5, 4]);

    let short = queries.explain(stock(1), 2, 100, Freshness::ANY).await.unwrap().unwrap();
    assert_eq!((short.live_count, short.reservations.as_slice()), (3, &explanation.reservations[..2]));
    assert_eq!(versions(&short.events), [6, 5, 4, 3, 2, 1]);
    assert!(queries.explain(stock(2), 2, 100, Freshness::ANY).await.unwrap().is_none(), "nobody has filled it");
}

#[tokio::test]
async fn a_stock_that_is_read_from_what_was_kept_is_explained_as_one_that_is_not() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.snapshot_every_events = 4);
    node.ask(add(1, 20)).await.unwrap();
    for id in 1..=5 {
        node.ask(reserve(1, id, 1)).await.unwrap();
        settled().await;
    }
    assert_eq!(store.snapshots.load(Ordering::SeqCst), 1);
    let explanation = queries(&store, &node).explain(stock(1), 10, 2, Freshness::ANY).await.unwrap().unwrap();
    assert_eq!((explanation.level, explanation.live_count), (Level { quantity: 20, reserved: 5, version: 6 }, 5));
    assert_eq!(explanation.events.iter().map(|event| event.version).collect::<Vec<_>>(), [6, 5]);
}

#[tokio::test]
async fn what_happens_while_a_stock_is_explained_is_not_in_the_explanation() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    node.ask(add(1, 5)).await.unwrap();
    let history = Arc::new(BusyHistory { store: store.inner(), commands: node.commands.clone() });
    let catch_up = CatchUp::new(store.clone(), CATCH_UP);
    let clock = Arc::clone(&node.clock);
    let queries = HistoryQueries::new(store.clone(), history, node.commands.clone(), clock, catch_up, 10);
    let explanation = queries.explain(stock(1), 10, 5, Freshness::ANY).await.unwrap().unwrap();
    assert_eq!(explanation.level.version, 2);
    assert_eq!(explanation.events.iter().map(|event| event.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(store.head().await.unwrap(), Position(3));
}

#[tokio::test]
async fn an_order_and_a_transfer_are_told_with_where_their_last_events_stand() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    node.ask(add(1, 20)).await.unwrap();
    node.order(1, place(&[(1, 3)])).await.unwrap();
    node.transfer(1, start(1, 5)).await.unwrap();
    node.order(1, order::Command::Commit).await.unwrap();
    node.transfer(1, transfer::Command::Receive { quantity: Quantity::new(2).ok() }).await.unwrap();
    node.transfer(1, transfer::Command::Cancel).await.unwrap();
    let order = async |number| queries.order(OrderId::from_u128(number), Freshness::ANY).await.unwrap();
    let (told, position) = order(1).await.unwrap();
    assert_eq!((told.status(), told.version(), position), (OrderStatus::Committed, 2, Position(7)));
    assert_eq!(told.placed().unwrap().lines.iter().map(|line| line.quantity.units()).collect::<Vec<_>>(), [3]);
    assert!(order(2).await.is_none(), "nobody has placed it");
    let transfer = async |number| queries.transfer(TransferId::from_u128(number), Freshness::ANY).await.unwrap();
    let (told, position) = transfer(1).await.unwrap();
    assert_eq!((told.status(), told.received(), told.cancelled()), (TransferStatus::Cancelled, 2, 3));
    assert_eq!((told.version(), position), (3, Position(11)));
    assert!(transfer(2).await.is_none(), "nobody has started it");
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_a_version_and_not_for_ever() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    node.ask(add(1, 5)).await.unwrap();
    let version = |min_version| Freshness { min_version, ..Freshness::ANY };
    for (stock_id, has) in [(stock(1), 1), (stock(2), 0)] {
        let error = queries.explain(stock_id, 1, 1, version(2)).await.unwrap_err();
        let is_older = matches!(
            error, HistoryError::NotFresh(NotFresh::OlderVersion { version, needed: 2 }) if version == has
        );
        assert!(is_older, "{error:?}");
    }
    let (order_id, transfer_id) = (OrderId::from_u128(1), TransferId::from_u128(1));
    let error = queries.order(order_id, version(1)).await.unwrap_err();
    assert!(matches!(error, HistoryError::NotFresh(NotFresh::OlderVersion { version: 0, needed: 1 })), "{error:?}");
    let error = queries.transfer(transfer_id, version(1)).await.unwrap_err();
    assert!(matches!(error, HistoryError::NotFresh(NotFresh::OlderVersion { version: 0, needed: 1 })), "{error:?}");

    let waiting = tokio::spawn({
        let queries = queries.clone();
        async move { queries.explain(stock(1), 1, 1, version(2)).await }
    });
    settled().await;
    assert!(!waiting.is_finished());
    let error = queries.explain(stock(1), 1, 1, version(3)).await.unwrap_err();
    assert!(matches!(error, HistoryError::NotFresh(NotFresh::TooManyWaiting)), "there is one place: {error:?}");
    assert!(queries.explain(stock(1), 1, 1, version(1)).await.unwrap().is_some(), "what is there takes no place");
    node.ask(add(1, 5)).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().level.version, 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_a_position_of_the_log_and_not_for_ever() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let queries = queries(&store, &node);
    let wanted = Freshness { min_position: Position(2), ..Freshness::ANY };
    node.ask(add(1, 5)).await.unwrap();
    let error = queries.explain(stock(1), 1, 1, wanted).await.unwrap_err();
    let is_behind =
        matches!(error, HistoryError::NotFresh(NotFresh::Behind { reached: Position(1), needed: Position(2) }));
    assert!(is_behind, "{error:?}");
    let waiting = tokio::spawn(async move { queries.explain(stock(1), 1, 1, wanted).await });
    settled().await;
    assert!(!waiting.is_finished());
    node.ask(add(2, 5)).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().level.version, 1, "whatever stock it is that has moved on");
}

/// The hint that the log has grown comes from this node's own appends alone.
#[tokio::test(start_paused = true)]
async fn what_another_node_has_written_is_there_although_no_hint_has_come() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let node = Node::on(&store);
    let catch_up = CatchUp::new(Arc::new(SilentLog(store.clone(), watch::Sender::default())), CATCH_UP);
    let waiting = tokio::spawn({
        let catch_up = catch_up.clone();
        async move { catch_up.until_log(Position(1)).await }
    });
    settled().await;
    node.ask(add(1, 5)).await.unwrap();
    waiting.await.unwrap().unwrap();
    catch_up.until_log(Position(1)).await.unwrap();
    let error = catch_up.until_log(Position(2)).await.unwrap_err();
    assert!(matches!(error, NotFresh::Behind { reached: Position(1), needed: Position(2) }), "{error:?}");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_not_an_empty_one() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let failing = Arc::new(FailingEventStore::new(store.clone(), Fault::Unavailable, 1));
    let (catch_up, clock) = (CatchUp::new(store.clone(), CATCH_UP), Arc::clone(&node.clock));
    let queries = HistoryQueries::new(failing, store.inner(), node.commands.clone(), clock, catch_up, 10);
    let error = queries.explain(stock(1), 1, 1, Freshness::ANY).await.unwrap_err();
    assert!(matches!(error, HistoryError::Store(StoreError::Unavailable(_))), "{error:?}");
    assert!(queries.explain(stock(1), 1, 1, Freshness::ANY).await.unwrap().is_none());
}

fn queries(store: &Arc<SlowStore>, node: &Node) -> HistoryQueries {
    let catch_up = CatchUp::new(store.clone(), CATCH_UP);
    let clock = Arc::clone(&node.clock);
    HistoryQueries::new(store.clone(), store.inner(), node.commands.clone(), clock, catch_up, 10)
}

fn after_noon(minutes: i64) -> Timestamp {
    Timestamp::from_millis(NOON.millis() + minutes * 60_000)
}

/// A history in which the stock moves on just before it is read.
struct BusyHistory {
    store: Arc<InMemoryEventStore>,
    commands: CommandSender,
}

#[async_trait]
impl EventHistory for BusyHistory {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.commands.send_stock(add(1, 5)).await.unwrap();
        self.store.stream_page(stream, after, limit).await
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        self.store.load_at(stock_id, at).await
    }
}

/// A log that says nothing of what is appended.
struct SilentLog(Arc<SlowStore>, watch::Sender<Position>);

#[async_trait]
impl EventLog for SilentLog {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        self.0.read(after, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.0.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.1.subscribe()
    }
}
