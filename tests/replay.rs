//! Real baskets, into an embedded store and over HTTP; as orders also over SIGKILL.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::{RunningService, inventory, inventory_on, path_of};
use tempfile::NamedTempFile;

/// How long a replay may take to get somewhere before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_sample_baskets_add_up_embedded() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let done = inventory_on(data.path()).arg("replay").arg(path_of("data/samples/baskets.csv")).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
        assert!(said.contains("500"), "{said}");
    }
}

#[test]
fn the_sample_baskets_add_up_over_http() {
    let service = RunningService::start();
    let done = inventory()
        .arg("replay")
        .arg(path_of("data/samples/baskets.csv"))
        .args(["--url", &service.url()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_bad_file_is_refused_by_line() {
    let data = tempfile::tempdir().unwrap();
    let header = "transaction_timestamp,basket_id,household_id,store_id,product_id,quantity\n";
    for (text, named) in [
        (String::from("a,b\n1,2\n"), "transaction_timestamp"),
        (format!("{header}2017-01-01 11:53:26,1,1,1,x,1\n"), "line 2"),
        (format!("{header}2017-01-02 11:53:26,1,1,1,1,1\n2017-01-01 11:53:26,2,1,1,1,1\n"), "line 3"),
    ] {
        let file = data.path().join("bad.csv");
        fs::write(&file, text).unwrap();
        let done = inventory_on(data.path()).arg("replay").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success());
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn orders_that_are_replayed_again_change_nothing() {
    let data = tempfile::tempdir().unwrap();
    let first = clean(&as_orders(inventory_on(data.path())).output().unwrap());
    let again = clean(&as_orders(inventory_on(data.path())).output().unwrap());
    assert!(first.contains("0 restocks and 0 orders done by an earlier run, 0 left held by it"), "{first}");
    assert_eq!(numbers(&again, "Orders "), [0, 0, 0], "{again}");
    assert_eq!(numbers(&again, "place "), [0, 0], "{again}");
    let [sold, abandoned, _] = numbers(&first, "Orders ")[..] else { panic!("{first}") };
    assert_eq!(numbers(&again, "Before "), [numbers(&first, "File ")[2], sold + abandoned, 0], "{again}");
    assert_eq!(levels(&again), levels(&first));
    verify(data.path());
}

#[test]
fn what_was_replayed_embedded_is_known_over_http() {
    let data = tempfile::tempdir().unwrap();
    let first = clean(&as_orders(inventory_on(data.path())).output().unwrap());
    let service = RunningService::start_on_folder(data, &[]);
    let again = clean(&as_orders(inventory()).args(["--url", &service.url()]).output().unwrap());
    assert_eq!(numbers(&again, "Orders "), [0, 0, 0], "{again}");
    assert_eq!(numbers(&again, "Before ")[0], numbers(&first, "File ")[2], "every restock: {again}");
    assert_eq!(levels(&again), levels(&first));
}

#[test]
fn a_replay_of_orders_that_was_killed_embedded_ends_like_one_that_was_not() {
    let file = first_baskets();
    let whole = levels_of_a_whole_replay(file.path());
    for _ in 0..10 {
        let data = tempfile::tempdir().unwrap();
        let ended = kill_until_it_ends(|| orders_of(file.path(), inventory_on(data.path())));
        assert_eq!(levels(&ended), whole, "{ended}");
        verify(data.path());
        if numbers(&ended, "Before ")[0] > 0 {
            return;
        }
    }
    panic!("the last one never had something to go on from");
}

/// Kills one replay after the other, each a little later than the one before, until one is at its end first; what that one says.
fn kill_until_it_ends(replay: impl Fn() -> Command) -> String {
    let mut patience = Duration::from_millis(2);
    loop {
        let mut running = replay().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(patience);
        if running.try_wait().unwrap().is_some() {
            return clean(&running.wait_with_output().unwrap());
        }
        running.kill().unwrap();
        running.wait().unwrap();
        patience = patience * 5 / 4;
    }
}

#[test]
fn a_replay_of_orders_goes_on_after_the_client_and_the_server_were_killed() {
    let file = first_baskets();
    let whole = levels_of_a_whole_replay(file.path());
    for _ in 0..10 {
        let mut service = RunningService::start();
        if let Some(cut) = start_and_wait_for_orders(file.path(), &service) {
            service = kill_client(cut, service);
        }
        if let Some(cut) = start_and_wait_for_orders(file.path(), &service) {
            service = kill_server(cut, service);
        }
        let ended = clean(&orders_of(file.path(), inventory()).args(["--url", &service.url()]).output().unwrap());
        assert_eq!(levels(&ended), whole, "{ended}");
        service.ask_to_stop();
        assert!(service.wait().success());
        verify(service.data());
        if !numbers(&ended, "Before ").contains(&0) {
            return;
        }
    }
    panic!("the last one never had restocks, orders and held orders to go on from");
}

/// A replay over HTTP that has sold some orders and is in the middle of others; `None` where it is at its end before it is seen.
fn start_and_wait_for_orders(file: &Path, service: &RunningService) -> Option<Child> {
    let sold_before = sold_orders(service);
    let mut client = orders_of(file, inventory());
    client.args(["--url", &service.url(), "--in-flight", "8"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while sold_orders(service) < sold_before + 10 {
        if client.try_wait().unwrap().is_some() {
            clean(&client.wait_with_output().unwrap());
            return None;
        }
        assert!(Instant::now() < end, "it doesn't get there");
    }
    Some(client)
}

/// How many orders are sold; at most as many as a page has.
fn sold_orders(service: &RunningService) -> usize {
    let listed = service.client().get("/api/v1/orders?state=committed&limit=1000");
    listed.body["items"].as_array().unwrap().len()
}

fn kill_client(mut client: Child, mut service: RunningService) -> RunningService {
    client.kill().unwrap();
    client.wait().unwrap();
    service.ask_to_stop(); // What the client had asked for is done before the next one looks at the levels.
    assert!(service.wait().success());
    service.restart()
}

fn kill_server(client: Child, service: RunningService) -> RunningService {
    let service = service.kill_and_restart();
    let ended = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() || said.contains("the replay stopped at "), "{said}");
    service
}

#[test]
fn a_basket_that_is_no_order_is_refused_before_anything_is_done() {
    let data = tempfile::tempdir().unwrap();
    let lines = (1..=501).map(|product| format!("2017-01-01 11:53:26,7,1,1,{product},1\n"));
    let file = data.path().join("large.csv");
    let header = "transaction_timestamp,basket_id,household_id,store_id,product_id,quantity\n";
    fs::write(&file, lines.fold(header.to_owned(), |text, line| text + &line)).unwrap();
    let refused = inventory_on(data.path()).arg("replay").arg(&file).arg("--orders").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("line 2: basket 7 can't be an order: must be 1 to 500 lines, got 501"), "{said}");
    let in_lines = inventory_on(data.path()).arg("replay").arg(&file).output().unwrap();
    assert!(clean(&in_lines).contains("501 lines, 1 baskets"));
}

fn as_orders(command: Command) -> Command {
    orders_of(&path_of("data/samples/baskets.csv"), command)
}

fn orders_of(file: &Path, mut command: Command) -> Command {
    command.arg("replay").arg(file).arg("--orders");
    command
}

/// The first hundred baskets or so of the sample: enough to be killed in, few enough for many runs.
fn first_baskets() -> NamedTempFile {
    let sample = fs::read_to_string(path_of("data/samples/baskets.csv")).unwrap();
    let lines: Vec<&str> = sample.lines().take(1_000).collect();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(lines.join("\n").as_bytes()).unwrap();
    file
}

/// What a replay has said whose stocks all add up.
#[track_caller]
fn clean(done: &Output) -> String {
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("Check     passed") && !said.contains("by the shop"), "{said}");
    said
}

fn levels_of_a_whole_replay(file: &Path) -> String {
    let data = tempfile::tempdir().unwrap();
    levels(&clean(&orders_of(file, inventory_on(data.path())).output().unwrap()))
}

#[track_caller]
fn levels(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("Levels ")).unwrap_or_else(|| panic!("{said}"));
    line.trim().to_owned()
}

/// The whole numbers of the line that starts so.
#[track_caller]
fn numbers(said: &str, start: &str) -> Vec<u64> {
    let line = said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}: {said}"));
    line.split_whitespace().filter_map(|word| word.replace(',', "").parse().ok()).collect()
}

#[track_caller]
fn verify(data: &Path) {
    let verified = inventory_on(data).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
