//! What a client has asked and what it was told: its side of the story.

use inventory_tests::{Answer, Asked};
use serde_json::Value;

/// Something that a client has asked, maybe more than once.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What it asks: one thing, or several in a batch.
    pub commands: Vec<Command>,
    pub is_batch: bool,
    /// The key of the whole.
    pub key: Option<String>,
    /// The only version that it may be done at.
    pub if_match: Option<u64>,
    /// Each time that it was sent.
    pub attempts: Vec<Attempt>,
}

/// One thing that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub asked: Asked,
    /// Its own key in a batch.
    pub key: Option<String>,
}

/// One sending of a call.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The highest position that anybody had been told of when it was sent.
    pub after: u64,
    pub told: Told,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Nothing, or that the outcome isn't known.
    Nothing,
    /// That nothing was done, because the service is going down or has too much to do.
    NotDone,
    /// An answer to each command.
    Replies(Vec<Reply>),
}

/// The answer to one command.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status, with the end of the problem's type.
    pub summary: String,
    pub body: Value,
    /// Whether it says that it is the answer that was given before.
    pub is_repeat: bool,
}

impl Call {
    /// The key under which a command was asked, if any.
    pub(crate) fn key_of(&self, place: usize) -> Option<String> {
        let of_batch =
            || self.key.as_ref().map(|key| if self.is_batch { format!("{key}/{place}") } else { key.clone() });
        self.commands[place].key.clone().or_else(of_batch)
    }

    /// Whether it can be sent again with no fear of doing it twice: by its keys, or by ids that can't be used twice.
    pub(crate) fn is_repeatable(&self) -> bool {
        let has_id = |asked: &Asked| match asked {
            Asked::Add { .. } | Asked::Adjust { .. } | Asked::Extend { .. } | Asked::ReceiveTransfer { .. } => false,
            Asked::Reserve { reservation, .. } => reservation.is_some(),
            _ => true,
        };
        (0..self.commands.len()).all(|place| self.key_of(place).is_some() || has_id(&self.commands[place].asked))
    }

    /// Whether the last attempt has left it open what has become of it.
    pub(crate) fn is_open(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| matches!(attempt.told, Told::Nothing))
    }
}

impl Told {
    /// What an answer says about each of `call`'s commands.
    pub(crate) fn from(call: &Call, answer: Answer) -> Self {
        match (answer.status, answer.body["results"].as_array()) {
            (504, _) => Self::Nothing,
            (503 | 429, _) => Self::NotDone,
            (200, Some(results)) if call.is_batch => Self::Replies(results.iter().map(Reply::of_result).collect()),
            _ => {
                let is_repeat = answer.header("idempotent-replayed") == Some("true");
                Self::Replies(vec![Reply { summary: answer.summary(), body: answer.body, is_repeat }])
            }
        }
    }
}

impl Reply {
    fn of_result(result: &Value) -> Self {
        let kind = result["type"].as_str().and_then(|kind| kind.rsplit('/').next());
        let summary = kind.map_or_else(|| result["status"].to_string(), |kind| format!("{} {kind}", result["status"]));
        let mut body = result.clone();
        let mark = body.as_object_mut().and_then(|body| body.remove("idempotent_replayed"));
        Self { summary, body, is_repeat: mark == Some(Value::Bool(true)) }
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.summary == "200" || self.summary == "201"
    }
}
