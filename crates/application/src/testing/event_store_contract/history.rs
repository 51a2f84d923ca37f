//! Single streams: pages, snapshots, and how they were.

use std::sync::Arc;

use inventory_domain::{DomainEvent, Timestamp, inventory};

use super::subject::{Subject, folded, stock};
use crate::ports::{PastEvent, Snapshot};

pub(super) async fn pages_add_up_to_the_stream(store: Arc<Subject>) {
    store.check("a 0+3, b 0+1 | a 3+400", "at 4 | at 404").await;
    store.check("b 1+1 | a 403+7", "at 405 | at 412").await;
    let whole = store.stream_page("a", 0, usize::MAX).await;
    assert_eq!(whole.iter().map(|event| event.version).collect::<Vec<_>>(), (1..=410).collect::<Vec<_>>());
    let log = store.log(1_000).await;
    assert!(whole.iter().all(|event| log.contains(event)), "they are the log's events");
    for (after, limit) in [(0, 1), (0, 128), (1, 127), (127, 1), (127, 2), (128, 128), (255, 300), (300, 60), (409, 1)]
    {
        let page = store.stream_page("a", after, limit).await;
        let end = 410.min(usize::try_from(after).expect("a small number") + limit);
        assert_eq!(page, whole[usize::try_from(after).expect("a small number")..end], "after {after}, {limit}");
    }
    assert!(store.stream_page("a", 410, 10).await.is_empty());
    assert!(store.stream_page("a", u64::MAX, 10).await.is_empty());
    assert!(store.stream_page("nobody", 0, 10).await.is_empty());
}

pub(super) async fn orders_and_transfers_are_streams_too(store: Arc<Subject>) {
    store.check("o.a 0+1, a 0+1, t.a 0+1 | o.b 0+2 | o.a 1+1", "at 3 | at 5 | at 6").await;
    store.check("o.a 1+1 | t.a 1+1", "conflict o.a is 2 | at 7").await;
    let loaded = store.load("a o.a t.a t.b").await;
    assert_eq!(loaded.iter().map(|loaded| loaded.version).collect::<Vec<_>>(), [1, 2, 2, 0]);
    assert_eq!(store.stream_page("o.a", 1, 5).await[0].position.0, 6);
}

pub(super) async fn a_snapshot_shortens_the_history(store: Arc<Subject>) {
    store.check("a 0+5 | b 0+2", "at 5 | at 7").await;
    let before = store.load("a").await.remove(0);
    let inventory = folded(&before);
    let snapshot = Snapshot { stock_id: stock("a"), position: before.position, inventory: inventory.clone() };
    store.direct().keep_snapshots(vec![snapshot]).await.expect("the store keeps snapshots");
    store.check("a 5+2", "at 9").await;
    let after = store.load("a").await.remove(0);
    assert_eq!((after.version, after.position.0), (7, 9));
    assert_eq!(after.snapshot.as_deref(), Some(&inventory), "the snapshot is used");
    assert_eq!(after.events.len(), 2);
    let added = |past: &PastEvent| match &past.event {
        DomainEvent::Inventory(inventory::Event::StockAdded { quantity, .. }) => quantity.units(),
        other => panic!("{other:?}"),
    };
    let of_all: u64 = before.events.iter().chain(&after.events).map(added).sum();
    assert_eq!(folded(&after).quantity(), of_all, "nothing is folded twice or left out");
}

pub(super) async fn a_stream_can_be_seen_as_it_was(store: Arc<Subject>) {
    store.check("a 0+2 | a 2+1 | b 0+1 | a 3+300 | a 303+2", "at 2 | at 3 | at 4 | at 304 | at 306").await;
    let whole = store.stream_page("a", 0, usize::MAX).await;
    let at = |millis: i64| Timestamp::from_millis(millis);
    for kept in [0usize, 1] {
        let moments = whole.iter().map(|event| event.recorded_at.millis());
        for moment in moments.flat_map(|moment| [moment - 1, moment, moment + 1]) {
            let loaded = store.direct().load_at(stock("a"), at(moment)).await.expect("the store reads a stream");
            let known = whole.iter().filter(|event| event.recorded_at <= at(moment)).count() as u64;
            assert_eq!(loaded.version, known, "at {moment}");
            assert_eq!(folded(&loaded).version(), known, "at {moment}");
        }
        if kept == 0 {
            let early =
                store.direct().load_at(stock("a"), whole[2].recorded_at).await.expect("the store reads a stream");
            let snapshot = Snapshot { stock_id: stock("a"), position: early.position, inventory: folded(&early) };
            store.direct().keep_snapshots(vec![snapshot]).await.expect("the store keeps snapshots");
        }
    }
    let unknown = store.direct().load_at(stock("nobody"), at(i64::MAX)).await.expect("the store reads a stream");
    assert_eq!((unknown.version, unknown.events.len()), (0, 0));
}
