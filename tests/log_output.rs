//! Where the log goes, and what the service does when it can't.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::inventory_on;

/// A pipe holds 64 KiB: fewer lines than that are lost to nobody.
const REQUESTS: usize = 600;

#[test]
fn a_stop_does_not_wait_for_a_reader_of_the_log_who_has_gone_to_sleep() {
    let data = tempfile::tempdir().unwrap();
    let mut process = inventory_on(data.path())
        .arg("serve")
        .envs([
            ("INVENTORY__SERVER__PORT", "0"),
            ("INVENTORY__LOG__REQUESTS_SAMPLE", "1"),
            ("INVENTORY__LOG__FLUSH_MS_MAX", "200"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open, and read no further than to the address.
    let mut log = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"serving\"") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0);
    }
    let serving: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}/health", serving["address"].as_str().unwrap());
    for _ in 0..REQUESTS {
        assert_eq!(ureq::get(&url).call().unwrap().status(), 200, "a full pipe holds up nobody");
    }
    let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let end = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= end {
            process.kill().unwrap();
            panic!("it waits for its log");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
}
