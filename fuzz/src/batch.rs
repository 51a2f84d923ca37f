//! A batch is read or refused command by command, and a command means the same whichever way it is read.
//!
//! Most commands are read in one go; one with a `null` in it is read field by field. So each is tried with one more.

use inventory_api::problem::Problem;
use inventory_api::request_key::IdempotencyKey;
use inventory_api::wire::batch::{BatchCommand, BatchRequest};
use inventory_domain::ReservationId;
use inventory_domain::inventory::Command;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::is_clean;

/// Reads one command of a batch.
pub type ReadCommand = fn(&RawValue, usize, Option<&IdempotencyKey>) -> Result<BatchCommand, Problem>;

/// Tries to read a batch.
pub fn check(input: &[u8]) {
    check_with(input, BatchCommand::read);
}

/// Tries to read a batch with this way to read a command.
pub fn check_with(input: &[u8], read: ReadCommand) {
    let batch = match BatchRequest::parse(input) {
        Ok(batch) => batch,
        Err(problem) => return is_clean(&problem),
    };
    assert!(!batch.commands.is_empty());
    for (place, written) in batch.commands.iter().enumerate() {
        let quickly = read(written, place, None);
        match quickly.as_ref() {
            Ok(command) => assert!(command.status.is_success()),
            Err(problem) => is_clean(problem),
        }
        if let Some(with_null) = with_null(written) {
            assert_eq!(meaning(read(&with_null, place, None)), meaning(quickly), "{written}");
        }
    }
}

/// The command with a key of `null`, which is none; `None` where it has a key or isn't an object that can be read.
fn with_null(written: &RawValue) -> Option<Box<RawValue>> {
    let fields: Map<String, Value> = serde_json::from_str(written.get()).ok()?;
    if fields.contains_key("idempotency_key") || fields.is_empty() {
        return None;
    }
    with_field(written.get(), "\"idempotency_key\":null")
}

/// An object that isn't empty, with a field more.
pub(crate) fn with_field(object: &str, field: &str) -> Option<Box<RawValue>> {
    let rest = object.trim_start().strip_prefix('{')?;
    RawValue::from_string(format!("{{{field},{rest}")).ok()
}

/// What a command asks, or why it is refused; an id that was made for it is left out.
pub(crate) fn meaning(read: Result<BatchCommand, Problem>) -> Result<String, String> {
    match read {
        Ok(mut command) => {
            if let (true, Command::Reserve(reserve)) = (command.is_fresh, &mut command.command) {
                reserve.reservation_id = ReservationId::from_u128(0);
            }
            Ok(format!("{command:?}"))
        }
        Err(problem) => Err(problem.slug().to_owned()),
    }
}
