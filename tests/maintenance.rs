//! `verify`, `export`, `import`, `backup` and `restore` on the real binary and on `SQLite`: what is planted is found, what is cut
//! off goes on. `maintenance_jsonl.rs` has what is different on a journal.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use inventory_tests::{RunningService, fill, fill_with_groups, id, inventory};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

const SQLITE: (&str, &str) = ("INVENTORY__EVENT_STORE__KIND", "sqlite");

#[test]
#[allow(clippy::too_many_lines, reason = "one case after the other")]
fn every_kind_of_planted_damage_is_found() {
    let folder = folder();
    let sound = run(folder.path(), &["verify"]);
    assert!(sound.status.success(), "{}", said(&sound));
    assert!(said(&sound).ends_with("nothing is wrong\n"), "{}", said(&sound));
    assert!(said(&sound).contains("snapshots,") && !said(&sound).contains(" 0 snapshots"), "{}", said(&sound));
    let in_little_memory = run(folder.path(), &["verify", "--memory-mib", "1"]);
    assert!(in_little_memory.status.success(), "{}", said(&in_little_memory));

    for (file, sql, says) in [
        ("events.db", "DELETE FROM events WHERE position = 3", "position 4 follows 2"),
        ("events.db", "UPDATE events SET version = version + 1 WHERE position = 5", "it follows version"),
        ("events.db", "UPDATE events SET previous = 1 WHERE version = 3 AND stream = 1", "as the one before it"),
        ("events.db", "UPDATE events SET data = '{}' WHERE position = 7", "event 7"),
        ("events.db", "UPDATE events SET type = 'StockEatenEvent' WHERE position = 7", "StockEatenEvent"),
        ("events.db", "UPDATE events SET recorded_at = 0 WHERE position = 7", "was recorded before"),
        ("events.db", "UPDATE events SET remaining = 1 WHERE position = 7", "another time or origin than its group"),
        (
            "events.db",
            "UPDATE events SET data = json_set(data, '$.quantity', 999999) WHERE position = (
                SELECT min(position) FROM events WHERE type = 'StockReservedEvent' AND remaining = 0)",
            "oversold",
        ),
        ("events.db", "DELETE FROM events WHERE type = 'OrderCommittedEvent'", "follows"),
        ("events.db", "UPDATE stream_heads SET version = version + 1 WHERE key = 2", "is said to be at version"),
        ("events.db", "DELETE FROM stream_heads WHERE key = 2", "is said to be at version 0, event 0"),
        ("events.db", "INSERT INTO stream_heads (key, version, head) VALUES (99, 1, 1)", "no stream 99"),
        ("events.db", "UPDATE stream_marks SET position = position - 1", "a wrong mark"),
        ("events.db", "DELETE FROM streams WHERE key = 2", "belongs to no stream"),
        (
            "events.db",
            "UPDATE snapshots SET state = CAST(replace(state, '\"quantity\":', '\"quantity\":1') AS BLOB)",
            "the snapshot of version",
        ),
        ("events.db", "UPDATE append_ids_1 SET position = 99999999", "append ids of segment 1"),
        ("events.db", "UPDATE snapshots SET recorded_at = recorded_at - 100000", "is of another time than its event"),
        ("events.db", "UPDATE snapshots SET position = 99999999", "an event at 99999999 that isn't there"),
        ("events.db", "UPDATE snapshots SET position = position - 1", "that isn't there"),
        ("events.db", "UPDATE snapshots SET version = version - 1", "that isn't there"),
        ("events.db", "UPDATE snapshots SET stream = 2", "that isn't there"),
        ("events.db", "UPDATE snapshots SET stream = 8888", "of no stock was taken after"),
        ("events.db", "UPDATE snapshots SET event_id = randomblob(16)", "that isn't there"),
        ("events.db", "UPDATE snapshots SET state = x'00'", "is not the state"),
        ("events.db", "UPDATE stream_marks SET recorded_at = 0", "a wrong mark"),
        ("events.db", "DELETE FROM stream_marks", "a wrong mark, or none"),
        (
            "events.db",
            "INSERT INTO stream_marks SELECT stream, 130, position, recorded_at FROM stream_marks LIMIT 1",
            "a mark of version 130",
        ),
        ("events.db", "INSERT INTO stream_marks VALUES (999, 128, 5, 0)", "a mark of version 128 of stream 999"),
        ("events.db", "INSERT INTO stream_marks VALUES (1, 12800, 5, 0)", "a mark of version 12800 of stream 1"),
        (
            "events.db",
            "UPDATE events SET event_id = (SELECT event_id FROM events WHERE position = 3) WHERE position = 30",
            "has the same id as event",
        ),
        (
            "events.db",
            "UPDATE events SET event_id = (SELECT event_id FROM events WHERE position = 30) WHERE position = 3",
            "has the same id as event",
        ),
        (
            "events.db",
            "UPDATE events SET recorded_at = recorded_at + 100000000 WHERE position = (SELECT max(position) FROM events)",
            "hours from now",
        ),
        ("events.db", "UPDATE append_ids_1 SET position = 1", "or aren't theirs"),
        ("events.db", "UPDATE append_ids_1 SET position = position + 1", "or aren't theirs"),
        ("events.db", "DELETE FROM append_ids_1", "append ids of segment 1 are missing"),
        ("events.db", "DELETE FROM append_ids_1 WHERE rowid = 3", "append ids of segment 1 are missing"),
        (
            "events.db",
            "UPDATE append_ids_1 SET append_id = randomblob(16) WHERE rowid = 2 AND (SELECT is_indexed FROM append_id_segments WHERE number = 1)",
            "isn't that of its rows",
        ),
        ("events.db", "UPDATE append_id_segments SET is_indexed = 1", "is said to have one"),
        ("events.db", "UPDATE append_id_segments SET is_indexed = 0", "is said to have none"),
        (
            "events.db",
            "UPDATE append_id_segments SET number = number + 1 WHERE number = (SELECT max(number) FROM append_id_segments)",
            "follows",
        ),
        ("events.db", "DELETE FROM append_id_segments WHERE number = 1", "there is no such segment"),
        ("read_models.db", "UPDATE orders SET ttl_minutes = 77", "orders lacks OrderRow"),
        ("read_models.db", "UPDATE orders SET placed_at = placed_at + 1", "orders lacks OrderRow"),
        ("read_models.db", "UPDATE orders SET changed_at = changed_at + 1", "orders lacks OrderRow"),
        ("read_models.db", "UPDATE orders SET release_reason = 'other'", "orders lacks OrderRow"),
        ("read_models.db", "UPDATE transfers SET state = (state + 1) % 3", "transfers shows TransferRow"),
        ("read_models.db", "UPDATE transfers SET reason = 'other'", "transfers shows TransferRow"),
        ("read_models.db", "UPDATE transfers SET started_at = 0", "transfers shows TransferRow"),
        ("read_models.db", "UPDATE transfers SET changed_at = changed_at + 5", "transfers shows TransferRow"),
        (
            "read_models.db",
            "UPDATE stock_levels SET quantity = quantity + 1 WHERE version = 2",
            "stock_levels shows LevelRow",
        ),
        ("read_models.db", "DELETE FROM product_inventory WHERE version = 2", "product_inventory lacks LevelRow"),
        (
            "read_models.db",
            "UPDATE low_stock SET reserved = reserved + 1 WHERE version = 2",
            "low_stock shows LevelRow",
        ),
        ("read_models.db", "UPDATE reservations SET state = 1 WHERE state = 2", "reservations shows ReservationRow"),
        ("read_models.db", "UPDATE reservations SET expires_at = expires_at + 1", "reservations lacks ReservationRow"),
        ("read_models.db", "UPDATE orders SET state = 2 WHERE state = 1", "orders shows OrderRow"),
        ("read_models.db", "UPDATE transfers SET received = received + 1", "transfers shows TransferRow"),
        ("read_models.db", "UPDATE checkpoints SET position = 99999999", "but the log ends at"),
        ("read_models.db", "UPDATE checkpoints SET position = 3", "shows"),
    ] {
        let damaged = copy(folder.path());
        let changed = Connection::open(damaged.path().join(file)).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "{sql} plants nothing");
        let found = run(damaged.path(), &["verify"]);
        assert_eq!(found.status.code(), Some(1), "{sql}: {}", said(&found));
        assert!(said(&found).contains(says), "{sql}: {}", said(&found));
    }
    let nothing = tempfile::tempdir().unwrap();
    let none = run(nothing.path(), &["verify"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no event store of kind sqlite"));
}

#[test]
fn a_snapshot_in_the_middle_of_an_order_or_a_transfer_is_compared_with_the_state_there() {
    let service = RunningService::start_with(&[], &[SQLITE, ("INVENTORY__COMMAND_LOOP__SNAPSHOT_EVERY_EVENTS", "3")]);
    fill_with_groups(&service.client());
    let folder = stopped(service);
    let sound = run(folder.path(), &["verify"]);
    assert!(sound.status.success(), "{}", said(&sound));
    let in_shares = run(folder.path(), &["verify", "--memory-mib", "1"]);
    assert!(in_shares.status.success() && said(&in_shares) == said(&sound), "{}", said(&in_shares));
    for kind in ["StockReservedEvent", "StockTransferredOutEvent", "StockTransferredInEvent"] {
        let damage = format!(
            "UPDATE snapshots SET state = CAST(replace(state, '\"quantity\":', '\"quantity\":1') AS BLOB)
             WHERE position = (SELECT max(position) FROM snapshots JOIN events USING (position)
                WHERE remaining > 1 AND type = '{kind}' OR remaining > 0 AND type = '{kind}' AND type LIKE '%Transferred%')"
        );
        let damaged = copy(folder.path());
        let events = Connection::open(damaged.path().join("events.db")).unwrap();
        assert_eq!(events.execute(&damage, []).unwrap(), 1, "{kind}: there is none in the middle of a group");
        drop(events);
        let found = run(damaged.path(), &["verify"]);
        assert_eq!(found.status.code(), Some(1), "{kind}: {}", said(&found));
        assert_eq!(said(&found).matches("is not the state at that version").count(), 1, "{kind}: {}", said(&found));
    }
}

#[test]
fn an_export_is_imported_with_nothing_lost_also_when_it_is_cut_off() {
    let folder = folder();
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("log.jsonl");
    let path = file.to_str().unwrap();
    assert!(run(folder.path(), &["export", path]).status.success());
    assert!(!run(folder.path(), &["export", path]).status.success(), "nothing is written over");
    let lines = fs::read_to_string(&file).unwrap();
    let event: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["position"], &event["event_type"], &event["version"]),
        (&json!(1), &json!("StockAddedEvent"), &json!(1))
    );

    let target = tempfile::tempdir().unwrap();
    let imported = run(target.path(), &["import", path]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert!(run(target.path(), &["verify"]).status.success());
    let again = work.path().join("again.jsonl");
    assert!(run(target.path(), &["export", again.to_str().unwrap()]).status.success());
    assert_eq!(fs::read_to_string(&again).unwrap(), lines, "byte for byte");
    assert!(said(&run(target.path(), &["import", path])).starts_with("0 events imported"), "once more adds nothing");

    // Cut off: the store has the first groups only.
    let part = work.path().join("part.jsonl");
    let count = lines.lines().count();
    let cut = (count / 2..count).find(|at| lines.lines().nth(*at - 1).unwrap().ends_with("\"remaining\":0}")).unwrap();
    fs::write(&part, lines.split_inclusive('\n').take(cut).collect::<String>()).unwrap();
    let target = tempfile::tempdir().unwrap();
    assert!(run(target.path(), &["import", part.to_str().unwrap()]).status.success());
    let resumed = said(&run(target.path(), &["import", path]));
    assert_eq!(resumed, format!("{} events imported, {cut} were there already\n", count - cut));

    let by_stock = work.path().join("stocks");
    assert!(run(folder.path(), &["export", "--by-stock", by_stock.to_str().unwrap()]).status.success());
    let stock = fs::read_to_string(by_stock.join(format!("inventory-{}-{}.jsonl", id(1), id(1)))).unwrap();
    let versions: Vec<u64> =
        stock.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_bad_import_is_refused_by_its_line_and_writes_nothing() {
    let folder = folder();
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("log.jsonl");
    assert!(run(folder.path(), &["export", file.to_str().unwrap()]).status.success());
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let with = |place: usize, change: &dyn Fn(&str) -> String| {
        let mut lines = lines.clone();
        lines[place] = change(&lines[place]);
        lines
    };
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        lines
    };
    for (what, bad, says) in [
        ("a gap", without(3), "line 4: position 5 follows 3"),
        ("a wrong version", with(4, &|line| line.replace("\"version\":", "\"version\":7")), "line 5: event 5"),
        ("a line that is cut", with(4, &|line| line[..line.len() / 2].to_owned()), "line 5: "),
        ("an unknown type", with(2, &|line| line.replace("StockAdded", "StockEaten")), "StockEaten"),
        (
            "an unknown field",
            with(2, &|line| line.replace("{\"position\"", "{\"x\":1,\"position\"")),
            "unknown field `x`",
        ),
        ("an impossible quantity", with(0, &|line| line.replace("\"quantity\":", "\"quantity\":-")), "line 1: "),
        ("a stream that is none", with(0, &|line| line.replace("\"inventory-", "\"cart-")), "names no stream"),
        ("a group that is cut", lines[..lines.len() - 1].to_vec(), "in the middle of a group"),
        (
            "an unknown field in the data",
            with(2, &|line| line.replace("\"data\":{", "\"data\":{\"x\":1,")),
            "line 3: unknown field `x` in data",
        ),
        (
            "an unknown field in the metadata",
            with(2, &|line| line.replace("\"metadata\":{", "\"metadata\":{\"y\":{},")),
            "line 3: unknown field `y` in metadata",
        ),
        (
            "no schema version",
            with(1, &|line| line.replace("\"schema_version\":2", "\"schema_version\":0")),
            "line 2: schema_version 0 is none, the first is 1",
        ),
        ("an empty line", with(1, &|_| String::new()), "line 2: "),
    ] {
        let path = work.path().join("bad.jsonl");
        fs::write(&path, bad.join("\n") + "\n").unwrap();
        let target = tempfile::tempdir().unwrap();
        let refused = run(target.path(), &["import", path.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains(says), "{what}: {error}");
        assert!(!target.path().join("events.db").exists(), "{what}: nothing is written");
    }
    let mut bytes = text.clone().into_bytes();
    let place = text.find("\"reason\":\"").unwrap() + 10;
    bytes[place] = 0xff;
    let path = work.path().join("bad.jsonl");
    fs::write(&path, bytes).unwrap();
    let refused = run(work.path(), &["import", path.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("line 1: this is no UTF-8"), "{error}");
    let (target, pipe) = (tempfile::tempdir().unwrap(), File::open(&file).unwrap());
    let mut piped = Command::new("cat").stdin(pipe).stdout(Stdio::piped()).spawn().unwrap();
    let mut import = inventory();
    import.args(["import", "/dev/stdin"]).env("INVENTORY__DATA__DIR", target.path());
    let refused = import.stdin(piped.stdout.take().unwrap()).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("is no regular file: it is read twice"), "{error}");
    drop(import); // It holds the other end of the pipe.
    piped.wait().unwrap();
    let elsewhere = folder_with(3);
    let refused = run(elsewhere.path(), &["import", file.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("line 1: the store has another event at position 1"), "{error}");
}

#[test]
fn a_backup_taken_under_load_restores_to_something_sound() {
    let service = RunningService::start_with(&[], &[SQLITE]);
    let client = service.client();
    for product in 1..=8 {
        assert_eq!(client.add(product, 1, 1_000_000).status, 201);
    }
    let work = tempfile::tempdir().unwrap();
    let is_over = AtomicBool::new(false);
    let backups: Vec<_> = thread::scope(|scope| {
        for product in 1..=8u128 {
            let (client, is_over) = (service.client(), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(client.try_reserve(product, 1, 1).unwrap().status, 201);
                }
            });
        }
        let backups = (0..3).map(|number| {
            let to = work.path().join(format!("backup-{number}"));
            let done = run(service.data(), &["backup", to.to_str().unwrap()]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            to
        });
        let backups = backups.collect();
        let proved = run(service.data(), &["verify"]);
        is_over.store(true, Ordering::SeqCst);
        assert!(proved.status.success(), "also while it is used: {}", said(&proved));
        backups
    });
    let blocked = run(service.data(), &["restore", backups[0].to_str().unwrap()]);
    let error = String::from_utf8_lossy(&blocked.stderr).into_owned();
    assert!(!blocked.status.success() && error.contains("another process is using the data folder"), "{error}");
    let blocked = run(service.data(), &["import", "nothing.jsonl"]);
    assert!(!blocked.status.success());
    for backup in &backups {
        let target = tempfile::tempdir().unwrap();
        let restored = run(target.path(), &["restore", backup.to_str().unwrap()]);
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        let proved = run(target.path(), &["verify"]);
        assert!(proved.status.success(), "{}", said(&proved));
        let again = run(target.path(), &["restore", backup.to_str().unwrap()]);
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
        let service = RunningService::start_on_folder(target, &[SQLITE]);
        assert_eq!(service.client().level(1, 1).body["total"], 1_000_000, "it serves what was backed up");
    }
    let copied = backups[2].join("events.db");
    let mut damaged = fs::read(&copied).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    fs::write(&copied, damaged).unwrap();
    let target = tempfile::tempdir().unwrap();
    let refused = run(target.path(), &["restore", backups[2].to_str().unwrap()]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && error.contains("events.db is missing, or is not what was backed up"),
        "{error}"
    );
    assert!(fs::read_dir(target.path()).unwrap().next().is_none(), "the data folder isn't touched");
    fs::remove_file(backups[0].join("backup.json")).unwrap();
    let target = tempfile::tempdir().unwrap();
    let refused = run(target.path(), &["restore", backups[0].to_str().unwrap()]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("is no backup"));
    let taken = run(service.data(), &["backup", backups[1].to_str().unwrap()]);
    assert!(!taken.status.success() && String::from_utf8_lossy(&taken.stderr).contains("is there already"));
}

#[test]
fn a_copy_of_a_damaged_store_is_no_backup() {
    const PAGE: usize = 4_096;
    let whole = folder();
    let refused = |data: &Path, because: &str| {
        let to = data.join("backup");
        let output = run(data, &["backup", to.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(because), "{error}");
        assert!(!to.join("backup.json").exists(), "it would pass for one");
    };
    let pages = fs::read(whole.path().join("events.db")).unwrap().len() / PAGE;
    let mut taken = 0;
    for page in 2..pages {
        let damaged = copy(whole.path());
        let file = damaged.path().join("events.db");
        let mut bytes = fs::read(&file).unwrap();
        bytes[page * PAGE..(page + 1) * PAGE].fill(0);
        fs::write(&file, bytes).unwrap();
        let to = damaged.path().join("backup");
        // A page that nothing is in any more, or the middle of a long value: of that only a replay can tell.
        taken += usize::from(run(damaged.path(), &["backup", to.to_str().unwrap()]).status.success());
    }
    assert!(taken < pages / 4, "{taken} of {pages}");
    let unlinked = copy(whole.path());
    let events = Connection::open(unlinked.path().join("events.db")).unwrap();
    events.execute("UPDATE events SET previous = 1 WHERE position = 30", []).unwrap();
    refused(unlinked.path(), "event 30 names 1 as the one before it");
    let lost = copy(whole.path());
    let models = Connection::open(lost.path().join("read_models.db")).unwrap();
    models.execute("UPDATE checkpoints SET position = position + 1", []).unwrap();
    drop(models);
    refused(lost.path(), "the log has lost events");
    fs::write(lost.path().join("read_models.db"), "x".repeat(PAGE)).unwrap();
    refused(lost.path(), "read_models.db: the read models are damaged"); // They may be the only ones that know of it.
}

/// A data folder with something of everything, of a service that was stopped.
fn folder() -> TempDir {
    let (snapshots, ids) =
        ("INVENTORY__COMMAND_LOOP__SNAPSHOT_EVERY_EVENTS", "INVENTORY__EVENT_STORE__APPEND_ID_SEGMENT_KEYS_MAX");
    let service = RunningService::start_with(&[], &[SQLITE, (snapshots, "20"), (ids, "80")]);
    fill(&service.client());
    stopped(service)
}

fn folder_with(quantity: u64) -> TempDir {
    let service = RunningService::start_with(&[], &[SQLITE]);
    assert_eq!(service.client().add(7, 7, quantity).status, 201);
    stopped(service)
}

fn stopped(mut service: RunningService) -> TempDir {
    service.ask_to_stop();
    assert!(service.wait().success());
    copy(service.data())
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in ["events.db", "events.db-wal", "read_models.db", "read_models.db-wal"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.path().join(file)).unwrap();
        }
    }
    to
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    inventory().args(arguments).env("INVENTORY__DATA__DIR", data).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
