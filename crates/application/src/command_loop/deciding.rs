//! What a request comes to by the states that the loop holds: drafts of groups, and answers. Nothing is changed here.

use std::sync::Arc;

use inventory_domain::inventory::{self, Command, Rejection};
use inventory_domain::{DomainEvent, OrderId, ReservationId, StockId, Timestamp, TransferId, order, transfer};

use super::request::{Answer, Ask, CommandError, OrderAnswer, Shortfall, StockAnswer, TransferAnswer};
use super::waiting::{Recalled, Waiting};
use super::working_states::{Aggregate, WorkingState, WorkingStates};
use crate::ports::StoreError;
use crate::{Position, StreamId};

/// What has to be had before a request can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// A stream's state.
    Stream(StreamId),
    /// What the read side knows of a reservation, at this version of the stock at least.
    Reservation(StockId, ReservationId, u64),
}

/// Events for each stream that a request rests on, and what it is told when they are durable.
pub(super) struct Draft {
    pub(super) parts: Vec<(StreamId, Vec<DomainEvent>)>,
    pub(super) recorded_at: Timestamp,
    pub(super) verdict: Result<Told, CommandError>,
}

/// Whom an answer is about; the numbers are read off the states once they have run ahead.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Stock(StockId, Option<ReservationId>),
    Order(OrderId),
    /// What an order would be: nothing of it was drafted.
    DryRun(OrderId),
    Transfer(TransferId),
    /// Nobody waits for it.
    Nobody,
}

/// Why there is no draft.
pub(super) enum Undecided {
    Needs(Vec<Need>),
    /// This order has to be expired first, as of this moment: one of its stocks, or of those who ask, may be ahead of the clock.
    ExpireFirst(OrderId, Timestamp),
}

/// What `waiting` needs that isn't there, as far as that can be told before it is decided.
pub(super) fn needs(waiting: &Waiting, states: &mut WorkingStates, needs: &mut Vec<Need>) {
    let ask = &waiting.request.ask;
    match ask {
        Ask::Level(stock_id) if states.holds((*stock_id).into()) => (),
        Ask::Stock { stock_id, command, is_fresh } if let Some(state) = states.get((*stock_id).into()) => {
            needs.extend(recall_needed(*stock_id, state, command, *is_fresh, waiting.recalled));
        }
        Ask::Level(_) | Ask::Stock { .. } => needs.push(Need::Stream(ask.stream())),
        Ask::Order { .. } | Ask::Transfer { .. } => {
            let streams = streams_of(ask, states);
            needs.extend(streams.into_iter().filter(|stream| !states.holds(*stream)).map(Need::Stream));
        }
    }
}

/// The streams that a request is about, as far as that can be told: its own, and those of the stocks that have a say.
fn streams_of(ask: &Ask, states: &mut WorkingStates) -> Vec<StreamId> {
    let mut streams = vec![ask.stream()];
    match ask {
        Ask::Level(_) | Ask::Stock { .. } => (),
        Ask::Order { order_id, command, .. } => {
            let lines = match (command, states.order(*order_id).and_then(|order| order.placed())) {
                (order::Command::Place(place), None) => Some(&place.lines),
                (_, Some(placed)) => Some(&placed.lines),
                (_, None) => None,
            };
            streams.extend(lines.into_iter().flat_map(|lines| lines.iter().map(|line| StreamId::from(line.stock_id))));
        }
        Ask::Transfer { transfer_id, command } => {
            let route = match (command, states.transfer(*transfer_id).and_then(|transfer| transfer.started())) {
                (transfer::Command::Start(start), None) => Some(start.route),
                (_, Some(started)) => Some(started.route),
                (_, None) => None,
            };
            streams.extend(route.into_iter().flat_map(|route| [route.from(), route.to()].map(StreamId::from)));
        }
    }
    streams
}

/// What the read side has to be asked where the stock may have had the command's reservation and forgotten it.
fn recall_needed(
    stock_id: StockId,
    state: &WorkingState,
    command: &Command,
    is_fresh: bool,
    recalled: Option<Recalled>,
) -> Option<Need> {
    let id = command.reservation_id().filter(|id| !is_fresh && is_forgotten(state, *id, recalled))?;
    Some(Need::Reservation(stock_id, id, state.forgotten_version()))
}

/// Whether the stock may have had this reservation and forgotten it, for all that is known.
fn is_forgotten(state: &WorkingState, id: ReservationId, recalled: Option<Recalled>) -> bool {
    let Aggregate::Inventory(inventory) = &state.aggregate else { return false };
    state.forgotten_version() > recalled.map_or(0, |recalled| recalled.version)
        && inventory.reservation(id).is_none()
        && inventory.closing(id).is_none()
        && state.closing_ahead(id).is_none()
}

/// Decides a request at `clock`, or says what it has to wait for.
pub(super) fn draft(waiting: &Waiting, states: &mut WorkingStates, clock: Timestamp) -> Result<Draft, Undecided> {
    let request = &waiting.request;
    let stream = request.ask.stream();
    let Some(state) = states.get(stream) else { return Err(Undecided::Needs(vec![Need::Stream(stream)])) };
    let (current, recorded_at) = (state.version(), state.aggregate.recorded_at());
    if !request.condition.holds(current) {
        let verdict = Err(CommandError::VersionMismatch { current });
        return Ok(Draft { parts: vec![(stream, Vec::new())], recorded_at: clock.max(recorded_at), verdict });
    }
    match &request.ask {
        Ask::Level(stock_id) => {
            let verdict = Ok(Told::Stock(*stock_id, None));
            Ok(Draft { parts: vec![(stream, Vec::new())], recorded_at: clock.max(recorded_at), verdict })
        }
        Ask::Stock { stock_id, command, is_fresh } => {
            // Asked again: a batch in between may have pushed the reservation out of the stock's memory.
            let recall = recall_needed(*stock_id, state, command, *is_fresh, waiting.recalled);
            match recall {
                Some(need) => Err(Undecided::Needs(vec![need])),
                None => draft_stock(*stock_id, command, waiting.recalled, states, clock),
            }
        }
        Ask::Order { order_id, command, is_dry_run } => {
            let mut draft = draft_order(*order_id, command, states, clock)?;
            if *is_dry_run && draft.verdict.is_ok() {
                draft.parts.iter_mut().for_each(|(_, events)| events.clear());
                draft.verdict = Ok(Told::DryRun(*order_id));
            }
            Ok(draft)
        }
        Ask::Transfer { transfer_id, command } => draft_transfer(*transfer_id, command, states, clock),
    }
}

fn draft_stock(
    stock_id: StockId,
    command: &Command,
    recalled: Option<Recalled>,
    states: &mut WorkingStates,
    clock: Timestamp,
) -> Result<Draft, Undecided> {
    let stream = stock_id.into();
    let missing = || Undecided::Needs(vec![Need::Stream(stream)]);
    let state = states.get(stream).ok_or_else(missing)?;
    let Aggregate::Inventory(inventory) = &state.aggregate else { return Err(missing()) };
    let recorded_at = inventory.moment(clock);
    let refused = |error: CommandError| Draft { parts: vec![(stream, Vec::new())], recorded_at, verdict: Err(error) };
    if let Some(id) = command.reservation_id()
        && let Some(closing) = state.closing_ahead(id).or(recalled.and_then(|recalled| recalled.closing))
        && inventory.reservation(id).is_none()
        && inventory.closing(id).is_none()
    {
        return Ok(refused(inventory::reject_closed(id, closing, command).into()));
    }
    match inventory::decide(inventory, command, recorded_at) {
        Ok(events) => {
            let named = match command {
                Command::Reserve(reserve) => Some(reserve.reservation_id),
                Command::Extend(extend) => Some(extend.reservation_id),
                _ => None,
            };
            let events = events.into_iter().map(Into::into).collect();
            Ok(Draft { parts: vec![(stream, events)], recorded_at, verdict: Ok(Told::Stock(stock_id, named)) })
        }
        Err(Rejection::HeldByExpiredOrder(order_id)) => Err(Undecided::ExpireFirst(order_id, recorded_at)),
        Err(rejection) => Ok(refused(rejection.into())),
    }
}

/// An order's events and those of all its lines' stocks; the order's own come last.
fn draft_order(
    order_id: OrderId,
    command: &order::Command,
    states: &mut WorkingStates,
    clock: Timestamp,
) -> Result<Draft, Undecided> {
    let stream = StreamId::Order(order_id);
    let missing = |stream| Undecided::Needs(vec![Need::Stream(stream)]);
    let order = states.order(order_id).ok_or(missing(stream))?.clone();
    // Granted or not by the order, whose time is at least that of each stock which then has a say.
    let lines = match (command, order.placed()) {
        (_, Some(placed)) => Some(&placed.lines),
        (order::Command::Place(place), None) => Some(&place.lines),
        (_, None) => None,
    };
    let mut recorded_at = clock.max(order.recorded_at());
    let stocks: Vec<StockId> = lines.into_iter().flat_map(|lines| lines.iter().map(|line| line.stock_id)).collect();
    for stock_id in &stocks {
        let inventory = states.inventory(*stock_id).ok_or(missing((*stock_id).into()))?;
        recorded_at = inventory.moment(recorded_at);
    }
    let events = match order::decide(&order, command, recorded_at) {
        Ok(events) => events,
        Err(rejection) => {
            let parts = vec![(stream, Vec::new())];
            return Ok(Draft { parts, recorded_at, verdict: Err(rejection.into()) });
        }
    };
    let (mut parts, mut shortfalls) = (Vec::with_capacity(stocks.len() + 1), Vec::new());
    for (stock_id, ask) in events.iter().flat_map(|event| event.asks(order_id, &order)) {
        let inventory = states.inventory(stock_id).ok_or(missing(stock_id.into()))?;
        match inventory::decide(inventory, &ask, recorded_at) {
            Ok(granted) => parts.push((stock_id.into(), granted.into_iter().map(DomainEvent::from).collect())),
            Err(Rejection::InsufficientStock { requested, available }) => {
                parts.push((stock_id.into(), Vec::new()));
                shortfalls.push(Shortfall { stock_id, requested, available });
            }
            Err(Rejection::HeldByExpiredOrder(other)) => return Err(Undecided::ExpireFirst(other, recorded_at)),
            Err(other) => {
                let streams = stocks.into_iter().map(StreamId::from).chain([stream]);
                let problem = format!("order {order_id} and its stocks don't fit: {other}");
                return Ok(inconsistent(streams, recorded_at, problem));
            }
        }
    }
    let verdict = if shortfalls.is_empty() {
        parts.push((stream, events.into_iter().map(DomainEvent::from).collect()));
        Ok(Told::Order(order_id))
    } else {
        parts.iter_mut().for_each(|(_, events)| events.clear());
        parts.push((stream, Vec::new()));
        Err(CommandError::Shortfalls(shortfalls))
    };
    Ok(Draft { parts, recorded_at, verdict })
}

/// What closes an order that is past its deadline, for the sake of another request.
pub(super) fn draft_expiry(
    order_id: OrderId,
    states: &mut WorkingStates,
    clock: Timestamp,
) -> Result<Draft, Undecided> {
    let mut draft = draft_order(order_id, &order::Command::Expire, states, clock)?;
    if draft.verdict.is_ok() {
        draft.verdict = Ok(Told::Nobody);
    }
    Ok(draft)
}

/// What is told where a stock holds units for an expired order that has nothing to expire.
pub(super) fn unclosable(
    order_id: OrderId,
    waiting: &Waiting,
    states: &mut WorkingStates,
    recorded_at: Timestamp,
) -> Draft {
    let mut streams = streams_of(&waiting.request.ask, states);
    // And the order's, with all its lines: another node may have moved any of them since it was read.
    let closed = Ask::Order { order_id, command: order::Command::Expire, is_dry_run: false };
    for stream in streams_of(&closed, states) {
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }
    inconsistent(streams.into_iter(), recorded_at, format!("order {order_id} can't be closed"))
}

/// Orders and their stocks move as one, so states that contradict each other can't be; unless another node has moved them since one
/// was read. So the verdict rests on all of `streams`: where one is out of date, the group conflicts, and all are read again.
fn inconsistent(streams: impl Iterator<Item = StreamId>, recorded_at: Timestamp, problem: String) -> Draft {
    let verdict = Err(CommandError::Store(Arc::new(StoreError::Damaged(problem.into()))));
    Draft { parts: streams.map(|stream| (stream, Vec::new())).collect(), recorded_at, verdict }
}

/// A transfer's event and that of the stock that it touches; the transfer's own comes last.
fn draft_transfer(
    transfer_id: TransferId,
    command: &transfer::Command,
    states: &mut WorkingStates,
    clock: Timestamp,
) -> Result<Draft, Undecided> {
    let stream = StreamId::Transfer(transfer_id);
    let missing = |stream| Undecided::Needs(vec![Need::Stream(stream)]);
    let transfer = states.transfer(transfer_id).ok_or(missing(stream))?.clone();
    let mut recorded_at = clock.max(transfer.recorded_at());
    let refused = |parts: Vec<StreamId>, recorded_at, error: CommandError| {
        let parts = parts.into_iter().map(|stream| (stream, Vec::new())).collect();
        Ok(Draft { parts, recorded_at, verdict: Err(error) })
    };
    let events = match transfer::decide(&transfer, command) {
        Ok(events) => events,
        Err(rejection) => return refused(vec![stream], recorded_at, rejection.into()),
    };
    let mut parts = Vec::with_capacity(2);
    for (stock_id, ask) in events.iter().filter_map(|event| event.ask(transfer_id, &transfer)) {
        let inventory = states.inventory(stock_id).ok_or(missing(stock_id.into()))?;
        recorded_at = inventory.moment(recorded_at);
        match inventory::decide(inventory, &ask, recorded_at) {
            Ok(granted) => parts.push((stock_id.into(), granted.into_iter().map(DomainEvent::from).collect())),
            Err(Rejection::HeldByExpiredOrder(other)) => return Err(Undecided::ExpireFirst(other, recorded_at)),
            Err(rejection) => return refused(vec![stock_id.into(), stream], recorded_at, rejection.into()),
        }
    }
    parts.push((stream, events.into_iter().map(DomainEvent::from).collect()));
    Ok(Draft { parts, recorded_at, verdict: Ok(Told::Transfer(transfer_id)) })
}

/// What is told about a state that has run ahead; the position is that of its last durable event.
pub(super) fn answer(
    told: Told,
    states: &mut WorkingStates,
    ask: Option<&Ask>,
    recorded_at: Timestamp,
) -> Option<Answer> {
    match told {
        Told::Stock(stock_id, reservation_id) => {
            let inventory = states.inventory(stock_id)?;
            let held = reservation_id.and_then(|id| inventory.reservation(id));
            let (level, expires_at) = (inventory.level(), held.and_then(|held| held.expires_at));
            let position = states.get(stock_id.into())?.position;
            Some(Answer::Stock(StockAnswer { level, position, reservation_id, expires_at, is_repeat: false }))
        }
        Told::Order(order_id) => {
            let order = states.order(order_id)?.clone();
            let position = states.get(order_id.into())?.position;
            Some(Answer::Order(OrderAnswer { order_id, order, position, is_repeat: false }))
        }
        Told::DryRun(order_id) => {
            let order = states.order(order_id)?.clone();
            let Some(Ask::Order { command, .. }) = ask else { return None };
            let events = order::decide(&order, command, recorded_at).ok()?;
            let order = events.iter().fold(order, |order, event| order::evolve(order, event, recorded_at));
            Some(Answer::Order(OrderAnswer { order_id, order, position: Position::START, is_repeat: false }))
        }
        Told::Transfer(transfer_id) => {
            let transfer = states.transfer(transfer_id)?.clone();
            let position = states.get(transfer_id.into())?.position;
            Some(Answer::Transfer(TransferAnswer { transfer_id, transfer, position, is_repeat: false }))
        }
        Told::Nobody => None,
    }
}
