//! What an observer of the command loop is told.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;

use inventory_application::ports::{
    AppendEnd, CommandKind, CommandObserver, CommandOutcome, Metadata, ObservedBatch, ObservedCommand, StoreError,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{Ask, CommandError, Condition, Request};
use inventory_domain::inventory::{Adjust, Extend, OrderLineRef, Rejection, ReleaseCause};
use inventory_domain::{
    HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, TransferId, inventory, order, transfer,
};

use support::{
    Node, Observed, SlowStore, add, change, commit, keyed, level, order_request, place, release, reserve, send_all,
    settled, start, stock,
};

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
fn every_ask_is_of_the_kind_that_its_name_says() {
    use inventory::Command;
    let (stock_id, transfer_id) = (stock(1), TransferId::from_u128(1));
    let (quantity, reason) = (Quantity::new(1).unwrap(), Reason::new("said").unwrap());
    let (reservation_id, order_id) = (ReservationId::from_u128(1), OrderId::from_u128(1));
    let line = OrderLineRef { order_id, reservation_id };
    let store_id = stock_id.store_id;
    let kind = |request: &Request| CommandKind::from(&request.ask).name();
    let counted = StockQuantity::new(1).unwrap();
    let of_stock = [
        (add(1, 1), "add"),
        (reserve(1, 1, 1), "reserve"),
        (commit(1, 1), "commit"),
        (release(1, 1), "release"),
        (change(1, Command::Extend(Extend { reservation_id, hold_for: HoldFor::DEFAULT })), "extend"),
        (change(1, Command::Adjust(Adjust { counted, reason: reason.clone(), then: None })), "adjust"),
        (change(1, Command::ReleaseExpired { reservations_max: 1 }), "expire"),
        (level(1), "level"),
    ];
    for (request, name) in &of_stock {
        assert_eq!(kind(request), *name);
    }
    let parts = [
        Command::CommitOrderLine(line),
        Command::ReleaseOrderLine { line, cause: ReleaseCause::Expired },
        Command::TransferOut { transfer_id, to_store_id: store_id, quantity, reason: reason.clone() },
        Command::TransferIn { transfer_id, from_store_id: store_id, quantity },
        Command::CancelTransfer { transfer_id, quantity },
    ];
    for part in parts {
        assert_eq!(kind(&change(1, part.clone())), "part", "{part:?}");
    }
    let of_order = [
        (place(&[(1, 1)]), "order_place"),
        (order::Command::Commit, "order_commit"),
        (order::Command::Release { reason }, "order_release"),
        (order::Command::Expire, "order_expire"),
    ];
    for (command, name) in of_order {
        let request = order_request(1, command.clone());
        assert_eq!(kind(&request), name);
        let dry_run = Request::plain(Ask::Order { order_id, command, is_dry_run: true });
        assert_eq!(kind(&dry_run), "order_dry_run", "{name}");
    }
    let of_transfer = [
        (start(1, 1), "transfer_start"),
        (transfer::Command::Receive { quantity: None }, "transfer_receive"),
        (transfer::Command::Cancel, "transfer_cancel"),
    ];
    for (command, name) in of_transfer {
        assert_eq!(kind(&Request::plain(Ask::Transfer { transfer_id, command })), name);
    }
}

#[test]
fn an_outcome_says_whether_something_may_have_been_done() {
    let store = |error| CommandError::Store(Arc::new(error));
    let errors = [
        (CommandError::Rejected(Rejection::InsufficientStock { requested: 2, available: 1 }), "rejected"),
        (CommandError::OrderRejected(order::Rejection::OrderExpired), "rejected"),
        (CommandError::TransferRejected(transfer::Rejection::TransferNotFound), "rejected"),
        (CommandError::Shortfalls(Vec::new()), "rejected"),
        (CommandError::VersionMismatch { current: 3 }, "version_mismatch"),
        (CommandError::KeyReused, "key_reused"),
        (CommandError::WaitedTooLong, "waited_too_long"),
        (CommandError::PastUnknown, "past_unknown"),
        (CommandError::Contended { tries: 3 }, "contended"),
        (CommandError::Overloaded, "unavailable"),
        (CommandError::ShuttingDown, "unavailable"),
        (CommandError::Abandoned, "outcome_unknown"),
        (store(StoreError::Unavailable("injected".into())), "unavailable"),
        (store(StoreError::OutcomeUnknown("injected".into())), "outcome_unknown"),
        (store(StoreError::Damaged("injected".into())), "damaged"),
    ];
    for (error, name) in errors {
        assert_eq!(CommandOutcome::from(&error).name(), name, "{error:?}");
    }
    let ends = [
        (StoreError::Unavailable("injected".into()), AppendEnd::Unavailable),
        (StoreError::OutcomeUnknown("injected".into()), AppendEnd::OutcomeUnknown),
        (StoreError::Damaged("injected".into()), AppendEnd::Damaged),
    ];
    for (error, end) in ends {
        assert_eq!(AppendEnd::from(&error), end);
    }
}

#[tokio::test]
async fn several_observers_are_told_the_same() {
    let now = tokio::time::Instant::now();
    let batch = ObservedBatch {
        deciding_began: now,
        deciding_ended: now,
        append_began: now,
        append_ended: now,
        groups: 1,
        events: 2,
        conflicts: 3,
        retries: 4,
        append: AppendEnd::Answered,
    };
    let metadata = Metadata::default();
    let (kind, outcome) = (CommandKind::Add, CommandOutcome::Granted);
    let command = ObservedCommand { kind, outcome, queued_at: now, tries: 0, metadata: &metadata };
    let (one, other) = (Arc::new(Observed::default()), Arc::new(Observed::default()));
    let both: Vec<Arc<dyn CommandObserver>> = vec![one.clone(), other.clone()];
    both.settled(&batch, &[command, ObservedCommand { kind: CommandKind::Reserve, ..command }]);
    both.answered_at_once(&ObservedCommand { outcome: CommandOutcome::Rejected, ..command });
    for told in [one.take(), other.take()] {
        let first = "Answered: 1 groups, 2 events, 3 conflicts, 4 retries";
        assert_eq!(told, [first, "add granted", "reserve granted", "add rejected"]);
    }
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
