//! The line to the service, with ids of its own for each sequence, and with bugs that it can have.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use inventory_tests::{Answer, Asked, Client};
use serde_json::{Value, json};

use crate::steps::{Step, key_name};

/// What a service that gets something wrong would do. The real one is made to do it by what is asked of it, or is believed to by
/// what is made of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    SellsTheWholeReservation,
    ForgetsKeys,
    IgnoresConditions,
    HoldsOneLineOfAnOrder,
    ShowsOneUnitMore,
    ReceivesTwice,
}

/// The first part of every id in a step; on the line it is another one for each sequence, so that all can share a service.
const SEQUENCE: &str = "00000000-0000-4000-8000";

/// A line to the service.
pub(crate) struct Line<'a> {
    client: &'a Client,
    bug: Option<Bug>,
    sequence: String,
    repeats: Cell<u32>,
}

/// An answer to one thing that was asked.
#[derive(Debug)]
pub(crate) struct Told {
    pub summary: String,
    pub body: Value,
    pub is_repeat: bool,
    /// Where an answer has headers of its own.
    pub etag: Option<String>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(client: &'a Client, bug: Option<Bug>) -> Self {
        static SEQUENCES: AtomicU32 = AtomicU32::new(1);
        let number = SEQUENCES.fetch_add(1, Ordering::Relaxed);
        Self { client, bug, sequence: format!("{number:08x}-0000-4000-8000"), repeats: Cell::new(0) }
    }

    /// The answer to a question.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.call("GET", path, &[], "")
    }

    /// The answers to a step, one for each thing that it asks.
    pub(crate) fn send(&self, step: &Step) -> Result<Vec<Told>, String> {
        match step {
            Step::Single { asked, key, if_match } => {
                let if_match = if_match.filter(|_| self.bug != Some(Bug::IgnoresConditions));
                let tag = if_match.map(|version| format!("\"{version}\""));
                let answer = self.post(&asked.path(), *key, tag.as_deref(), &self.spoilt(asked))?;
                if self.bug == Some(Bug::ReceivesTwice) && answer.status == 200 && asked.path().ends_with("receive") {
                    self.post(&asked.path(), None, None, &asked.body())?;
                }
                let is_repeat = answer.header("idempotent-replayed") == Some("true");
                let (summary, etag) = (answer.summary(), answer.header("etag").map(str::to_owned));
                Ok(vec![Told { summary, body: answer.body, is_repeat, etag }])
            }
            Step::Batch { commands, key } => {
                let commands = commands.iter().map(|(asked, key)| asked.in_batch(self.named(*key).as_deref()));
                let body = json!({"commands": commands.collect::<Vec<_>>()});
                let answer = self.post("/api/v1/batch", *key, None, &body)?;
                let results =
                    answer.body["results"].as_array().ok_or_else(|| format!("no results: {}", answer.text))?;
                Ok(results.iter().map(Told::of_result).collect())
            }
        }
    }

    fn post(&self, path: &str, key: Option<u8>, tag: Option<&str>, body: &Value) -> Result<Answer, String> {
        let key = self.named(key).map(|key| self.on_line(&key));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.as_deref().map(|key| ("idempotency-key", key)));
        headers.extend(tag.map(|tag| ("if-match", tag)));
        self.call("POST", path, &headers, &body.to_string())
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        let answer = self.client.send(method, &self.on_line(path), headers, self.on_line(body).as_bytes());
        let answer = answer.map_err(|error| format!("{method} {path}: {error}"))?;
        let text = answer.text.replace(&self.sequence, SEQUENCE);
        let mut body: Value =
            serde_json::from_str(&text).map_err(|error| format!("{method} {path}: {error}: {text}"))?;
        if self.bug == Some(Bug::ShowsOneUnitMore)
            && let Some(available) = body["available"].as_u64()
        {
            body["available"] = json!(available + 1);
        }
        Ok(Answer { text, body, ..answer })
    }

    fn on_line(&self, text: &str) -> String {
        text.replace(SEQUENCE, &self.sequence)
    }

    /// The name of a key, which is always another one where the service forgets them.
    fn named(&self, key: Option<u8>) -> Option<String> {
        let key = key.map(key_name)?;
        if self.bug == Some(Bug::ForgetsKeys) {
            self.repeats.set(self.repeats.get() + 1);
            return Some(format!("{key}-{}", self.repeats.get()));
        }
        Some(key)
    }

    fn spoilt(&self, asked: &Asked) -> Value {
        let mut body = asked.body();
        match (self.bug, asked) {
            (Some(Bug::SellsTheWholeReservation), Asked::Commit { .. }) => drop(body["quantity"].take()),
            (Some(Bug::HoldsOneLineOfAnOrder), Asked::PlaceOrder { .. }) => {
                body["lines"] = json!([body["lines"][0].clone()]);
            }
            _ => (),
        }
        body
    }
}

impl Told {
    fn of_result(result: &Value) -> Self {
        let kind = result["type"].as_str().and_then(|kind| kind.rsplit('/').next());
        let summary = kind.map_or_else(|| result["status"].to_string(), |kind| format!("{} {kind}", result["status"]));
        let is_repeat = result["idempotent_replayed"] == true;
        Self { summary, body: result.clone(), is_repeat, etag: None }
    }
}
