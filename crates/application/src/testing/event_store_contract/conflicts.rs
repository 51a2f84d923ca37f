//! A group whose streams are not where it expects them adds nothing.

use std::sync::Arc;

use super::subject::Subject;

pub(super) async fn a_wrong_version_is_a_conflict(store: Arc<Subject>) {
    store.check("a 0+2", "at 2").await;
    store.check("a 0+1", "conflict a is 2").await;
    store.check("a 1+1", "conflict a is 2").await;
    store.check("a 3+1", "conflict a is 2").await;
    store.check("new 1+1", "conflict new is 0").await;
    store.check("a 2+1 | new 0+1", "at 3 | at 4").await;
}

pub(super) async fn a_group_is_all_or_nothing(store: Arc<Subject>) {
    store.check("b 0+1", "at 1").await;
    store.check("a 0+1, b 0+1, c 0+1", "conflict b is 1").await;
    store.check("a 1+1, b 0+1", "conflict a is 0").await;
    let versions: Vec<_> = store.load("a b c").await.iter().map(|loaded| loaded.version).collect();
    assert_eq!(versions, [0, 1, 0], "nothing is left of a group that lost");
    store.check("a 0+1, b 1+1, c 0+1", "at 4").await;
}

pub(super) async fn a_group_without_events_checks_and_adds_nothing(store: Arc<Subject>) {
    store.check("a 0+1", "at 1").await;
    store.check("a 1+0", "done").await;
    store.check("new 0+0", "done").await;
    store.check("a 0+0", "conflict a is 1").await;
    store.check("new 1+0", "conflict new is 0").await;
    store.check("a 0+0, b 0+1", "conflict a is 1").await;
    store.check("a 1+0, new 0+0", "done").await;
    store.check("a 1+0, b 0+1 | new 0+1", "at 2 | at 3").await;
}

pub(super) async fn versions_are_compared_with_what_the_batch_has_added(store: Arc<Subject>) {
    store.check("a 0+1 | a 1+0 | a 1+1 | a 2+0, b 0+0", "at 1 | done | at 2 | done").await;
    store.check("a 2+1 | a 2+0", "at 3 | conflict a is 3").await;
    store.check("a 3+1 | b 0+1, a 3+1", "at 4 | conflict a is 4").await;
}
