//! Starting, stopping, and what a newcomer sees.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use inventory_tests::{RunningService, id, inventory};

#[test]
fn what_was_accepted_before_a_sigterm_is_finished() {
    let mut service = RunningService::start();
    assert_eq!(service.client().add(1, 1, 1_000_000).status, 201);
    let acknowledged = Mutex::new(0u64);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let client = service.client();
                loop {
                    match client.try_reserve(1, 1, 1) {
                        Ok(answer) if answer.status == 201 => *acknowledged.lock().unwrap() += 1,
                        Ok(answer) => assert_eq!(answer.summary(), "503 unavailable"),
                        Err(_) => return, // It listens no more.
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        service.ask_to_stop();
    });
    assert!(service.wait().success());
    let log = service.log();
    assert_eq!(log.last().map(|line| &line["event"]), Some(&"stopped".into()));
    let lines = log.iter().filter(|line| line["event"] == "stock_reserved").count() as u64;
    let service = service.restart();
    let reserved = service.client().level(1, 1).body["reserved"].as_u64().unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged > 0);
    // What is durable was answered, but for answers that a closing connection has lost: at most one a client.
    assert!((acknowledged..=acknowledged + 8).contains(&reserved), "{acknowledged} acknowledged, {reserved} reserved");
    assert_eq!(lines, reserved, "each has its line in the log");
}

#[test]
fn a_stop_does_not_wait_for_idle_connections() {
    let mut service = RunningService::start();
    let client = service.client();
    assert_eq!(client.get("/health").status, 200); // Its connection is kept.
    let asked = std::time::Instant::now();
    service.ask_to_stop();
    assert!(service.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(20), "drain_s_max is 30");
}

#[test]
fn health_is_shown() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!((client.get("/health").status, client.get("/health/live").status), (200, 200));
    let ready = client.get("/health/ready");
    assert_eq!((ready.status, &ready.body["status"]), (200, &"ready".into()));
}

#[test]
fn a_second_process_keeps_off_the_data() {
    let service = RunningService::start();
    let mut second = inventory();
    second.arg("serve").env("INVENTORY__SERVER__PORT", "0").env("INVENTORY__DATA__DIR", service.data());
    let said = failure(&mut second);
    assert!(said.contains("another process"), "{said}");
}

#[test]
fn read_models_are_built_anew_and_never_run_ahead_of_the_log() {
    let mut service = RunningService::start();
    assert_eq!(service.client().add(1, 1, 5).status, 201);
    assert_eq!(service.client().add(1, 2, 7).status, 201);
    let stop = |service: &mut RunningService| {
        service.ask_to_stop();
        assert!(service.wait().success());
    };
    stop(&mut service);
    fs::remove_file(service.data().join("read_models.db")).unwrap();
    let mut service = service.restart();
    let path = format!("/api/v1/inventory/products/{}", id(1));
    let quantities = |service: &RunningService| {
        let product = service.client().get(&path);
        product.body.as_array().unwrap().iter().map(|level| level["total"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(quantities(&service), [5, 7]);
    stop(&mut service);
    service.lose_the_log();
    let said = failure(&mut service.next_start());
    assert!(said.contains("the log has lost events 1 to 2: ") && said.contains("ends at 0, but "), "{said}");
    assert!(said.contains("read_models.db has events up to 2; restore a backup (if there is none: removing"), "{said}");
    let made = ["events", "events.db"].map(|name| service.data().join(name)).map(|path| path.exists());
    assert_eq!(made, [false, false], "a start that is refused makes nothing");
    fs::remove_file(service.data().join("read_models.db")).unwrap();
    assert_eq!(service.restart().client().get(&path).status, 404);
}

#[test]
fn a_bad_setting_is_named() {
    for (key, value, named) in [
        ("INVENTORY__SERVER__PORT", "seventy", "server.port"),
        ("INVENTORY__CACHE__ENTRIES_MAX", "0", "cache.entries_max"),
        ("INVENTORY__EVENT_STORE__KIND", "paper", "event_store.kind"),
        ("INVENTORY__SERVER__HOTS", "x", "hots"),
    ] {
        let said = failure(inventory().arg("serve").env(key, value));
        assert!(said.contains(named), "{key}={value}: {said}");
    }
    let said = failure(inventory().args(["--config", "no/such.toml", "serve"]));
    assert!(said.contains("no/such.toml"), "{said}");
}

#[test]
fn a_newcomer_finds_help_and_the_version() {
    let said = |arguments: &[&str]| {
        let done = inventory().args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let help = said(&["--help"]);
    for word in ["serve", "replay", "version", "--config", "--demo"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    assert!(said(&["replay", "--help"]).contains("--url"));
    assert!(said(&["version"]).starts_with("inventory "));
}

#[test]
fn the_demo_fills_an_empty_store_and_says_what_to_try() {
    let mut service = RunningService::start_with(&["--demo"], &[]);
    let done = service.wait_for("demo_ready");
    assert_eq!(done["baskets"], 500);
    let path = done["try"].as_str().unwrap();
    assert_eq!(service.client().get(path).status, 200, "{path}");
    let mut service = service.kill_and_restart();
    assert_eq!(service.client().get(path).status, 200);
    service.ask_to_stop();
    assert!(service.wait().success());
}

/// What a command that fails says on standard error.
#[track_caller]
fn failure(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().expect("it can be started");
    assert!(!done.status.success());
    String::from_utf8_lossy(&done.stderr).into_owned()
}
