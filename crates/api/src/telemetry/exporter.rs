//! Spans on their way out: a bounded queue, and a thread that sends what is on it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Logger, info, warn};
use thiserror::Error;

use super::otlp::{Destination, OtlpExporter};
use super::span::Span;

/// The exporter's bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExporterSettings {
    /// Spans that wait.
    pub(super) queue_spans_max: usize,
    /// Spans in one export.
    pub(super) batch_spans_max: usize,
    /// How long the first span of a batch waits for others.
    pub(super) batch_delay: Duration,
    /// How often a failure is logged.
    pub(super) failure_log_interval: Duration,
}

/// Why there is no exporter.
#[derive(Debug, Error)]
pub enum ExporterError {
    /// The settings can't be used.
    #[error("spans can't be exported: {0}")]
    Unusable(String),
    /// There is no thread for it.
    #[error("a thread can't be started: {0}")]
    Thread(#[from] io::Error),
}

/// What became of spans so far.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// The collector has them.
    pub exported: AtomicU64,
    /// The queue was full, or the service was going down.
    pub dropped: AtomicU64,
    /// The collector could not be reached, or refused them.
    pub failed: AtomicU64,
}

/// What the thread is told.
#[derive(Debug)]
enum Message {
    /// To send this.
    Span(Box<Span>),
    /// To look whether it is time to end.
    WakeUp,
}

/// Takes spans and has them sent; never waits.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: SyncSender<Message>,
    is_closing: Arc<AtomicBool>,
    counts: Arc<SpanCounts>,
    ended: Mutex<Receiver<()>>,
}

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// [`ExporterError`].
    pub(super) fn start(
        destination: Destination,
        settings: ExporterSettings,
        log: Logger,
    ) -> Result<Self, ExporterError> {
        let (queue, messages) = sync_channel(settings.queue_spans_max);
        let (built, is_built) = sync_channel(1);
        let (end, ended) = sync_channel::<()>(0);
        let (is_closing, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(SpanCounts::default()));
        let mut sending = Sending {
            messages,
            settings,
            is_closing: Arc::clone(&is_closing),
            counts: Arc::clone(&counts),
            failures: Failures::new(log),
        };
        thread::Builder::new().name("span-exporter".into()).spawn(move || {
            let _end = end; // Dropped at the end, which is what the other side waits for.
            match OtlpExporter::new(destination) {
                Ok(exporter) => {
                    built.send(Ok(())).ok();
                    sending.run(&exporter);
                }
                Err(error) => {
                    built.send(Err(error)).ok();
                }
            }
        })?;
        match is_built.recv() {
            Ok(Ok(())) => Ok(Self { queue, is_closing, counts, ended: Mutex::new(ended) }),
            Ok(Err(error)) => Err(ExporterError::Unusable(error)),
            Err(_) => Err(ExporterError::Unusable("the exporter ended early".to_owned())),
        }
    }

    /// Puts a span on the queue, or counts it as dropped where there is no room.
    pub(super) fn export(&self, span: Span) {
        if self.is_closing.load(Ordering::Relaxed) || self.queue.try_send(Message::Span(span.into())).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of spans so far.
    #[must_use]
    pub(super) fn counts(&self) -> &Arc<SpanCounts> {
        &self.counts
    }

    /// Sends what waits, for so long at most, and takes no more. Whether all was seen to.
    pub(super) fn close(&self, longest: Duration) -> bool {
        self.is_closing.store(true, Ordering::Relaxed);
        self.queue.try_send(Message::WakeUp).ok(); // A full queue needs no wake-up.
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected)
    }
}

/// The thread's part.
struct Sending {
    messages: Receiver<Message>,
    settings: ExporterSettings,
    is_closing: Arc<AtomicBool>,
    counts: Arc<SpanCounts>,
    failures: Failures,
}

impl Sending {
    /// Sends batches until nobody has any more to send.
    fn run(&mut self, exporter: &OtlpExporter) {
        let mut batch = Vec::with_capacity(self.settings.batch_spans_max);
        while let Some(first) = self.first() {
            put(first, &mut batch);
            self.fill(&mut batch);
            if batch.is_empty() {
                continue;
            }
            let count = batch.len() as u64;
            match exporter.export(batch.drain(..)) {
                Ok(()) => {
                    self.counts.exported.fetch_add(count, Ordering::Relaxed);
                    self.failures.over();
                }
                Err(cause) => {
                    self.counts.failed.fetch_add(count, Ordering::Relaxed);
                    self.failures.add(count, &cause, self.settings.failure_log_interval);
                }
            }
        }
    }

    /// Waits for what comes next; `None` at the end.
    fn first(&self) -> Option<Message> {
        if self.is_closing.load(Ordering::Relaxed) {
            return self.messages.try_recv().ok();
        }
        self.messages.recv().ok()
    }

    /// Waits for more, until the batch is full or its time is over.
    fn fill(&self, batch: &mut Vec<Span>) {
        let end = Instant::now() + self.settings.batch_delay;
        while batch.len() < self.settings.batch_spans_max {
            let next = if self.is_closing.load(Ordering::Relaxed) {
                self.messages.try_recv()
            } else {
                let left = end.saturating_duration_since(Instant::now());
                self.messages.recv_timeout(left).map_err(|_| TryRecvError::Empty)
            };
            match next {
                Ok(message) => put(message, batch),
                Err(_) => return,
            }
        }
    }
}

fn put(message: Message, batch: &mut Vec<Span>) {
    match message {
        Message::Span(span) => batch.push(*span),
        Message::WakeUp => (),
    }
}

/// Exports that have failed, logged now and then.
struct Failures {
    log: Logger,
    /// Spans that were lost since the last line.
    spans: u64,
    logged_at: Option<Instant>,
    /// Whether the last line said that exports fail.
    is_told: bool,
}

impl Failures {
    fn new(log: Logger) -> Self {
        Self { log, spans: 0, logged_at: None, is_told: false }
    }

    fn add(&mut self, spans: u64, cause: &str, interval: Duration) {
        self.spans += spans;
        if self.logged_at.is_none_or(|at| at.elapsed() >= interval) {
            warn!(self.log, "span_export_failed"; "spans_lost" => self.spans, "cause" => cause);
            (self.spans, self.logged_at, self.is_told) = (0, Some(Instant::now()), true);
        }
    }

    /// An export has worked.
    fn over(&mut self) {
        if std::mem::take(&mut self.is_told) {
            info!(self.log, "span_export_works_again"; "spans_lost" => self.spans);
            self.spans = 0;
        }
    }
}
