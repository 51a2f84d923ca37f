//! A log that `inventory import` takes keeps the rules of stock, and what is read of it is written so that the same is read again.

use std::collections::HashMap;
use std::io::Write;

use inventory_api::maintenance::export_line::{read_line, write_line};
use inventory_api::maintenance::import::prove;
use inventory_api::progress::Progress;
use inventory_application::StreamId;
use inventory_application::ports::RecordedEvent;
use inventory_domain::inventory::evolve;
use inventory_domain::{DomainEvent, Inventory};

/// Writes an event as a line.
pub type WriteLine = fn(&RecordedEvent, &mut Vec<u8>);

/// Tries the import.
pub fn check(input: &[u8]) {
    check_with(input, |event, out| write_line(event, out).unwrap());
}

/// Tries the import with this way to write lines.
pub fn check_with(input: &[u8], write: WriteLine) {
    let mut written = Vec::new();
    let mut events = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let Ok(event) = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(read_line) else {
            assert!(proved(input).is_none(), "a line that is none was taken");
            return;
        };
        let start = written.len();
        write(&event, &mut written);
        let again = read_line(std::str::from_utf8(&written[start..]).unwrap()).unwrap();
        assert_eq!(again, event);
        events.push(event);
    }
    if let Some(count) = proved(input) {
        assert_eq!(count, events.len() as u64);
        assert_eq!(proved(&written), Some(count), "what is exported can be imported");
        keeps_the_rules(&events);
    }
}

/// How many events the import takes; `None` where it refuses.
fn proved(bytes: &[u8]) -> Option<u64> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match prove(file.path(), Progress::hidden()) {
        Ok(count) => Some(count),
        Err(refused) => {
            assert!(refused.to_string().contains("line "), "it names the line: {refused}");
            None
        }
    }
}

fn keeps_the_rules(events: &[RecordedEvent]) {
    let mut stocks: HashMap<StreamId, Inventory> = HashMap::new();
    for recorded in events {
        if let DomainEvent::Inventory(event) = &recorded.event {
            let state = stocks.remove(&recorded.stream).unwrap_or_default();
            let state = evolve(state, event, recorded.recorded_at);
            let parts = state.to_parts();
            assert_eq!(parts.version, recorded.version);
            assert_eq!(Inventory::from_parts(parts).as_ref(), Ok(&state));
            stocks.insert(recorded.stream, state);
        }
    }
}
