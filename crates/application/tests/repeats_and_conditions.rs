//! Requests under a key, requests with a condition, batches, and reservations that a stock has forgotten.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use inventory_application::ports::{EventLog, EventStore, RecordedEvent, StoreError};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    Answer, Ask, CommandError, CommandLoopSettings, Condition, Position, Request, RequestKey, StockAnswer,
};
use inventory_domain::TransferId;
use inventory_domain::inventory::Rejection;
use tokio::sync::watch;

use support::{
    Node, SlowStore, add, commit, fold, held, keyed, level, log_of, order_request, place, release, reserve, send_all,
    settled, start, stock,
};

#[tokio::test]
async fn sixty_four_repeats_at_once_have_one_effect_and_one_answer() {
    for store in [InMemoryEventStore::exclusive(), InMemoryEventStore::shared()] {
        let store = SlowStore::over(store);
        let nodes =
            if store.is_exclusive() { vec![Node::on(&store)] } else { vec![Node::on(&store), Node::on(&store)] };
        nodes[0].ask(add(1, 10)).await.unwrap();
        let all: Vec<_> = (0..64).map(|place| nodes[place % nodes.len()].send(keyed(7, reserve(1, 1, 3)))).collect();
        let mut firsts = 0;
        for answer in all {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!((answer.level.reserved, answer.level.version, answer.position.0), (3, 2, 2));
            assert!(answer.expires_at.is_some() && answer.reservation_id.is_some());
            firsts += u32::from(!answer.is_repeat);
        }
        assert_eq!(firsts, 1);
        assert_eq!(fold(&store, 1).await.reserved, 3);
    }
}

#[tokio::test]
async fn a_repeat_is_told_what_the_first_was_told_whatever_has_happened_since() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 10)).await.unwrap();
    node.ask(reserve(1, 1, 3)).await.unwrap();
    let first = node.ask(keyed(1, commit(1, 1))).await.unwrap();
    node.ask(add(1, 5)).await.unwrap();
    let repeat = node.ask(keyed(1, commit(1, 1))).await.unwrap();
    assert_eq!(repeat, StockAnswer { is_repeat: true, ..first }, "and not that it is committed");
    assert!(matches!(node.ask(keyed(1, commit(1, 2))).await, Err(CommandError::KeyReused)));
    assert_eq!(node.ask(level(1)).await.unwrap().level.quantity, 12);
    let another_node = Node::on(&store);
    assert_eq!(another_node.ask(keyed(1, commit(1, 1))).await.unwrap(), repeat);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    assert!(matches!(node.ask(keyed(1, reserve(1, 1, 3))).await, Err(CommandError::Rejected(_))));
    node.ask(add(1, 3)).await.unwrap();
    let granted = node.ask(keyed(1, reserve(1, 1, 3))).await.unwrap();
    assert!(!granted.is_repeat);
}

#[tokio::test]
async fn a_success_without_events_is_remembered_with_the_position_it_was_told() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 10)).await.unwrap();
    store.hold_appends();
    let elsewhere = node.send(add(2, 1));
    settled().await;
    let made = node.send(reserve(1, 1, 3));
    let again = node.send(keyed(1, reserve(1, 1, 3))); // The same reservation: granted, with no event of its own.
    settled().await;
    store.let_appends_go();
    elsewhere.await.unwrap().unwrap();
    let (made, again) = (made.await.unwrap().unwrap(), again.await.unwrap().unwrap());
    assert_eq!((again.level, again.position), (made.level, made.position));
    node.ask(add(1, 1)).await.unwrap();
    let repeat = node.ask(keyed(1, reserve(1, 1, 3))).await.unwrap();
    assert_eq!(repeat, StockAnswer { is_repeat: true, ..again });
}

#[tokio::test]
async fn a_repeat_in_the_middle_of_a_batch_spoils_nothing() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let requests = vec![
        add(1, 10),
        keyed(1, reserve(1, 1, 3)),
        keyed(1, reserve(1, 1, 3)),
        reserve(1, 2, 3),
        keyed(2, reserve(1, 3, 2)),
        keyed(2, reserve(1, 4, 2)),
        keyed(1, reserve(1, 1, 3)),
        reserve(1, 5, 3),
        add(2, 1),
    ];
    let verdicts = send_all(&node, requests).await.unwrap().unwrap();
    let told = verdicts.iter().map(|verdict| match verdict {
        Ok(Answer::Stock(answer)) => {
            format!("{}{}", answer.level.reserved, if answer.is_repeat { " again" } else { "" })
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    });
    let no = "3 units asked for, 2 available";
    let expected = ["0", "3", "3 again", "6", "8", "the key was used for another request", "3 again", no, "0"];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(held(&store, 1).await.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_batch_is_admitted_whole_decided_in_order_and_written_once() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.queue_commands_max = 1_000);
    let many = |count: u128| (0..count).map(|id| reserve(id % 7, id + 1, 1)).collect::<Vec<_>>();
    assert!(matches!(send_all(&node, many(1_001)).await.unwrap(), Err(CommandError::Overloaded)));
    assert!(send_all(&node, Vec::new()).await.unwrap().unwrap().is_empty());
    let stock_up: Vec<_> = (0..7).map(|number| add(number, 100)).collect();
    let requests: Vec<Request> = stock_up.into_iter().chain(many(993)).collect();
    let verdicts = send_all(&node, requests).await.unwrap().unwrap();
    assert_eq!(verdicts.len(), 1_000);
    let granted = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    assert_eq!(granted, 7 + 700, "a hundred of each stock, refusals for the rest");
    assert_eq!(store.batches().len(), 1, "one batch, although no stock was in memory");
    assert_eq!(node.commands.queue_depth(), 0);
}

#[tokio::test]
async fn a_condition_is_compared_with_the_version() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let when = |condition: Condition, request: Request| Request { condition, ..request };
    let refused = |answer: Result<StockAnswer, CommandError>| match answer {
        Err(CommandError::VersionMismatch { current }) => current,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(node.ask(when(Condition::Exists, add(1, 1))).await), 0);
    assert_eq!(refused(node.ask(when(Condition::OneOf(vec![0, 1]), add(1, 1))).await), 0);
    node.ask(add(1, 5)).await.unwrap();
    assert_eq!(refused(node.ask(when(Condition::OneOf(vec![2]), add(1, 1))).await), 1);
    assert_eq!(node.ask(when(Condition::OneOf(vec![7, 1]), add(1, 1))).await.unwrap().level.version, 2);
    assert_eq!(node.ask(when(Condition::Exists, add(1, 1))).await.unwrap().level.version, 3);
    // The key comes first: a repeat of what was done at version 3 is no mismatch.
    let conditional = || when(Condition::OneOf(vec![3]), add(1, 1));
    assert!(!node.ask(keyed(1, conditional())).await.unwrap().is_repeat);
    assert!(node.ask(keyed(1, conditional())).await.unwrap().is_repeat);
    assert_eq!(refused(node.ask(keyed(2, conditional())).await), 4);
}

#[tokio::test]
async fn a_reservation_that_the_stock_has_forgotten_is_asked_of_the_read_side() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.closed_reservations_remembered = 2);
    node.ask(add(1, 10)).await.unwrap();
    for id in 1..=4 {
        node.ask(reserve(1, id, 1)).await.unwrap();
        node.ask(if id % 2 == 0 { commit(1, id) } else { release(1, id) }).await.unwrap();
    }
    let refusal = async |request| match node.ask(request).await {
        Err(CommandError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    };
    // 1 and 2 are forgotten, 3 and 4 are not.
    for id in 1..=4 {
        let taken = refusal(reserve(1, id, 1)).await;
        assert!(matches!(taken, Rejection::ReservationExists(_)), "a late repeat would hold twice: {taken:?}");
        let closed = refusal(commit(1, id)).await;
        let is_named = match closed {
            Rejection::ReservationReleased(_) => id % 2 == 1,
            Rejection::ReservationCommitted(_) => id % 2 == 0,
            _ => false,
        };
        assert!(is_named, "{id}: {closed:?}");
    }
    assert!(matches!(refusal(commit(1, 9)).await, Rejection::ReservationNotFound(_)));
    assert_eq!(node.ask(reserve(1, 9, 1)).await.unwrap().level.reserved, 1);
    let batch = vec![reserve(1, 1, 1), reserve(1, 10, 1), commit(1, 10), commit(1, 2), add(1, 1)];
    let verdicts = send_all(&node, batch).await.unwrap().unwrap();
    assert_eq!(verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, false, true]);
}

/// A node whose stock has closed three reservations and remembers one, with a read side that shows as much of the log as it is let.
async fn forgetful() -> (Arc<SlowStore>, Arc<ShownLog>, Node) {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let log = Arc::new(ShownLog { store: store.clone(), shown: AtomicU64::new(u64::MAX) });
    let settings = CommandLoopSettings { closed_reservations_remembered: 1, ..CommandLoopSettings::default() };
    let node = Node::over(store.clone(), log.clone(), settings);
    node.ask(add(1, 10)).await.unwrap();
    for id in 1..=3 {
        node.ask(reserve(1, id, 1)).await.unwrap();
        node.ask(release(1, id)).await.unwrap();
    }
    (store, log, node)
}

#[tokio::test(start_paused = true)]
async fn a_read_side_that_is_behind_is_waited_for_and_not_for_ever() {
    let (store, log, node) = forgetful().await;
    // What the read side has seen so far is what there was before the reservation was closed.
    for shown in [0, 2] {
        log.shown.store(shown, Ordering::SeqCst);
        node.observed.take();
        let error = node.ask(reserve(1, 1, 1)).await.unwrap_err();
        assert!(matches!(error, CommandError::PastUnknown), "with {shown} shown: {error:?}");
        assert_eq!(node.observed.take(), ["reserve past_unknown"]);
    }
    let waiting = node.send(reserve(1, 1, 1));
    settled().await;
    assert!(!waiting.is_finished());
    assert_eq!(node.ask(add(1, 1)).await.unwrap().level.quantity, 11, "nobody else waits");
    log.shown.store(u64::MAX, Ordering::SeqCst);
    let refused = waiting.await.unwrap();
    assert!(matches!(refused, Err(CommandError::Rejected(Rejection::ReservationExists(_)))), "{refused:?}");
    assert_eq!(fold(&store, 1).await.reserved, 0, "nothing was held twice");
}

#[tokio::test]
async fn a_batch_whose_past_is_unknown_is_refused_and_nothing_of_it_is_done() {
    let (store, log, node) = forgetful().await;
    let before = log_of(&store).await.len();
    log.shown.store(GONE, Ordering::SeqCst);
    let batch = vec![add(2, 1), reserve(1, 1, 1), add(3, 1)];
    let verdicts = send_all(&node, batch).await.unwrap().unwrap();
    assert!(verdicts.iter().all(|one| matches!(one, Err(CommandError::PastUnknown))), "{verdicts:?}");
    assert_eq!((verdicts.len(), log_of(&store).await.len()), (3, before), "nothing of it was done");
    assert_eq!(node.commands.queue_depth(), 0);
    log.shown.store(u64::MAX, Ordering::SeqCst);
    let verdicts = send_all(&node, vec![add(2, 1), reserve(1, 1, 1), add(3, 1)]).await.unwrap().unwrap();
    assert_eq!(verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn an_answer_of_another_kind_under_the_same_key_is_damage() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 10)).await.unwrap();
    let start = Ask::Transfer { transfer_id: TransferId::from_u128(1), command: start(1, 2) };
    let asks = [add(1, 1), order_request(1, place(&[(1, 3)])), Request::plain(start)];
    // No two requests have the same hash, so only what is stored can be wrong.
    let key = |append_id| Some(RequestKey { append_id: [append_id; 16], request_hash: [7; 16] });
    for (append_id, first) in (1..).zip(&asks) {
        let first = Request { key: key(append_id), ..first.clone() };
        node.commands.send(first.clone()).await.unwrap();
        let under_it = || Request { key: key(append_id), ..level(1) };
        let as_stock = node.commands.send_stock(Request { ask: first.ask.clone(), ..under_it() }).await;
        let as_order = node.commands.send_order(Request { ask: first.ask.clone(), ..under_it() }).await;
        let as_transfer = node.commands.send_transfer(Request { ask: first.ask.clone(), ..under_it() }).await;
        let told = [as_stock.map(drop), as_order.map(drop), as_transfer.map(drop)];
        let what = ["a stock", "an order", "a transfer"][usize::from(append_id) - 1];
        for (place, told) in (1..).zip(told) {
            match told {
                Ok(()) => assert_eq!(place, append_id, "{what}"),
                Err(CommandError::Store(error)) => {
                    assert!(matches!(*error, StoreError::Damaged(_)) && place != append_id, "{what}: {error:?}");
                    let cause = std::error::Error::source(&*error).unwrap().to_string();
                    assert_eq!(cause, format!("the answer is about {what}"));
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_reservation_that_is_forgotten_within_a_batch_is_not_held_again() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.closed_reservations_remembered = 2);
    node.ask(add(1, 10)).await.unwrap();
    node.ask(reserve(1, 1, 1)).await.unwrap();
    node.ask(commit(1, 1)).await.unwrap();
    // 1 was known before the batch, 2 is opened and closed in it; three more closings push both out.
    let mut batch = vec![reserve(1, 2, 1), release(1, 2)];
    batch.extend((3..=5).flat_map(|id| [reserve(1, id, 1), release(1, id)]));
    batch.extend([reserve(1, 1, 1), reserve(1, 2, 1), commit(1, 1), reserve(1, 6, 1)]);
    let verdicts = send_all(&node, batch).await.unwrap().unwrap();
    let refused: Vec<bool> = verdicts[8..].iter().map(Result::is_err).collect();
    assert_eq!(refused, [true, true, true, false], "{:?}", &verdicts[8..]);
    assert!(matches!(verdicts[8], Err(CommandError::Rejected(Rejection::ReservationExists(_)))));
    let level = fold(&store, 1).await;
    assert_eq!((level.quantity, level.reserved), (9, 1));
}

#[tokio::test]
async fn long_streams_are_kept_and_loaded_from_what_was_kept() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.snapshot_every_events = 10);
    for _ in 0..35 {
        node.ask(add(1, 1)).await.unwrap();
        settled().await;
    }
    assert_eq!(store.snapshots.load(Ordering::SeqCst), 3);
    let loaded = store.load(vec![stock(1).into()]).await.unwrap().remove(0);
    assert_eq!((loaded.snapshot.unwrap().version(), loaded.events.len()), (30, 5));
    let another = Node::with(&store, |settings| settings.snapshot_every_events = 10);
    assert_eq!(another.ask(add(1, 1)).await.unwrap().level.quantity, 36);
}

#[tokio::test]
async fn a_state_is_kept_again_after_as_many_events_as_it_has_live_reservations() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| settings.snapshot_every_events = 10);
    node.ask(add(1, 1_000)).await.unwrap();
    for id in 1..=99 {
        node.ask(reserve(1, id, 1)).await.unwrap();
        settled().await;
    }
    assert_eq!(store.snapshots.load(Ordering::SeqCst), 1, "after 10 events; since then it has only grown");
    for _ in 101..=208 {
        node.ask(add(1, 1)).await.unwrap();
        settled().await;
    }
    assert_eq!(store.snapshots.load(Ordering::SeqCst), 3, "after 109 and 208, with 99 live ones");
}

#[tokio::test]
async fn a_state_with_too_many_live_reservations_is_not_kept() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::with(&store, |settings| {
        (settings.snapshot_every_events, settings.snapshot_reservations_max) = (10, 15);
    });
    node.ask(add(1, 1_000)).await.unwrap();
    for id in 1..=40 {
        node.ask(reserve(1, id, 1)).await.unwrap();
        settled().await;
    }
    assert_eq!(store.snapshots.load(Ordering::SeqCst), 1);
}

/// [`ShownLog::shown`] of a log that can't be read.
const GONE: u64 = u64::MAX - 1;

/// A log of which so many events are shown.
struct ShownLog {
    store: Arc<SlowStore>,
    shown: AtomicU64,
}

#[async_trait]
impl EventLog for ShownLog {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let shown = self.shown.load(Ordering::SeqCst);
        if shown == GONE {
            return Err(StoreError::Unavailable("injected".into()));
        }
        let events = self.store.read(after, limit).await?;
        Ok(events.into_iter().filter(|event| event.position.0 <= shown).collect())
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.store.appended()
    }
}
