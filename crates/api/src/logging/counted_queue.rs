//! The queue of lines that wait to be written. What finds it full, or can't be written, is dropped, counted, and told of by the next line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slog::{Drain, Level, Never, OwnedKVList, Record, b, record};
use slog_async::{AsyncCore, AsyncError};

/// How many lines were dropped.
#[derive(Debug, Default)]
pub struct DroppedLines {
    ever: AtomicU64,
    /// Since a line last told.
    untold: AtomicU64,
}

impl DroppedLines {
    /// Since the start.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ever.load(Ordering::Relaxed)
    }

    fn add(&self, lines: u64) {
        self.ever.fetch_add(lines, Ordering::Relaxed);
        self.untold.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The way into the queue.
pub(super) struct CountedQueue {
    queue: AsyncCore,
    dropped: Arc<DroppedLines>,
}

impl CountedQueue {
    pub(super) fn new(queue: AsyncCore, dropped: Arc<DroppedLines>) -> Self {
        Self { queue, dropped }
    }

    /// Tells of what was dropped, once there is room again.
    fn tell(&self, values: &OwnedKVList) {
        let lines = self.dropped.untold.swap(0, Ordering::Relaxed);
        if lines == 0 {
            return;
        }
        let told = self
            .queue
            .log(&record!(Level::Warning, "", &format_args!("log_lines_dropped"), b!("lines" => lines)), values);
        if told.is_err() {
            self.dropped.untold.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drain for CountedQueue {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        match self.queue.log(record, values) {
            Ok(()) => self.tell(values),
            // Full, or its thread has ended: there is no other place where to say so than the count.
            Err(AsyncError::Full | AsyncError::Fatal(_)) => self.dropped.add(1),
        }
        Ok(())
    }
}

/// What the queue's thread writes to. A line that can't be written is counted, and the next one is tried: a full disk is not the end
/// of the log.
pub(super) struct CountedWrites<D> {
    writer: D,
    dropped: Arc<DroppedLines>,
}

impl<D> CountedWrites<D> {
    pub(super) fn new(writer: D, dropped: Arc<DroppedLines>) -> Self {
        Self { writer, dropped }
    }
}

impl<D: Drain> Drain for CountedWrites<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if self.writer.log(record, values).is_err() {
            self.dropped.add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use slog::{Logger, info, o};

    use super::*;

    /// Writes a line whenever it is let.
    struct Slow {
        go: Mutex<Receiver<()>>,
        written: Mutex<Sender<String>>,
    }

    impl Drain for Slow {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            self.go.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            self.written.lock().unwrap_or_else(PoisonError::into_inner).send(record.msg().to_string()).ok();
            Ok(())
        }
    }

    #[test]
    fn what_finds_the_queue_full_is_counted_and_told_of() {
        let ((go, gone), (writing, written)) = (channel(), channel());
        let slow = Slow { go: Mutex::new(gone), written: Mutex::new(writing) };
        let dropped = Arc::new(DroppedLines::default());
        let queue = AsyncCore::custom(slow).chan_size(2).build();
        let log = Logger::root(CountedQueue::new(queue, Arc::clone(&dropped)), o!());
        // Two wait and one may be in the writer's hands.
        for _ in 0..10 {
            info!(log, "line");
        }
        let lost = dropped.count();
        assert!((7..=8).contains(&lost), "{lost}");
        let kept = 10 - lost;
        for _ in 0..kept {
            go.send(()).unwrap();
            assert_eq!(written.recv().unwrap(), "line");
        }
        info!(log, "late");
        go.send(()).unwrap();
        assert_eq!(written.recv().unwrap(), "late");
        go.send(()).unwrap();
        assert_eq!(written.recv().unwrap(), "log_lines_dropped");
        assert_eq!(dropped.count(), lost, "and nothing more was");
        go.send(()).unwrap();
    }

    /// Fails until it is told not to.
    struct FullDisk(Arc<AtomicU64>, Sender<String>);

    impl Drain for FullDisk {
        type Ok = ();
        type Err = std::io::Error;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), std::io::Error> {
            if self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.1.send(record.msg().to_string()).map_err(std::io::Error::other)
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_not_the_end_of_the_log() {
        let (writing, written) = channel();
        let dropped = Arc::new(DroppedLines::default());
        let disk = Mutex::new(FullDisk(Arc::new(AtomicU64::new(2)), writing));
        let queue = AsyncCore::custom(CountedWrites::new(disk, Arc::clone(&dropped))).chan_size(8).build();
        let log = Logger::root(CountedQueue::new(queue, Arc::clone(&dropped)), o!());
        for line in ["first", "second", "third"] {
            info!(log, "{}", line);
        }
        assert_eq!(written.recv().unwrap(), "third");
        assert_eq!(dropped.count(), 2);
    }
}
