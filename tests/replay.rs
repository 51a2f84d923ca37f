//! Real baskets, into an embedded store and over HTTP.

use std::fs;

use inventory_tests::{RunningService, inventory, path_of};

#[test]
fn the_sample_baskets_add_up_embedded() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let done = inventory()
            .arg("replay")
            .arg(path_of("data/samples/baskets.csv"))
            .env("INVENTORY__DATA__DIR", data.path())
            .output()
            .unwrap();
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
        let done = inventory().arg("replay").arg(&file).env("INVENTORY__DATA__DIR", data.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success());
        assert!(said.contains(named), "{said}");
    }
}
