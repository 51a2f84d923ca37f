//! What was acknowledged outlasts the process, and the readable files are what the journal says.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, EventHistory, EventLog, EventStore, Snapshot,
};
use inventory_application::{Position, StreamId};
use inventory_domain::Timestamp;
use inventory_eventstore::{DataFolder, DataFolderError, JsonlEventStore, JsonlSettings};

use support::{added, clock, folded, stock};

#[tokio::test]
async fn a_dropped_store_opens_again_with_all_that_it_had() {
    for segment_bytes in [600, 64 << 20] {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..8 {
            let store = open(folder.path(), segment_bytes);
            assert_eq!(store.dropped(), None);
            assert_eq!(store.head().await.unwrap(), Position(round));
            assert_eq!(*store.appended().borrow(), Position(round));
            let outcomes = store.append(Arc::new(vec![added(1, round)])).await.unwrap();
            assert_eq!(outcomes, [AppendOutcome::Appended { position: Some(Position(round + 1)) }]);
            assert_eq!(store.load(vec![stock(1).into()]).await.unwrap()[0].version, round + 1);
        }
        let store = open(folder.path(), segment_bytes);
        assert_eq!(store.read(Position(0), 100).await.unwrap().len(), 8);
        store.close().await;
        store.close().await; // Once more does no harm.
        assert!(store.is_poisoned(), "it is not ready for anything");
        assert!(store.append(Arc::new(vec![added(1, 8)])).await.is_err());
    }
}

/// The places in a batch are written anew for the segment that it gets, and may take more digits there.
#[tokio::test]
async fn batches_that_are_larger_than_a_segment_fit_into_the_tenth_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 600);
    for batch in 0..12 {
        let groups = (batch * 800..(batch + 1) * 800).map(|version| added(1, version)).collect();
        store.append(Arc::new(groups)).await.unwrap();
    }
    drop(store);
    assert_eq!(open(folder.path(), 600).head().await.unwrap(), Position(9_600));
}

#[tokio::test]
async fn nobody_else_opens_the_folder_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 64 << 20);
    assert!(matches!(DataFolder::open(folder.path()), Err(DataFolderError::InUse(_))));
    drop(store);
    DataFolder::open(folder.path()).unwrap();
}

#[tokio::test]
async fn an_append_id_is_known_for_a_day_and_forgotten_after_it() {
    const HOUR: i64 = 3_600_000;
    const NOON: i64 = 1_764_072_000_000;
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let open = || {
        let folder = Arc::new(DataFolder::open(folder.path()).unwrap());
        JsonlEventStore::open(folder, &JsonlSettings::default(), clock.clone()).unwrap()
    };
    let ask = async |store: &JsonlEventStore, id: u8| {
        let version = store.load(vec![stock(1).into()]).await.unwrap()[0].version;
        let key = AppendKey { append_id: [id; 16], request_hash: [1; 16], result: Some(vec![id]) };
        match store.append(Arc::new(vec![AppendGroup { key: Some(key), ..added(1, version) }])).await.unwrap().remove(0)
        {
            AppendOutcome::Appended { .. } => "new",
            AppendOutcome::Repeated { result, .. } if result == [id] => "known",
            other => panic!("{other:?}"),
        }
    };
    let at = |hours: i64| Timestamp::from_millis(NOON + hours * HOUR);
    let mut store = open();
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
    assert_eq!(ask(&store, 0).await, "new");
    assert_eq!(ask(&store, 1).await, "known");
    drop(store);
    assert_eq!(ask(&open(), 1).await, "known");
}

#[tokio::test]
async fn snapshots_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 4_000);
    for version in 0..100 {
        store.append(Arc::new(vec![added(1, version)])).await.unwrap();
        let loaded = store.load(vec![stock(1).into()]).await.unwrap().remove(0);
        if version % 10 == 3 {
            let snapshot = Snapshot { stock_id: stock(1), position: loaded.position, inventory: folded(&loaded) };
            let elsewhere = Snapshot { position: Position(version + 2), ..snapshot.clone() };
            store.keep_snapshots(vec![elsewhere, snapshot]).await.unwrap();
        }
    }
    let with = store.load(vec![stock(1).into()]).await.unwrap().remove(0);
    assert_eq!((with.events.len(), with.version, with.position), (6, 100, Position(100)));
    drop(store);
    let snapshots = folder.path().join("events/snapshots");
    let newest = |changed: &dyn Fn(String) -> String| {
        let mut paths: Vec<_> = fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort_by_key(|path| path.to_str().unwrap().split('_').nth(1).unwrap().parse::<u64>().unwrap());
        let path = paths.pop().unwrap();
        fs::write(&path, changed(fs::read_to_string(&path).unwrap())).unwrap();
    };
    let without = async |left: usize| {
        let store = open(folder.path(), 4_000);
        let loaded = store.load(vec![stock(1).into()]).await.unwrap().remove(0);
        assert_eq!(loaded.events.len(), left);
        assert_eq!((folded(&loaded), loaded.position), (folded(&with), with.position));
        assert_eq!(store.stream_page(stock(1).into(), 10, 5).await.unwrap()[0].version, 11);
    };
    without(6).await;
    newest(&|text| text.replace("\"quantity\":", "\"quantity\":1")); // Its checksum no longer fits.
    without(16).await;
    newest(&|text| text.replace("\"position\":", "\"position\":1"));
    fs::remove_dir_all(&snapshots).unwrap();
    without(100).await;
}

#[tokio::test]
async fn each_stock_has_a_readable_file_that_the_journal_makes() {
    let folder = tempfile::tempdir().unwrap();
    let file = |number: u128| folder.path().join(format!("events/{}.jsonl", StreamId::Inventory(stock(number))));
    let lines = |number: u128| fs::read_to_string(file(number)).unwrap_or_default().lines().count();
    let agree = async |store: &JsonlEventStore| {
        for number in 1..=3 {
            let history = store.stream_page(stock(number).into(), 0, 1_000).await.unwrap();
            let text = fs::read_to_string(file(number)).unwrap();
            let shown: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let versions: Vec<_> = shown.iter().map(|event| event["version"].as_u64().unwrap()).collect();
            assert_eq!(versions, history.iter().map(|event| event.version).collect::<Vec<_>>(), "stock {number}");
            let ids: Vec<_> = shown.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(ids, history.iter().map(|event| event.event_id.0.to_string()).collect::<Vec<_>>());
            assert_eq!(shown[0]["event_type"], "StockAddedEvent");
            assert_eq!(shown[0].as_object().unwrap().len(), 8);
        }
    };
    let mut version = 0;
    for round in 0..6 {
        let store = open(folder.path(), 3_000);
        for _ in 0..10 {
            let batch = (1..=3).map(|number| added(number, version)).collect();
            store.append(Arc::new(batch)).await.unwrap();
            version += 1;
        }
        if round % 2 == 0 {
            store.close().await;
            agree(&store).await;
        }
        drop(store);
        let checkpoint = folder.path().join("events/streams.checkpoint");
        match round {
            // As after a kill: the files are further than the checkpoint says, one with a half line.
            1 => {
                fs::write(
                    &checkpoint,
                    fs::read_to_string(&checkpoint)
                        .unwrap()
                        .replace(&format!("\"position\":{}", version * 3), "\"position\":31"),
                )
                .unwrap();
                let text = fs::read_to_string(file(2)).unwrap();
                fs::write(file(2), &text[..text.len() - 20]).unwrap();
            }
            2 => fs::remove_file(&checkpoint).unwrap(),
            3 => fs::write(&checkpoint, r#"{"position":9,"boot_id":"of another start"}"#).unwrap(),
            4 => fs::write(file(3), "rubbish\n").unwrap(),
            _ => (),
        }
        if round == 4 {
            fs::remove_file(&checkpoint).unwrap(); // In doubt: made anew.
        }
    }
    let store = open(folder.path(), 3_000);
    store.close().await;
    agree(&store).await;
    assert_eq!((lines(1), store.stream_files_failure()), (60, None));
    fs::remove_file(file(1)).unwrap();
    assert_eq!(store.load(vec![stock(1).into()]).await.unwrap()[0].version, 60, "the service never reads them");
}

/// Whatever somebody does to a readable file, stopped or running: once its stock goes on, it is what the journal says.
#[tokio::test(flavor = "multi_thread")]
async fn a_readable_file_that_was_removed_or_cut_short_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = |number: u128| folder.path().join(format!("events/{}.jsonl", StreamId::Inventory(stock(number))));
    let versions = |number: u128| -> Vec<u64> {
        let text = fs::read_to_string(file(number)).unwrap_or_default();
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        events.map(|event| event["version"].as_u64().unwrap()).collect()
    };
    let lines = |number: u128| fs::read_to_string(file(number)).unwrap_or_default().lines().count() as u64;
    let mut version = 0;
    let open = || {
        let settings = JsonlSettings { segment_bytes: 30_000, ..JsonlSettings::default() };
        JsonlEventStore::open(Arc::new(DataFolder::open(folder.path()).unwrap()), &settings, clock()).unwrap()
    };
    let mut store = open();
    let mut go_on = async |store: &JsonlEventStore, count: u64| {
        for _ in 0..count {
            store.append(Arc::new((1..=3).map(|number| added(number, version)).collect())).await.unwrap();
            version += 1;
        }
        version
    };
    go_on(&store, 5_000).await; // More than are taken at a time.
    let remove = |number: u128| fs::remove_file(file(number)).unwrap();
    let cut = |number: u128, part: usize| {
        let text = fs::read(file(number)).unwrap();
        fs::write(file(number), &text[..text.len() / part * (part - 1)]).unwrap();
    };
    for is_running in [false, true] {
        for damage in 0..4 {
            let damage = || match damage {
                0 => remove(1),
                1 => cut(1, 2),
                2 => cut(2, 700),
                _ => fs::write(file(3), "x").unwrap(),
            };
            if is_running {
                let until = go_on(&store, 1).await; // So that the files are open.
                while (1..=3).any(|number| lines(number) < until) {
                    tokio::task::yield_now().await;
                }
                damage();
                go_on(&store, 1).await;
                store.close().await;
            } else {
                store.close().await;
                damage();
                drop(store);
                store = open();
                go_on(&store, 1).await;
                store.close().await;
            }
            let all: Vec<u64> = (1..=go_on(&store, 0).await).collect();
            (1..=3).for_each(|number| assert!(versions(number) == all, "stock {number}, running: {is_running}"));
            drop(store);
            store = open();
        }
    }
    store.close().await;
    drop(store);
    remove(2); // And nothing happens to it.
    store = open();
    store.close().await;
    assert!(versions(2).len() > 5_000, "there were not as many files as stocks");
}

/// What the readable files have was acknowledged: a journal without it has lost it, and stays as it is.
#[tokio::test]
async fn a_journal_that_has_less_than_the_readable_files_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 64 << 20);
    for version in 0..4 {
        store.append(Arc::new(vec![added(1, version)])).await.unwrap();
    }
    store.close().await;
    drop(store);
    let (events, segment) = (folder.path().join("events"), folder.path().join("events/log/00000001.jsonl"));
    let checkpoint = events.join("streams.checkpoint");
    let of_another_start = fs::read_to_string(&checkpoint).unwrap().replace("\"boot_id\":\"", "\"boot_id\":\"x");
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    let last = String::from_utf8_lossy(&whole).rfind("\"position\":").unwrap();
    damaged[last + 30] ^= 1; // In the last batch, which was acknowledged.
    for is_other_start in [false, true] {
        if is_other_start {
            fs::write(&checkpoint, &of_another_start).unwrap();
        }
        for (left, lost) in [(Some(&damaged), "events 4 to 4"), (None, "events 1 to 4")] {
            match left {
                Some(bytes) => fs::write(&segment, bytes).unwrap(),
                None => fs::remove_dir_all(events.join("log")).unwrap(),
            }
            let data = Arc::new(DataFolder::open(folder.path()).unwrap());
            let refused = JsonlEventStore::open(data, &JsonlSettings::default(), clock()).err().unwrap().to_string();
            assert!(refused.contains(&format!("the log has lost {lost}")), "{refused}");
            assert!(refused.contains("streams.checkpoint has events up to 4; restore a backup"), "{refused}");
            assert!(events.join(format!("{}.jsonl", StreamId::Inventory(stock(1)))).exists());
            match left {
                Some(bytes) => assert!(fs::read(&segment).unwrap() == *bytes, "nothing of it is zeroed"),
                None => assert!(!events.join("log").exists(), "no new journal is made"),
            }
            fs::create_dir_all(events.join("log")).unwrap();
            fs::write(&segment, &whole).unwrap();
        }
    }
    fs::write(&segment, &damaged).unwrap();
    fs::remove_file(&checkpoint).unwrap(); // The loss is accepted.
    let store = open(folder.path(), 64 << 20);
    assert_eq!((store.head().await.unwrap(), store.dropped().is_some()), (Position(3), true));
}

fn open(folder: &Path, segment_bytes: u64) -> Arc<JsonlEventStore> {
    let settings = JsonlSettings { segment_bytes, stream_files_open_max: 2, ..JsonlSettings::default() };
    JsonlEventStore::open(Arc::new(DataFolder::open(folder).unwrap()), &settings, clock()).unwrap()
}
