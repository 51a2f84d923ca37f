//! What waits for one listener.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::filter::Interest;
use crate::Position;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// An event as listeners get it; all of them share it.
pub(super) struct Frame {
    pub(super) position: Position,
    bytes: Box<[u8]>,
    waiting: Arc<AtomicUsize>,
}

impl Frame {
    /// The event's bytes, which count in `waiting` for as long as anybody has them.
    pub(super) fn new(position: Position, bytes: Box<[u8]>, waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { position, bytes, waiting: Arc::clone(waiting) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// What waits for one listener. It may overflow: then it is emptied, and its owner reads the log when it gets to it.
pub(super) struct Mailbox {
    /// What its owner is found by.
    pub(super) interests: Vec<Interest>,
    /// Tells the owner that there is something.
    pub(super) news: Notify,
    contents: Mutex<Contents>,
}

struct Contents {
    /// Nothing up to here is to be put in: the owner has it from the log, or it is in already.
    after: Position,
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    is_overflowed: bool,
}

/// What became of a frame.
pub(super) enum Pushed {
    /// It waits, behind others.
    Behind,
    /// It waits, and the owner has to be told.
    First,
    /// It was too much, and the owner has to be told.
    Overflow,
}

/// What the owner has found.
pub(super) enum Taken {
    /// Events, and where the last of them stands.
    Events(Vec<u8>, Position),
    /// None.
    Nothing,
    /// There were too many.
    Overflow,
}

impl Mailbox {
    pub(super) fn new(interests: Vec<Interest>, after: Position) -> Self {
        let contents = Contents { after, frames: VecDeque::new(), bytes: 0, is_overflowed: false };
        Self { interests, news: Notify::new(), contents: Mutex::new(contents) }
    }

    /// Puts the frame in, unless more than `bytes_max` would wait here, or `is_full` says that there is no room in the whole
    /// house; one frame always has room.
    pub(super) fn push(&self, frame: &Arc<Frame>, bytes_max: usize, is_full: bool) -> Pushed {
        let mut contents = self.lock();
        if contents.is_overflowed || frame.position <= contents.after {
            return Pushed::Behind;
        }
        let is_first = contents.frames.is_empty();
        if !is_first && (is_full || contents.bytes + frame.bytes.len() > bytes_max) {
            (contents.frames, contents.bytes) = (VecDeque::new(), 0);
            contents.is_overflowed = true;
            return Pushed::Overflow;
        }
        contents.bytes += frame.bytes.len();
        contents.after = frame.position;
        contents.frames.push_back(Arc::clone(frame));
        if is_first { Pushed::First } else { Pushed::Behind }
    }

    /// Takes events out, about `bytes_max` of them.
    pub(super) fn take(&self, bytes_max: usize) -> Taken {
        let mut contents = self.lock();
        if contents.is_overflowed {
            return Taken::Overflow;
        }
        let (mut events, mut last) = (Vec::new(), None);
        while let Some(frame) = contents.frames.front() {
            if last.is_some() && events.len() + frame.bytes.len() > bytes_max {
                break;
            }
            events.extend_from_slice(&frame.bytes);
            last = Some(frame.position);
            contents.bytes -= frame.bytes.len();
            contents.frames.pop_front();
        }
        last.map_or(Taken::Nothing, |last| Taken::Events(events, last))
    }

    /// Takes out what the owner has from elsewhere, up to `seen`.
    pub(super) fn skip(&self, seen: Position) {
        let mut contents = self.lock();
        contents.after = contents.after.max(seen);
        while let Some(frame) = contents.frames.pop_front_if(|frame| frame.position <= seen) {
            contents.bytes -= frame.bytes.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
