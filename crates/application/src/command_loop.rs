//! The write side: one loop a node takes what waits, decides it in order, appends it as one batch, and answers.
//!
//! Ten thousand commands on one stock are ten thousand pure function calls and one commit, not ten thousand conflicts.
//! Nothing is answered before its batch is durable, and nothing rests on a state that nobody checked: where others can
//! append too, a refusal carries its expected version to the store like a success does.
//!
//! In reading order: [`request`], [`sender`], [`settings`], then the loop's parts: `working_states` (what is held in
//! memory), `batch` (deciding into groups and settling their outcomes).

mod batch;
pub mod request;
pub mod sender;
pub mod settings;
mod working_states;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::batch::Batch;
use self::working_states::WorkingStates;
use crate::ports::{AppendOutcome, Clock, CommitListener, EventStore, IdSource, LoadedStream, StoreError};
use crate::{AcknowledgedLevels, StreamId};

pub use self::request::{Ask, CommandError, StockAnswer, StockRequest, Waiting};
pub use self::sender::CommandSender;
pub use self::settings::CommandLoopSettings;

/// What a command loop works with.
pub struct CommandLoopPorts {
    /// Where events are kept.
    pub store: Arc<dyn EventStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids for new events.
    pub ids: Arc<dyn IdSource>,
    /// Where readers of this node find what it has acknowledged.
    pub acknowledged: Arc<AcknowledgedLevels>,
    /// Who hears of what was committed.
    pub listener: Arc<dyn CommitListener>,
}

/// The loop itself. It does its work in [`CommandLoop::run`]; who wants something of it has a [`CommandSender`].
pub struct CommandLoop {
    ports: CommandLoopPorts,
    settings: CommandLoopSettings,
    inbox: mpsc::Receiver<Waiting>,
    inbox_is_done: bool,
    states: WorkingStates,
    /// Commands whose streams are in memory, oldest first.
    ready: VecDeque<Waiting>,
    /// Commands whose stream is being read, oldest first; each such stream has an entry.
    parked: HashMap<StreamId, VecDeque<Waiting>>,
    parked_commands: usize,
    /// Streams that have to be read, with how long to wait before.
    to_load: Vec<(StreamId, Duration)>,
    loads: JoinSet<Loaded>,
    writing: Option<Writing>,
}

/// What came of reading some streams.
struct Loaded {
    streams: Vec<StreamId>,
    result: Result<Vec<LoadedStream>, StoreError>,
}

/// A batch that the store is making durable.
struct Writing {
    batch: Batch,
    outcome: Pin<Box<dyn Future<Output = Result<Vec<AppendOutcome>, StoreError>> + Send>>,
}

impl CommandLoop {
    /// A loop that does nothing yet, and the way to reach it.
    #[must_use]
    pub fn new(ports: CommandLoopPorts, settings: CommandLoopSettings) -> (CommandSender, Self) {
        let (sender, inbox) = mpsc::channel(settings.queue_commands_max);
        let sender = CommandSender::new(sender, Duration::from_millis(settings.queue_wait_ms_max));
        let states = WorkingStates::new(settings.states_max, settings.closed_reservations_remembered);
        let command_loop = Self {
            ports,
            settings,
            inbox,
            inbox_is_done: false,
            states,
            ready: VecDeque::new(),
            parked: HashMap::new(),
            parked_commands: 0,
            to_load: Vec::new(),
            loads: JoinSet::new(),
            writing: None,
        };
        (sender, command_loop)
    }

    /// Works until `stop` comes (or every sender is gone), then finishes all that was accepted, and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut arrived = Vec::with_capacity(self.settings.batch_commands_max);
        loop {
            if self.writing.is_none() {
                self.write_what_is_ready();
            }
            self.start_loads();
            if self.inbox_is_done && self.writing.is_none() && self.loads.is_empty() {
                return; // Nothing is ready either, or it would be being written; nothing is parked without a load.
            }
            // While a batch is being written, the next one gathers in the inbox: a wake-up a command would buy nothing.
            let room = match self.writing {
                Some(_) => 0,
                None => self
                    .settings
                    .batch_commands_max
                    .min(self.settings.queue_commands_max.saturating_sub(self.ready.len() + self.parked_commands)),
            };
            tokio::select! {
                biased;
                () = &mut stop, if !self.inbox.is_closed() => self.inbox.close(),
                outcome = finished(&mut self.writing) => self.settle(outcome),
                Some(loaded) = self.loads.join_next(), if !self.loads.is_empty() => match loaded {
                    Ok(loaded) => self.take_in(loaded),
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()), // It catches what an adapter does.
                },
                count = self.inbox.recv_many(&mut arrived, room), if room > 0 && !self.inbox_is_done => {
                    self.inbox_is_done = count == 0;
                    self.ready.extend(arrived.drain(..));
                }
            }
        }
    }

    /// Decides what is ready and hands it to the store as one batch.
    fn write_what_is_ready(&mut self) {
        let mut batch = Batch::default();
        while batch.len() < self.settings.batch_commands_max {
            let Some(waiting) = self.ready.pop_front() else { break };
            if let Some(not_held) = batch.decide(waiting, &mut self.states, &self.ports) {
                self.park(not_held, Duration::ZERO);
            }
        }
        if batch.is_empty() {
            return;
        }
        let (store, groups) = (Arc::clone(&self.ports.store), batch.seal());
        let outcome = Box::pin(async move { store.append(groups).await });
        self.writing = Some(Writing { batch, outcome });
    }

    /// Answers what was written, and has what was lost to somebody else decided again.
    fn settle(&mut self, outcome: Result<Vec<AppendOutcome>, StoreError>) {
        let Some(Writing { batch, .. }) = self.writing.take() else { return };
        let lost = batch.settle(outcome, &mut self.states, &self.ports, self.settings.conflict_tries_max);
        // They go before what waits for the same streams: whatever is ready finds the streams gone, and parks behind.
        for waiting in lost {
            let delay = self.delay_before_try(waiting.tries);
            self.park(waiting, delay);
        }
        self.states.evict();
    }

    fn park(&mut self, waiting: Waiting, delay: Duration) {
        let stream = StreamId::Inventory(waiting.request.stock_id);
        let to_load = &mut self.to_load;
        self.parked_commands += 1;
        self.parked
            .entry(stream)
            .or_insert_with(|| {
                to_load.push((stream, delay));
                VecDeque::new()
            })
            .push_back(waiting);
    }

    /// Reads the streams that are missing, off the loop, all in one read, when there is room for another read.
    fn start_loads(&mut self) {
        if self.to_load.is_empty() || self.loads.len() >= self.settings.loads_max {
            return;
        }
        let delay = self.to_load.iter().map(|(_, delay)| *delay).max().unwrap_or_default();
        let streams: Vec<StreamId> = self.to_load.drain(..).map(|(stream, _)| stream).collect();
        let store = Arc::clone(&self.ports.store);
        self.loads.spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let wanted = streams.clone();
            let result = match tokio::spawn(async move { store.load(wanted).await }).await {
                Ok(result) => result,
                Err(panicked) => Err(StoreError::Unavailable(Box::new(panicked))),
            };
            Loaded { streams, result }
        });
    }

    fn take_in(&mut self, loaded: Loaded) {
        let Loaded { streams, result } = loaded;
        let mut histories = match result {
            Ok(histories) => histories.into_iter(),
            Err(error) => {
                let error = CommandError::Store(Arc::new(error));
                for waiting in streams.iter().filter_map(|stream| self.parked.remove(stream)).flatten() {
                    self.parked_commands -= 1;
                    waiting.answer(Err(error.clone()));
                }
                return;
            }
        };
        for stream in streams {
            if let Some(history) = histories.next() {
                self.states.fold(stream, &history);
            }
            if let Some(parked) = self.parked.remove(&stream) {
                self.parked_commands -= parked.len();
                // In front: what is ready on the same stream, if anything is, came later.
                parked.into_iter().rev().for_each(|waiting| self.ready.push_front(waiting));
            }
        }
    }

    /// Grows with each try that was lost to somebody else, jittered so that two nodes don't keep in step.
    fn delay_before_try(&self, tries: u32) -> Duration {
        if tries == 0 {
            return Duration::ZERO; // Lost to taint only: nobody else is in the way.
        }
        let most = self.settings.conflict_delay_ms_max.min(1 << tries.min(16));
        Duration::from_micros(RandomState::new().hash_one(tries) % (most * 1000 + 1))
    }
}

/// The outcome of what is being written; never, when nothing is.
async fn finished(writing: &mut Option<Writing>) -> Result<Vec<AppendOutcome>, StoreError> {
    match writing {
        Some(writing) => writing.outcome.as_mut().await,
        None => pending().await,
    }
}
