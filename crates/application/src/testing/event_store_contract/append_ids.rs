//! A request that comes twice has one effect and one answer.

use std::sync::Arc;

use super::subject::Subject;
use crate::Position;
use crate::ports::AppendOutcome;

pub(super) async fn a_repeat_gets_the_first_answer(store: Arc<Subject>) {
    store.check("id/request/first: a 0+2, b 0+1", "at 3").await;
    store.check("a 2+1 | c 0+1", "at 4 | at 5").await;
    store.check("id/request/second: a 3+2, b 1+1", "repeated first at 3").await;
    store.check("id/request/third: a 3+2, b 1+1", "repeated first at 3").await;
}

pub(super) async fn a_repeat_within_the_batch_gets_the_first_answer(store: Arc<Subject>) {
    store
        .check("c 0+1 | id/request/first: a 0+1 | id/request/second: a 1+1", "at 1 | at 2 | repeated first at 2")
        .await;
    store.check("two/request/first: d 0+1 | two/other/second: e 0+1", "at 3 | reused").await;
}

pub(super) async fn another_request_under_the_same_id_is_told_so(store: Arc<Subject>) {
    store.check("id/request/first: a 0+1", "at 1").await;
    store.check("id/other/second: a 1+1", "reused").await;
    store.check("id/requesu/second: b 0+1", "reused").await;
    store.check("id/request/second: a 1+1", "repeated first at 1").await;
}

pub(super) async fn a_group_that_was_not_appended_is_not_remembered(store: Arc<Subject>) {
    store.check("lost/request/one: a 1+1 | tainted/request/one: a 0+1", "conflict a is 0 | tainted a").await;
    store.check("lost/request/two: a 0+1 | tainted/other/two: a 1+1", "at 1 | at 2").await;
    store.check("lost/request/three: a 2+1", "repeated two at 1").await;
    store.check("tainted/other/three: a 2+1", "repeated two at 2").await;
}

pub(super) async fn a_group_without_events_is_remembered(store: Arc<Subject>) {
    store.check("a 0+1", "at 1").await;
    store.check("id/request/first: a 1+0", "done").await;
    store.check("a 1+1", "at 2").await;
    store.check("id/request/second: a 1+0", "repeated first").await;
    store.check("id/other/second: a 2+1", "reused").await;
    store.check("two/request/first: a 2+0 | two/request/second: a 2+1", "done | repeated first").await;
}

pub(super) async fn the_append_id_is_looked_up_before_taint_and_versions(store: Arc<Subject>) {
    store.check("id/request/first: a 0+1", "at 1").await;
    store.check("id/request/second: a 0+1", "repeated first at 1").await;
    store.check("id/other/second: a 0+1", "reused").await;
    store.check("a 0+1 | id/request/second: a 0+1", "conflict a is 1 | repeated first at 1").await;
    store.check("a 0+1 | id/other/second: a 1+1", "conflict a is 1 | reused").await;
}

pub(super) async fn append_ids_that_start_alike_are_not_the_same(store: Arc<Subject>) {
    store.check("eight---1/request/one: a 0+1 | eight---2/request/two: b 0+1", "at 1 | at 2").await;
    store.check("fifteen-letters1/request/one: c 0+1", "at 3").await;
    store.check("fifteen-letters2/request/two: d 0+1", "at 4").await;
    store
        .check("eight---2/request/x: b 1+1 | eight---1/request/x: a 1+1", "repeated two at 2 | repeated one at 1")
        .await;
    store.check("fifteen-letters2/request/x: d 1+1 | eight---3/request/x: e 0+1", "repeated two at 4 | at 5").await;
}

pub(super) async fn results_may_be_empty_or_long(store: Arc<Subject>) {
    for (name, result) in [("empty", Vec::new()), ("long", (0..=u8::MAX).cycle().take(20_000).collect())] {
        let mut first = store.groups(&format!("{name}/request/: {name} 0+1"));
        first[0].key.as_mut().expect("it has a key").result = Some(result.clone());
        let AppendOutcome::Appended { position } = store.submit(first).await.remove(0) else {
            panic!("the first is appended");
        };
        let again = store.submit(store.groups(&format!("{name}/request/again: {name} 1+1"))).await;
        assert_eq!(again, [AppendOutcome::Repeated { result, position }]);
        assert!(position > Some(Position::START));
    }
}

pub(super) async fn a_lookup_leaves_nothing(store: Arc<Subject>) {
    store.check("id/request: a 0+0", "done").await;
    store.check("id/other: a 0+0", "done").await;
    store.check("id/request/first: a 0+1", "at 1").await;
    store.check("id/request: a 0+0", "repeated first at 1").await;
    store.check("id/other: a 1+0 | b 0+1", "reused | at 2").await;
    store.check("none/request: a 5+0", "conflict a is 1").await;
}
