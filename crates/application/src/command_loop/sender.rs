//! The way into the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::request::{Answer, Ask, CommandError, OrderAnswer, Request, StockAnswer, TransferAnswer};
use super::waiting::{ManyReplies, Reply, Unit, Verdict, Waiting};
use crate::ports::StoreError;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Puts requests on the loop's bounded queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CommandSender {
    inbox: mpsc::UnboundedSender<Unit>,
    /// Says that many requests have come at once.
    many: Arc<Notify>,
    /// One for each command that is waiting or in work: this is what bounds the queue.
    places: Arc<Semaphore>,
    places_max: usize,
    /// Commands for which there was no place.
    refused: Arc<AtomicU64>,
    wait_max: Duration,
}

impl CommandSender {
    pub(super) fn new(
        inbox: mpsc::UnboundedSender<Unit>,
        many: Arc<Notify>,
        places_max: usize,
        wait_max: Duration,
    ) -> Self {
        let places_max = places_max.min(Semaphore::MAX_PERMITS);
        let (places, refused) = (Arc::new(Semaphore::new(places_max)), Arc::default());
        Self { inbox, many, places, places_max, refused, wait_max }
    }

    /// Has `request` decided, and waits until what it changes is durable.
    ///
    /// Dropping the future interrupts nothing: what the queue has taken runs to its end.
    ///
    /// # Errors
    ///
    /// [`CommandError`] says why, and whether something may have been done all the same.
    pub async fn send(&self, request: Request) -> Verdict {
        let permit = self.places(request.ask.weight())?;
        let (reply, verdict) = oneshot::channel();
        let queued_at = Instant::now();
        let (deadline, reply) = (queued_at + self.wait_max, Reply::One(reply, permit));
        let waiting = Waiting { request, queued_at, deadline, tries: 0, recalled: None, reply };
        self.put(Unit::One(Box::new(waiting)))?;
        verdict.await.unwrap_or(Err(CommandError::Abandoned))
    }

    /// Has `requests` decided in this order, each for itself, and waits until what they change is durable. The queue takes all
    /// of them or none.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when nothing was done; else each request has a verdict of its own, at the same place.
    pub async fn send_all(&self, requests: Vec<Request>) -> Result<Vec<Verdict>, CommandError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let permit = self.places(requests.iter().map(|request| request.ask.weight()).sum())?;
        let (reply, verdicts) = oneshot::channel();
        let (count, queued_at) = (requests.len(), Instant::now());
        let deadline = queued_at + self.wait_max;
        let replies = ManyReplies::new(count, permit, reply);
        let waiting = requests.into_iter().enumerate().map(|(index, request)| {
            let reply = Reply::OfMany(Arc::clone(&replies), index);
            Waiting { request, queued_at, deadline, tries: 0, recalled: None, reply }
        });
        let waiting: Vec<_> = waiting.collect();
        drop(replies); // They are the loop's alone: where it ends without an answer, that is the answer.
        self.put(Unit::Many(waiting.into_iter()))?;
        self.many.notify_one();
        Ok(verdicts.await.unwrap_or_else(|_| vec![Err(CommandError::Abandoned); count]))
    }

    /// [`CommandSender::send`], for a request about a stock.
    ///
    /// # Errors
    ///
    /// As [`CommandSender::send`].
    pub async fn send_stock(&self, request: Request) -> Result<StockAnswer, CommandError> {
        match self.send(request).await? {
            Answer::Stock(answer) => Ok(answer),
            other => Err(misplaced(&other)),
        }
    }

    /// [`CommandSender::send`], for a request about an order.
    ///
    /// # Errors
    ///
    /// As [`CommandSender::send`].
    pub async fn send_order(&self, request: Request) -> Result<OrderAnswer, CommandError> {
        match self.send(request).await? {
            Answer::Order(answer) => Ok(answer),
            other => Err(misplaced(&other)),
        }
    }

    /// [`CommandSender::send`], for a request about a transfer.
    ///
    /// # Errors
    ///
    /// As [`CommandSender::send`].
    pub async fn send_transfer(&self, request: Request) -> Result<TransferAnswer, CommandError> {
        match self.send(request).await? {
            Answer::Transfer(answer) => Ok(answer),
            other => Err(misplaced(&other)),
        }
    }

    /// How many commands are waiting or in work now.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// How many may be waiting or in work.
    #[must_use]
    pub fn queue_depth_max(&self) -> usize {
        self.places_max
    }

    /// How many commands were refused because the queue was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn places(&self, count: usize) -> Result<OwnedSemaphorePermit, CommandError> {
        let places = u32::try_from(count).ok();
        let permit = places.and_then(|places| Arc::clone(&self.places).try_acquire_many_owned(places).ok());
        permit.ok_or_else(|| {
            self.refused.fetch_add(count as u64, Ordering::Relaxed);
            CommandError::Overloaded
        })
    }

    fn put(&self, unit: Unit) -> Result<(), CommandError> {
        self.inbox.send(unit).map_err(|_| CommandError::ShuttingDown)
    }
}

/// A key's hash says what was asked, so the answer under it is of the same kind, unless what is stored is damaged.
fn misplaced(answer: &Answer) -> CommandError {
    let what = match answer {
        Answer::Stock(_) => "a stock",
        Answer::Order(_) => "an order",
        Answer::Transfer(_) => "a transfer",
    };
    CommandError::Store(Arc::new(StoreError::Damaged(format!("the answer is about {what}").into())))
}

impl Request {
    /// A request with no condition and no key, from nobody in particular.
    #[must_use]
    pub fn plain(ask: Ask) -> Self {
        Self { ask, condition: super::request::Condition::None, key: None, metadata: Arc::default() }
    }
}
