//! What the past is, for whoever asks about it.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;

use inventory_application::testing::InMemoryEventStore;
use inventory_application::{CatchUp, CatchUpSettings, HistoryQueries};

use support::{NOON, Node, SlowStore, add, settled, stock};

/// Events have the time at which they were decided: one that is still being written belongs to a past moment already.
#[tokio::test]
async fn a_moment_that_has_just_passed_is_told_once_all_that_belongs_to_it_is_in_the_log() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let (history, clock) = (store.inner(), Arc::clone(&node.clock));
    let catch_up = CatchUp::new(store.clone(), CatchUpSettings { wait_ms_max: 2_000, waiting_max: 10 });
    let queries = HistoryQueries::new(store.clone(), history, node.commands.clone(), clock, catch_up, 10);
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
