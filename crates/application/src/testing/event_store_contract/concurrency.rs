//! Many append at a time.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::subject::{Store, Subject};
use crate::Position;
use crate::ports::{AppendGroup, AppendOutcome};

const APPENDERS: usize = 8;
const VERSIONS: u64 = 120;

pub(super) async fn one_of_many_wins_each_version(store: Arc<Subject>) {
    let mut appenders = JoinSet::new();
    for _ in 0..APPENDERS {
        appenders.spawn(append_until_full(Arc::clone(&store)));
    }
    let won: u64 = appenders.join_all().await.iter().sum();
    assert_eq!(won, VERSIONS, "one append wins each version");
    assert_eq!(store.load("hot").await[0].version, VERSIONS);
}

/// How many versions of the stream `hot` this appender has won, against the others.
async fn append_until_full(store: Arc<Subject>) -> u64 {
    let (direct, mut version, mut won) = (store.direct(), 0, 0);
    while version < VERSIONS {
        match append_one(&direct, store.groups(&format!("hot {version}+1"))).await {
            AppendOutcome::Appended { .. } => (version, won) = (version + 1, won + 1),
            AppendOutcome::Conflict { actual, .. } => {
                assert!(actual > version, "what has won is not unwon: {actual} after {version}");
                version = actual;
            }
            other => panic!("neither won nor lost: {other:?}"),
        }
    }
    won
}

pub(super) async fn one_of_many_repeats_is_the_first(store: Arc<Subject>) {
    let mut appenders = JoinSet::new();
    for number in 0..APPENDERS {
        let (direct, groups) = (store.direct(), store.groups(&format!("id/request/{number}: a-{number} 0+1")));
        appenders.spawn(async move { append_one(&direct, groups).await });
    }
    let outcomes = appenders.join_all().await;
    let (first, repeats): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|outcome| matches!(outcome, AppendOutcome::Appended { .. }));
    assert_eq!(first.len(), 1, "one is appended: {outcomes:?}");
    assert!(matches!(repeats[0], AppendOutcome::Repeated { position: Some(Position(1)), .. }), "{outcomes:?}");
    assert!(repeats.windows(2).all(|pair| pair[0] == pair[1]), "all repeats are told the same: {outcomes:?}");
}

pub(super) async fn a_reader_never_sees_a_gap(store: Arc<Subject>) {
    let mut appenders = JoinSet::new();
    for number in 0..APPENDERS {
        let (store, direct) = (Arc::clone(&store), store.direct());
        appenders.spawn(async move {
            for version in 0..20 {
                let batch = format!("s-{number} {version}+1, t-{number} {version}+1 | u-{number} {version}+1");
                direct.append(Arc::new(store.groups(&batch))).await.expect("the store takes a batch");
            }
        });
    }
    let (all, mut seen) = (APPENDERS as u64 * 20 * 3, 0);
    while seen < all {
        for event in store.page(seen, 10).await {
            assert_eq!(event.position, Position(seen + 1), "nothing comes after something that follows it");
            seen = event.position.0;
        }
        tokio::task::yield_now().await;
    }
    appenders.join_all().await;
}

async fn append_one(store: &Arc<dyn Store>, groups: Vec<AppendGroup>) -> AppendOutcome {
    let mut outcomes = store.append(Arc::new(groups)).await.expect("the store takes a batch");
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}
