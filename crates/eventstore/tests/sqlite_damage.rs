//! A damaged file is refused, and then neither it nor its write-ahead log is changed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::EventStore;
use inventory_eventstore::{DataFolder, EventStoreFiles, SqliteEventStore, SqliteSettings};

#[path = "support/mod.rs"]
mod support;

const PAGE: usize = 4_096;

#[tokio::test]
async fn a_file_that_was_emptied_beside_its_log_is_refused_and_nothing_is_changed() {
    let left = left_by_a_kill().await;
    for emptied in [Some(0), None] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &left, emptied);
        let before = files(folder.path());
        let refused = EventStoreFiles::Sqlite.open(folder.path(), 100).map(|file| file.head()).unwrap_err();
        assert!(format!("{refused:?}").contains("Emptied"), "{refused:?}");
        assert_eq!(files(folder.path()), before, "looked at, with {emptied:?} bytes");
        let refused = start(folder.path()).map(drop).unwrap_err();
        assert!(refused.contains("is empty, but"), "{refused}");
        assert_eq!(files(folder.path()), before, "started, with {emptied:?} bytes");
    }
}

#[tokio::test]
async fn a_file_elsewhere_that_was_emptied_is_refused_through_its_link() {
    let (elsewhere, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(elsewhere.path(), &left_by_a_kill().await, Some(0));
    let before = files(elsewhere.path());
    std::os::unix::fs::symlink(elsewhere.path().join("events.db"), folder.path().join("events.db")).unwrap();
    let refused = EventStoreFiles::Sqlite.open(folder.path(), 100).map(|file| file.head()).unwrap_err();
    assert!(format!("{refused:?}").contains("Emptied"), "{refused:?}");
    let refused = start(folder.path()).map(drop).unwrap_err();
    assert!(refused.contains("is empty, but"), "{refused}");
    assert_eq!(files(elsewhere.path()), before);
}

#[tokio::test]
async fn a_file_that_was_cut_is_not_changed_where_it_is_refused() {
    let left = left_by_a_kill().await;
    let (mut refused, whole) = (0, left["events.db"].len());
    for pages in 1..whole / PAGE {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &left, Some(pages * PAGE));
        let before = files(folder.path());
        if start(folder.path()).is_err() {
            refused += 1;
            assert_eq!(files(folder.path()), before, "cut to {pages} pages");
        }
    }
    assert!(refused > 3, "{refused} of {} were refused", whole / PAGE);
}

/// The files of a store that was killed with something in its file, and something in its write-ahead log.
async fn left_by_a_kill() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path()).unwrap();
    for version in 0..400 {
        store.append(Arc::new(vec![support::added(version % 40, u64::try_from(version / 40).unwrap())])).await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = start(folder.path()).unwrap();
    for version in 0..40 {
        store.append(Arc::new(vec![support::added(version, 10)])).await.unwrap();
    }
    let left = files(folder.path());
    assert!(left["events.db"].len() > 10 * PAGE && left["events.db-wal"].len() > 10 * PAGE);
    left
}

fn start(folder: &Path) -> Result<Arc<SqliteEventStore>, String> {
    let folder = Arc::new(DataFolder::open(folder).unwrap());
    SqliteEventStore::open(folder, &SqliteSettings::default(), support::clock()).map_err(|error| error.to_string())
}

/// The file and its write-ahead log: what else is there says only who works on them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &str| Some((name.to_owned(), fs::read(folder.join(name)).ok()?));
    ["events.db", "events.db-wal"].into_iter().filter_map(read).collect()
}

/// Puts them into a folder, the file cut to so many bytes; not there at all with `None`.
fn put(folder: &Path, files: &BTreeMap<String, Vec<u8>>, bytes: Option<usize>) {
    fs::write(folder.join("events.db-wal"), &files["events.db-wal"]).unwrap();
    if let Some(bytes) = bytes {
        fs::write(folder.join("events.db"), &files["events.db"][..bytes]).unwrap();
    }
}
