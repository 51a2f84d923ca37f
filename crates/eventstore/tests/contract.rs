//! Every store passes the conformance kit.

use std::sync::Arc;

use inventory_application::testing::check_event_store;
use inventory_eventstore::{DataFolder, SqliteEventStore, SqliteSettings};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_kit() {
    let folders = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    check_event_store(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = DataFolder::open(&folders.path().join(number.to_string())).unwrap();
        SqliteEventStore::open(Arc::new(folder), &SqliteSettings::default()).unwrap()
    })
    .await;
}
