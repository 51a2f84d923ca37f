//! Requests on their way through the loop, and who waits for their answers.

use std::sync::Arc;

use inventory_domain::inventory::Closing;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::request::{Answer, CommandError, Request};
use crate::ports::{CommandObserver, CommandOutcome, ObservedCommand};
use crate::sync::{Mutex, PoisonError};

/// What one request came to.
pub type Verdict = Result<Answer, CommandError>;

/// A request on its way through the loop.
#[derive(Debug)]
pub struct Waiting {
    pub(super) request: Request,
    pub(super) queued_at: Instant,
    pub(super) deadline: Instant,
    /// How often it has lost to another node.
    pub(super) tries: u32,
    /// What the read side knows of a reservation that the stock has forgotten, once it was asked.
    pub(super) recalled: Option<Recalled>,
    pub(super) reply: Reply,
}

/// What the read side knows of a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recalled {
    /// The version of the stock up to which it knows.
    pub(super) version: u64,
    /// How the reservation ended, if there was one and it did.
    pub(super) closing: Option<Closing>,
}

/// Requests that are decided one after the other with nothing between: one, or a client's batch.
#[derive(Debug)]
pub enum Unit {
    /// One request.
    One(Box<Waiting>),
    /// What is left of a client's batch.
    Many(std::vec::IntoIter<Waiting>),
}

impl Unit {
    /// How much of a batch it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::One(waiting) => waiting.request.ask.weight(),
            Self::Many(rest) => rest.as_slice().iter().map(|waiting| waiting.request.ask.weight()).sum(),
        }
    }

    pub(super) fn all(&self) -> &[Waiting] {
        match self {
            Self::One(waiting) => std::slice::from_ref(waiting),
            Self::Many(rest) => rest.as_slice(),
        }
    }

    pub(super) fn all_mut(&mut self) -> &mut [Waiting] {
        match self {
            Self::One(waiting) => std::slice::from_mut(waiting),
            Self::Many(rest) => rest.as_mut_slice(),
        }
    }

    /// Refuses all that is left of it.
    pub(super) fn refuse(self, error: &CommandError, observer: &dyn CommandObserver) {
        match self {
            Self::One(waiting) => waiting.answer_at_once(Err(error.clone()), observer),
            Self::Many(rest) => rest.for_each(|waiting| waiting.answer_at_once(Err(error.clone()), observer)),
        }
    }
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// Who has sent one request; with its place in the queue.
    One(oneshot::Sender<Verdict>, #[allow(dead_code, reason = "held until the answer")] OwnedSemaphorePermit),
    /// Who has sent many; this is the one with this number.
    OfMany(Arc<ManyReplies>, usize),
}

/// The answers to a client's batch, sent when the last one is there.
#[derive(Debug)]
pub(super) struct ManyReplies {
    inner: Mutex<Gathering>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Gathering {
    verdicts: Vec<Option<Verdict>>,
    missing: usize,
    reply: Option<oneshot::Sender<Vec<Verdict>>>,
}

impl ManyReplies {
    pub(super) fn new(count: usize, permit: OwnedSemaphorePermit, reply: oneshot::Sender<Vec<Verdict>>) -> Arc<Self> {
        let verdicts = std::iter::repeat_with(|| None).take(count).collect();
        let inner = Mutex::new(Gathering { verdicts, missing: count, reply: Some(reply) });
        Arc::new(Self { inner, _permit: permit })
    }

    fn answer(&self, index: usize, verdict: Verdict) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.verdicts[index].replace(verdict).is_none() {
            inner.missing -= 1;
        }
        if inner.missing == 0
            && let Some(reply) = inner.reply.take()
        {
            let verdicts = std::mem::take(&mut inner.verdicts).into_iter();
            drop(reply.send(verdicts.map(|verdict| verdict.unwrap_or(Err(CommandError::Abandoned))).collect()));
        }
    }
}

impl Waiting {
    /// The request as an observer sees it.
    pub(super) fn observed(&self, outcome: CommandOutcome) -> ObservedCommand<'_> {
        ObservedCommand {
            kind: (&self.request.ask).into(),
            outcome,
            queued_at: self.queued_at,
            tries: self.tries,
            metadata: &self.request.metadata,
        }
    }

    /// [`Waiting::answer`], where nothing was written for it.
    pub(super) fn answer_at_once(self, verdict: Verdict, observer: &dyn CommandObserver) {
        observer.answered_at_once(&self.observed((&verdict).into()));
        self.answer(verdict);
    }

    /// Tells the client; one that has hung up hears nothing, and what was done stays done.
    pub(super) fn answer(self, verdict: Verdict) {
        match self.reply {
            Reply::One(reply, _) => drop(reply.send(verdict)),
            Reply::OfMany(replies, index) => replies.answer(index, verdict),
        }
    }
}
