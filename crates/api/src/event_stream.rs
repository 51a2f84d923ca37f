//! One listener's answer that doesn't end: events as they come, and heartbeats while there are none.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::{self, StreamExt};
use inventory_application::FeedError;
use inventory_application::event_feed::Listener;
use slog::{Logger, warn};
use tokio::time::Instant;

use crate::logging::levels::{LogPart, part_log};
use crate::settings::EventsSection;
use crate::wire::events::{heartbeat, opening};

/// How listeners are served.
#[derive(Clone, Debug)]
pub struct EventStreamSettings {
    /// How long a stream may be quiet before it says that it is alive.
    pub heartbeat: Duration,
    /// How long a listener is told to wait before it comes back, in milliseconds.
    pub retry_ms: u64,
    /// Hears of streams that had to be cut.
    pub log: Logger,
}

impl EventStreamSettings {
    /// As the settings say; `log` hears of streams that had to be cut.
    #[must_use]
    pub fn of(section: &EventsSection, log: &Logger) -> Self {
        let heartbeat = Duration::from_millis(section.heartbeat_ms);
        Self { heartbeat, retry_ms: section.retry_ms, log: part_log(log, LogPart::Events) }
    }
}

/// A stream in work.
struct Live {
    listener: Listener,
    heartbeat: Duration,
    due: Instant,
    log: Logger,
}

/// The bytes that a listener is sent, until the feed closes or can't be read, or the client goes. The listener comes back to where it
/// was.
pub fn event_stream(
    listener: Listener,
    settings: &EventStreamSettings,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let EventStreamSettings { heartbeat, retry_ms, log } = settings.clone();
    let first = opening(retry_ms, listener.seen());
    let due = Instant::now() + part_of(heartbeat);
    let events = stream::unfold(Live { listener, heartbeat, due, log }, |mut live| async move {
        let sent = live.next().await?;
        Some((sent, live))
    });
    stream::once(async { first }).chain(events).map(Ok)
}

impl Live {
    async fn next(&mut self) -> Option<Bytes> {
        let piece = match self.listener.next(self.due).await {
            Ok(piece) => piece,
            Err(FeedError::Closed) => return None,
            Err(error) => {
                warn!(self.log, "event_stream_cut"; "seen" => self.listener.seen().0, "cause" => causes(&error));
                return None;
            }
        };
        self.due = Instant::now() + self.heartbeat;
        Some(if piece.events.is_empty() { heartbeat(piece.seen) } else { piece.events.into() })
    }
}

/// Between a half and the whole of it, so that a thousand who came together don't wake together for ever.
fn part_of(heartbeat: Duration) -> Duration {
    let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
    #[allow(clippy::cast_precision_loss, reason = "any number from 0 to 1 will do")]
    let part = 0.5 + (random % 1_024) as f64 / 2_048.0;
    heartbeat.mul_f64(part)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        said = format!("{said}: {deeper}");
        cause = deeper.source();
    }
    said
}
