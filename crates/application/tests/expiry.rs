//! What has run out is freed soon after its deadline, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use inventory_application::expiry::ACTOR;
use inventory_application::ports::EventLog;
use inventory_application::testing::{InMemoryEventStore, LogReservations};
use inventory_application::{ExpiryProcess, ExpirySettings, ExpiryStatus, Position};
use inventory_domain::inventory::{Command, Extend};
use inventory_domain::order::OrderStatus;
use inventory_domain::{HoldFor, ReservationId, Timestamp};
use tokio::sync::watch;

use support::{NOON, Node, SlowStore, add, change, commit, fold, log_of, place, reserve, settled};

const SETTINGS: ExpirySettings =
    ExpirySettings { poll_ms: 10, reservations_max: 5, reservations_of_stock_max: 2, catch_up_ms_max: 0 };

#[tokio::test(start_paused = true)]
async fn what_is_due_is_freed_and_nothing_else() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    for number in 1..=3 {
        node.ask(add(number, 100)).await.unwrap();
        for id in 1..=8 {
            node.ask(reserve(number, id, 1)).await.unwrap();
        }
    }
    node.ask(commit(1, 8)).await.unwrap();
    let extend = Extend { reservation_id: ReservationId::from_u128(7), hold_for: HoldFor::from_minutes(60).unwrap() };
    node.ask(change(1, Command::Extend(extend))).await.unwrap();
    node.order(1, place(&[(1, 5), (2, 5)])).await.unwrap();
    let (process, status) = start(&node, &store);
    node.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000 - 1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fold(&store, 2).await.reserved, 13, "a millisecond before the deadline");
    node.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    tokio::time::sleep(Duration::from_millis(500)).await;
    settled().await;
    assert_eq!((status.due(), status.failures()), (0, 0));
    assert!(status.behind_for() < Duration::from_millis(50), "it has caught up");
    assert_eq!((fold(&store, 1).await.reserved, fold(&store, 1).await.quantity), (1, 99), "the one that was extended");
    assert_eq!((fold(&store, 2).await.reserved, fold(&store, 3).await.reserved), (0, 0));
    let error = node.order(1, inventory_domain::order::Command::Commit).await.unwrap_err();
    assert_eq!(error.to_string(), "the order has expired");
    let freed: Vec<_> =
        log_of(&store).await.into_iter().filter(|event| event.metadata.actor.as_deref() == Some(ACTOR)).collect();
    assert_eq!(freed.len(), 6 + 8 + 8 + 3, "each once: reservations, and the order with its two lines");
    assert!(freed.iter().all(|event| event.recorded_at == Timestamp::from_millis(NOON.millis() + 30 * 60_000)));
    let before = log_of(&store).await.len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(log_of(&store).await.len(), before, "and then there is quiet");
    process.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_fails_is_told_and_tried_again() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 100)).await.unwrap();
    node.order(1, place(&[(1, 5)])).await.unwrap();
    node.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    let (process, status) = start(&node, &store);
    store.fail_next_append(0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fold(&store, 1).await.reserved, 0);
    let order = node.order(1, inventory_domain::order::Command::Expire).await.unwrap();
    assert_eq!(order, OrderStatus::Expired);
    assert_eq!(status.failures(), 1);
    process.abort();
}

fn start(node: &Node, store: &Arc<SlowStore>) -> (tokio::task::JoinHandle<()>, Arc<ExpiryStatus>) {
    let log: Arc<dyn EventLog> = store.clone();
    let (checkpoint, clock) = (watch::Sender::new(Position(u64::MAX)).subscribe(), node.clock.clone());
    let views = Arc::new(LogReservations::of(log));
    let process = ExpiryProcess::new(views, node.commands.clone(), clock, checkpoint, SETTINGS);
    let status = process.status();
    (tokio::spawn(process.run(std::future::pending(), |_| ())), status)
}
