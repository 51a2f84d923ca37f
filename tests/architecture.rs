//! Dependencies point inward, and no inner crate knows a framework.

use std::collections::BTreeSet;

use cargo_metadata::semver::Version;
use cargo_metadata::{DependencyKind, MetadataCommand};
use inventory_tests::path_of;

/// What each crate may depend on; its own tests may use more.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("inventory-domain", &["serde", "thiserror", "uuid"]),
    ("inventory-application", &["inventory-domain", "async-trait", "thiserror", "tokio", "lru", "uuid"]),
    (
        "inventory-eventstore",
        &[
            "inventory-application",
            "inventory-domain",
            "async-trait",
            "crc32c",
            "fastbloom",
            "jiff",
            "lru",
            "memchr",
            "r2d2",
            "r2d2_sqlite",
            "rusqlite",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "uuid",
        ],
    ),
    (
        "inventory-projections",
        &[
            "inventory-application",
            "inventory-domain",
            "async-trait",
            "r2d2",
            "r2d2_sqlite",
            "rusqlite",
            "thiserror",
            "tokio",
            "uuid",
        ],
    ),
    ("inventory-cache", &["inventory-application", "inventory-domain", "async-trait", "lru", "tokio"]),
    (
        "inventory-resilience",
        &["inventory-application", "inventory-domain", "async-trait", "backoff", "failsafe", "thiserror", "tokio"],
    ),
    ("inventory-messaging", &["inventory-application", "inventory-domain"]),
    (
        "inventory-api",
        &[
            "inventory-application",
            "inventory-cache",
            "inventory-domain",
            "inventory-eventstore",
            "inventory-messaging",
            "inventory-projections",
            "inventory-resilience",
        ],
    ),
];

/// What is no part of the service: tests and benchmarks, and the sources of two layers once more, built on other locks.
const NO_LAYER: [&str; 9] = [
    "inventory-tests",
    "inventory-faults",
    "inventory-simulation",
    "inventory-interleavings",
    "interleaved-application",
    "interleaved-cache",
    "interleaved-tokio",
    "inventory-benches",
    "inventory-fuzz",
];

/// What only the outermost crate may name.
const FRAMEWORKS: [&str; 9] =
    ["prometheus", "actix-web", "awc", "clap", "config", "slog", "slog-json", "slog-async", "indicatif"];

/// What `tokio` is for in the application: waiting, not I/O.
const TOKIO_IN_APPLICATION: [&str; 4] = ["sync", "time", "rt", "macros"];

#[test]
fn an_inner_crate_knows_no_outer_one_and_no_framework() {
    let metadata = MetadataCommand::new().manifest_path(path_of("Cargo.toml")).no_deps().exec().unwrap();
    let mut seen = BTreeSet::new();
    for package in &metadata.packages {
        let Some((name, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name.as_str()) else {
            assert!(NO_LAYER.contains(&package.name.as_str()), "{}: which layer?", package.name);
            continue;
        };
        seen.insert(*name);
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
            let known = allowed.contains(&dependency.name.as_str());
            if *name == "inventory-api" {
                assert!(known || !dependency.name.starts_with("inventory-"), "{name} may not use {}", dependency.name);
            } else {
                assert!(!FRAMEWORKS.contains(&dependency.name.as_str()), "{name} may not use {}", dependency.name);
                assert!(known, "{name} may not use {}", dependency.name);
            }
            if *name == "inventory-application" && dependency.name == "tokio" {
                for feature in &dependency.features {
                    assert!(TOKIO_IN_APPLICATION.contains(&feature.as_str()), "{name} may not use tokio's {feature}");
                }
            }
        }
    }
    assert_eq!(seen.len(), ALLOWED.len(), "every layer is there");
}

#[test]
fn the_domain_has_neither_a_clock_nor_chance() {
    let metadata = MetadataCommand::new().manifest_path(path_of("Cargo.toml")).no_deps().exec().unwrap();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "inventory-domain").unwrap();
    for dependency in domain.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
        assert!(
            !dependency.features.iter().any(|feature| feature.starts_with('v')),
            "a generator: {:?}",
            dependency.features
        );
        assert_eq!(dependency.optional, dependency.name == "serde", "{} is no part of the rules", dependency.name);
    }
    let sources = path_of("crates/domain/src");
    for entry in std::fs::read_dir(&sources).unwrap().chain(std::fs::read_dir(sources.join("inventory")).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["SystemTime", "Instant", "std::fs", "std::net", "std::thread", "println!", "async fn"] {
                assert!(!text.contains(word), "{word} in {}", path.display());
            }
        }
    }
}

#[test]
fn nothing_asks_for_a_newer_rust_than_is_promised() {
    let metadata = MetadataCommand::new().manifest_path(path_of("Cargo.toml")).exec().unwrap();
    let readme = std::fs::read_to_string(path_of("README.md")).unwrap();
    let ours: Vec<_> = metadata.workspace_packages().iter().map(|package| package.rust_version.clone()).collect();
    let promised = ours[0].clone().expect("the workspace has a rust-version");
    assert!(ours.iter().all(|rust| rust.as_ref() == Some(&promised)), "each crate inherits it: {ours:?}");
    assert!(readme.contains(&format!("Rust {}.{}", promised.major, promised.minor)), "the README says it: {promised}");
    let newer_than = |rust| metadata.packages.iter().filter(move |package| package.rust_version.as_ref() > Some(rust));
    assert_eq!(newer_than(&promised).map(|package| package.id.to_string()).collect::<Vec<_>>(), [""; 0]);
    let old = Version::new(1, 56, 0);
    assert!(newer_than(&old).count() > metadata.workspace_members.len(), "ours, and some of others, would be seen");
}

#[test]
fn there_is_one_binary() {
    let metadata = MetadataCommand::new().manifest_path(path_of("Cargo.toml")).no_deps().exec().unwrap();
    let binaries = metadata.packages.iter().flat_map(|package| &package.targets).filter(|target| target.is_bin());
    assert_eq!(binaries.map(|target| target.name.as_str()).collect::<Vec<_>>(), ["inventory"]);
}
