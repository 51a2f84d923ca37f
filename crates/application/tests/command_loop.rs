//! What the command loop owes to those who send commands, on stores that wait, fail and are shared.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{AppendGroup, AppendOutcome, EventStore, LoadedStream, Snapshot, StoreError};
use inventory_application::testing::{FailingEventStore, Fault, InMemoryEventStore};
use inventory_application::{CommandError, CommandLoopSettings, Position, StreamId};
use inventory_domain::Timestamp;
use inventory_domain::inventory::Rejection;

use support::{NOON, Node, SlowStore, add, fold, held, level, log_of, release, reserve, settled, stock};

#[tokio::test]
async fn what_waits_is_decided_in_order_and_written_as_one_batch() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    store.hold_appends();
    let first = node.send(add(1, 10));
    settled().await;
    let reserves: Vec<_> = (1..=12).map(|id| node.send(reserve(1, id, 1))).collect();
    settled().await;
    store.let_appends_go();
    assert_eq!(first.await.unwrap().unwrap().level.version, 1);
    for (place, reserve) in reserves.into_iter().enumerate() {
        match reserve.await.unwrap() {
            Ok(answer) => assert_eq!(answer.level.version, place as u64 + 2, "in the order in which they came"),
            Err(CommandError::Rejected(Rejection::InsufficientStock { requested: 1, available: 0 })) => {
                assert!(place >= 10, "the first ten get one");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(store.batches(), [1, 12], "groups in each batch");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_nothing_is_done() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.queue_commands_max = 3);
    store.hold_appends();
    let written = node.send(add(1, 10));
    settled().await;
    let queued = [node.send(add(1, 20)), node.send(add(1, 30))];
    settled().await;
    assert!(matches!(node.ask(add(1, 40)).await, Err(CommandError::Overloaded)));
    assert_eq!(node.commands.refused(), 1);
    assert_eq!((node.commands.queue_depth(), node.commands.queue_depth_max()), (3, 3));
    store.let_appends_go();
    assert_eq!(written.await.unwrap().unwrap().level.quantity, 10);
    for (answer, quantity) in queued.into_iter().zip([30, 60]) {
        assert_eq!(answer.await.unwrap().unwrap().level.quantity, quantity);
    }
    assert_eq!(fold(&store, 1).await.quantity, 60);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_too_long_is_refused_and_nothing_is_done() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.queue_wait_ms_max = 100);
    store.hold_appends();
    let written = node.send(add(1, 10));
    settled().await;
    let late = node.send(add(1, 20));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let in_time = node.send(add(1, 30));
    settled().await;
    store.let_appends_go();
    assert!(written.await.unwrap().is_ok(), "what is being written is not cut off");
    assert!(matches!(late.await.unwrap(), Err(CommandError::WaitedTooLong)));
    assert_eq!(in_time.await.unwrap().unwrap().level.quantity, 40);
}

#[tokio::test]
async fn a_refusal_on_durable_events_needs_no_write_where_nobody_else_writes() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    node.ask(reserve(1, 1, 2)).await.unwrap_err();
    assert_eq!(node.ask(level(1)).await.unwrap().level.version, 1);
    assert_eq!(store.batches(), [1]);
}

#[tokio::test]
async fn a_refusal_is_checked_where_others_write_too() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    one.ask(add(1, 1)).await.unwrap();
    assert!(one.ask(reserve(1, 1, 2)).await.is_err());
    assert_eq!(store.batches(), [1, 1]);
    other.ask(add(1, 1)).await.unwrap();
    assert_eq!(one.ask(reserve(1, 1, 2)).await.unwrap().level.reserved, 2, "it would have been refused before");
    other.ask(release(1, 1)).await.unwrap();
    assert_eq!(one.ask(level(1)).await.unwrap().level.reserved, 0, "a strong read is checked likewise");
}

#[tokio::test]
async fn a_refusal_that_rests_on_uncommitted_events_waits_for_their_commit() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    store.hold_appends();
    let elsewhere = node.send(add(2, 1));
    settled().await;
    let (granted, refused) = (node.send(reserve(1, 1, 1)), node.send(reserve(1, 2, 1)));
    settled().await;
    store.fail_next_append(1);
    store.let_appends_go();
    elsewhere.await.unwrap().unwrap();
    for answer in [granted, refused] {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, CommandError::Store(_)), "nobody may be told that units are gone: {error:?}");
    }
    assert_eq!(node.ask(reserve(1, 2, 1)).await.unwrap().level.reserved, 1, "they were not");
}

#[tokio::test]
async fn who_lost_to_another_node_is_decided_again_and_taint_keeps_the_order() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    one.ask(add(1, 10)).await.unwrap();
    store.hold_appends();
    let elsewhere = one.send(add(2, 1));
    settled().await;
    // These expect versions 1 and 2; after the other node's event the second would match by accident.
    let reserves = [one.send(reserve(1, 1, 4)), one.send(reserve(1, 2, 4))];
    settled().await;
    store.let_appends_go();
    let theirs = other.ask(reserve(1, 3, 4)).await;
    elsewhere.await.unwrap().unwrap();
    let mut granted = u64::from(theirs.is_ok());
    for reserve in reserves {
        granted += u64::from(reserve.await.unwrap().is_ok());
    }
    assert_eq!(granted, 2, "of three reserves of 4 on 10");
    assert_eq!(fold(&store, 1).await.reserved, 8);
}

#[tokio::test]
async fn a_stale_node_loses_decides_again_and_wins() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    one.ask(add(1, 10)).await.unwrap();
    other.ask(reserve(1, 1, 4)).await.unwrap();
    store.hold_appends();
    let elsewhere = one.send(add(2, 1));
    settled().await;
    let reserves: Vec<_> = (2..=5).map(|id| one.send(reserve(1, id, 2))).collect();
    settled().await;
    store.let_appends_go();
    elsewhere.await.unwrap().unwrap();
    let mut answers = Vec::new();
    for reserve in reserves {
        answers.push(reserve.await.unwrap().map(|answer| answer.level.reserved).ok());
    }
    assert_eq!(answers, [Some(6), Some(8), Some(10), None], "still in the order in which they came");
}

#[tokio::test]
async fn two_nodes_never_oversell() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let nodes = [Node::on(&store), Node::on(&store)];
    nodes[0].ask(add(1, 100)).await.unwrap();
    let reserves: Vec<_> = (0..400).map(|id| nodes[id as usize % 2].send(reserve(1, id, 1))).collect();
    let mut granted = 0;
    for reserve in reserves {
        match reserve.await.unwrap() {
            Ok(_) => granted += 1,
            Err(CommandError::Rejected(Rejection::InsufficientStock { .. })) => (),
            Err(other) => panic!("{other:?}"),
        }
    }
    let level = fold(&store, 1).await;
    assert_eq!((granted, level.reserved, level.quantity), (100, 100, 100));
}

#[tokio::test(start_paused = true)]
async fn who_loses_every_try_is_told_so_and_taint_is_no_try() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let node = Node::with(&store, |settings| settings.conflict_tries_max = 3);
    node.ask(add(1, 10)).await.unwrap();
    let before = store.batches().len();
    store.conflict_always();
    let answers = [node.send(add(1, 1)), node.send(add(1, 2))];
    for answer in answers {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, CommandError::Contended { tries: 3 }), "{error:?}");
    }
    assert_eq!(store.batches()[before..], [2, 2, 2, 1, 1, 1], "the second starts to lose when the first has given up");
    assert_eq!(fold(&store, 1).await.quantity, 10);
}

#[tokio::test]
async fn whatever_fails_acknowledged_is_kept_and_the_loop_goes_on() {
    for fault in [Fault::Unavailable, Fault::UnknownButDone, Fault::UnknownAndNotDone] {
        let mut nth = 1;
        while run_with_fault(fault, nth).await {
            nth += 1;
        }
        assert!(nth > 6, "the runs have met {} calls of the store", nth - 1);
    }
}

/// Runs a few commands on a store whose `nth` call fails; says whether it has failed.
async fn run_with_fault(fault: Fault, nth: u64) -> bool {
    let inner = Arc::new(InMemoryEventStore::exclusive());
    let failing = Arc::new(FailingEventStore::new(inner.clone(), fault, nth));
    let node = Node::over(failing.clone(), inner.clone(), CommandLoopSettings::default());
    let mut acknowledged = Vec::new();
    let mut unknown = Vec::new();
    for (stock_number, id) in [(1, 1), (2, 2), (1, 3), (2, 4), (1, 5)] {
        let given = node.ask(add(stock_number, 10)).await;
        note(given.map(|_| ()), (stock_number, 0), &mut acknowledged, &mut unknown, fault);
        let taken = node.ask(reserve(stock_number, id, 1)).await;
        if matches!(taken, Err(CommandError::Rejected(_))) {
            assert!(held(&inner, stock_number).await.is_empty(), "it has nothing, or it would have been granted");
            continue;
        }
        note(taken.map(|_| ()), (stock_number, id), &mut acknowledged, &mut unknown, fault);
    }
    for number in [1, 2] {
        let held = held(&inner, number).await;
        for (_, id) in acknowledged.iter().filter(|(of, id)| *of == number && *id > 0) {
            assert!(held.contains(id), "{fault:?} {nth}: reservation {id} of stock {number} was acknowledged");
        }
        for id in &held {
            let is_known = acknowledged.contains(&(number, *id)) || unknown.contains(&(number, *id));
            assert!(is_known, "{fault:?} {nth}: reservation {id} of stock {number} was refused");
        }
        let told = node.ask(level(number)).await.unwrap().level;
        let kept = fold(&inner, number).await;
        assert_eq!(told, kept, "{fault:?} {nth}: the loop knows what is stored");
    }
    failing.has_failed()
}

fn note(
    answer: Result<(), CommandError>,
    what: (u128, u128),
    acknowledged: &mut Vec<(u128, u128)>,
    unknown: &mut Vec<(u128, u128)>,
    fault: Fault,
) {
    match answer {
        Ok(()) => acknowledged.push(what),
        Err(CommandError::Store(error)) => match *error {
            StoreError::Unavailable(_) => (), // Nothing was done.
            StoreError::OutcomeUnknown(_) if fault != Fault::Unavailable => unknown.push(what),
            _ => panic!("{error:?}"),
        },
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stop_finishes_what_was_accepted_and_takes_no_more() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    store.hold_appends();
    let written = node.send(add(1, 1));
    settled().await;
    let queued: Vec<_> = (0..5).map(|_| node.send(add(1, 1))).collect();
    settled().await;
    let stopped = node.stop();
    settled().await;
    assert!(matches!(node.ask(add(1, 1)).await, Err(CommandError::ShuttingDown)));
    assert!(!stopped.is_finished(), "it waits for what is being written");
    store.let_appends_go();
    written.await.unwrap().unwrap();
    for answer in queued {
        answer.await.unwrap().unwrap();
    }
    stopped.await.unwrap();
    assert_eq!(fold(&store, 1).await.quantity, 6);
}

#[tokio::test]
async fn a_client_that_hangs_up_interrupts_nothing() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    store.hold_appends();
    let gone = [node.send(add(1, 5)), node.send(add(1, 6))];
    settled().await;
    for client in gone {
        client.abort();
    }
    settled().await;
    store.let_appends_go();
    assert_eq!(node.ask(level(1)).await.unwrap().level.quantity, 11);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_unavailable_until_it_can() {
    let inner = Arc::new(InMemoryEventStore::exclusive());
    let node = Node::over(
        Arc::new(FailingEventStore::new(inner.clone(), Fault::Unavailable, 1)),
        inner,
        CommandLoopSettings::default(),
    );
    let error = node.ask(add(1, 1)).await.unwrap_err();
    assert!(matches!(&error, CommandError::Store(store) if matches!(**store, StoreError::Unavailable(_))), "{error:?}");
    node.ask(add(1, 1)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_panics_in_a_read_is_unavailable_until_it_can_read() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let panicking = Arc::new(PanickingStore { inner: store.clone(), panics: AtomicBool::new(true) });
    let node = Node::over(panicking, store, CommandLoopSettings::default());
    let error = node.ask(add(1, 10)).await.unwrap_err();
    assert!(
        matches!(&error, CommandError::Store(error) if matches!(**error, StoreError::Unavailable(_))),
        "nothing was done: {error:?}"
    );
    assert_eq!(node.ask(add(1, 5)).await.unwrap().level.quantity, 5);
}

#[tokio::test]
async fn a_slow_read_of_one_stream_does_not_hold_up_the_others() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    store.hold_loads();
    let waiting = [node.send(add(2, 2)), node.send(add(2, 3))];
    settled().await;
    assert_eq!(node.ask(add(1, 1)).await.unwrap().level.quantity, 2, "its stream is in memory");
    store.let_loads_go();
    for (answer, quantity) in waiting.into_iter().zip([2, 5]) {
        assert_eq!(answer.await.unwrap().unwrap().level.quantity, quantity, "order within a stream is kept");
    }
    assert_eq!(store.loads.load(Ordering::SeqCst), 2, "one read a stream");
}

#[tokio::test]
async fn a_batch_is_bounded_however_many_have_waited() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.batch_commands_max = 2);
    store.hold_loads();
    let waiting: Vec<_> = (0..5).map(|_| node.send(add(1, 1))).collect();
    settled().await;
    store.let_loads_go();
    for (answer, quantity) in waiting.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap().unwrap().level.quantity, quantity);
    }
    assert_eq!(store.batches(), [2, 2, 1]);
}

#[tokio::test]
async fn more_stocks_than_states_are_read_again() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| {
        settings.states_max = 2;
        settings.batch_commands_max = 2;
    });
    for round in 1..=3 {
        let answers: Vec<_> = (1..=5).map(|number| node.send(add(number, 1))).collect();
        for answer in answers {
            assert_eq!(answer.await.unwrap().unwrap().level.quantity, round);
        }
    }
    assert!(store.loads.load(Ordering::SeqCst) > 5, "some had to be read again");
}

#[tokio::test]
async fn readers_and_listeners_know_before_the_client() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let answer = node.ask(add(1, 7)).await.unwrap();
    assert_eq!(node.acknowledged.level(stock(1)), Ok((answer.level, answer.position)));
    assert_eq!(answer.position, Position(1));
    node.ask(reserve(1, 1, 8)).await.unwrap_err();
    assert_eq!(*node.heard.lock().unwrap(), [Position(1)], "a refusal is no news");
}

#[tokio::test]
async fn history_never_goes_back_when_the_clock_does() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 1)).await.unwrap();
    node.clock.set(Timestamp::from_millis(NOON.millis() - 60_000));
    node.ask(add(1, 1)).await.unwrap();
    node.ask(add(2, 1)).await.unwrap();
    let times: Vec<i64> = log_of(&store).await.iter().map(|event| event.recorded_at.millis() - NOON.millis()).collect();
    assert_eq!(times, [0, 0, -60_000], "each stream for itself");
}

#[tokio::test]
async fn a_reserve_again_holds_once_and_answers_as_before() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    let first = node.ask(reserve(1, 1, 2)).await.unwrap();
    assert_eq!(node.ask(reserve(1, 1, 2)).await.unwrap(), first);
    assert!(first.expires_at.is_some_and(|deadline| deadline > NOON));
    assert_eq!(log_of(&store).await.len(), 2);
}

/// A store whose first read panics.
struct PanickingStore {
    inner: Arc<SlowStore>,
    panics: AtomicBool,
}

#[async_trait]
impl EventStore for PanickingStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        self.inner.append(batch).await
    }

    async fn load(&self, streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "injected");
        self.inner.load(streams).await
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.inner.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }
}
