//! The corpus through every property, and through broken parts that it has to catch.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_api::maintenance::export_line::write_line;
use inventory_api::request_key::{IDEMPOTENCY_KEY, IdempotencyKey};
use inventory_api::wire::batch::BatchCommand;
use inventory_domain::inventory::{Command, Event};
use inventory_domain::{DomainEvent, Inventory};
use inventory_eventstore::event_codec::encode_event;
use inventory_eventstore::jsonl::RecoveryError;
use inventory_eventstore::state_codec::encode_state;
use inventory_eventstore::{JsonlEventStore, JsonlOpenError};
use inventory_fuzz::{
    TARGETS, baskets, batch, journal, log_file, request_body, request_head, stored_event, stored_state,
};

#[test]
fn every_property_holds_for_its_corpus() {
    let folders: Vec<_> = fs::read_dir(corpus("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders.len(), TARGETS.len(), "a folder for each: {folders:?}");
    for (name, property) in TARGETS {
        let inputs = inputs_of(name);
        assert!(inputs.len() >= 5, "{name} has a corpus");
        for (path, input) in inputs {
            assert!(catch_unwind(|| property(&input)).is_ok(), "{name} is broken by {}", path.display());
        }
    }
}

/// Blindly, where the fuzzer sees what it does; so it needs no other compiler. `FUZZ_ROUNDS` makes it longer.
#[test]
fn every_property_holds_for_a_damaged_corpus() {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    for (name, property) in TARGETS {
        let inputs = inputs_of(name);
        for seed in 0..rounds {
            let mut chance = fastrand::Rng::with_seed(seed);
            for (path, input) in &inputs {
                let other = &inputs[chance.usize(..inputs.len())].1;
                let damaged = damaged(input, other, &mut chance);
                let holds = catch_unwind(|| property(&damaged)).is_ok();
                assert!(holds, "{name} is broken by seed {seed} of {}: {}", path.display(), damaged.escape_ascii());
            }
        }
    }
}

/// The input with a few bytes changed, left out, put in, or taken from another one.
fn damaged(input: &[u8], other: &[u8], chance: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..chance.usize(1..=4) {
        let at = chance.usize(..=bytes.len());
        let end = (at + chance.usize(..=12)).min(bytes.len());
        match chance.u8(..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.u8(..8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.insert(at, chance.u8(..)),
            3 => {
                let from = chance.usize(..=other.len());
                let to = (from + chance.usize(..=40)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied()).for_each(drop);
            }
            _ => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again).for_each(drop);
            }
        }
    }
    bytes
}

#[test]
fn every_property_has_a_program() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("targets/Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("targets/fuzz_targets/{name}.rs"));
        assert!(fs::read_to_string(program).unwrap().contains(&format!("inventory_fuzz::{name}::check(input)")));
    }
}

#[test]
fn an_event_that_forgets_its_deadline_is_caught() {
    is_caught("stored_event", "assertion `left == right` failed: {", |input| {
        stored_event::check_with(input, |event, out| {
            let mut event = event.clone();
            if let DomainEvent::Inventory(Event::StockReserved { expires_at, .. }) = &mut event {
                *expires_at = None;
            }
            encode_event(&event, out)
        });
    });
}

#[test]
fn a_state_that_forgets_its_corrections_is_caught() {
    is_caught("stored_state", "assertion `left == right` failed: {", |input| {
        stored_state::check_with(input, |state| {
            let mut parts = state.to_parts();
            parts.corrected = 0;
            encode_state(&Inventory::from_parts(parts).unwrap())
        });
    });
}

/// It gets over any damage by itself, and so loses what is whole behind it.
#[test]
fn a_recovery_that_drops_all_behind_a_damage_is_caught() {
    fn open_anyhow(folder: &Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
        let error = match journal::open(folder) {
            Err(JsonlOpenError::Recovery(RecoveryError::Damaged { path, line, .. })) if line > 1 => (path, line),
            other => return other,
        };
        let (path, line) = error;
        let mut bytes = fs::read(&path).unwrap();
        let kept: usize = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .take(usize::try_from(line).unwrap() - 1)
            .map(<[u8]>::len)
            .sum();
        bytes[kept..].fill(0);
        fs::write(&path, bytes).unwrap();
        for later in fs::read_dir(journal::log_folder(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if later > path {
                fs::remove_file(later).unwrap();
            }
        }
        journal::open(folder)
    }
    is_caught("journal", "that are whole", |input| drop(journal::check_with(input, open_anyhow)));
}

#[test]
fn a_recovery_that_changes_what_it_refuses_is_caught() {
    fn open_and_change(folder: &Path) -> Result<Arc<JsonlEventStore>, JsonlOpenError> {
        let opened = journal::open(folder);
        if let Err(JsonlOpenError::Recovery(RecoveryError::Damaged { path, .. })) = &opened {
            let mut bytes = fs::read(path).unwrap();
            bytes.fill(0);
            fs::write(path, bytes).unwrap();
        }
        opened
    }
    is_caught("journal", "nothing is changed", |input| drop(journal::check_with(input, open_and_change)));
}

#[test]
fn an_export_that_forgets_groups_is_caught() {
    is_caught("log_file", "left: RecordedEvent", |input| {
        log_file::check_with(input, |event, out| {
            let mut event = event.clone();
            event.remaining = 0;
            write_line(&event, out).unwrap();
        });
    });
}

#[test]
fn a_reader_that_misses_a_row_without_an_end_is_caught() {
    is_caught("baskets", "zipped it is the same", |input| {
        baskets::check_with(input, |bytes| {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if bytes.starts_with(&[0x1f, 0x8b]) { baskets::read(bytes) } else { baskets::read(&bytes[..end]) }
        });
    });
}

/// The quick way holds without a deadline, the slow one doesn't.
#[test]
fn two_ways_to_read_a_command_that_differ_are_caught() {
    let read: batch::ReadCommand = |written, place, key| {
        let mut command = BatchCommand::read(written, place, key)?;
        if let (Command::Reserve(reserve), false) = (&mut command.command, written.get().contains("null")) {
            reserve.hold_for = None;
        }
        Ok(command)
    };
    is_caught("batch", "hold_for: None", move |input| batch::check_with(input, read));
    is_caught("request_body", "as reserve", move |input| request_body::check_with(input, read));
}

#[test]
fn a_key_that_is_read_with_its_backslashes_is_caught() {
    is_caught("request_head", "left: Some(IdempotencyKey", |input| {
        request_head::check_with(input, |headers| match headers.get(IDEMPOTENCY_KEY) {
            Some(quoted) if quoted.as_bytes().starts_with(b"\"") => {
                let text = quoted.to_str().unwrap_or_default().trim_matches('"');
                IdempotencyKey::new(text).map(Some)
            }
            _ => IdempotencyKey::of(headers),
        });
    });
}

/// At least one input of the corpus breaks the property, where it says so: a broken part that panics by itself isn't caught by it.
#[track_caller]
fn is_caught(name: &str, noticed_by: &str, broken: impl Fn(&[u8]) + RefUnwindSafe) {
    let panics = inputs_of(name).into_iter().filter_map(|(_, input)| catch_unwind(|| broken(&input)).err());
    let said: Vec<String> = panics.map(|panic| *panic.downcast().unwrap_or_default()).collect();
    let is_seen = said.iter().any(|message| message.contains(noticed_by));
    assert!(is_seen, "the corpus of {name} doesn't see it by {noticed_by:?}, but by {said:#?}");
}

fn inputs_of(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}
