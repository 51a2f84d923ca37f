//! One batch: commands decided in order into groups, then answered by what became of the groups.

use std::sync::Arc;

use inventory_domain::inventory::{Command, Event, Rejection, decide, evolve};
use inventory_domain::{Inventory, ReservationId};
use tokio::time::Instant;

use super::CommandLoopPorts;
use super::request::{Ask, CommandError, StockAnswer, Waiting};
use super::working_states::{WorkingState, WorkingStates};
use crate::ports::{AppendGroup, AppendOutcome, CommittedGroup, ExpectedVersion, NewEvent, StoreError, StreamAppend};
use crate::{Position, StreamId};

/// Commands that are decided, each with the group that its verdict rests on: the one at the same place.
#[derive(Default)]
pub(super) struct Batch {
    groups: Arc<Vec<AppendGroup>>,
    decided: Vec<Decided>,
}

/// A command and what it is to be told once its group is durable.
struct Decided {
    waiting: Waiting,
    verdict: Result<StockAnswer, Rejection>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.decided.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// The groups, to be appended; none is added afterwards.
    pub(super) fn seal(&self) -> Arc<Vec<AppendGroup>> {
        Arc::clone(&self.groups)
    }

    /// Decides one command against the working states. It is given back when the states don't hold its stream.
    ///
    /// A verdict that rests on durable events alone, with nobody else to change them, is answered at once.
    pub(super) fn decide(
        &mut self,
        waiting: Waiting,
        states: &mut WorkingStates,
        ports: &CommandLoopPorts,
    ) -> Option<Waiting> {
        if waiting.deadline <= Instant::now() {
            waiting.answer(Err(CommandError::WaitedTooLong));
            return None;
        }
        let stock_id = waiting.request.stock_id;
        let Some(state) = states.get(stock_id) else { return Some(waiting) };
        let expected = ExpectedVersion::of(state.inventory.version());
        let recorded_at = state.inventory.moment(ports.clock.now());
        let decided = match &waiting.request.ask {
            Ask::Change(command) => decide(&state.inventory, command, recorded_at),
            Ask::Level => Ok(Vec::new()),
        };
        let (events, refusal) = match decided {
            Ok(events) => (events, None),
            Err(rejection) => (Vec::new(), Some(rejection)),
        };
        state.run_ahead(&events, recorded_at);
        let verdict = match refusal {
            None => Ok(state.answer(&waiting.request.ask)),
            Some(rejection) => Err(rejection),
        };
        if events.is_empty() && !state.is_ahead && ports.store.is_exclusive() {
            waiting.answer(verdict.map_err(CommandError::Rejected));
            return None;
        }
        let events = events.into_iter().map(|event| NewEvent { event_id: ports.ids.event_id(), event }).collect();
        let metadata = Arc::clone(&waiting.request.metadata);
        let streams = vec![StreamAppend { stream: StreamId::Inventory(stock_id), expected, events }];
        let group = AppendGroup { key: None, streams, recorded_at, metadata };
        Arc::make_mut(&mut self.groups).push(group); // Nobody shares it before it is sealed, so nothing is copied.
        self.decided.push(Decided { waiting, verdict });
        None
    }

    /// Answers every command whose group is durable (or can never be); gives back those that have to be decided again.
    pub(super) fn settle(
        self,
        outcome: Result<Vec<AppendOutcome>, StoreError>,
        states: &mut WorkingStates,
        ports: &CommandLoopPorts,
        tries_max: u32,
    ) -> Vec<Waiting> {
        let outcomes = match outcome {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.fail(error, states);
                return Vec::new();
            }
        };
        let Self { groups, decided } = self;
        let (mut acknowledged, mut committed) = (Vec::new(), Vec::new());
        let (mut answers, mut lost) = (Vec::with_capacity(decided.len()), Vec::new());
        for (index, (decided, outcome)) in decided.into_iter().zip(outcomes).enumerate() {
            let Decided { mut waiting, verdict } = decided;
            let stock_id = waiting.request.stock_id;
            match outcome {
                AppendOutcome::Appended { position } => {
                    let verdict = verdict.map(|answer| StockAnswer {
                        position: states.get(stock_id).map_or(answer.position, |state| state.is_durable(position)),
                        ..answer
                    });
                    if let (Some(position), Ok(answer)) = (position, &verdict) {
                        acknowledged.push((stock_id, answer.level, position));
                        committed.push(CommittedGroup { index, position, level: answer.level });
                    }
                    answers.push((waiting, verdict.map_err(CommandError::Rejected)));
                }
                AppendOutcome::Conflict { .. } => {
                    states.forget(stock_id);
                    waiting.tries += 1;
                    if waiting.tries >= tries_max {
                        answers.push((waiting, Err(CommandError::Contended { tries: tries_max })));
                    } else {
                        lost.push(waiting);
                    }
                }
                AppendOutcome::Tainted { .. } => {
                    states.forget(stock_id);
                    lost.push(waiting);
                }
                // The loop gives no append ids, so a store that says this is not to be believed.
                AppendOutcome::Repeated { .. } | AppendOutcome::AppendIdReused => {
                    states.forget(stock_id);
                    let error = StoreError::OutcomeUnknown("an append id was answered that was not asked for".into());
                    answers.push((waiting, Err(CommandError::Store(Arc::new(error)))));
                }
            }
        }
        // Readers first, then the client: once it knows, everybody on this node can know.
        if !committed.is_empty() {
            ports.acknowledged.acknowledge(acknowledged);
            ports.listener.committed(&groups, committed);
        }
        for (waiting, verdict) in answers {
            waiting.answer(verdict);
        }
        lost
    }

    /// Tells everybody that the store failed, and drops what ran ahead of it.
    fn fail(self, error: StoreError, states: &mut WorkingStates) {
        let error = CommandError::Store(Arc::new(error));
        for Decided { waiting, .. } in self.decided {
            states.forget(waiting.request.stock_id);
            waiting.answer(Err(error.clone()));
        }
    }
}

impl WorkingState {
    fn run_ahead(&mut self, events: &[Event], recorded_at: inventory_domain::Timestamp) {
        if !events.is_empty() {
            let state = std::mem::replace(&mut self.inventory, Inventory::remembering(0));
            self.inventory = events.iter().fold(state, |state, event| evolve(state, event, recorded_at));
            self.is_ahead = true;
        }
    }

    /// Its events up to `position` are durable (`None`: no new ones); returns where its last event stands.
    fn is_durable(&mut self, position: Option<Position>) -> Position {
        self.is_ahead = false;
        self.position = position.unwrap_or(self.position);
        self.position
    }

    /// The position in it is the last durable one; [`Batch::settle`] puts in the right one.
    fn answer(&self, ask: &Ask) -> StockAnswer {
        let reservation = named_by(ask).and_then(|id| self.inventory.reservation(id));
        let expires_at = reservation.and_then(|reservation| reservation.expires_at);
        StockAnswer { level: self.inventory.level(), position: self.position, expires_at }
    }
}

fn named_by(ask: &Ask) -> Option<ReservationId> {
    match ask {
        Ask::Change(Command::Reserve(reserve)) => Some(reserve.reservation_id),
        Ask::Change(Command::Extend(extend)) => Some(extend.reservation_id),
        Ask::Change(Command::Add { .. } | Command::Commit(_) | Command::Release(_) | Command::Adjust(_))
        | Ask::Level => None,
    }
}
