//! What has to hold for any bytes, as functions that panic where it doesn't.
//!
//! In reading order: [`stored_event`], [`stored_state`] (the codecs), [`journal`] (recovery), [`log_file`] (import), [`baskets`] (replay),
//! [`request_body`], [`batch`], [`request_head`] (what clients send). [`TARGETS`] lists them; `fuzz/targets` has a program for each, and
//! `tests/corpus.rs` runs the corpus through all of them, and through broken ones that it has to catch. Each takes what it tries as an
//! argument, so that a test can give it something broken.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "to panic is how a property says that it is broken")]

pub mod baskets;
pub mod batch;
pub mod journal;
pub mod log_file;
pub mod request_body;
pub mod request_head;
pub mod stored_event;
pub mod stored_state;

use inventory_api::problem::Problem;

/// A property, tried with these bytes.
pub type Property = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Property); 8] = [
    ("stored_event", stored_event::check),
    ("stored_state", stored_state::check),
    ("journal", journal::check),
    ("log_file", log_file::check),
    ("baskets", baskets::check),
    ("request_body", request_body::check),
    ("batch", batch::check),
    ("request_head", request_head::check),
];

/// A refusal is the client's fault, and can be told.
fn is_clean(problem: &Problem) {
    let status = problem.response(Some("some-request")).status();
    assert!(status.is_client_error(), "{}: {status}", problem.slug());
    let body = problem.body(None);
    let text = serde_json::to_string(&body).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Map<_, _>>(&text).unwrap(), body);
}
