//! What was acknowledged outlasts the process, and only one process has the folder.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{
    AppendGroup, AppendOutcome, EventLog, EventStore, ExpectedVersion, Metadata, NewEvent, StoreError, StreamAppend,
};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::inventory::Event;
use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
use inventory_eventstore::{DataFolder, DataFolderError, OpenError, SqliteEventStore, SqliteSettings};
use uuid::Uuid;

#[tokio::test]
async fn a_dropped_store_opens_again_with_all_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open(folder.path());
        assert_eq!(store.head().await.unwrap(), Position(round));
        assert_eq!(*store.appended().borrow(), Position(round));
        let outcomes = store.append(Arc::new(vec![added(round)])).await.unwrap();
        assert_eq!(outcomes, [AppendOutcome::Appended { position: Some(Position(round + 1)) }]);
        assert_eq!(store.load(vec![stream()]).await.unwrap()[0].version, round + 1);
    }
}

#[tokio::test]
async fn a_closed_store_has_all_in_one_file_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let appends = (0..20).map(|version| {
        let store = Arc::clone(&store);
        async move { store.append(Arc::new(vec![added(version)])).await.unwrap() }
    });
    for append in appends {
        append.await;
    }
    store.close().await;
    store.close().await; // Once more does no harm.
    assert!(store.is_poisoned(), "it is not ready for anything");
    assert!(matches!(store.append(Arc::new(vec![added(20)])).await, Err(StoreError::Unavailable(_))));
    assert_eq!(fs::metadata(folder.path().join("events.db-wal")).map_or(0, |file| file.len()), 0);
    drop(store);
    assert_eq!(open(folder.path()).head().await.unwrap(), Position(20));
}

#[tokio::test]
async fn nobody_else_opens_the_folder_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let second = DataFolder::open(folder.path()).unwrap_err();
    assert!(matches!(second, DataFolderError::InUse(_)));
    assert!(second.to_string().contains(&folder.path().display().to_string()), "{second}");
    drop(store);
    DataFolder::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_foreign_or_newer_file_is_refused() {
    check_refused("CREATE TABLE somebodys (value TEXT)", "application id 0");
    check_refused("PRAGMA application_id = 7", "application id 7");
    check_refused("PRAGMA application_id = 0x494e5645; PRAGMA user_version = 2", "tables of version 2");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.db"), "no database".repeat(100)).unwrap();
    assert!(matches!(try_open(folder.path()), Err(OpenError::Sqlite(_))));
}

#[tokio::test]
async fn damage_is_named_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(Arc::new(vec![added(0), added(1)])).await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
    file.execute("UPDATE events SET data = '{}' WHERE position = 2", []).unwrap();
    drop(file);
    let store = open(folder.path());
    for error in [store.load(vec![stream()]).await.unwrap_err(), store.read(Position(0), 10).await.unwrap_err()] {
        let StoreError::Damaged(damage) = error else { panic!("{error:?}") };
        let expected = format!("event 2, version 2 of {}: the JSON of StockAddedEvent can't be read", stream());
        assert!(damage.to_string().starts_with(&expected), "{damage}");
    }
    assert_eq!(store.read(Position(0), 1).await.unwrap().len(), 1);
}

#[track_caller]
fn check_refused(sql: &str, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(folder.path().join("events.db")).unwrap().execute_batch(sql).unwrap();
    let error = try_open(folder.path()).err().unwrap();
    assert!(error.to_string().contains(says), "{error}");
}

fn open(folder: &Path) -> Arc<SqliteEventStore> {
    try_open(folder).unwrap()
}

fn try_open(folder: &Path) -> Result<Arc<SqliteEventStore>, OpenError> {
    SqliteEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &SqliteSettings::default())
}

fn stream() -> StreamId {
    StreamId::Inventory(StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(2) })
}

fn added(version: u64) -> AppendGroup {
    let event = Event::StockAdded { quantity: Quantity::new(5).unwrap(), reason: Reason::new("delivery").unwrap() };
    let events = vec![NewEvent { event_id: EventId(Uuid::from_u128(version.into())), event }];
    let streams = vec![StreamAppend { stream: stream(), expected: ExpectedVersion::of(version), events }];
    let recorded_at = Timestamp::from_millis(1_763_942_400_000);
    AppendGroup { key: None, streams, recorded_at, metadata: Arc::new(Metadata::default()) }
}
