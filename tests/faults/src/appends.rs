//! Appending to a store through a fault: what was told, and whether it holds.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use inventory_application::ports::{
    AppendGroup, AppendKey, AppendOutcome, Clock, ExpectedVersion, Metadata, NewEvent, Snapshot, StoreError,
    StreamAppend,
};
use inventory_application::testing::ManualClock;
use inventory_application::{EventId, StreamId};
use inventory_domain::inventory::Event;
use inventory_domain::{Quantity, Reason, StockId, Timestamp};
use tokio::runtime::Runtime;

use crate::campaign::Check;
use crate::disk::Disk;
use crate::fault::{Aim, How};
use crate::stores::{Backend, Opened, ReaderBeside, START, open, open_on, runtime, stock};
use crate::told::{Asked, Fate, check, folded, read_all};
use crate::usize_of;

/// Batches of a run that are acknowledged or unknown in the end.
const BATCHES: u64 = 12;

/// While these are appended somebody reads beside the store, unless something fails.
const READS_BESIDE: RangeInclusive<u64> = 2..=4;

/// After this one they close the files.
const LEAVES_AFTER: u64 = 7;

/// Before this one the store is closed and opened again.
const REOPENS_BEFORE: u64 = 6;

/// Before this one more than a day goes by.
const DAY_BEFORE: u64 = 9;

/// How often something that is refused is asked for again before the disk is healed.
const REFUSALS_BEFORE_HEALING: u32 = 2;

/// How often something is tried.
const TRIES_MAX: u32 = 400;

/// How long a store may take to get over it when nothing fails any more; it takes some milliseconds.
const REPAIR_WAIT_MAX: Duration = Duration::from_secs(30);

/// Appends batches through whatever the disk does.
pub fn appends<'a>(backend: &'a dyn Backend) -> impl Fn(&Path, &Arc<Disk>) -> Result<Check<'a>, String> + Sync + 'a {
    move |folder, disk| {
        let mut run = Run::new(backend, folder, disk);
        run.go()?;
        let asked = run.asked;
        let check: Check<'a> = Box::new(move |folder, marks| check_left(backend, folder, &asked, marks));
        Ok(check)
    }
}

/// Opens what is left in `folder` and checks it, goes on there by a batch, and opens and checks it once more.
fn check_left(backend: &dyn Backend, folder: &Path, asked: &[Asked], marks: Option<&[u64]>) -> Result<(), String> {
    let fate = |number: usize| match (marks, asked[number].fate) {
        (Some(marks), Fate::There) if !marks.contains(&(number as u64)) => Fate::WholeOrNot, // Later, or not told of yet.
        (_, fate) => fate,
    };
    // Keys are forgotten in the end, also by a batch that was on its way.
    let on_its_way = marks.map_or(asked.len(), |marks| marks.last().map_or(0, |last| usize_of(*last) + 1));
    let now = asked.get(on_its_way).or(asked.last()).map_or(START, |asked| asked.at);
    let clock = Arc::new(ManualClock::at(now));
    let runtime = runtime();
    let opened = open(backend, folder, &clock)?;
    let groups = runtime.block_on(async {
        check(&opened, asked, fate, now).await?;
        let groups = groups(&opened, BATCHES + 1, 0, now).await.map_err(|error| format!("{error:?}"))?;
        let outcome = opened.events.append(Arc::clone(&groups)).await;
        if outcome.as_ref().is_ok_and(|outcomes| all_appended(outcomes)) {
            return Ok(groups);
        }
        Err(format!("it doesn't go on: {outcome:?}"))
    })?;
    drop(opened);
    let mut all = asked.to_vec();
    all.push(Asked { groups, fate: Fate::There, at: now });
    let fate = |number: usize| if number == asked.len() { Fate::There } else { fate(number) };
    runtime.block_on(check(&open(backend, folder, &clock)?, &all, fate, now))
}

/// A run, as far as it has come.
struct Run<'a> {
    backend: &'a dyn Backend,
    folder: &'a Path,
    disk: Arc<Disk>,
    clock: Arc<ManualClock>,
    runtime: Runtime,
    opened: Option<Opened>,
    reader_beside: Option<Box<dyn ReaderBeside>>,
    /// What was asked for so far.
    asked: Vec<Asked>,
    refusals: u32,
}

impl<'a> Run<'a> {
    fn new(backend: &'a dyn Backend, folder: &'a Path, disk: &Arc<Disk>) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let runtime = runtime();
        Self {
            backend,
            folder,
            disk: Arc::clone(disk),
            clock,
            runtime,
            opened: None,
            reader_beside: None,
            asked: Vec::new(),
            refusals: 0,
        }
    }

    /// Appends all batches, and closes the store.
    fn go(&mut self) -> Result<(), String> {
        self.open()?;
        for number in 0..BATCHES {
            if number == REOPENS_BEFORE {
                self.opened = None;
                self.open()?;
            }
            self.clock.set(Timestamp::from_millis(START.millis() + hours(number) * 3_600_000));
            if number == *READS_BESIDE.start() {
                self.reader_beside = self.backend.reader_beside(self.folder);
            }
            self.append(number)?;
            if number == *READS_BESIDE.end() {
                self.end_reading_beside();
            }
            if number == LEAVES_AFTER {
                self.reader_beside = None;
            }
            if number % 4 == 1 {
                self.keep_snapshot()?;
            }
        }
        self.check_now("at the end")?;
        self.opened = None;
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        self.opened = Some(open_on(&self.disk, self.backend, self.folder, &self.clock)?);
        Ok(())
    }

    fn opened(&self) -> Result<&Opened, String> {
        self.opened.as_ref().ok_or_else(|| "it is closed".to_owned())
    }

    fn append(&mut self, number: u64) -> Result<(), String> {
        let mut unknown_since = None;
        for number_of_try in 0..TRIES_MAX {
            let (was_broken, before) = (self.is_broken(), self.disk.steps());
            let groups = self.groups(number, number_of_try)?;
            let opened = self.opened()?;
            let outcome = self.runtime.block_on(opened.events.append(Arc::clone(&groups)));
            let is_poisoned = Arc::clone(&opened.is_poisoned);
            let mut asked = Asked { groups, fate: Fate::NotThere, at: self.clock.now() };
            match outcome {
                Ok(outcomes) => {
                    if !all_appended(&outcomes) {
                        return Err(format!("batch {number} came to {outcomes:?}"));
                    }
                    if was_broken {
                        return Err(format!("batch {number} was acknowledged on a disk that takes nothing"));
                    }
                    let after = self.disk.mark(self.asked.len() as u64);
                    asked.fate = Fate::There;
                    self.asked.push(asked);
                    if let Some(since) = unknown_since
                        && !self.backend.has_repaired(&self.disk.trace(), since, after)
                    {
                        return Err(format!("batch {number} was acknowledged after a failure and before its repair"));
                    }
                    // A failure that came later poisons it as well.
                    if is_poisoned() && self.disk.failed_at().is_none_or(|failed_at| failed_at < before) {
                        return Err(format!("batch {number} was acknowledged by a poisoned writer"));
                    }
                    return Ok(());
                }
                Err(StoreError::OutcomeUnknown(_)) => {
                    asked.fate = Fate::WholeOrNot;
                    self.asked.push(asked);
                    // A full disk may have room for a repair.
                    if self.disk.lasting() == Some(How::Breaks) && !is_poisoned() {
                        return Err(format!("the writer is not poisoned after batch {number}"));
                    }
                    unknown_since = Some(before);
                    self.refused()?;
                }
                Err(StoreError::Unavailable(_)) => {
                    self.asked.push(asked);
                    self.refused()?;
                }
                Err(StoreError::Damaged(damage)) => return Err(format!("batch {number}: {damage}")),
            }
        }
        Err(format!("batch {number}: it doesn't get over it"))
    }

    fn end_reading_beside(&self) {
        self.reader_beside.iter().for_each(|reader| reader.end_reading());
    }

    /// Whether the disk takes nothing at the moment.
    fn is_broken(&self) -> bool {
        self.disk.lasting().is_some()
    }

    /// Readers go on after a refusal, and see what was told; the disk is healed after some, and then the store gets over it unasked.
    fn refused(&mut self) -> Result<(), String> {
        self.end_reading_beside(); // It would hold up the repair.
        self.check_now("after a refusal")?;
        self.refusals += 1;
        if self.refusals > REFUSALS_BEFORE_HEALING {
            self.disk.heal();
            let end = Instant::now() + REPAIR_WAIT_MAX;
            while (self.opened()?.is_poisoned)() {
                if Instant::now() > end {
                    return Err("the disk is healed, and the writer stays poisoned".to_owned());
                }
                thread::yield_now();
            }
        }
        Ok(())
    }

    /// What readers see is what was told so far. Looking up keys is the writer's: only where that is sound.
    fn check_now(&self, when: &str) -> Result<(), String> {
        let opened = self.opened()?;
        let log = self.retried("the log can't be read", || self.runtime.block_on(read_all(opened)))?;
        let shown: HashSet<u128> = log.iter().map(|event| event.event_id.0.as_u128()).collect();
        for (number, asked) in self.asked.iter().enumerate() {
            let all: Vec<u128> = asked
                .groups
                .iter()
                .flat_map(|group| &group.streams)
                .flat_map(|part| &part.events)
                .map(|event| event.event_id.0.as_u128())
                .collect();
            let there = all.iter().filter(|id| shown.contains(id)).count();
            let is_right = match asked.fate {
                Fate::There => there == all.len(),
                Fate::NotThere => there == 0,
                Fate::WholeOrNot => there == 0 || there == all.len(),
            };
            if !is_right {
                return Err(format!(
                    "{when}: of batch {number} ({:?}), {there} of {} events are shown",
                    asked.fate,
                    all.len()
                ));
            }
        }
        Ok(())
    }

    /// A read may fail once where reads are what fails, and then says that it has come to nothing, no more; else never.
    fn retried<T>(&self, what: &str, read: impl Fn() -> Result<T, StoreError>) -> Result<T, String> {
        let outcome = match read() {
            Err(StoreError::Unavailable(_)) if self.disk.aim() == Some(Aim::Reads) && self.disk.has_failed() => read(),
            other => other,
        };
        outcome.map_err(|error| format!("{what}: {error:?}"))
    }

    fn groups(&self, number: u64, number_of_try: u32) -> Result<Arc<Vec<AppendGroup>>, String> {
        let opened = self.opened()?;
        self.retried(&format!("it can't be loaded before batch {number}"), || {
            self.runtime.block_on(groups(opened, number, number_of_try, self.clock.now()))
        })
    }

    fn keep_snapshot(&self) -> Result<(), String> {
        let opened = self.opened()?;
        self.retried("it can't be loaded for a snapshot", || {
            self.runtime.block_on(async {
                let loaded = opened.events.load(vec![stock(1).into()]).await?;
                let loaded = &loaded[0];
                let snapshot = Snapshot { stock_id: stock(1), position: loaded.position, inventory: folded(loaded) };
                // Not keeping one changes no answer, which is checked in the end.
                drop(opened.events.keep_snapshots(vec![snapshot]).await);
                Ok(())
            })
        })
    }
}

fn hours(number: u64) -> i64 {
    let hour = i64::try_from(number / 2).unwrap_or(0);
    if number >= DAY_BEFORE { hour + 40 } else { hour }
}

fn all_appended(outcomes: &[AppendOutcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, AppendOutcome::Appended { position: Some(_) }))
}

/// A batch of two groups or three: a keyed one over two stocks, one on a new stock, and once one that is long.
async fn groups(
    opened: &Opened,
    number: u64,
    number_of_try: u32,
    now: Timestamp,
) -> Result<Arc<Vec<AppendGroup>>, StoreError> {
    let (first, second, third) = (stock(1), stock(2 + number % 3), stock(100 + number));
    let long = (number == 3).then(|| stock(50));
    let streams: Vec<StreamId> = [first, second, third].into_iter().chain(long).map(StreamId::from).collect();
    let loaded = opened.events.load(streams).await?;
    let version = |place: usize| loaded[place].version;
    let mut next_id = (u128::from(number) << 64) | (u128::from(number_of_try) << 32);
    let mut events = |count: u64| -> Vec<NewEvent> {
        (0..count)
            .map(|_| {
                next_id += 1;
                let reason = Reason::new(&"delivery ".repeat(20)).expect("a reason");
                let event = Event::StockAdded { quantity: Quantity::new(1).expect("a quantity"), reason };
                NewEvent { event_id: EventId(uuid::Uuid::from_u128(next_id)), event: event.into() }
            })
            .collect()
    };
    let mut part = |stock_id: StockId, version: u64, count: u64| StreamAppend {
        stream: stock_id.into(),
        expected: ExpectedVersion::of(version),
        events: events(count),
    };
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..12].copy_from_slice(&number_of_try.to_be_bytes());
    let key = AppendKey { append_id: id, request_hash: [1; 16], result: Some(id.to_vec()) };
    let mut groups = vec![
        (Some(key), vec![part(first, version(0), 2), part(second, version(1), 1)]),
        (None, vec![part(third, version(2), 1)]),
    ];
    if let Some(long) = long {
        groups.push((None, vec![part(long, version(3), 130)]));
    }
    let metadata = Arc::new(Metadata::default());
    let group = |(key, streams)| AppendGroup { key, streams, recorded_at: now, metadata: Arc::clone(&metadata) };
    Ok(Arc::new(groups.into_iter().map(group).collect()))
}
