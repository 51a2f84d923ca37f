//! One batch: requests decided in order into groups, then answered by what became of the groups.

use std::sync::Arc;

use inventory_domain::{DomainEvent, Inventory, Level, OrderId, StockId, Timestamp};
use tokio::time::Instant;

use super::deciding::{Draft, Need, Told, Undecided, answer, draft, draft_expiry, unclosable};
use super::remembered::{read_answer, write_answer};
use super::request::{Answer, CommandError};
use super::waiting::{Verdict, Waiting};
use super::working_states::{Aggregate, WorkingStates};
use super::{CommandLoopPorts, CommandLoopSettings};
use crate::Position;
use crate::acknowledged_levels::Acknowledged;
use crate::ports::{
    AppendEnd, AppendGroup, AppendKey, AppendOutcome, CommittedGroup, ExpectedVersion, Metadata, NewEvent,
    ObservedBatch, Snapshot, StoreError, StreamAppend,
};

/// Requests that are decided at one moment, each with the group that its verdict rests on: the one at the same place.
pub(super) struct Batch {
    groups: Arc<Vec<AppendGroup>>,
    decided: Vec<Decided>,
    weight: usize,
    has_keys: bool,
    snapshot_every_events: u64,
    snapshot_reservations_max: usize,
    clock: Timestamp,
    instant: Instant,
    times: Times,
    /// Stocks whose states are to be kept, then the states as they are at the end of the batch.
    noted: Vec<StockId>,
    kept: Vec<(StockId, Inventory)>,
}

/// When what was done with a batch.
struct Times {
    deciding_began: Instant,
    deciding_ended: Instant,
    append_began: Instant,
}

/// A request and what it is to be told once its group is durable; nobody has asked for what had to be done first.
struct Decided {
    waiting: Option<Waiting>,
    verdict: Verdict,
    /// The levels after the group of the stocks that it changes, in the order of its parts.
    levels: Vec<Level>,
}

/// What became of a request for now.
pub(super) enum Step {
    /// It is in the batch, or answered.
    Done,
    /// It has to wait for these.
    Blocked(Waiting, Vec<Need>),
    /// It has to wait until the batch is durable.
    Deferred(Waiting),
}

/// What settling has left to do.
#[derive(Default)]
pub(super) struct Settled {
    /// Whether something was not appended, so that what was decided on top of it doesn't hold.
    pub(super) is_spoilt: bool,
    /// What lost to somebody else, to be decided again.
    pub(super) lost: Vec<Waiting>,
    /// States to be kept.
    pub(super) snapshots: Vec<Snapshot>,
}

impl Batch {
    /// A batch that is decided now, with room for so many requests.
    pub(super) fn new(ports: &CommandLoopPorts, settings: &CommandLoopSettings, requests: usize) -> Self {
        let requests = requests.min(settings.batch_commands_max);
        let now = Instant::now();
        Self {
            groups: Arc::new(Vec::with_capacity(requests)),
            decided: Vec::with_capacity(requests),
            weight: 0,
            has_keys: false,
            snapshot_every_events: settings.snapshot_every_events,
            snapshot_reservations_max: settings.snapshot_reservations_max,
            clock: ports.clock.now(),
            instant: now,
            times: Times { deciding_began: now, deciding_ended: now, append_began: now },
            noted: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// What is decided from here on is decided now.
    pub(super) fn go_on(&mut self, ports: &CommandLoopPorts) {
        (self.clock, self.instant) = (ports.clock.now(), Instant::now());
    }

    /// Nothing more is decided, for now.
    pub(super) fn deciding_ended(&mut self) {
        self.times.deciding_ended = Instant::now();
    }

    /// Whether a group of it has an append id, which may turn out to be known.
    pub(super) fn has_keys(&self) -> bool {
        self.has_keys
    }

    /// Over how many streams its groups are spread, a stream counted once for each group.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// The groups, to be appended; none is added afterwards.
    pub(super) fn seal(&mut self, states: &mut WorkingStates) -> Arc<Vec<AppendGroup>> {
        let noted = std::mem::take(&mut self.noted).into_iter();
        let snapshot = |stock_id: StockId| Some((stock_id, states.get(stock_id.into())?.snapshot()?));
        self.kept = noted.filter_map(snapshot).collect();
        self.times.append_began = Instant::now();
        Arc::clone(&self.groups)
    }

    /// Takes everything back, as nothing of it was handed to the store: the requests, to be decided again.
    pub(super) fn withdraw(self, states: &mut WorkingStates) -> Vec<Waiting> {
        self.groups.iter().for_each(|group| forget(group, states));
        self.decided.into_iter().filter_map(|decided| decided.waiting).collect()
    }

    /// Decides one request against the working states.
    ///
    /// A verdict that rests on durable events alone, with nobody else to change them, is answered at once.
    pub(super) fn decide(&mut self, waiting: Waiting, states: &mut WorkingStates, ports: &CommandLoopPorts) -> Step {
        if waiting.deadline <= self.instant {
            waiting.answer_at_once(Err(CommandError::WaitedTooLong), &*ports.observer);
            return Step::Done;
        }
        let drafted = loop {
            match draft(&waiting, states, self.clock) {
                Ok(drafted) => break drafted,
                Err(Undecided::Needs(needs)) => return Step::Blocked(waiting, needs),
                Err(Undecided::ExpireFirst(order_id, at)) => match self.expire(order_id, at, states, ports) {
                    Ok(()) => (),
                    Err(Undecided::Needs(needs)) => return Step::Blocked(waiting, needs),
                    Err(Undecided::ExpireFirst(order_id, _)) => {
                        break unclosable(order_id, &waiting, states, self.clock);
                    }
                },
            }
        };
        let has_events = drafted.parts.iter().any(|(_, events)| !events.is_empty());
        let mut streams = drafted.parts.iter().map(|(stream, _)| *stream);
        let is_ahead = streams.any(|stream| states.get(stream).is_some_and(|state| state.is_ahead()));
        let has_key = waiting.request.key.is_some();
        if !has_events && !is_ahead && !has_key && ports.store.is_exclusive() {
            let Draft { verdict, recorded_at, .. } = drafted;
            let told = told(verdict, states, Some(&waiting), recorded_at);
            waiting.answer_at_once(told, &*ports.observer);
            return Step::Done;
        }
        if !has_events && is_ahead && has_key && drafted.verdict.is_ok() {
            return Step::Deferred(waiting); // Its answer is to be remembered, and names positions that aren't known yet.
        }
        self.add(drafted, Some(waiting), states, ports);
        Step::Done
    }

    /// Puts the expiry of an order into the batch, in front of what needs it.
    fn expire(
        &mut self,
        order_id: OrderId,
        at: Timestamp,
        states: &mut WorkingStates,
        ports: &CommandLoopPorts,
    ) -> Result<(), Undecided> {
        let drafted = draft_expiry(order_id, states, at)?;
        if drafted.parts.iter().all(|(_, events)| events.is_empty()) {
            return Err(Undecided::ExpireFirst(order_id, at)); // Nothing to expire: what is held doesn't fit the order.
        }
        self.add(drafted, None, states, ports);
        Ok(())
    }

    fn add(&mut self, drafted: Draft, waiting: Option<Waiting>, states: &mut WorkingStates, ports: &CommandLoopPorts) {
        let Draft { parts, recorded_at, verdict } = drafted;
        let mut streams = Vec::with_capacity(parts.len());
        let mut levels = Vec::new();
        for (stream, events) in parts {
            let Some(state) = states.get(stream) else { continue }; // It was there when the draft was made.
            let expected = ExpectedVersion::of(state.version());
            state.run_ahead(&events, recorded_at);
            if let Some(stock_id) = stream.stock_id()
                && state.note_snapshot(self.snapshot_every_events, self.snapshot_reservations_max)
            {
                self.noted.push(stock_id);
            }
            if let Aggregate::Inventory(inventory) = &state.aggregate
                && !events.is_empty()
            {
                levels.push(inventory.level());
            }
            let new = |event: DomainEvent| NewEvent { event_id: ports.ids.event_id(), event };
            streams.push(StreamAppend { stream, expected, events: events.into_iter().map(new).collect() });
        }
        let verdict = told(verdict, states, waiting.as_ref(), recorded_at);
        let request = waiting.as_ref().map(|waiting| &waiting.request);
        let key = request.and_then(|request| request.key).map(|key| AppendKey {
            append_id: key.append_id,
            request_hash: key.request_hash,
            result: verdict.as_ref().ok().map(write_answer),
        });
        self.weight += streams.len();
        self.has_keys |= key.is_some();
        let metadata = request.map_or_else(|| Arc::new(Metadata::default()), |request| Arc::clone(&request.metadata));
        let group = AppendGroup { key, streams, recorded_at, metadata };
        Arc::make_mut(&mut self.groups).push(group); // Nobody shares it before it is sealed, so nothing is copied.
        self.decided.push(Decided { waiting, verdict, levels });
    }

    /// Answers every request whose group is durable (or can never be), and says what is left to do.
    pub(super) fn settle(
        self,
        outcome: Result<Vec<AppendOutcome>, StoreError>,
        states: &mut WorkingStates,
        ports: &CommandLoopPorts,
        tries_max: u32,
    ) -> Settled {
        let mut settled = Settled::default();
        let outcomes = match outcome {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.fail(error, states, ports);
                settled.is_spoilt = true;
                return settled;
            }
        };
        let mut observed = self.observed(AppendEnd::Answered);
        let Self { groups, decided, kept, .. } = self;
        let mut acknowledged = Vec::with_capacity(decided.len());
        let mut committed = Vec::with_capacity(decided.len());
        let mut answers = Vec::with_capacity(decided.len());
        for (index, (decided, outcome)) in decided.into_iter().zip(outcomes).enumerate() {
            let Decided { waiting, mut verdict, levels } = decided;
            let group = &groups[index];
            settled.is_spoilt |= !matches!(outcome, AppendOutcome::Appended { .. });
            match outcome {
                AppendOutcome::Appended { position } => {
                    let asked = waiting.as_ref().map(|waiting| waiting.request.ask.stream());
                    let mut levels = levels.into_iter();
                    stand(group, position, states, |part, at| {
                        if !part.events.is_empty()
                            && let Some(stock_id) = part.stream.stock_id()
                        {
                            let is_new = part.expected == ExpectedVersion::NoStream;
                            let level = levels.next();
                            acknowledged.extend(level.map(|level| Acknowledged {
                                stock_id,
                                level,
                                position: at,
                                is_new,
                            }));
                        }
                        if asked == Some(part.stream)
                            && let Ok(answer) = &mut verdict
                        {
                            answer.set_position(at);
                        }
                    });
                    if let Some(position) = position {
                        committed.push(CommittedGroup { index, position });
                        observed.events += group.event_count();
                    }
                    answers.extend(waiting.map(|waiting| (waiting, verdict)));
                }
                AppendOutcome::Conflict { .. } => {
                    forget(group, states);
                    observed.conflicts += 1;
                    let Some(mut waiting) = waiting else { continue };
                    waiting.tries += 1;
                    if waiting.tries >= tries_max {
                        answers.push((waiting, Err(CommandError::Contended { tries: tries_max })));
                    } else {
                        settled.lost.push(waiting);
                    }
                }
                AppendOutcome::Tainted { .. } => {
                    forget(group, states);
                    settled.lost.extend(waiting);
                }
                AppendOutcome::Repeated { result, position } => {
                    forget(group, states);
                    answers.extend(waiting.map(|waiting| (waiting, repeated(&result, position))));
                }
                AppendOutcome::AppendIdReused => {
                    forget(group, states);
                    answers.extend(waiting.map(|waiting| (waiting, Err(CommandError::KeyReused))));
                }
            }
        }
        let snapshot = |(stock_id, inventory): (StockId, Inventory)| {
            let position = states.get(stock_id.into())?.position_of(inventory.version())?;
            Some(Snapshot { stock_id, position, inventory })
        };
        settled.snapshots = kept.into_iter().filter_map(snapshot).collect();
        // Readers first, then the client: once it knows, everybody on this node can know.
        if !committed.is_empty() {
            ports.acknowledged.acknowledge(acknowledged);
            ports.listener.committed(&groups, committed);
        }
        observed.retries = settled.lost.len();
        let commands = answers.iter().map(|(waiting, verdict)| waiting.observed(verdict.into()));
        ports.observer.settled(&observed, &commands.collect::<Vec<_>>());
        for (waiting, verdict) in answers {
            waiting.answer(verdict);
        }
        settled
    }

    /// Tells everybody that the store failed, and drops what ran ahead of it.
    fn fail(self, error: StoreError, states: &mut WorkingStates, ports: &CommandLoopPorts) {
        let observed = self.observed((&error).into());
        let error = CommandError::Store(Arc::new(error));
        self.groups.iter().for_each(|group| forget(group, states));
        let waiting: Vec<Waiting> = self.decided.into_iter().filter_map(|decided| decided.waiting).collect();
        let commands = waiting.iter().map(|waiting| waiting.observed((&error).into()));
        ports.observer.settled(&observed, &commands.collect::<Vec<_>>());
        for waiting in waiting {
            waiting.answer(Err(error.clone()));
        }
    }

    /// The batch as an observer sees it, before it is known what became of its groups.
    fn observed(&self, append: AppendEnd) -> ObservedBatch {
        let Times { deciding_began, deciding_ended, append_began } = self.times;
        let (groups, append_ended) = (self.groups.len(), Instant::now());
        let (events, conflicts, retries) = (0, 0, 0);
        ObservedBatch {
            deciding_began,
            deciding_ended,
            append_began,
            append_ended,
            groups,
            events,
            conflicts,
            retries,
            append,
        }
    }
}

/// What is told once the states have run ahead.
fn told(
    verdict: Result<Told, CommandError>,
    states: &mut WorkingStates,
    waiting: Option<&Waiting>,
    recorded_at: inventory_domain::Timestamp,
) -> Verdict {
    let ask = waiting.map(|waiting| &waiting.request.ask);
    // Nobody hears an answer that isn't there.
    verdict.and_then(|told| answer(told, states, ask, recorded_at).ok_or(CommandError::Abandoned))
}

/// The group's events are durable up to `position` (`None`: it has none). `each` hears of each stream of it: its part of the group,
/// and where it stands.
fn stand(
    group: &AppendGroup,
    position: Option<Position>,
    states: &mut WorkingStates,
    mut each: impl FnMut(&StreamAppend, Position),
) {
    let mut at = position.map_or(0, |Position(last)| last - group.event_count() as u64);
    for part in &group.streams {
        let events = part.events.len() as u64;
        at += events;
        let Some(state) = states.get(part.stream) else { continue }; // It is there: states in work are not evicted.
        if events > 0 {
            state.stand(events, Position(at));
        }
        each(part, state.position);
    }
}

fn forget(group: &AppendGroup, states: &mut WorkingStates) {
    group.streams.iter().for_each(|part| states.forget(part.stream));
}

/// The answer that an earlier request under the same key was given.
fn repeated(result: &[u8], position: Option<Position>) -> Verdict {
    let damaged = || CommandError::Store(Arc::new(StoreError::Damaged("what a key stands for can't be read".into())));
    let mut answer = read_answer(result).ok_or_else(damaged)?;
    match &mut answer {
        Answer::Stock(answer) => answer.is_repeat = true,
        Answer::Order(answer) => answer.is_repeat = true,
        Answer::Transfer(answer) => answer.is_repeat = true,
    }
    if let Some(position) = position {
        answer.set_position(position);
    }
    Ok(answer)
}
