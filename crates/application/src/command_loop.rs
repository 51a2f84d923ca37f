//! The write side: one loop a node takes what waits, decides it in order, appends it as one batch, and answers.
//!
//! Ten thousand commands on one stock are ten thousand pure function calls and one commit, not ten thousand conflicts.
//! Nothing is answered before its batch is durable, and nothing rests on a state that nobody checked: where others can
//! append too, a refusal carries its expected version to the store like a success does.
//!
//! In reading order: [`request`], [`sender`], [`settings`], then the loop's parts: [`waiting`] (requests on their way),
//! `working_states` (what is held in memory), `deciding` (requests into drafts), `batch` (drafts into groups, and settling
//! their outcomes), `remembered` (what a repeat is told), `gathering` (what has to be read first).

mod batch;
mod deciding;
mod gathering;
mod remembered;
pub mod request;
pub mod sender;
pub mod settings;
pub mod waiting;
mod working_states;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use self::batch::{Batch, Settled, Step};
use self::gathering::{Gathered, Gathering};
use self::waiting::Unit;
use self::working_states::WorkingStates;
use crate::AcknowledgedLevels;
use crate::ports::{
    AppendOutcome, Clock, CommandObserver, CommitListener, EventStore, IdSource, ReservationViews, Snapshot, StoreError,
};

pub use self::request::{
    Answer, Ask, CommandError, Condition, OrderAnswer, Request, RequestKey, Shortfall, StockAnswer, TransferAnswer,
};
pub use self::sender::CommandSender;
pub use self::settings::CommandLoopSettings;
pub use self::waiting::Verdict;

/// What a command loop works with.
pub struct CommandLoopPorts {
    /// Where events are kept.
    pub store: Arc<dyn EventStore>,
    /// What the read side knows of reservations that stocks have forgotten.
    pub reservations: Arc<dyn ReservationViews>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids for new events.
    pub ids: Arc<dyn IdSource>,
    /// Where readers of this node find what it has acknowledged.
    pub acknowledged: Arc<AcknowledgedLevels>,
    /// Who hears of what was committed.
    pub listener: Arc<dyn CommitListener>,
    /// Who measures what is done.
    pub observer: Arc<dyn CommandObserver>,
}

/// The loop itself. It does its work in [`CommandLoop::run`]; who wants something of it has a [`CommandSender`].
pub struct CommandLoop {
    ports: CommandLoopPorts,
    settings: CommandLoopSettings,
    inbox: mpsc::UnboundedReceiver<Unit>,
    inbox_is_done: bool,
    states: WorkingStates,
    /// What can be decided, as far as is known, oldest first.
    ready: VecDeque<Unit>,
    /// What has to wait for something to be read.
    gathering: Gathering,
    writing: Option<Writing>,
    /// What was decided on top of the batch that is being written; it goes to the store next.
    ahead: Option<Batch>,
    /// Whether something waits for what is in work to be durable, so that no more is piled up on top of that.
    is_deferring: bool,
    /// Says that a client's batch has come.
    many: Arc<Notify>,
    /// States that are being kept; one lot at a time.
    keeping: Option<JoinHandle<Result<(), StoreError>>>,
    /// A number that nobody can foretell, for the n-th try.
    jitter: Box<dyn Fn(u32) -> u64 + Send>,
}

/// A batch that the store is making durable.
struct Writing {
    batch: Batch,
    /// Whether it can only succeed or fail as a whole: then the next batch may be decided on top of it.
    is_sure: bool,
    outcome: Pin<Box<dyn Future<Output = Result<Vec<AppendOutcome>, StoreError>> + Send>>,
}

/// Units that are taken off the inbox at a time.
const UNITS_AT_A_TIME: usize = 1_024;

impl CommandLoop {
    /// A loop that does nothing yet, and the way to reach it.
    #[must_use]
    pub fn new(ports: CommandLoopPorts, settings: CommandLoopSettings) -> (CommandSender, Self) {
        let (sender, inbox) = mpsc::unbounded_channel(); // The sender's places bound it.
        let wait_max = Duration::from_millis(settings.queue_wait_ms_max);
        let many = Arc::new(Notify::new());
        let sender = CommandSender::new(sender, Arc::clone(&many), settings.queue_commands_max, wait_max);
        let states = WorkingStates::new(settings.states_max, settings.closed_reservations_remembered);
        let gathering = Gathering::new(&ports, settings.loads_max);
        let command_loop = Self {
            ports,
            settings,
            inbox,
            inbox_is_done: false,
            states,
            ready: VecDeque::new(),
            gathering,
            writing: None,
            ahead: None,
            is_deferring: false,
            many,
            keeping: None,
            jitter: Box::new(|tries| RandomState::new().hash_one(tries)),
        };
        (sender, command_loop)
    }

    /// The same, with numbers that can be foretold in the place of chance, so that a run can be repeated.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_jitter(self, jitter: impl Fn(u32) -> u64 + Send + 'static) -> Self {
        Self { jitter: Box::new(jitter), ..self }
    }

    /// Works until `stop` comes (or every sender is gone), then finishes all that was accepted, and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut arrived = Vec::with_capacity(UNITS_AT_A_TIME);
        loop {
            if self.writing.is_none() {
                self.write_what_is_ready();
            }
            self.gathering.start();
            if self.inbox_is_done && self.writing.is_none() && self.gathering.is_idle() {
                break; // Nothing is ready either, or it would be being written; nothing waits without a read.
            }
            // While a batch is being written, the next one gathers in the inbox: a wake-up a command would buy nothing. A client's
            // batch is worth one: it is decided meanwhile.
            let takes_more = self.writing.is_none() && !self.inbox_is_done;
            let may_go_ahead = self.may_go_ahead();
            tokio::select! {
                biased;
                () = &mut stop, if !self.inbox.is_closed() => self.inbox.close(),
                outcome = finished(&mut self.writing) => self.settle(outcome),
                gathered = self.gathering.next(), if !self.gathering.is_idle() => self.take_in(gathered),
                count = self.inbox.recv_many(&mut arrived, UNITS_AT_A_TIME), if takes_more => {
                    self.inbox_is_done = count == 0;
                    self.ready.extend(arrived.drain(..));
                    self.take_what_has_come();
                }
                () = self.many.notified(), if may_go_ahead => self.go_ahead(),
            }
        }
        if let Some(keeping) = self.keeping {
            drop(keeping.await); // A snapshot that wasn't kept is no loss.
        }
    }

    /// All that is on the inbox now, up to a batch.
    fn take_what_has_come(&mut self) {
        let mut weight: usize = self.ready.iter().map(Unit::weight).sum();
        while weight < self.settings.batch_commands_max
            && let Ok(unit) = self.inbox.try_recv()
        {
            weight += unit.weight();
            self.ready.push_back(unit);
        }
    }

    /// Decides what is ready and hands it to the store as one batch.
    fn write_what_is_ready(&mut self) {
        let Some(mut batch) = self.decide_what_is_ready() else { return };
        let (store, groups) = (Arc::clone(&self.ports.store), batch.seal(&mut self.states));
        let is_sure = store.is_exclusive() && !batch.has_keys();
        let outcome = Box::pin(async move { store.append(groups).await });
        self.writing = Some(Writing { batch, is_sure, outcome });
    }

    /// Whether what comes may be decided on top of the batch that is being written.
    fn may_go_ahead(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.is_sure) && !self.inbox_is_done && !self.is_deferring
    }

    /// Decides what has come while a batch is being written, on top of it.
    fn go_ahead(&mut self) {
        self.take_what_has_come();
        self.ahead = self.decide_what_is_ready();
    }

    /// Puts what is ready into the batch that is next; `None` when that has nothing in it.
    fn decide_what_is_ready(&mut self) -> Option<Batch> {
        let mut batch = match self.ahead.take() {
            Some(mut ahead) => {
                ahead.go_on(&self.ports);
                ahead
            }
            None => {
                let requests = self.ready.iter().map(|unit| unit.all().len()).sum();
                Batch::new(&self.ports, &self.settings, requests)
            }
        };
        let mut deferred = Vec::new();
        while let Some(unit) = self.ready.front() {
            // A unit is never split over two batches, so one that is too large for what is left waits for the next.
            if !batch.is_empty() && batch.weight() + unit.weight() > self.settings.batch_commands_max {
                break;
            }
            let Some(unit) = self.ready.pop_front() else { break };
            self.decide(unit, &mut batch, &mut deferred);
        }
        self.is_deferring = !deferred.is_empty();
        deferred.into_iter().rev().for_each(|unit| self.ready.push_front(unit));
        batch.deciding_ended();
        (!batch.is_empty()).then_some(batch)
    }

    fn decide(&mut self, unit: Unit, batch: &mut Batch, deferred: &mut Vec<Unit>) {
        let mut needs = Vec::new();
        for waiting in unit.all() {
            deciding::needs(waiting, &mut self.states, &mut needs);
        }
        if !needs.is_empty() {
            self.gathering.park(unit, needs, Duration::ZERO);
            return;
        }
        match unit {
            Unit::One(waiting) => match batch.decide(*waiting, &mut self.states, &self.ports) {
                Step::Done => (),
                Step::Blocked(waiting, needs) => {
                    self.gathering.park(Unit::One(Box::new(waiting)), needs, Duration::ZERO);
                }
                Step::Deferred(waiting) => deferred.push(Unit::One(Box::new(waiting))),
            },
            Unit::Many(mut rest) => {
                while let Some(waiting) = rest.next() {
                    // What follows stays behind, so that a batch's commands are decided in its order.
                    let mut with_rest = |waiting| {
                        let all: Vec<_> = std::iter::once(waiting).chain(std::mem::take(&mut rest)).collect();
                        Unit::Many(all.into_iter())
                    };
                    match batch.decide(waiting, &mut self.states, &self.ports) {
                        Step::Done => (),
                        Step::Blocked(waiting, needs) => {
                            self.gathering.park(with_rest(waiting), needs, Duration::ZERO);
                            return;
                        }
                        Step::Deferred(waiting) => {
                            deferred.push(with_rest(waiting));
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Answers what was written, and has what was lost to somebody else decided again.
    fn settle(&mut self, outcome: Result<Vec<AppendOutcome>, StoreError>) {
        let Some(Writing { batch, .. }) = self.writing.take() else { return };
        let tries_max = self.settings.conflict_tries_max;
        let Settled { is_spoilt, mut lost, snapshots } =
            batch.settle(outcome, &mut self.states, &self.ports, tries_max);
        if is_spoilt && let Some(ahead) = self.ahead.take() {
            lost.extend(ahead.withdraw(&mut self.states));
        }
        // They go before what waits for the same streams: whatever is ready finds the streams gone, and waits behind.
        for waiting in lost {
            let delay = self.delay_before_try(waiting.tries);
            let mut needs = Vec::new();
            deciding::needs(&waiting, &mut self.states, &mut needs);
            self.gathering.park(Unit::One(Box::new(waiting)), needs, delay);
        }
        self.states.evict();
        self.keep(snapshots);
    }

    /// Has states kept, unless it is still busy with earlier ones: they come again with later events.
    fn keep(&mut self, snapshots: Vec<Snapshot>) {
        let is_busy = self.keeping.as_ref().is_some_and(|keeping| !keeping.is_finished());
        if snapshots.is_empty() || is_busy {
            return;
        }
        let store = Arc::clone(&self.ports.store);
        self.keeping = Some(tokio::spawn(async move { store.keep_snapshots(snapshots).await }));
    }

    fn take_in(&mut self, gathered: Gathered) {
        let Gathered { streams, units } = gathered;
        for (stream, history) in streams {
            self.states.fold(stream, history);
        }
        // In front: what is ready on the same stream, if anything is, came later.
        units.into_iter().rev().for_each(|unit| self.ready.push_front(unit));
    }

    /// Grows with each try that was lost to somebody else, jittered so that two nodes don't keep in step.
    fn delay_before_try(&self, tries: u32) -> Duration {
        if tries == 0 {
            return Duration::ZERO; // Lost to taint only: nobody else is in the way.
        }
        let most = self.settings.conflict_delay_ms_max.min(1 << tries.min(16));
        Duration::from_micros((self.jitter)(tries) % (most * 1000 + 1))
    }
}

/// The outcome of what is being written; never, when nothing is.
async fn finished(writing: &mut Option<Writing>) -> Result<Vec<AppendOutcome>, StoreError> {
    match writing {
        Some(writing) => writing.outcome.as_mut().await,
        None => pending().await,
    }
}
