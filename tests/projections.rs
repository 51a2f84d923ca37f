//! Read models that are stopped, made anew and told to go on, on the real binary.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{Answer, Client, RunningService, fill, id, inventory_on};
use rusqlite::Connection;
use serde_json::{Value, json};

/// A test that has waited so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Few enough for a test to pass.
const FEW: &[(&str, &str)] = &[("INVENTORY__READS__ACKNOWLEDGED_LEVELS_MAX", "10")];

#[test]
fn a_projection_that_stops_is_named_and_everything_else_goes_on() {
    let mut service = RunningService::start_with(&[], FEW);
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    is(&client, |all| all["stock_levels"]["lag_events"] == 0);
    plant(&service, "UPDATE stock_levels SET version = version + 100");
    assert_eq!(client.add(1, 1, 2).status, 201);
    let all = is(&client, |all| all["stock_levels"]["state"] == "stopped");
    let reason = all["stock_levels"]["stopped_because"].as_str().unwrap();
    assert!(reason.contains("version 2 of inventory-") && reason.contains("the row is at version 101"), "{reason}");
    let ready = client.get("/health/ready");
    assert_eq!((ready.status, &ready.body["status"]), (200, &"degraded".into()));
    let said = json!([{"part": "projections", "problem": "stock_levels can't go on"}]);
    assert_eq!(ready.body["problems"], said);

    // More levels than are remembered: those that were forgotten are asked of the write side.
    for store in 2..=40 {
        assert_eq!(client.add(1, store, 3).status, 201);
    }
    assert_eq!(client.level(1, 1).level(), "7/0 v2");
    assert!((2..=40).all(|store| client.level(1, store).level() == "3/0 v1"));
    let product = client.get(&format!("/api/v1/inventory/products/{}", id(1)));
    assert_eq!(product.body.as_array().unwrap().len(), 40);
    let placed = client.post_with("/orders", &[], &order());
    assert_eq!(placed.status, 201);
    let position = placed.body["position"].as_u64().unwrap();
    let list = client.get(&format!("/api/v1/orders?min_position={position}"));
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{}", list.text);
    let all = is(&client, |all| all["orders"]["lag_events"] == 0);
    assert_eq!(
        (&all["stock_levels"]["position"], &all["stock_levels"]["lag_events"]),
        (&1.into(), &(position - 1).into())
    );
    let waiting = client.get(&format!("/api/v1/inventory/products/{}/stores/{}?min_position=5", id(1), id(3)));
    assert_eq!(waiting.summary(), "503 read-model-behind");

    service = service.kill_and_restart();
    let client = service.client();
    is(&client, |all| all["stock_levels"]["state"] == "stopped"); // At the same event.
    assert_eq!(client.level(1, 1).level(), "6/1 v3", "what is before the restart is asked of the write side");
    let asked = admin(&client, "stock_levels/rebuild");
    assert_eq!((asked.status, asked.header("location")), (202, Some("/admin/projections/stock_levels")));
    let all = is(&client, |all| all["stock_levels"]["rebuild"]["state"] == "done");
    assert_eq!(all["stock_levels"]["state"], "running");
    assert_eq!(client.get("/health/ready").body["status"], "ready");
    assert_eq!(client.level(1, 1).level(), "6/1 v3");
    stop(&mut service);
    verify(service.data());
    let log = service.log();
    let events: Vec<&str> = log.iter().filter_map(|line| line["event"].as_str()).collect();
    assert!(events.contains(&"projection_stopped") && events.contains(&"rebuild_done"), "{events:?}");
}

#[test]
fn a_projection_goes_on_where_it_stopped_when_it_is_told_to() {
    let mut service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 5).status, 201);
    is(&client, |all| all["product_inventory"]["lag_events"] == 0);
    plant(&service, "UPDATE product_inventory SET version = version + 100");
    assert_eq!(client.add(1, 1, 5).status, 201);
    is(&client, |all| all["product_inventory"]["state"] == "stopped");
    plant(&service, "UPDATE product_inventory SET version = version - 100");
    let resumed = admin(&client, "product_inventory/resume");
    assert_eq!((resumed.status, &resumed.body["name"]), (200, &"product_inventory".into()));
    is(&client, |all| all["product_inventory"]["lag_events"] == 0);
    assert_eq!(client.get("/health/ready").body["status"], "ready");
    stop(&mut service);
    verify(service.data());
}

#[test]
fn what_an_operator_asks_wrongly_is_refused() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(admin(&client, "stocks/rebuild").summary(), "404 projection-not-found");
    assert_eq!(admin(&client, "stocks/resume").summary(), "404 projection-not-found");
    assert_eq!(client.get("/admin/projections/stocks").summary(), "404 projection-not-found");
    assert_eq!(client.get("/admin/projections?name=orders").summary(), "422 invalid-request");
    assert_eq!(client.get("/admin/projections/orders/rebuild").summary(), "405 method-not-allowed");
    let orders = client.get("/admin/projections/orders");
    assert_eq!((&orders.body["state"], &orders.body["rebuild"]), (&"running".into(), &Value::Null));
}

#[test]
fn a_rebuild_that_is_killed_changes_nothing() {
    let slowly = [("INVENTORY__PROJECTIONS__CATCH_UP_PAGE_EVENTS_MAX", "1")];
    let mut service = RunningService::start_with(&[], &slowly);
    let client = service.client();
    fill(&client);
    is(&client, |all| all.values().all(|one| one["lag_events"] == 0));
    let table = |name: &str| format!("SELECT count(*) FROM sqlite_schema WHERE name GLOB '{name}_rebuilt_*'");
    for name in ["reservations", "stock_levels"] {
        // On a busy machine it may be through before it is killed.
        let mut was_refused = false;
        let was_in_the_middle = (0..10).any(|_| {
            let client = service.client();
            assert_eq!(admin(&client, &format!("{name}/rebuild")).status, 202);
            was_refused |= admin(&client, "orders/rebuild").summary() == "409 rebuild-running";
            is(&client, |all| all[name]["rebuild"]["position"].as_u64() >= Some(20) || all[name]["rebuild"].is_null());
            service.kill();
            let half: i64 = models(service.data()).query_row(&table(name), [], |row| row.get(0)).unwrap();
            service.start_again();
            half > 0
        });
        assert!(was_in_the_middle && was_refused);
        let left: i64 = models(service.data()).query_row(&table(name), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
        is(&service.client(), |all| all.values().all(|one| one["lag_events"] == 0));
    }
    stop(&mut service);
    verify(service.data());
}

#[test]
fn the_command_line_makes_read_models_anew() {
    let service = RunningService::start();
    fill(&service.client());
    let all = is(&service.client(), |all| all.values().all(|one| one["lag_events"] == 0));
    let events = all["orders"]["head"].clone();
    let beside = run(service.data(), &["rebuild"]);
    assert!(!beside.status.success() && said(&beside).contains("another process"), "{}", said(&beside));
    let mut service = service;
    stop(&mut service);
    for (planted, name) in [
        ("UPDATE stock_levels SET quantity = quantity + 1", vec!["stock_levels"]),
        ("UPDATE reservations SET quantity = quantity + 1", vec![]),
        ("DELETE FROM product_inventory", vec!["product_inventory"]),
    ] {
        assert!(models(service.data()).execute(planted, []).unwrap() > 0);
        assert!(!run(service.data(), &["verify"]).status.success(), "{planted}");
        let arguments: Vec<&str> = ["rebuild"].into_iter().chain(name).collect();
        let done = run(service.data(), &arguments);
        assert!(done.status.success(), "{}", said(&done));
        assert!(said(&done).contains(&format!("made anew from {events} events")), "{}", said(&done));
        verify(service.data());
    }
    let unknown = run(service.data(), &["rebuild", "stocks"]);
    assert!(
        !unknown.status.success() && said(&unknown).contains("there is no projection stocks"),
        "{}",
        said(&unknown)
    );
    let service = service.restart();
    is(&service.client(), |all| all.values().all(|one| one["lag_events"] == 0 && one["state"] == "running"));
}

fn order() -> Value {
    json!({"order_id": id(70), "customer_id": id(9),
        "lines": [{"product_id": id(1), "store_id": id(1), "quantity": 1}]})
}

/// Every projection by its name, as soon as they are as wanted.
#[track_caller]
fn is(client: &Client, wanted: impl Fn(&serde_json::Map<String, Value>) -> bool) -> serde_json::Map<String, Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = client.get("/admin/projections");
        let items = answer.body["items"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
        let all = items.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one)).collect();
        if wanted(&all) {
            return all;
        }
        assert!(Instant::now() < end, "it never comes: {}", answer.text);
        thread::sleep(Duration::from_millis(5));
    }
}

fn admin(client: &Client, what: &str) -> Answer {
    client.send("POST", &format!("/admin/projections/{what}"), &[], b"").unwrap()
}

fn models(data: &Path) -> Connection {
    let connection = Connection::open(data.join("read_models.db")).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

fn plant(service: &RunningService, sql: &str) {
    assert!(models(service.data()).execute(sql, []).unwrap() > 0);
}

fn stop(service: &mut RunningService) {
    service.ask_to_stop();
    assert!(service.wait().success());
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    inventory_on(data).args(arguments).output().unwrap()
}

#[track_caller]
fn verify(data: &Path) {
    let done = run(data, &["verify"]);
    assert!(done.status.success(), "{}", said(&done));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
