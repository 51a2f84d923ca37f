//! What is appended can be loaded again.

use std::sync::Arc;

use inventory_domain::{ProductId, StockId, StoreId};

use super::subject::Subject;
use crate::ports::AppendOutcome;
use crate::{Position, StreamId};

pub(super) async fn versions_count_from_one(store: Arc<Subject>) {
    store.check("a 0+2", "at 2").await;
    store.check("a 2+1 | b 0+1", "at 3 | at 4").await;
    store.check("a 3+1 | b 1+2", "at 5 | at 7").await;
}

pub(super) async fn positions_follow_the_order_of_the_groups(store: Arc<Subject>) {
    store.check("b 0+1, a 0+2 | c 0+1 | d 0+1, e 0+1", "at 3 | at 4 | at 6").await;
    store.check("e 1+3, a 2+1 | b 1+1, f 0+1", "at 10 | at 12").await;
}

pub(super) async fn a_group_may_follow_another_on_its_stream(store: Arc<Subject>) {
    store.check("a 0+1 | a 1+2 | a 3+1, b 0+1 | b 1+1, a 4+1", "at 1 | at 3 | at 5 | at 7").await;
}

pub(super) async fn an_unknown_stream_is_at_version_zero(store: Arc<Subject>) {
    store.check("a 0+1", "at 1").await;
    let unknown = store.load("nobody").await.remove(0);
    assert_eq!((unknown.version, unknown.position, unknown.events.len()), (0, Position::START, 0));
}

pub(super) async fn streams_are_loaded_in_the_order_asked_for(store: Arc<Subject>) {
    store.check("a 0+1, b 0+2, c 0+3", "at 6").await;
    let versions: Vec<_> = store.load("c a nobody b c c a").await.iter().map(|loaded| loaded.version).collect();
    assert_eq!(versions, [3, 1, 0, 2, 3, 3, 1]);
    assert!(store.load("").await.is_empty(), "nothing asked, nothing answered");
}

pub(super) async fn product_and_store_both_tell_streams_apart(store: Arc<Subject>) {
    let ids = [(1, 1), (1, 2), (2, 1), (u128::MAX, 1), (1, u128::MAX), (1 << 64, 1), (1, 1 << 64)];
    for (product, place) in ids {
        let mut groups = store.groups("placeholder 0+1");
        groups[0].streams[0].stream = StreamId::Inventory(StockId {
            product_id: ProductId::from_u128(product),
            store_id: StoreId::from_u128(place),
        });
        let outcomes = store.submit(groups).await;
        assert!(matches!(outcomes[..], [AppendOutcome::Appended { .. }]), "{product} in {place} is new: {outcomes:?}");
    }
}

pub(super) async fn an_empty_batch_is_nothing(store: Arc<Subject>) {
    assert_eq!(store.submit(Vec::new()).await, []);
    store.check("a 0+1", "at 1").await;
    assert_eq!(store.submit(Vec::new()).await, []);
}

const BIG: usize = 8_192;

pub(super) async fn a_big_batch_on_one_stream(store: Arc<Subject>) {
    append_all(&store, (0..BIG).map(|version| format!("a {version}+1")).collect()).await;
}

pub(super) async fn a_big_batch_on_a_thousand_streams(store: Arc<Subject>) {
    append_all(&store, (0..BIG).map(|number| format!("stock-{} {}+1", number % 1_000, number / 1_000)).collect()).await;
}

async fn append_all(store: &Subject, groups: Vec<String>) {
    let outcomes = store.submit(store.groups(&groups.join(" | "))).await;
    let lost = outcomes.iter().find(|outcome| !matches!(outcome, AppendOutcome::Appended { .. }));
    assert_eq!(lost, None, "every group is appended");
}
