//! What outlives every node: the store, the time, and an account of all that was asked and answered.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory_application::ports::{AppendGroup, AppendOutcome, EventLog, EventStore, RecordedEvent, StoreError};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{Position, RequestKey};
use inventory_domain::{OrderId, ReservationId, StockId, Timestamp, TransferId};
use tokio::time::Instant;

use crate::account::{Attempt, Moment, Read};
use crate::chance::Chance;
use crate::flaw::Flaw;
use crate::plan::{Plan, WALL_RATE};
use crate::wish::Wish;

/// What the wall clock shows at first: 2025-11-24T12:00:00Z.
const NOON_MS: i64 = 1_763_985_600_000;

/// The one store, and all that was seen of the run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) flaw: Option<Flaw>,
    chance: Chance,
    began: Instant,
    store: Mutex<Arc<InMemoryEventStore>>,
    /// What was handed to the store, for it to lose.
    batches: Mutex<Vec<Arc<Vec<AppendGroup>>>>,
    /// Whether nothing fails any more.
    is_calm: AtomicBool,
    happenings: AtomicU64,
    pub(crate) known: Mutex<Known>,
    pub(crate) attempts: Mutex<Vec<Attempt>>,
    pub(crate) reads: Mutex<Vec<Read>>,
    pub(crate) findings: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    trace: Mutex<Trace>,
}

/// What clients know of, so that they get in each other's way.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) reservations: Vec<(StockId, ReservationId)>,
    pub(crate) orders: Vec<OrderId>,
    pub(crate) transfers: Vec<TransferId>,
    pub(crate) keys: Vec<RequestKey>,
    /// The version of a stock and where its event stands, as clients were told.
    pub(crate) versions: Vec<(StockId, u64, Position)>,
    /// Requests with a key that nobody could say the outcome of.
    pub(crate) unsettled: Vec<Wish>,
}

struct Trace {
    hasher: DefaultHasher,
    lines: Vec<String>,
}

impl World {
    pub(crate) fn new(plan: Plan, flaw: Option<Flaw>, chance: Chance) -> Arc<Self> {
        let store = if plan.is_exclusive() { InMemoryEventStore::exclusive() } else { InMemoryEventStore::shared() };
        Arc::new(Self {
            plan,
            flaw,
            chance,
            began: Instant::now(),
            store: Mutex::new(Arc::new(store)),
            batches: Mutex::default(),
            is_calm: AtomicBool::new(false),
            happenings: AtomicU64::new(0),
            known: Mutex::default(),
            attempts: Mutex::default(),
            reads: Mutex::default(),
            findings: Mutex::default(),
            counts: Mutex::default(),
            trace: Mutex::new(Trace { hasher: DefaultHasher::new(), lines: Vec::new() }),
        })
    }

    /// Milliseconds of work since the start.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The true time of day.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(NOON_MS + self.elapsed_ms() * WALL_RATE)
    }

    /// Now, in every way that counts.
    pub(crate) fn moment(&self) -> Moment {
        let happening = self.happenings.fetch_add(1, Ordering::SeqCst);
        Moment { happening, head: self.head(), wall: self.wall() }
    }

    pub(crate) fn store(&self) -> Arc<InMemoryEventStore> {
        Arc::clone(&lock(&self.store))
    }

    /// Where the log ends.
    pub(crate) fn head(&self) -> Position {
        *self.store().appended().borrow()
    }

    /// All of the log.
    pub(crate) async fn log(&self) -> Result<Vec<RecordedEvent>, StoreError> {
        self.store().read(Position::START, usize::MAX).await
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    /// Nothing fails from here on.
    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
    }

    /// What the store does with a batch, at one moment.
    pub(crate) async fn commit(
        &self,
        node: usize,
        batch: Arc<Vec<AppendGroup>>,
    ) -> Result<Vec<AppendOutcome>, StoreError> {
        let outcomes = match self.flaw {
            Some(Flaw::IgnoresVersions | Flaw::DoesNotTaint) => self.commit_one_by_one(&batch).await?,
            Some(Flaw::ForgetsAppendIds | Flaw::TearsGroups) => {
                let batch = batch.iter().map(|group| self.spoilt(group)).collect();
                self.store().append(Arc::new(batch)).await?
            }
            _ => self.store().append(Arc::clone(&batch)).await?,
        };
        if self.flaw == Some(Flaw::LosesTheLastBatch) && outcomes.iter().any(has_events) {
            lock(&self.batches).push(batch);
        }
        for outcome in &outcomes {
            self.count(match outcome {
                AppendOutcome::Appended { position: Some(_) } => "groups appended",
                AppendOutcome::Appended { position: None } => "groups without events checked",
                AppendOutcome::Repeated { .. } => "repeats told the first answer",
                AppendOutcome::AppendIdReused => "keys reused",
                AppendOutcome::Conflict { .. } => "conflicts",
                AppendOutcome::Tainted { .. } => "tainted groups",
            });
        }
        self.say(|| format!("store: a batch of node {node}: {outcomes:?}"));
        Ok(outcomes)
    }

    /// Each group for itself, so that none taints another.
    async fn commit_one_by_one(&self, batch: &Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let mut outcomes = Vec::new();
        for group in &**batch {
            let mut outcome = self.store().append(Arc::new(vec![group.clone()])).await?;
            if self.flaw == Some(Flaw::IgnoresVersions)
                && matches!(outcome[..], [AppendOutcome::Conflict { .. }])
                && self.chance.one_in(2)
            {
                let mut group = group.clone();
                for part in &mut group.streams {
                    let version = self.store().load(vec![part.stream]).await?[0].version;
                    part.expected = inventory_application::ports::ExpectedVersion::of(version);
                }
                outcome = self.store().append(Arc::new(vec![group])).await?;
            }
            outcomes.extend(outcome);
        }
        Ok(outcomes)
    }

    fn spoilt(&self, group: &AppendGroup) -> AppendGroup {
        let mut group = group.clone();
        match self.flaw {
            Some(Flaw::ForgetsAppendIds) if self.chance.one_in(2) => group.key = None,
            Some(Flaw::TearsGroups) if group.streams.len() > 1 && self.chance.one_in(4) => {
                group.streams.iter_mut().next_back().into_iter().for_each(|last| last.events.clear());
            }
            _ => (),
        }
        group
    }

    /// Drops the last batch, where the store is flawed so.
    pub(crate) async fn lose_the_last_batch(&self) -> Result<(), StoreError> {
        if self.flaw != Some(Flaw::LosesTheLastBatch) {
            return Ok(());
        }
        lock(&self.batches).pop();
        let batches = lock(&self.batches).clone();
        let anew = Arc::new(InMemoryEventStore::shared());
        for batch in batches {
            anew.append(batch).await?;
        }
        *lock(&self.store) = anew;
        Ok(())
    }

    /// Takes down something that must not be.
    pub(crate) fn find(&self, finding: String) {
        lock(&self.findings).push(finding);
    }

    /// Counts what has happened, so that a run can show what it has met.
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// Takes down what happens, in order.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        let line = format!("{:>6} ms  {}", self.elapsed_ms(), what());
        let mut trace = lock(&self.trace);
        trace.hasher.write(line.as_bytes());
        trace.lines.push(line);
    }

    /// All that has happened, and a hash of it.
    pub(crate) fn trace(&self) -> (Vec<String>, u64) {
        let trace = lock(&self.trace);
        (trace.lines.clone(), trace.hasher.finish())
    }
}

fn has_events(outcome: &AppendOutcome) -> bool {
    matches!(outcome, AppendOutcome::Appended { position: Some(_) })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
