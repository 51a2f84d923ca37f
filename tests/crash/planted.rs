//! Bugs that are planted, so that the harness is seen to find them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::sync::atomic::Ordering;

use inventory_tests::{Asked, RunningService};
use rusqlite::Connection;
use serde_json::Value;

use crate::account::Call;
use crate::answers;
use crate::ledger::Ledger;
use crate::life::Life;
use crate::log_event::LogEvent;
use crate::proof::export;
use crate::read_models::equal_a_fresh_replay;
use crate::shopper::uuid;

/// A life without a bad end, and its log.
fn quiet_life(seed: u64) -> (Life, Vec<LogEvent>) {
    let mut life = Life::begin(seed).unwrap();
    life.load(40).unwrap();
    life.finish().unwrap();
    let log = export(life.service()).unwrap();
    (life, log)
}

fn check(log: &[LogEvent], accounts: &[&[Call]]) -> Result<(), String> {
    let mut ledger = Ledger::default();
    ledger.take(log, accounts)?;
    answers::check(&ledger, accounts).map(drop)
}

/// What no look at the log alone would find: positions and versions without a gap.
fn renumbered(mut log: Vec<LogEvent>) -> Vec<LogEvent> {
    let mut versions = HashMap::new();
    for (event, position) in log.iter_mut().zip(1..) {
        let version = versions.entry(event.stream.clone()).or_insert(0);
        *version += 1;
        (event.position, event.version) = (position, *version);
    }
    log
}

/// Each request's events, by their places.
fn groups(log: &[LogEvent]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (place, event) in log.iter().enumerate() {
        let origin = |event: &LogEvent| (event.request_id.clone(), event.key.clone());
        match groups.last_mut() {
            Some(last) if event.request_id.is_some() && origin(&log[last.start]) == origin(event) => {
                last.end = place + 1;
            }
            _ => groups.push(place..place + 1),
        }
    }
    groups
}

#[test]
fn a_log_that_was_tampered_with_is_found_out() {
    let (life, log) = quiet_life(101);
    let accounts = life.accounts();
    check(&log, &accounts).unwrap();
    // Not the first deliveries, before which nothing stands, and nothing that nobody has asked for.
    let asked = groups(&log).into_iter().skip(20).filter(|group| log[group.start].request_id.is_some());
    let (single, several): (Vec<_>, Vec<_>) = asked.partition(|group| group.len() == 1);
    let mut planted: BTreeMap<&str, u64> = BTreeMap::new();
    for group in single.iter().chain(&several).step_by(23) {
        for (how, tampered) in tampered_with(&log, group) {
            check(&tampered, &accounts).expect_err(&format!("{how}: {:?}", &log[group.clone()]));
            *planted.entry(how).or_default() += 1;
        }
    }
    assert_eq!(planted.len(), 3 + CHANGES.len(), "each way was tried: {planted:?}");
    assert!(planted.values().all(|count| *count >= 4), "more than once or twice: {planted:?}");
    let late = log.iter().rposition(|event| event.request_id.is_some()).unwrap();
    check(&log[..late], &accounts).expect_err("the end is lost");
}

/// The log with one group of it wrong, in each way that there is for it, with a word for each.
fn tampered_with(log: &[LogEvent], group: &Range<usize>) -> Vec<(&'static str, Vec<LogEvent>)> {
    let (before, it, behind) = (&log[..group.start], &log[group.clone()], &log[group.end..]);
    let mut all = vec![
        ("lost", renumbered([before, behind].concat())),
        ("there twice", renumbered([before, it, it, behind].concat())),
    ];
    if let [half @ .., _] = it
        && !half.is_empty()
    {
        all.push(("there by half", renumbered([before, half, behind].concat())));
    }
    all.extend(CHANGES.into_iter().filter_map(|(how, change)| {
        let mut changed = log.to_vec();
        change(&mut changed[group.start]);
        (changed != log).then_some((how, changed))
    }));
    all
}

/// Changes an event.
type Change = fn(&mut LogEvent);

/// What one event may be changed to, with a word for each.
const CHANGES: [(&str, Change); 5] = [
    ("of one unit more", |event| {
        if let Some(units) = event.data["quantity"].as_u64() {
            event.data["quantity"] = (units + 1).into();
        }
    }),
    ("somebody else's", |event| event.request_id = Some("somebody-else".into())),
    ("of another version", |event| event.version += 1),
    ("an hour early", |event| event.recorded_at -= 3_600_000),
    ("of another stream", |event| event.stream = event.stream.replace("inventory-", "inventory")),
];

#[test]
fn an_account_of_something_that_never_happened_is_found_out() {
    let (mut life, log) = quiet_life(102);
    let first = life.shoppers[0].calls[0].clone();
    life.shoppers[3].calls.push(first);
    check(&log, &life.accounts()).expect_err("what was acknowledged has to be in the log");
}

#[test]
fn a_repeat_that_is_done_once_more_is_found_out() {
    let mut life = Life::begin(103).unwrap();
    life.shoppers[0].repeats_under_new_keys = true; // As if the service knew no keys.
    let found = life.load(150).and_then(|()| life.check());
    let error = found.expect_err("what is asked again is done again");
    assert!(
        error.contains("the second effect")
            || error.contains("it wasn't told so")
            || error.contains("the key of what was done was told")
            || error.contains("nobody has asked"),
        "{error}"
    );
}

#[test]
fn a_row_of_a_read_model_that_was_altered_is_found_out() {
    let (life, _) = quiet_life(104);
    let service = life.service();
    equal_a_fresh_replay(service).unwrap();
    for (change, back) in [
        ("UPDATE stock_levels SET reserved = reserved + 1", "UPDATE stock_levels SET reserved = reserved - 1"),
        ("UPDATE product_inventory SET version = version + 1", "UPDATE product_inventory SET version = version - 1"),
        ("UPDATE low_stock SET quantity = quantity + 1", "UPDATE low_stock SET quantity = quantity - 1"),
        ("UPDATE reservations SET committed = committed + 1", "UPDATE reservations SET committed = committed - 1"),
        ("UPDATE orders SET changed_at = changed_at + 1", "UPDATE orders SET changed_at = changed_at - 1"),
        ("UPDATE transfers SET received = received + 1", "UPDATE transfers SET received = received - 1"),
    ] {
        let models = Connection::open(service.data().join("read_models.db")).unwrap();
        let one = |sql: &str| {
            let table = sql.split(' ').nth(1).unwrap();
            let first = if table.ends_with('s') && !table.starts_with("stock") { "position" } else { "product_id" };
            models.execute(&format!("{sql} WHERE {first} = (SELECT min({first}) FROM {table})"), []).unwrap()
        };
        assert!(one(change) > 0, "{change} plants nothing");
        let found = equal_a_fresh_replay(service).expect_err(change);
        assert!(found.contains("isn't what a fresh replay makes of it"), "{found}");
        one(back);
    }
    equal_a_fresh_replay(service).unwrap();
    let models = Connection::open(service.data().join("read_models.db")).unwrap();
    models.execute("DELETE FROM reservations WHERE position = (SELECT max(position) FROM reservations)", []).unwrap();
    drop(models);
    equal_a_fresh_replay(service).expect_err("a row is missing");
}

/// What is killed before it is synced is in the page cache all the same. So the loss is made by hand: the disk is put back to before
/// an acknowledged command, and whatever could tell is taken away.
#[test]
fn a_disk_that_has_lost_what_was_acknowledged_is_found_out() {
    let whole_journal = ("INVENTORY__EVENT_STORE__SEGMENT_BYTES", "67108864");
    let mut life = Life::begin_with(105, &[whole_journal]).unwrap();
    life.load(20).unwrap();
    life.check().unwrap();
    let client = life.client();
    let last = Asked::Add { stock: (uuid(1), uuid(1)), quantity: 7 };
    life.shoppers[5].ask(&client, &life.shared, last).unwrap();
    let position = life.shared.acknowledged.load(Ordering::SeqCst);
    let mut service = life.service.take().unwrap();
    service.kill();
    lose_from(&service, position);
    life.service = Some(service.restart());
    let error = life.check().expect_err("an acknowledged command is lost");
    assert!(error.contains("it was acknowledged, and is nowhere in the log"), "{error}");
}

/// Takes the event at this position away, and all behind it, and what would give that away.
fn lose_from(service: &RunningService, position: u64) {
    let data = service.data();
    for file in ["read_models.db", "read_models.db-wal", "read_models.db-shm", "events/streams.checkpoint"] {
        drop(fs::remove_file(data.join(file)));
    }
    drop(fs::remove_dir_all(data.join("events/snapshots")));
    let journal = data.join("events/log/00000001.jsonl");
    if !journal.exists() {
        let events = Connection::open(data.join("events.db")).unwrap();
        let head = || events.query_row("SELECT max(position) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
        while head() >= position.try_into().unwrap() {
            let lost = "(SELECT max(position) FROM events)";
            events
                .execute_batch(&format!(
                    "UPDATE stream_heads SET version = version - 1,
                        head = (SELECT previous FROM events WHERE position = {lost})
                        WHERE key = (SELECT stream FROM events WHERE position = {lost});
                    DELETE FROM streams WHERE key IN (SELECT key FROM stream_heads WHERE version = 0);
                    DELETE FROM stream_heads WHERE version = 0;
                    DELETE FROM stream_marks WHERE position = {lost};
                    DELETE FROM snapshots WHERE position = {lost};
                    DELETE FROM events WHERE position = {lost};"
                ))
                .unwrap();
        }
        return;
    }
    let mut bytes = fs::read(&journal).unwrap();
    loop {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let line = bytes[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let commit: Value = serde_json::from_slice(&bytes[line..end]).unwrap();
        if commit["commit"]["last"].as_u64().unwrap() < position {
            break;
        }
        let start = usize::try_from(commit["commit"]["start"].as_u64().unwrap()).unwrap();
        bytes[start..].fill(0);
    }
    fs::write(&journal, bytes).unwrap();
}
