//! Logs: one JSON object a line on standard output.
//!
//! What happens now and then goes through `slog-async`; what happens with every command, the business events, is handed
//! over a batch at a time to a thread of its own. Both queues are bounded, and what they drop they count.

pub mod business_events;
mod counted_queue;
pub mod levels;
pub mod optional;
pub mod projections;
pub mod request_lines;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use inventory_application::ports::Clock;
use slog::{Level, Logger, PushFnValue, Record, o};
use slog_async::{AsyncCore, AsyncGuard};
use slog_json::Json;

pub use self::counted_queue::DroppedLines;
use self::counted_queue::{CountedQueue, CountedWrites};
use self::levels::{ByPart, LogLevels};
use crate::moment::Rfc3339;
use crate::settings::{LogLevel, LogSettings};
use crate::system::SystemClock;

/// How often an end that is waited for is looked at.
const JOIN_LOOK: Duration = Duration::from_millis(2);

/// The log of the service. [`Log::close`] writes what still waits, within bounds; dropping it does so without.
pub struct Log {
    /// What lines are handed to.
    pub logger: Logger,
    /// How much of them is written.
    pub levels: Arc<LogLevels>,
    /// How many were not written for want of room.
    pub dropped: Arc<DroppedLines>,
    writer: AsyncGuard,
}

impl Log {
    /// A log on standard output.
    #[must_use]
    pub fn open(settings: &LogSettings) -> Self {
        let (levels, dropped) = (LogLevels::new(settings.into()), Arc::new(DroppedLines::default()));
        let json = Mutex::new(json_lines(WholeLines::default(), true));
        let queue = AsyncCore::custom(CountedWrites::new(json, Arc::clone(&dropped)));
        let (queue, writer) = queue.chan_size(settings.queue_lines_max).build_with_guard();
        let drain = ByPart { levels: Arc::clone(&levels), inner: CountedQueue::new(queue, Arc::clone(&dropped)) };
        Self { logger: Logger::root(drain, o!()), levels, dropped, writer }
    }

    /// Writes what still waits, unless nobody takes it within `longest`: a pipe that nobody reads must not keep the process.
    pub fn close(self, longest: Duration) {
        let Self { writer, .. } = self;
        join_within(thread::spawn(move || drop(writer)), longest);
    }
}

/// Waits until a thread has ended, and says how; `None` where it hasn't within `longest`.
fn join_within<T>(thread: JoinHandle<T>, longest: Duration) -> Option<thread::Result<T>> {
    let end = Instant::now() + longest;
    while !thread.is_finished() {
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(JOIN_LOOK);
    }
    Some(thread.join())
}

/// One JSON object a record: its time, its level and its message as `event`, then its own values.
fn json_lines<W: Write>(out: W, flush_each: bool) -> Json<W> {
    Json::new(out)
        .set_flush(flush_each)
        .add_key_value(o!(
            "event" => PushFnValue(|record: &Record<'_>, serializer| serializer.emit(record.msg())),
            "level" => PushFnValue(|record: &Record<'_>, serializer| serializer.emit(level_name(record.level()))),
            "timestamp" => PushFnValue(|_: &Record<'_>, serializer| {
                serializer.emit(format_args!("{}", Rfc3339(SystemClock.now())))
            }),
        ))
        .build()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical => "critical",
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

/// Gathers what is written and puts it out as a whole when flushed, so that two writers never share a line.
#[derive(Debug, Default)]
struct WholeLines(Vec<u8>);

impl Write for WholeLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = put_out(&self.0);
        self.0.clear();
        written
    }
}

/// Writes whole lines to standard output; nobody else's come between. Where that failed in the middle of a line, the next ones begin on
/// a line of their own.
fn put_out(lines: &[u8]) -> io::Result<()> {
    /// The process has one standard output, whoever writes to it.
    static IS_BROKEN_OFF: AtomicBool = AtomicBool::new(false);
    let mut out = io::stdout().lock();
    let mut write = || {
        if IS_BROKEN_OFF.load(Ordering::Relaxed) {
            out.write_all(b"\n")?;
        }
        out.write_all(lines)?;
        out.flush()
    };
    let written = write();
    IS_BROKEN_OFF.store(written.is_err(), Ordering::Relaxed);
    written
}
