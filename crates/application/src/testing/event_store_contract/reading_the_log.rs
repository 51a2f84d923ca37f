//! The log in pages.

use std::sync::Arc;

use super::subject::Subject;
use crate::Position;

pub(super) async fn pages_add_up_to_the_log(store: Arc<Subject>) {
    store.check("a 0+1 | b 0+3 | a 1+1", "at 1 | at 4 | at 5").await;
    store.check("c 0+2, a 2+1 | b 3+1", "at 8 | at 9").await;
    let whole = store.log(usize::MAX).await;
    assert_eq!(whole.len(), 9);
    for limit in 1..=10 {
        assert_eq!(store.log(limit).await, whole, "in pages of {limit}");
    }
    for after in 0..=9 {
        assert_eq!(store.page(after as u64, usize::MAX).await, whole[after..], "after {after}");
    }
}

pub(super) async fn a_page_never_splits_a_group(store: Arc<Subject>) {
    store.check("a 0+1 | a 1+3, b 0+2 | b 2+1", "at 1 | at 6 | at 7").await;
    for (after, limit, first, last) in
        [(0, 1, 1, 1), (0, 2, 1, 6), (0, 6, 1, 6), (1, 2, 2, 6), (1, 5, 2, 6), (3, 2, 4, 6)]
    {
        let page = store.page(after, limit).await;
        let ends = (page.first().map(|event| event.position), page.last().map(|event| event.position));
        assert_eq!(ends, (Some(Position(first)), Some(Position(last))), "after {after}, about {limit}");
    }
}

pub(super) async fn the_end_of_the_log_is_an_empty_page(store: Arc<Subject>) {
    assert!(store.page(0, 10).await.is_empty());
    store.check("a 0+2", "at 2").await;
    for after in [2, 3, 1_000, i64::MAX.unsigned_abs(), u64::MAX] {
        assert!(store.page(after, 10).await.is_empty(), "after {after}");
    }
}

pub(super) async fn the_head_is_the_last_position(store: Arc<Subject>) {
    let direct = store.direct();
    assert_eq!(direct.head().await.expect("the store knows its head"), Position::START);
    store.check("a 0+2 | a 5+1 | b 0+1", "at 2 | conflict a is 2 | at 3").await;
    assert_eq!(direct.head().await.expect("the store knows its head"), Position(3));
    store.check("a 2+0 | b 0+1", "done | conflict b is 1").await;
    assert_eq!(direct.head().await.expect("the store knows its head"), Position(3));
}
