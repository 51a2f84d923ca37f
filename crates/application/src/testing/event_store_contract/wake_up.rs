//! Readers hear that there is something new.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::subject::Subject;
use crate::Position;

/// Nobody has to wait that long, unless the hint is lost.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn an_append_is_seen_by_whoever_waits(store: Arc<Subject>) {
    let mut appended = store.direct().appended();
    store.check("a 0+2", "at 2").await;
    hears_of(&mut appended, 2).await;
    store.check("a 2+1 | b 0+1", "at 3 | at 4").await;
    hears_of(&mut appended, 4).await;
    hears_of(&mut store.direct().appended(), 4).await;
}

async fn hears_of(appended: &mut watch::Receiver<Position>, position: u64) {
    let heard = timeout(PATIENCE, appended.wait_for(|heard| heard.0 >= position)).await;
    let heard = *heard.expect("the hint comes").expect("the store is there");
    assert_eq!(heard, Position(position));
}

pub(super) async fn who_subscribes_before_reading_misses_nothing(store: Arc<Subject>) {
    const EVENTS: u64 = 200;
    let (direct, mut appended) = (store.direct(), store.direct().appended());
    let reader = tokio::spawn(async move {
        let mut seen = Position::START;
        while seen.0 < EVENTS {
            appended.mark_unchanged(); // Before the read: what comes after it wakes us again.
            let page = direct.read(seen, 7).await.expect("the store reads its log");
            if let Some(last) = page.last() {
                seen = last.position;
            } else {
                let heard = timeout(PATIENCE, appended.changed()).await;
                heard.expect("the hint comes").expect("the store is there");
            }
        }
    });
    for version in 0..EVENTS {
        store.submit(store.groups(&format!("a {version}+1"))).await;
    }
    reader.await.expect("the reader sees every event");
}
