//! What was acknowledged outlasts the process, and only one process has the folder.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, EventHistory, EventLog, EventStore, ExpectedVersion, LoadedStream, Metadata,
    NewEvent, Snapshot, StoreError, StreamAppend,
};
use inventory_application::testing::ManualClock;
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::inventory::{Event, evolve};
use inventory_domain::{DomainEvent, Inventory, ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
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
async fn the_write_ahead_log_goes_into_the_file_when_it_has_so_many_pages_and_no_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { wal_autocheckpoint_pages: 50, ..SqliteSettings::default() };
    let data = Arc::new(DataFolder::open(folder.path()).unwrap());
    let store = SqliteEventStore::open(data, &settings, clock()).unwrap();
    let bytes = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    let changed = || fs::metadata(folder.path().join("events.db")).unwrap().modified().unwrap();
    let (first, mut longest) = (changed(), 0);
    for version in 0..200 {
        store.append(Arc::new(vec![added(version)])).await.unwrap();
        if version == 2 {
            assert_eq!(changed(), first, "a few pages are left in the log");
        }
        longest = longest.max(bytes("events.db-wal"));
    }
    assert!(changed() > first, "nothing has gone into the file");
    assert!((50 * 4_096..100 * 4_096).contains(&longest), "the log has had {longest} bytes");
}

#[tokio::test]
async fn an_append_id_is_known_for_a_day_and_forgotten_after_it() {
    const HOUR: i64 = 3_600_000;
    const NOON: i64 = 1_764_072_000_000;
    for segment_keys_max in [1, 2, 500_000] {
        let folder = tempfile::tempdir().unwrap();
        let clock = clock();
        let open = || {
            let settings = SqliteSettings { append_id_segment_keys_max: segment_keys_max, ..SqliteSettings::default() };
            let folder = Arc::new(DataFolder::open(folder.path()).unwrap());
            SqliteEventStore::open(folder, &settings, clock.clone()).unwrap()
        };
        let ask = async |store: &SqliteEventStore, id: u8| {
            let version = store.load(vec![stream()]).await.unwrap()[0].version;
            let key = AppendKey { append_id: [id; 16], request_hash: [1; 16], result: Some(vec![id]) };
            let group = AppendGroup { key: Some(key), ..added(version) };
            match store.append(Arc::new(vec![group])).await.unwrap().remove(0) {
                AppendOutcome::Appended { .. } => "new",
                AppendOutcome::Repeated { result, .. } if result == [id] => "known",
                other => panic!("{other:?}"),
            }
        };
        let mut store = open();
        let at = |hours: i64| Timestamp::from_millis(NOON + hours * HOUR);
        for hour in 0..25 {
            clock.set(at(hour));
            assert_eq!(ask(&store, u8::try_from(hour).unwrap()).await, "new");
            for known in 0..=hour {
                assert_eq!(ask(&store, u8::try_from(known).unwrap()).await, "known", "{known} at {hour}");
            }
            if hour % 5 == 3 {
                drop(store);
                store = open();
            }
        }
        clock.set(Timestamp::from_millis(at(25).millis() - 1));
        assert_eq!(ask(&store, 0).await, "known", "24 hours after its hour ended, less a millisecond");
        clock.set(at(25));
        assert_eq!(ask(&store, 100).await, "new"); // The clean-up comes with an append.
        assert_eq!(ask(&store, 0).await, "new");
        assert_eq!(ask(&store, 1).await, "known");
        drop(store);
        assert_eq!(ask(&open(), 1).await, "known");
    }
}

#[tokio::test]
async fn snapshots_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let StreamId::Inventory(stock_id) = stream() else { unreachable!() };
    for version in 0..10 {
        store.append(Arc::new(vec![added(version)])).await.unwrap();
        let loaded = store.load(vec![stream()]).await.unwrap().remove(0);
        let snapshot = Snapshot { stock_id, position: loaded.position, inventory: folded(&loaded) };
        let elsewhere = Snapshot { position: Position(version + 2), ..snapshot.clone() };
        store.keep_snapshots(vec![snapshot, elsewhere]).await.unwrap();
    }
    let with = store.load(vec![stream()]).await.unwrap().remove(0);
    assert_eq!((with.events.len(), with.version, with.position), (0, 10, Position(10)));
    drop(store);
    for sql in [
        "UPDATE snapshots SET event_id = x'00' WHERE version > 3",
        "UPDATE snapshots SET state = x'00' WHERE version > 2",
        "UPDATE snapshots SET fingerprint = 'old' WHERE version > 1",
        "DELETE FROM snapshots",
    ] {
        rusqlite::Connection::open(folder.path().join("events.db")).unwrap().execute_batch(sql).unwrap();
        let without = open(folder.path()).load(vec![stream()]).await.unwrap().remove(0);
        assert!(without.events.len() > 5, "{sql}");
        assert_eq!((folded(&without), without.position), (folded(&with), with.position), "{sql}");
    }
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_brought_up_to_date() {
    let back_to_2 = "ALTER TABLE streams ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE streams ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
         UPDATE streams SET (version, head) = (SELECT version, head FROM stream_heads WHERE stream_heads.key = streams.key);
         DROP TABLE stream_heads;
         PRAGMA user_version = 2;";
    let back_to_1 = "DROP TABLE stream_marks; DROP TABLE snapshots; DROP TABLE append_id_segments;
         CREATE TABLE append_ids (prefix INTEGER NOT NULL, append_id BLOB NOT NULL, request_hash BLOB NOT NULL,
            result BLOB NOT NULL, position INTEGER) STRICT;
         CREATE INDEX append_ids_by_prefix ON append_ids (prefix);
         PRAGMA user_version = 1;";
    for back in [back_to_2.to_owned(), format!("{back_to_2} {back_to_1}")] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        store.append(Arc::new((0..300).map(added).collect())).await.unwrap();
        drop(store);
        let file = || rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
        let tables = || -> Vec<String> {
            let file = file();
            let mut all = file
                .prepare("SELECT t.name || ' ' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c ORDER BY 1")
                .unwrap();
            all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let new = tables();
        file().execute_batch(&back).unwrap();
        assert_ne!(tables(), new);
        for round in 0..2 {
            let store = open(folder.path());
            let page = store.stream_page(stream(), 100, 10).await.unwrap();
            assert_eq!(page.iter().map(|event| event.version).collect::<Vec<_>>(), (101..=110).collect::<Vec<_>>());
            store.append(Arc::new(vec![added(300 + round)])).await.unwrap();
        }
        assert_eq!(tables(), new);
        let count = |table: &str| -> i64 {
            file().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("stream_marks"), count("stream_heads")), (2, 1));
    }
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
    check_refused("PRAGMA application_id = 0x494e5645; PRAGMA user_version = 4", "tables of version 4");
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
    SqliteEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &SqliteSettings::default(), clock())
}

fn stream() -> StreamId {
    StreamId::Inventory(StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(2) })
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)))
}

fn folded(loaded: &LoadedStream) -> Inventory {
    let start = loaded.snapshot.as_deref().cloned().unwrap_or_default();
    loaded.events.iter().fold(start, |state, past| match &past.event {
        DomainEvent::Inventory(event) => evolve(state, event, past.recorded_at),
        other => panic!("{other:?}"),
    })
}

fn added(version: u64) -> AppendGroup {
    let event =
        Event::StockAdded { quantity: Quantity::new(5).unwrap(), reason: Reason::new("delivery").unwrap() }.into();
    let events = vec![NewEvent { event_id: EventId(Uuid::from_u128(version.into())), event }];
    let streams = vec![StreamAppend { stream: stream(), expected: ExpectedVersion::of(version), events }];
    let recorded_at = Timestamp::from_millis(1_763_942_400_000);
    AppendGroup { key: None, streams, recorded_at, metadata: Arc::new(Metadata::default()) }
}
