//! Every store passes the conformance kit.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::Arc;

use inventory_application::testing::{ManualClock, check_event_store};
use inventory_domain::Timestamp;
use inventory_eventstore::{DataFolder, JsonlEventStore, JsonlSettings, SqliteEventStore, SqliteSettings};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_kit() {
    let folders = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    check_event_store(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = DataFolder::open(&folders.path().join(number.to_string())).unwrap();
        SqliteEventStore::open(Arc::new(folder), &SqliteSettings::default(), clock()).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_kit_with_tiny_segments_of_append_ids() {
    let folders = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    let settings = SqliteSettings { append_id_segment_keys_max: 1, ..SqliteSettings::default() };
    check_event_store(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = DataFolder::open(&folders.path().join(number.to_string())).unwrap();
        SqliteEventStore::open(Arc::new(folder), &settings, clock()).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsonl_passes_the_kit() {
    jsonl_passes(&JsonlSettings::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsonl_passes_the_kit_with_tiny_segments() {
    jsonl_passes(&JsonlSettings { segment_bytes: 2_000, ..JsonlSettings::default() }).await;
}

async fn jsonl_passes(settings: &JsonlSettings) {
    let folders = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU64::new(0);
    check_event_store(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = DataFolder::open(&folders.path().join(number.to_string())).unwrap();
        JsonlEventStore::open(Arc::new(folder), settings, clock()).unwrap()
    })
    .await;
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)))
}
