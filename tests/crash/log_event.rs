//! An event of the log, as clients are shown it.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogEvent {
    pub position: u64,
    pub event_id: String,
    pub stream: String,
    pub event_type: String,
    pub version: u64,
    /// In milliseconds.
    pub recorded_at: i64,
    pub data: Value,
    pub request_id: Option<String>,
    pub key: Option<String>,
}

impl LogEvent {
    /// The event that this is.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub(crate) fn read(event: &Value) -> Result<Self, String> {
        let lacks = |field: &str| format!("an event without {field}: {event}");
        let text = |field: &str| event[field].as_str().map(str::to_owned).ok_or_else(|| lacks(field));
        let number = |field: &str| event[field].as_u64().ok_or_else(|| lacks(field));
        let metadata = |field: &str| event["metadata"][field].as_str().map(str::to_owned);
        Ok(Self {
            position: number("position")?,
            event_id: text("event_id")?,
            stream: text("stream_id")?,
            event_type: text("event_type")?,
            version: number("version")?,
            recorded_at: millis(&event["recorded_at"]).ok_or_else(|| lacks("recorded_at"))?,
            data: event["data"].clone(),
            request_id: metadata("request_id"),
            key: metadata("idempotency_key"),
        })
    }

    /// The reservation that it is about.
    pub(crate) fn reservation(&self) -> Option<Uuid> {
        self.data["reservation_id"].as_str().and_then(|id| Uuid::parse_str(id).ok())
    }

    /// Whether it frees what has run out.
    pub(crate) fn is_expiry(&self) -> bool {
        self.data["cause"] == "expired"
    }
}

/// A moment, in milliseconds.
pub(crate) fn millis(text: &Value) -> Option<i64> {
    text.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
