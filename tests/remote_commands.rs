//! The commands of the command line that ask a running service.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use inventory_tests::{RunningService, id, inventory};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};

/// What a command has come to.
struct Done {
    code: i32,
    out: String,
    error: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.error))
    }
}

fn run(command: &mut Command) -> Done {
    let done = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: done.status.code().unwrap(), out: text(done.stdout), error: text(done.stderr) }
}

/// A command that asks this service.
fn remote(service: &RunningService) -> Command {
    let mut command = bare();
    command.env("INVENTORY_URL", service.url());
    command
}

fn bare() -> Command {
    let mut command = inventory();
    for name in ["INVENTORY_URL", "INVENTORY_API_KEY", "INVENTORY_CA_FILE"] {
        command.env_remove(name);
    }
    command
}

fn stock<S: AsRef<OsStr>>(service: &RunningService, words: &[S]) -> Done {
    run(remote(service).arg("stock").args(words))
}

#[test]
fn a_stock_is_filled_sold_and_counted() {
    let service = RunningService::start();
    let (product, store, reservation, order) = (id(1), id(2), id(3), id(4));
    let at = [product.as_str(), store.as_str()];
    let on = |name: &str, words: &[&str]| -> Vec<String> {
        [&[name], &at[..], words, &["--json"]].concat().into_iter().map(str::to_owned).collect()
    };
    let check = |words: &[String], expected: &[(&str, Value)]| {
        let done = stock(&service, words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.error);
        for (member, value) in expected {
            assert_eq!(done.json()[*member], *value, "{words:?}: {member}");
        }
    };
    let level = |available: u64, reserved: u64| [("available", json!(available)), ("reserved", json!(reserved))];
    check(&on("add", &["10", "--reason", "delivery 4711"]), &level(10, 0));
    let customer = id(5);
    let held = ["3", "--customer", &customer, "--reservation-id", &reservation, "--no-deadline"];
    check(&on("reserve", &held), &[("expires_at", Value::Null), ("reservation_id", json!(reservation))]);
    check(&on("extend", &[&reservation, "--ttl-minutes", "5"]), &level(7, 3));
    check(&on("commit", &[&reservation, "--order", &order, "--quantity", "2"]), &level(8, 0));
    let other = ["2", "--customer", &customer, "--ttl-minutes", "60", "--reservation-id", &order];
    check(&on("reserve", &other), &level(6, 2));
    check(&on("release", &[&order, "--reason", "left"]), &level(8, 0));
    check(&on("adjust", &["7", "--reason", "count"]), &level(7, 0));
    check(&on("availability", &["8"]), &[("available", json!(false)), ("current_stock", json!(7))]);
    check(&on("get", &[]), &level(7, 0));
    let long_ago = stock(&service, &on("get", &["--at", "2020-01-01T00:00:00+01:00"]));
    assert_eq!(long_ago.code, 1);
    assert!(long_ago.error.contains("404 stock-not-found"), "{}", long_ago.error);
    let version = stock(&service, &on("get", &[])).json()["version"].to_string();
    let twice = ["1", "--reason", "x", "--idempotency-key", "k", "--if-version", version.as_str()];
    for _ in 0..2 {
        check(&on("add", &twice), &level(8, 0));
    }
    let all = stock(&service, &["get", &product]);
    let lines: Vec<_> = all.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 2, "{}", all.out);
    let row: Vec<_> = lines[0].iter().zip(&lines[1]).filter(|(name, _)| **name == "available").collect();
    assert_eq!(row, [(&"available", &"8")], "{}", all.out);
    let shown = stock(&service, &["get", &product, &store]).out;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["total", "8"])), "{shown}");
}

#[test]
fn orders_and_transfers_are_shown() {
    let service = RunningService::start();
    let client = service.client();
    assert_eq!(client.add(1, 1, 50).status, 201);
    let line = json!({"product_id": id(1), "store_id": id(1), "quantity": 2});
    let order = json!({"order_id": id(7), "customer_id": id(9), "lines": [line]});
    assert_eq!(client.post_with("/orders", &[], &order).status, 201);
    let transfer = json!({"transfer_id": id(8), "product_id": id(1), "from_store_id": id(1), "to_store_id": id(2),
        "quantity": 5, "reason": "x"});
    assert_eq!(client.post_with("/transfers", &[], &transfer).status, 201);
    let order = run(remote(&service).args(["order", "get", &id(7), "--json"])).json();
    assert_eq!(order, client.get(&format!("/api/v1/orders/{}", id(7))).body);
    let shown = run(remote(&service).args(["order", "get", &id(7)])).out;
    assert!(shown.contains("lines:\n") && shown.contains(&id(1)), "{shown}");
    let transfer = run(remote(&service).args(["transfer", "get", &id(8), "--json"])).json();
    assert_eq!(transfer, client.get(&format!("/api/v1/transfers/{}", id(8))).body);
    let missing = run(remote(&service).args(["transfer", "get", &id(7)]));
    assert_eq!(missing.code, 1);
    assert!(missing.error.contains("404 transfer-not-found"), "{}", missing.error);
}

#[test]
fn a_no_is_explained() {
    let service = RunningService::start();
    let (product, store) = (id(1), id(2));
    let refused = stock(&service, &["reserve", &product, &store, "3", "--customer", &id(5), "--json"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let says = &refused.error;
    assert!(says.starts_with("inventory: Not enough units are available (409 insufficient-stock)\n"), "{says}");
    assert!(says.contains("\n  requested: 3\n") && says.contains("\n  available: 0\n"), "{says}");
    let id_line = says.lines().last().unwrap().trim();
    assert!(id_line.starts_with("request id: ") && id_line.len() > 30, "{says}");
    let wrong = stock(&service, &["add", &product, &store, "0", "--reason", ""]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.error.contains("\n  quantity: ") && wrong.error.contains("\n  reason: "), "{}", wrong.error);
    for usage in [
        &["add", &product, &store, "x", "--reason", "y"][..],
        &["add", "7", &store, "1", "--reason", "y"],
        &["add", &product, &store, "1"],
        &["reserve", &product, &store, "1", "--customer", &store, "--ttl-minutes", "5", "--no-deadline"],
        &["get", &product, "--at", "2020-01-01T00:00:00Z"],
        &["sell"],
    ] {
        assert_eq!(stock(&service, usage).code, 2, "{usage:?}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = run(bare().args(["stock", "get", &product, "--url", &format!("http://127.0.0.1:{port}")]));
    assert_eq!(nobody.code, 1);
    assert!(nobody.error.contains(&format!("127.0.0.1:{port}")), "{}", nobody.error);
    let by_settings = run(bare().args(["health"]).env("INVENTORY__SERVER__PORT", port.to_string()));
    assert!(by_settings.error.contains(&format!("http://127.0.0.1:{port}/")), "{}", by_settings.error);
    let odd = run(bare().args(["health", "--url", "ftp://x"]));
    assert!(odd.error.contains("http:// or https://"), "{}", odd.error);
}

/// A service that gives one answer to everybody; its URL.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {
                let last = head.lines().last().unwrap().to_lowercase();
                length = last.strip_prefix("content-length: ").map_or(length, |said| said.parse().unwrap());
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// What a service that says nothing hears of a command with this key, and what the command comes to.
fn heard(key: &str) -> (String, Done) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        head
    });
    let done = run(bare().args(["health", "--url", &url]).env("INVENTORY_API_KEY", key));
    (asked.join().unwrap(), done)
}

#[test]
fn half_an_answer_is_no_success() {
    let (product, store) = (id(1), id(2));
    let get = ["stock", "get", &product, &store];
    let add = ["stock", "add", &product, &store, "1", "--reason", "x"];
    for (answer, says) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"available\": 1}", "cut off after 16 of 400 bytes"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{\"available\": 1,\r\n", "not with all of"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "not with all of a JSON object or list: hello"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7", "not with all of a JSON object or list: 7"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"available\": 1}", "without saying how long"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "has answered 204, without saying how long"),
    ] {
        let url = answering(answer);
        for words in [&get[..], &add, &[&get[..], &["--json"]].concat()] {
            let done = run(bare().args(words).args(["--url", &url]));
            assert_eq!((done.code, done.out.as_str()), (1, ""), "{words:?}: {answer}");
            assert!(done.error.contains(says), "{words:?}: {answer}: {}", done.error);
        }
    }
    let old = answering("HTTP/1.0 200 OK\r\n\r\n{\"available\": 1}");
    let done = run(bare().args(get).args(["--url", &old]));
    assert_eq!((done.code, done.out.as_str()), (0, "available  1\n"), "{}", done.error);
    let page = answering("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello");
    let tail = run(bare().args(["events", "tail", "--url", &page]));
    assert_eq!((tail.code, tail.out.as_str()), (1, ""));
    assert!(tail.error.contains("it answers with text/html, not with text/event-stream"), "{}", tail.error);
}

#[test]
fn a_url_without_a_possible_port_is_none() {
    for url in [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:",
        "http://127.0.0.1:65536/x",
        "http://[::1]:70000",
        "http://:80",
        "http:///",
        "127.0.0.1:80",
    ] {
        let done = run(bare().args(["health", "--url", url]).env("INVENTORY_API_KEY", "sk-secret-of-a-test"));
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{url}");
        assert!(done.error.contains(&format!("{url} is no URL such as http://")), "{url}: {}", done.error);
    }
}

/// A self-made certificate, and a service that shows it: as `openssl req -x509` makes it, it calls itself an authority.
fn self_made(folder: &Path, name: &str, until: i32) -> (PathBuf, RunningService) {
    let mut asked = CertificateParams::new(vec![name.to_owned()]).unwrap();
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    asked.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let (certificate, key_file) =
        (folder.join(format!("{name}-{until}.pem")), folder.join(format!("{name}-{until}.key")));
    std::fs::write(&certificate, asked.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let settings = [
        ("INVENTORY__SERVER__TLS_CERTIFICATE", certificate.to_str().unwrap()),
        ("INVENTORY__SERVER__TLS_KEY", key_file.to_str().unwrap()),
    ];
    let service = RunningService::start_with(&[], &settings);
    (certificate, service)
}

#[test]
fn a_self_made_certificate_is_good_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (good, at_good) = self_made(folder.path(), "127.0.0.1", 4000);
    let (foreign, at_foreign) = self_made(folder.path(), "shop.example", 4000);
    let (over, at_over) = self_made(folder.path(), "127.0.0.1", 2000);
    let health = |service: &RunningService, trusted: Option<&Path>| {
        let url = service.url().replace("http://", "https://");
        let mut command = bare();
        command.args(["health", "--url", &url]);
        run(match trusted {
            Some(file) => command.arg("--ca-file").arg(file),
            None => &mut command,
        })
    };
    let named = health(&at_good, Some(&good));
    assert_eq!((named.code, named.out.as_str()), (0, "status  ready\n"), "{}", named.error);
    for (service, trusted, says) in [
        (&at_good, None, "CaUsedAsEndEntity"),
        (&at_good, Some(&over), "CaUsedAsEndEntity"),
        (&at_foreign, Some(&foreign), "not valid for name"),
        (&at_over, Some(&over), "expired"),
    ] {
        let refused = health(service, trusted.map(PathBuf::as_path));
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{says}");
        assert!(refused.error.contains(says), "{says}: {}", refused.error);
    }
}

#[test]
fn no_password_of_a_url_is_shown() {
    let help = run(bare().args(["health", "--help"]).env("INVENTORY_URL", "http://till:open-sesame@127.0.0.1:1"));
    assert!(help.out.contains("INVENTORY_URL") && !help.out.contains("sesame"), "{}", help.out);
    for url in [
        "http://till:open-sesame@127.0.0.1:1",
        "http://till:open-sesame@127.0.0.1:99999",
        "till:open-sesame@x y",
        "till:open-sesame@http://127.0.0.1:1",
    ] {
        for words in [&["health"][..], &["events", "tail"]] {
            let done = run(bare().args(words).args(["--url", url]));
            assert_eq!((done.code, done.out.as_str()), (1, ""), "{url}");
            assert!(
                done.error.contains("is no URL such as") && !done.error.contains("sesame"),
                "{url}: {}",
                done.error
            );
        }
    }
}

#[test]
fn an_empty_key_is_none_and_an_empty_url_is_named() {
    let (head, done) = heard("");
    assert_eq!(done.code, 1, "the connection was closed");
    assert!(head.starts_with("GET /health/ready HTTP/1.1\r\n") && !head.contains("authorization"), "{head}");
    let empty = run(bare().args(["health", "--url", ""]));
    assert_eq!(empty.code, 1);
    assert!(empty.error.contains("the URL is empty"), "{}", empty.error);
}

#[test]
fn a_key_is_shown_to_the_service_and_to_nobody_else() {
    let key = "sk-secret-of-a-test";
    let (head, done) = heard(key);
    assert!(head.contains(&format!("authorization: Bearer {key}\r\n")), "{head}");
    assert_eq!(done.code, 1, "the connection was closed");
    let help = run(bare().args(["health", "--help"]).env("INVENTORY_API_KEY", key));
    assert!(help.out.contains("INVENTORY_API_KEY"), "{}", help.out);
    for text in [done.out, done.error, help.out] {
        assert!(!text.contains(key), "{text}");
    }
}

#[test]
fn health_is_an_exit_code() {
    let mut service = RunningService::start();
    let ready = run(remote(&service).arg("health"));
    assert_eq!((ready.code, ready.out.as_str()), (0, "status  ready\n"), "{}", ready.error);
    assert_eq!(run(remote(&service).args(["health", "--json"])).json(), json!({"status": "ready"}));
    service.kill();
    let gone = run(remote(&service).arg("health"));
    assert_eq!((gone.code, gone.out.as_str()), (1, ""));
}

#[test]
fn events_are_tailed_over_a_restart() {
    let mut service = RunningService::start_with(&[], &[("INVENTORY__EVENTS__RETRY_MS", "20")]);
    assert_eq!(service.client().add(1, 1, 100).status, 201);
    let mut tail = remote(&service)
        .args([
            "events",
            "tail",
            "--after",
            "0",
            "--type",
            "StockAddedEvent,StockReservedEvent",
            "--json",
            "--count",
            "5",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["position"], 1);
    assert_eq!(service.client().try_reserve(1, 1, 2).unwrap().status, 201);
    assert_eq!(next()["event_type"], "StockReservedEvent");
    service.kill();
    let service = service.restart_at_its_port();
    let adjust = json!({"product_id": id(1), "store_id": id(1), "quantity": 90, "reason": "count"});
    assert_eq!(service.client().post("adjust", &adjust).status, 200);
    for _ in 0..3 {
        assert_eq!(service.client().add(2, 1, 1).status, 201);
    }
    assert_eq!([next(), next(), next()].map(|event| event["position"].clone()), [json!(4), json!(5), json!(6)]);
    assert!(tail.wait().unwrap().success(), "five are enough");
    let mut said = String::new();
    tail.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("goes on after 2"), "{said}");
    let tail = |words: &[&str]| run(remote(&service).args(["events", "tail", "--after", "0"]).args(words));
    let for_people = tail(&["--product", &id(2), "--count", "1"]).out;
    let words: Vec<_> = for_people.split_whitespace().collect();
    assert_eq!((words[0], words[2], words[4]), ("4", "StockAddedEvent", "v1"), "{for_people}");
    let refused = tail(&["--type", "Other"]);
    assert_eq!(refused.code, 1);
    assert!(refused.error.contains("422 invalid-request") && refused.error.contains("type: "), "{}", refused.error);
}

#[test]
fn shells_and_man_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(bare().args(["completions", shell]));
        assert!(script.code == 0 && script.out.contains("availability"), "{shell}");
    }
    let sound = Command::new("bash").args(["-n", "-c", &run(bare().args(["completions", "bash"])).out]).status();
    assert!(sound.unwrap().success());
    let page = run(bare().arg("man")).out;
    assert!(page.contains(".TH inventory 1") && page.contains("health"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(bare().args(["man", "--to"]).arg(folder.path())).code, 0);
    let page = std::fs::read_to_string(folder.path().join("inventory-events-tail.1")).unwrap();
    assert!(page.contains("\\-\\-after"), "{page}");
}
