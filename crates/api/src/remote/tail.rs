//! Events as they happen, over connections that may break.

use std::io::{self, Write};
use std::time::Duration;

use awc::http::StatusCode;
use awc::http::header::CONTENT_TYPE;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::connection::may_pass;
use super::sse::{Block, Blocks};
use super::stock::encoded;
use super::{Answer, Connection, ConnectionError, RemoteError};
use crate::command_line::remote::Tail;

const PATH: &str = "/api/v1/events/stream";

const MEDIA_TYPE: &str = "text/event-stream";

/// A stream that has been quiet for so long is dead: the service sends something four times a minute.
const QUIET_MAX: Duration = Duration::from_secs(90);

/// How long to wait before coming back, unless the service says how long.
const RETRY: Duration = Duration::from_secs(2);

/// The largest problem that is read.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// The largest event: an order of 500 lines has about 100 KiB.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// Shows events until there were as many as were asked for.
struct Following<'a> {
    connection: &'a Connection,
    path: String,
    /// Where to go on.
    last_id: Option<String>,
    retry: Duration,
    left: Option<u64>,
    /// Whether the service has let it listen.
    is_there: bool,
    is_json: bool,
    out: &'a mut dyn Write,
}

/// How a stream has ended.
enum End {
    /// All is shown that was asked for, or nobody reads it any more.
    Done,
    /// It broke, and may be gone on with.
    Broken(ConnectionError),
}

/// Shows events as they happen; where the connection breaks it comes back to where it was, and `says` so.
///
/// # Errors
///
/// [`RemoteError`] when the service says no, or was not there in the first place.
pub async fn tail(
    connection: &Connection,
    options: &Tail,
    is_json: bool,
    out: &mut dyn Write,
    says: impl Fn(&str),
) -> Result<(), RemoteError> {
    let mut following = Following {
        connection,
        path: path(options),
        last_id: options.after.map(|after| after.to_string()),
        retry: RETRY,
        left: options.count,
        is_there: false,
        is_json,
        out,
    };
    let mut was_there = false;
    loop {
        following.is_there = false;
        match following.listen().await? {
            End::Done => return Ok(()),
            End::Broken(error) => {
                if following.is_there {
                    let at = following.last_id.as_deref().unwrap_or("where it was");
                    says(&format!("{error}; it goes on after {at} as soon as the service is there"));
                } else if !was_there {
                    return Err(error.into()); // Most likely it is the wrong URL.
                }
                was_there = true;
                sleep(following.retry).await;
            }
        }
    }
}

fn path(options: &Tail) -> String {
    let product = options.product.map(|id| format!("product_id={id}"));
    let store = options.store.map(|id| format!("store_id={id}"));
    let types = Some(options.types.join(",")).filter(|types| !types.is_empty());
    let types = types.map(|types| format!("type={}", encoded(&types)));
    let query: Vec<_> = product.into_iter().chain(store).chain(types).collect();
    if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{}", query.join("&")) }
}

impl Following<'_> {
    /// Listens until the stream ends.
    async fn listen(&mut self) -> Result<End, RemoteError> {
        let mut request = self.connection.open(&self.path);
        if let Some(last_id) = &self.last_id {
            request = request.insert_header(("last-event-id", last_id.as_str()));
        }
        let broken = |error: &dyn std::error::Error| self.connection.broken(&self.path, error);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if may_pass(&error) => return Ok(End::Broken(broken(&error))),
            Err(error) => return Err(broken(&error).into()),
        };
        let status = response.status();
        if status != StatusCode::OK {
            let body = response.body().limit(PROBLEM_BYTES_MAX).await.unwrap_or_default();
            let answer = Answer::new(status.as_u16(), body.into());
            let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            if !is_passing {
                return Err(RemoteError::Refused(answer));
            }
            return Ok(End::Broken(broken(&RemoteError::Refused(answer))));
        }
        let header = response.headers().get(CONTENT_TYPE).and_then(|media_type| media_type.to_str().ok());
        let media_type = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            let named = if media_type.is_empty() { "something" } else { media_type };
            return Err(self.ended(&format!("it answers with {named}, not with {MEDIA_TYPE}")).into());
        }
        self.is_there = true;
        let mut blocks = Blocks::default();
        loop {
            let piece = match timeout(QUIET_MAX, response.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(error))) => return Ok(End::Broken(self.connection.broken(&self.path, &error))),
                Ok(None) => return Ok(End::Broken(self.ended("the service has ended the stream"))),
                Err(_) => return Ok(End::Broken(self.ended("nothing has come for too long"))),
            };
            blocks.push(&piece);
            while let Some(block) = blocks.next_block() {
                if self.take(block)? {
                    return Ok(End::Done);
                }
            }
            self.out.flush().or_else(unless_gone)?;
            if blocks.waiting() > BLOCK_BYTES_MAX {
                return Err(self.ended("it sends something that is no event").into());
            }
        }
    }

    /// Shows the block, and returns whether that was all.
    fn take(&mut self, block: Block) -> Result<bool, RemoteError> {
        if let Some(retry_ms) = block.retry_ms {
            self.retry = Duration::from_millis(retry_ms);
        }
        if let Some(data) = &block.data {
            let shown = if self.is_json { writeln!(self.out, "{data}") } else { writeln!(self.out, "{}", line(data)) };
            if let Err(error) = shown {
                return unless_gone(error).map(|()| true).map_err(RemoteError::Output);
            }
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        self.last_id = block.id.or(self.last_id.take());
        if self.left == Some(0) {
            self.out.flush().or_else(unless_gone)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn ended(&self, problem: &str) -> ConnectionError {
        self.connection.broken(&self.path, &io::Error::other(problem.to_owned()))
    }
}

/// Who has read enough closes the pipe: that is no failure.
fn unless_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// An event for people.
fn line(data: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(data) else { return data.to_owned() };
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    format!(
        "{:>8}  {}  {:<26}  {} v{}  {}",
        event["position"],
        text("recorded_at"),
        text("event_type"),
        text("stream_id"),
        event["version"],
        event["data"],
    )
}
