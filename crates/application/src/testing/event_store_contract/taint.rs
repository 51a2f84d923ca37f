//! What rests on a group that was not appended isn't appended either.

use std::sync::Arc;

use super::subject::Subject;

pub(super) async fn a_conflict_taints_its_streams(store: Arc<Subject>) {
    store.check("a 1+1 | a 0+1 | b 0+1", "conflict a is 0 | tainted a | at 1").await;
    // Also the streams that were where they should be, and those that it only rests on.
    store.check("c 0+1, a 5+1 | c 0+1 | d 0+1", "conflict a is 0 | tainted c | at 2").await;
    store.check("c 0+0, a 5+0 | c 0+1", "conflict a is 0 | tainted c").await;
    // What came before the conflict stays.
    store.check("c 0+1 | c 5+1 | c 1+1", "at 3 | conflict c is 1 | tainted c").await;
}

pub(super) async fn taint_is_passed_on(store: Arc<Subject>) {
    store
        .check(
            "a 1+1 | a 0+1, b 0+1 | c 0+1, b 0+1 | c 0+1 | d 0+1",
            "conflict a is 0 | tainted a | tainted b | tainted c | at 1",
        )
        .await;
    // Through groups without events just the same.
    store.check("a 1+0 | a 0+0, b 0+0 | b 0+1", "conflict a is 0 | tainted a | tainted b").await;
}

pub(super) async fn taint_ends_with_the_batch(store: Arc<Subject>) {
    store.check("a 1+1 | a 0+1", "conflict a is 0 | tainted a").await;
    store.check("a 0+1", "at 1").await;
}

/// Two units at version 1; we reserve one and one, expecting versions 1 and 2, while somebody else reserves two.
pub(super) async fn a_pipelined_command_does_not_oversell(store: Arc<Subject>) {
    store.check("a 0+1", "at 1").await;
    let ours = store.groups("a 1+1 | a 2+1");
    store.check("a 1+1", "at 2").await;
    let outcomes = format!("{:?}", store.submit(ours).await);
    assert!(outcomes.contains("Conflict") && outcomes.contains("Tainted"), "the second rests on the first: {outcomes}");
    assert_eq!(store.load("a").await[0].version, 2);
}

pub(super) async fn a_known_append_id_taints(store: Arc<Subject>) {
    store.check("id/one/first: a 0+1", "at 1").await;
    store.check("id/one/again: a 1+1 | a 1+1, b 0+1 | b 0+1", "repeated first at 1 | tainted a | tainted b").await;
    store.check("id/other/again: a 1+1 | a 1+1, b 0+1 | b 0+1", "reused | tainted a | tainted b").await;
    // It taints the streams that it names, which need not be those that the first one named.
    store.check("id/one/again: b 0+0 | b 0+1 | a 1+1", "repeated first at 1 | tainted b | at 2").await;
}
