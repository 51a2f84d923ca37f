//! What an observer of the command loop is told.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use inventory_application::ports::{CommandKind, CommandOutcome};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{Condition, Request};

use support::{Node, SlowStore, add, commit, keyed, level, reserve, send_all, settled};

#[tokio::test]
async fn it_hears_of_every_command_by_kind_and_outcome() {
    let node = Node::on(&SlowStore::over(InMemoryEventStore::exclusive()));
    check(&node, add(1, 5), &["Answered: 1 groups, 1 events, 0 conflicts, 0 retries", "add granted"]).await;
    check(&node, reserve(1, 1, 6), &["reserve rejected"]).await;
    check(&node, level(1), &["level granted"]).await;
    check(&node, Request { condition: Condition::OneOf(vec![9]), ..add(1, 1) }, &["add version_mismatch"]).await;
    let once = "Answered: 1 groups, 1 events, 0 conflicts, 0 retries";
    let nothing = "Answered: 1 groups, 0 events, 0 conflicts, 0 retries";
    check(&node, keyed(1, reserve(1, 1, 2)), &[once, "reserve granted"]).await;
    check(&node, keyed(1, reserve(1, 1, 2)), &[nothing, "reserve repeated"]).await;
    check(&node, keyed(1, commit(1, 1)), &[nothing, "commit key_reused"]).await;
}

#[tokio::test]
async fn it_hears_of_a_batch_once() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    node.observed.take();
    send_all(&node, vec![add(1, 1), reserve(1, 1, 9), reserve(1, 2, 1)]).await.unwrap().unwrap();
    assert_eq!(
        node.observed.take(),
        ["Answered: 3 groups, 2 events, 0 conflicts, 0 retries", "add granted", "reserve rejected", "reserve granted"]
    );
}

#[tokio::test]
async fn it_hears_of_what_is_lost_to_another_node() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    store.conflict_always();
    let node = Node::with(&store, |settings| settings.conflict_tries_max = 2);
    let lost = "Answered: 1 groups, 0 events, 1 conflicts";
    check(&node, add(1, 1), &[&format!("{lost}, 1 retries"), &format!("{lost}, 0 retries"), "add contended"]).await;
}

#[tokio::test]
async fn it_hears_of_a_failure_and_of_what_came_too_late() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    store.fail_next_append(0);
    let failed = "OutcomeUnknown: 1 groups, 0 events, 0 conflicts, 0 retries";
    check(&node, add(1, 1), &[failed, "add outcome_unknown"]).await;
    let node = Node::with(&store, |settings| settings.queue_wait_ms_max = 0);
    check(&node, add(1, 1), &["add waited_too_long"]).await;
}

#[tokio::test]
async fn it_hears_of_what_was_decided_ahead_when_that_is_durable() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    node.observed.take();
    store.hold_appends();
    let first = node.send(add(1, 1));
    settled().await;
    let commands = node.commands.clone();
    let ahead = tokio::spawn(async move { commands.send_all(vec![add(1, 1), add(1, 1)]).await });
    settled().await;
    assert!(node.observed.take().is_empty(), "nothing is durable yet");
    store.let_appends_go();
    first.await.unwrap().unwrap();
    ahead.await.unwrap().unwrap();
    let batch = |count| format!("Answered: {count} groups, {count} events, 0 conflicts, 0 retries");
    assert_eq!(node.observed.take(), [&batch(1), "add granted", &batch(2), "add granted", "add granted"]);
}

#[test]
fn every_kind_and_outcome_has_a_name_and_a_place_of_its_own() {
    for (place, kind) in CommandKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place, "{}", kind.name());
    }
    for (place, outcome) in CommandOutcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, place, "{}", outcome.name());
    }
}

async fn check(node: &Node, request: Request, told: &[&str]) {
    node.observed.take();
    drop(node.ask(request).await);
    assert_eq!(node.observed.take(), told);
}
