//! Who listens to what, and how far the broadcaster is.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::FeedError;
use super::broadcaster::Handed;
use super::filter::Interest;
use super::mailbox::{Frame, Mailbox, Pushed};
use crate::Position;
use crate::ports::{EventForm, StoreError};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What the broadcaster and the listeners share.
pub(super) struct Board {
    /// Every mailbox that is registered has what it wants of everything up to here. Moved under the registry's lock.
    position: AtomicU64,
    registry: Mutex<Registry>,
    joined: AtomicUsize,
    /// Tells the broadcaster that somebody has joined.
    pub(super) somebody_joined: Notify,
    seats: AtomicUsize,
    overflows: AtomicU64,
    /// Bytes that wait in all mailboxes.
    waiting: Arc<AtomicUsize>,
    listener_bytes_max: usize,
    waiting_bytes_max: usize,
}

#[derive(Default)]
struct Registry {
    mailboxes: HashMap<Interest, Vec<Arc<Mailbox>>>,
    /// How many interests there are of each shape: nothing is looked up that nobody has.
    shapes: [usize; Interest::SHAPES],
}

/// A listener's place among the others, until it is dropped.
pub(super) struct Seat {
    pub(super) board: Arc<Board>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.board.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Board {
    pub(super) fn new(listener_bytes_max: usize, waiting_bytes_max: usize) -> Self {
        Self {
            position: AtomicU64::new(0),
            registry: Mutex::default(),
            joined: AtomicUsize::new(0),
            somebody_joined: Notify::new(),
            seats: AtomicUsize::new(0),
            overflows: AtomicU64::new(0),
            waiting: Arc::default(),
            listener_bytes_max,
            waiting_bytes_max,
        }
    }

    /// A seat for one more listener, if there is one.
    pub(super) fn seat(this: &Arc<Self>, seats_max: usize) -> Result<Seat, FeedError> {
        let taken = this.seats.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { board: Arc::clone(this) };
        if taken >= seats_max { Err(FeedError::TooManyListeners(taken)) } else { Ok(seat) }
    }

    /// How many listeners there are.
    pub(super) fn listeners(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Whether any mailbox is registered.
    pub(super) fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed) > 0
    }

    /// How far the broadcaster is. A mailbox that is looked into after this was read has everything up to there.
    pub(super) fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// Registers a mailbox for a listener that has everything up to `seen`, which is the end of the log where `is_end` says so.
    /// Answers with how far the listener has to read by itself before it looks into it; `None` where it is not near enough yet.
    pub(super) fn join(
        &self,
        interests: Vec<Interest>,
        seen: Position,
        is_end: bool,
        near: u64,
    ) -> Option<(Arc<Mailbox>, Position)> {
        let mut registry = self.lock();
        let mut position = self.position();
        if registry.mailboxes.is_empty() {
            // Nobody has kept the broadcaster going, so where it stands means nothing.
            if !is_end {
                return None;
            }
            position = position.max(seen);
            self.position.store(position.0, Ordering::Release);
        } else if position.0 > seen.0.saturating_add(near) {
            return None;
        }
        let mailbox = Arc::new(Mailbox::new(interests, position));
        for interest in &mailbox.interests {
            registry.mailboxes.entry(*interest).or_default().push(Arc::clone(&mailbox));
            registry.shapes[interest.shape()] += 1;
        }
        self.joined.fetch_add(1, Ordering::Relaxed);
        self.somebody_joined.notify_one();
        Some((mailbox, position))
    }

    /// Takes the mailbox off, if it is on.
    pub(super) fn leave(&self, mailbox: &Arc<Mailbox>) {
        self.remove(&mut self.lock(), mailbox);
    }

    fn remove(&self, registry: &mut Registry, mailbox: &Arc<Mailbox>) {
        let mut was_on = false;
        for interest in &mailbox.interests {
            let Some(others) = registry.mailboxes.get_mut(interest) else { continue };
            let Some(place) = others.iter().position(|other| Arc::ptr_eq(other, mailbox)) else { continue };
            others.swap_remove(place);
            was_on = true;
            if others.is_empty() {
                registry.mailboxes.remove(interest);
            }
            registry.shapes[interest.shape()] -= 1;
        }
        if was_on {
            self.joined.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Hands events that follow one another, up to `end`, to all that want them. Those whose mailbox was empty are put into
    /// `to_tell`. Returns false when nobody is there any more.
    pub(super) fn hand_out<'a>(
        &self,
        form: &dyn EventForm,
        events: impl Iterator<Item = Handed<'a>>,
        end: Position,
        to_tell: &mut Vec<Arc<Mailbox>>,
    ) -> Result<bool, StoreError> {
        let mut registry = self.lock();
        let (done, mut overflowed) = (self.position(), Vec::new());
        for event in events.filter(|event| event.position() > done) {
            let event_type = form.type_of(event.event());
            let mut frame = None;
            for shape in (0..Interest::SHAPES).filter(|shape| registry.shapes[*shape] > 0) {
                let interest = Interest::of(shape, event.stream(), event_type);
                let Some(mailboxes) = interest.and_then(|interest| registry.mailboxes.get(&interest)) else { continue };
                let frame = match &frame {
                    Some(frame) => frame,
                    None => frame.insert(self.encode(form, &event)?),
                };
                let is_full = self.waiting.load(Ordering::Relaxed) > self.waiting_bytes_max;
                for mailbox in mailboxes {
                    match mailbox.push(frame, self.listener_bytes_max, is_full) {
                        Pushed::Behind => (),
                        Pushed::First => to_tell.push(Arc::clone(mailbox)),
                        Pushed::Overflow => overflowed.push(Arc::clone(mailbox)),
                    }
                }
            }
        }
        for mailbox in overflowed {
            self.remove(&mut registry, &mailbox);
            self.overflows.fetch_add(1, Ordering::Relaxed);
            to_tell.push(mailbox);
        }
        self.position.store(done.max(end).0, Ordering::Release);
        Ok(!registry.mailboxes.is_empty())
    }

    fn encode(&self, form: &dyn EventForm, event: &Handed<'_>) -> Result<Arc<Frame>, StoreError> {
        let mut bytes = Vec::new();
        form.encode(&event.recorded(), &mut bytes)?;
        Ok(Arc::new(Frame::new(event.position(), bytes.into_boxed_slice(), &self.waiting)))
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
