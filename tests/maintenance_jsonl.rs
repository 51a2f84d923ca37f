//! The service on a journal of JSON lines: what its command line finds, copies and moves between stores.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use inventory_tests::{Client, RunningService, fill, fill_with_groups, id, inventory};
use serde_json::Value;
use tempfile::TempDir;

const KIND: &str = "INVENTORY__EVENT_STORE__KIND";

#[test]
fn a_journal_is_proved_and_planted_damage_is_found() {
    let folder = filled();
    let sound = run(folder.path(), "jsonl", &["verify"]);
    assert!(sound.status.success() && said(&sound).ends_with("nothing is wrong\n"), "{}", said(&sound));
    assert!(!said(&sound).contains(" 0 snapshots"), "{}", said(&sound));
    let log = folder.path().join("events/log/00000001.jsonl");
    let whole = fs::read(&log).unwrap();
    let text = String::from_utf8_lossy(&whole).into_owned();
    let place = text.find("\"position\":9,").unwrap();
    let mut damaged = whole.clone();
    damaged[place + 30] ^= 1;
    fs::write(&log, &damaged).unwrap();
    let found = run(folder.path(), "jsonl", &["verify"]);
    assert_eq!(found.status.code(), Some(1));
    assert!(said(&found).contains("00000001.jsonl, line "), "{}", said(&found));
    let refused = run(folder.path(), "jsonl", &["serve"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("00000001.jsonl, line "), "{error}");
    fs::write(&log, &whole).unwrap();
    let snapshot = fs::read_dir(folder.path().join("events/snapshots")).unwrap().next().unwrap().unwrap().path();
    fs::write(&snapshot, fs::read_to_string(&snapshot).unwrap().replace("\"quantity\":", "\"quantity\":1")).unwrap();
    assert!(run(folder.path(), "jsonl", &["verify"]).status.success(), "a snapshot that can't be read is none");
    // Renamed to another moment, or to another version's.
    for snapshot in fs::read_dir(folder.path().join("events/snapshots")).unwrap().map(|entry| entry.unwrap().path()) {
        let (front, recorded_at) = snapshot.to_str().unwrap().strip_suffix(".json").unwrap().rsplit_once('_').unwrap();
        let renamed = format!("{front}_{}.json", recorded_at.parse::<i64>().unwrap() - 60_000);
        fs::rename(&snapshot, renamed).unwrap();
    }
    let found = run(folder.path(), "jsonl", &["verify"]);
    assert_eq!(found.status.code(), Some(1));
    assert!(said(&found).contains("is of another time than its event"), "{}", said(&found));
    let other = run(folder.path(), "sqlite", &["serve"]);
    let error = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(error.contains("of kind jsonl, and event_store.kind is sqlite"), "{error}");
}

#[test]
fn a_snapshot_in_the_middle_of_an_order_or_a_transfer_is_compared_with_the_state_there() {
    let folder = filled_with("3", fill_with_groups);
    let sound = run(folder.path(), "jsonl", &["verify"]);
    assert!(sound.status.success(), "{}", said(&sound));
    let in_shares = run(folder.path(), "jsonl", &["verify", "--memory-mib", "1"]);
    assert!(in_shares.status.success() && said(&in_shares) == said(&sound), "{}", said(&in_shares));
    let export = run(folder.path(), "jsonl", &["export", "-"]);
    let inside: HashSet<u64> = said(&export)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["remaining"].as_u64().unwrap() > 0)
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    let snapshots = folder.path().join("events/snapshots");
    let mut planted = 0;
    for path in fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().path()) {
        let whole = fs::read_to_string(&path).unwrap();
        let (front, state) = whole.split_once('\n').unwrap();
        let mut front: Value = serde_json::from_str(front).unwrap();
        if !inside.contains(&front["position"].as_u64().unwrap()) || planted == 5 {
            continue;
        }
        planted += 1;
        let state = state.replacen("\"quantity\":", "\"quantity\":1", 1);
        front["crc"] = crc32c(state.as_bytes()).into();
        fs::write(&path, format!("{front}\n{state}")).unwrap();
        let found = run(folder.path(), "jsonl", &["verify"]);
        assert_eq!(found.status.code(), Some(1), "{front}: {}", said(&found));
        assert_eq!(said(&found).matches("is not the state at that version").count(), 1, "{front}: {}", said(&found));
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(planted, 5, "there are some in the middle of groups");
}

#[test]
fn a_log_moves_between_a_journal_and_sqlite_and_back() {
    let folder = filled();
    let work = tempfile::tempdir().unwrap();
    let mut from = (folder.path().to_owned(), "jsonl");
    let mut exports = Vec::new();
    let targets: Vec<TempDir> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    for (target, kind) in targets.iter().zip(["sqlite", "jsonl"]) {
        let file = work.path().join(format!("to-{kind}.jsonl"));
        assert!(run(&from.0, from.1, &["export", file.to_str().unwrap()]).status.success());
        let imported = run(target.path(), kind, &["import", file.to_str().unwrap()]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        assert!(run(target.path(), kind, &["verify"]).status.success());
        exports.push(fs::read_to_string(&file).unwrap());
        from = (target.path().to_owned(), kind);
    }
    assert_eq!(exports[0], exports[1]);
}

#[test]
fn a_journal_is_backed_up_while_it_is_written_and_restored() {
    let service = RunningService::start_with(&[], &[(KIND, "jsonl")]);
    fill(&service.client());
    let work = tempfile::tempdir().unwrap();
    let backup = work.path().join("backup");
    let done = run(service.data(), "jsonl", &["backup", backup.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(service.client().add(1, 1, 5).status, 201, "it goes on");
    let target = tempfile::tempdir().unwrap();
    let other = run(target.path(), "sqlite", &["restore", backup.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("of kind jsonl"));
    let restored = run(target.path(), "jsonl", &["restore", backup.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert!(run(target.path(), "jsonl", &["verify"]).status.success());
    let again = RunningService::start_on_folder(target, &[(KIND, "jsonl")]);
    assert_eq!(again.client().add(1, 1, 5).body["version"], service.client().level(1, 1).body["version"]);
}

#[test]
fn a_start_that_is_refused_for_lost_events_changes_nothing() {
    let folder = filled();
    let head = fs::read_to_string(folder.path().join("events/streams.checkpoint")).unwrap();
    let head = serde_json::from_str::<Value>(&head).unwrap()["position"].as_u64().unwrap();
    let lose_all = |data: &Path| fs::remove_dir_all(data.join("events/log")).unwrap();
    for (lose, lost) in [(&lose_all as &dyn Fn(&Path), "lost events 1 to"), (&damage_the_last, "lost events 4")] {
        for (gone, says) in [
            ("nothing", "read_models.db"),
            ("events/streams.checkpoint", "read_models.db"),
            ("read_models.db", "streams.checkpoint"),
        ] {
            let data = tempfile::tempdir().unwrap();
            copy(folder.path(), data.path());
            lose(data.path());
            drop(fs::remove_file(data.path().join(gone)));
            let before = contents(data.path());
            let refused = run(data.path(), "jsonl", &["serve"]);
            let error = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && error.contains(lost), "{gone}: {error}");
            assert!(error.contains(&format!("{says} has events up to {head}; restore a backup")), "{gone}: {error}");
            assert!(contents(data.path()) == before, "{gone}: {error}");
        }
    }
}

#[test]
fn what_only_the_readable_files_have_seen_is_missed_by_backup_and_verify_too() {
    let data = tempfile::tempdir().unwrap();
    copy(filled().path(), data.path());
    damage_the_last(data.path());
    fs::remove_file(data.path().join("read_models.db")).unwrap();
    let work = tempfile::tempdir().unwrap();
    let [backup, export] = ["backup", "export"].map(|name| work.path().join(name));
    let refused = run(data.path(), "jsonl", &["backup", backup.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("lost events 4"), "{error}");
    let verified = run(data.path(), "jsonl", &["verify"]);
    let report = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!verified.status.success() && report.contains("WRONG: the log has lost events 4"), "{report}");
    assert!(!report.contains(" 0 streams"), "the rest is proved all the same: {report}");
    assert!(run(data.path(), "jsonl", &["export", export.to_str().unwrap()]).status.success(), "what is left");
}

fn damage_the_last(data: &Path) {
    let segment = data.join("events/log/00000001.jsonl");
    let mut bytes = fs::read(&segment).unwrap();
    let place = String::from_utf8_lossy(&bytes).rfind("\"position\":").unwrap();
    bytes[place + 30] ^= 1;
    fs::write(segment, bytes).unwrap();
}

/// Nobody else knows of the events that are lost.
#[test]
fn what_says_how_far_the_files_of_the_stocks_are_is_not_passed_over_where_it_can_not_be_read() {
    let data = tempfile::tempdir().unwrap();
    copy(filled().path(), data.path());
    fs::remove_dir_all(data.path().join("events/log")).unwrap();
    fs::remove_file(data.path().join("read_models.db")).unwrap();
    let checkpoint = data.path().join("events/streams.checkpoint");
    fs::remove_file(&checkpoint).unwrap();
    fs::create_dir(&checkpoint).unwrap();
    let before = contents(data.path());
    let refused = run(data.path(), "jsonl", &["serve"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("events/streams.checkpoint: Is a directory"), "{error}");
    assert!(contents(data.path()) == before, "{error}");
}

/// What is in each file, but for those that `SQLite` and the lock come and go with.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.to_str().unwrap();
        if path.is_dir() {
            all.push((path.clone(), Vec::new()));
            all.extend(contents(&path));
        } else if !["-wal", "-shm", ".lock"].iter().any(|end| name.ends_with(end)) {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn each_stock_has_a_file_for_people() {
    let folder = filled();
    let file = folder.path().join(format!("events/inventory-{}-{}.jsonl", id(1), id(1)));
    let text = fs::read_to_string(file).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() > 300 && events.iter().zip(1..).all(|(event, version)| event["version"] == version));
    assert_eq!(events[0]["event_type"], "StockAddedEvent");
}

/// A data folder of a service that was stopped.
fn filled() -> TempDir {
    filled_with("20", fill)
}

fn filled_with(snapshot_every_events: &'static str, fill: fn(&Client)) -> TempDir {
    let settings = [(KIND, "jsonl"), ("INVENTORY__COMMAND_LOOP__SNAPSHOT_EVERY_EVENTS", snapshot_every_events)];
    let mut service = RunningService::start_with(&[], &settings);
    fill(&service.client());
    service.ask_to_stop();
    assert!(service.wait().success());
    let to = tempfile::tempdir().unwrap();
    copy(service.data(), to.path());
    to
}

/// The checksum that a snapshot has in front, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target: PathBuf = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn run(data: &Path, kind: &str, arguments: &[&str]) -> Output {
    inventory()
        .args(arguments)
        .env("INVENTORY__DATA__DIR", data)
        .env(KIND, kind)
        .env("INVENTORY__SERVER__PORT", "0")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
