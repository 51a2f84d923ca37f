//! A client's batch that comes while another one is being written is decided on top of it, and again where that doesn't hold.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;

use inventory_application::ports::EventStore;
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{CommandError, CommandLoopSettings, Request, Verdict};
use inventory_domain::Timestamp;
use inventory_domain::inventory::Rejection;
use tokio::task::JoinHandle;

use support::{NOON, Node, SlowStore, add, fold, held, keyed, log_of, reserve, send_all, settled, stock};

/// An hour after noon.
const LATER: Timestamp = Timestamp::from_millis(NOON.millis() + 3_600_000);

#[tokio::test]
async fn it_is_decided_meanwhile_and_answered_after_both_are_durable() {
    let (store, node) = five_units().await;
    let (below, on_top) = two_batches(&store, &node, vec![add(1, 10)]).await;
    node.clock.set(LATER);
    store.let_appends_go();
    assert!(below.await.unwrap()[0].is_ok());
    assert_eq!(told(&on_top.await.unwrap()), ["version 3", "3 available"]);
    assert_eq!(store.batches(), [1, 1, 2]);
    let log = log_of(&store).await;
    assert_eq!(log.last().unwrap().recorded_at, NOON, "it was decided while the other one was being written");
}

#[tokio::test]
async fn it_is_decided_again_when_the_batch_below_fails() {
    let (store, node) = five_units().await;
    store.fail_next_append(0);
    let (below, on_top) = two_batches(&store, &node, vec![add(1, 10)]).await;
    store.let_appends_go();
    assert!(matches!(below.await.unwrap()[0], Err(CommandError::Store(_))));
    assert_eq!(told(&on_top.await.unwrap()), ["5 available", "version 2"]);
    assert_eq!((fold(&store, 1).await.quantity, held(&store, 1).await), (5, [2].into()));
}

#[tokio::test]
async fn it_is_decided_again_when_the_batch_below_loses() {
    let (store, node) = five_units().await;
    let (below, on_top) = two_batches(&store, &node, vec![add(1, 4)]).await;
    // It should be alone with its store, and isn't.
    let other = Node::over(store.inner(), store.inner(), CommandLoopSettings::default());
    other.ask(reserve(1, 7, 5)).await.unwrap();
    store.let_appends_go();
    assert!(below.await.unwrap()[0].is_ok());
    assert_eq!(told(&on_top.await.unwrap()), ["4 available", "version 4"]);
    assert_eq!((fold(&store, 1).await.quantity, held(&store, 1).await), (9, [2, 7].into()));
}

#[tokio::test]
async fn nothing_is_decided_on_top_of_what_may_be_a_repeat() {
    let (store, node) = five_units().await;
    let (below, on_top) = two_batches(&store, &node, vec![keyed(1, add(1, 10))]).await;
    node.clock.set(LATER);
    store.let_appends_go();
    assert!(below.await.unwrap()[0].is_ok());
    assert_eq!(told(&on_top.await.unwrap()), ["version 3", "3 available"]);
    assert_eq!(log_of(&store).await.last().unwrap().recorded_at, LATER, "it waited");
}

#[tokio::test]
async fn what_has_to_wait_for_the_batch_below_does_not_wait_for_ever() {
    let (store, node) = five_units().await;
    store.hold_appends();
    let held = send_all(&node, vec![reserve(1, 1, 1)]);
    settled().await;
    let again = send_all(&node, vec![keyed(1, reserve(1, 1, 1))]);
    settled().await;
    let more: Vec<_> = (0..5).map(|_| send_all(&node, vec![add(1, 1)])).collect();
    settled().await;
    store.let_appends_go();
    assert!(held.await.unwrap().unwrap()[0].is_ok());
    assert!(again.await.unwrap().unwrap()[0].is_ok());
    for more in more {
        assert!(more.await.unwrap().unwrap()[0].is_ok());
    }
    assert_eq!(fold(&store, 1).await.quantity, 10);
}

#[tokio::test]
async fn a_stock_that_changes_many_times_in_a_batch_is_kept_as_it_is_after_the_batch() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.snapshot_every_events = 10);
    let adds = |count: usize| (0..count).map(|_| add(1, 1)).collect();
    send_all(&node, adds(25)).await.unwrap().unwrap();
    store.hold_appends();
    let below = send_all(&node, adds(12));
    settled().await;
    let on_top = send_all(&node, adds(3));
    settled().await;
    store.let_appends_go();
    below.await.unwrap().unwrap();
    on_top.await.unwrap().unwrap();
    settled().await;
    let loaded = store.load(vec![stock(1).into()]).await.unwrap().remove(0);
    assert_eq!((loaded.snapshot.unwrap().version(), loaded.events.len()), (37, 3));
}

/// A node whose store has five units of stock 1.
async fn five_units() -> (Arc<SlowStore>, Node) {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    (store, node)
}

type Batch = JoinHandle<Vec<Verdict>>;

/// A batch that waits for the store, and one that comes meanwhile: 12 units, then 4.
async fn two_batches(store: &Arc<SlowStore>, node: &Node, below: Vec<Request>) -> (Batch, Batch) {
    let verdicts = |sent: JoinHandle<Result<Vec<Verdict>, CommandError>>| {
        tokio::spawn(async move { sent.await.unwrap().unwrap() })
    };
    store.hold_appends();
    let below = verdicts(send_all(node, below));
    settled().await;
    let on_top = verdicts(send_all(node, vec![reserve(1, 1, 12), reserve(1, 2, 4)]));
    settled().await;
    assert!(!below.is_finished() && !on_top.is_finished());
    (below, on_top)
}

fn told(verdicts: &[Verdict]) -> Vec<String> {
    let one = |verdict: &Verdict| match verdict {
        Ok(inventory_application::Answer::Stock(answer)) => format!("version {}", answer.level.version),
        Err(CommandError::Rejected(Rejection::InsufficientStock { available, .. })) => format!("{available} available"),
        other => panic!("{other:?}"),
    };
    verdicts.iter().map(one).collect()
}
