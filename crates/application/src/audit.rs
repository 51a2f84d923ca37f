//! Proves a log: replays it event by event, checks every rule that the domain promises, and says what the read models have to
//! show. Pure; whoever runs it brings the events and compares the rows.
//!
//! Memory is bounded by what is live: a reservation or an order that is closed leaves only its share of a digest. Where even that
//! is too much, the audit is run several times, each time over a part of the streams and of the reservations ([`Share`]); the
//! digests add up.

mod digest;
mod event_ids;
mod folds;
mod rows;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use inventory_domain::inventory::Event;
use inventory_domain::{DomainEvent, Inventory, OrderId, ReservationId, StockId, order, transfer};

pub use self::digest::{BUCKETS, Digest, bucket};
pub use self::event_ids::EventIds;
use self::folds::{OrderFold, Reservations, StockFold, TransferFold};
pub use self::rows::{LevelRow, OrderRow, ReservationRow, Row, TransferRow};
use crate::ports::RecordedEvent;
use crate::{Position, StreamId};

/// What things take in memory, about, in bytes, with the room that tables grow into: a stream, a live reservation, one of a state
/// that is kept whole, a closed one of such a state, and a line of an open order.
const STREAM_BYTES: u64 = 400;
const RESERVATION_BYTES: u64 = 320;
const WHOLE_RESERVATION_BYTES: u64 = 360;
const CLOSED_BYTES: u64 = 120;
const LINE_BYTES: u64 = 250;

/// Which of how many parts of the streams an audit holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part, from 0 on.
    pub part: u64,
    /// How many parts there are.
    pub parts: u64,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { part: 0, parts: 1 };

    /// Whether this part has the stream.
    #[must_use]
    pub fn has(self, stream: StreamId) -> bool {
        if self.parts == 1 {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        hasher.finish() % self.parts == self.part
    }

    /// Whether this part has the reservation: those of one stock are in many parts.
    #[must_use]
    pub fn has_reservation(self, stock_id: StockId, reservation_id: ReservationId) -> bool {
        if self.parts == 1 {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        (stock_id, reservation_id).hash(&mut hasher);
        hasher.finish() % self.parts == self.part
    }

    /// The same streams and reservations, in so many shares.
    pub fn split(self, into: u64) -> impl Iterator<Item = Self> {
        (0..into).map(move |place| Self { part: self.part + place * self.parts, parts: self.parts * into })
    }
}

/// How far each read model is, so that the audit knows what it has to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checkpoints {
    /// `stock_levels`.
    pub stock_levels: Position,
    /// `product_inventory`.
    pub product_inventory: Position,
    /// `low_stock`.
    pub low_stock: Position,
    /// `reservations`.
    pub reservations: Position,
    /// `orders`.
    pub orders: Position,
    /// `transfers`.
    pub transfers: Position,
}

/// What each read model has to show, as digests.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// `stock_levels`.
    pub stock_levels: Digest,
    /// `product_inventory`.
    pub product_inventory: Digest,
    /// `low_stock`.
    pub low_stock: Digest,
    /// `reservations`.
    pub reservations: Digest,
    /// `orders`.
    pub orders: Digest,
    /// `transfers`.
    pub transfers: Digest,
}

/// What was found to be wrong.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The first of them, in words.
    pub said: Vec<String>,
    /// How many there are.
    pub count: u64,
}

impl Findings {
    /// How many are kept in words.
    pub const SAID_MAX: usize = 100;

    /// Takes down one more.
    pub fn add(&mut self, finding: impl FnOnce() -> String) {
        self.count += 1;
        if self.said.len() < Self::SAID_MAX {
            self.said.push(finding());
        }
    }
}

/// Replays a log.
pub struct LogAudit {
    share: Share,
    checkpoints: Checkpoints,
    /// Stocks whose whole state is kept, to be compared with snapshots.
    whole: std::collections::HashSet<StockId>,
    closed_remembered: usize,
    head: Position,
    stocks: HashMap<StockId, StockFold>,
    orders: HashMap<OrderId, OrderFold>,
    transfers: HashMap<inventory_domain::TransferId, TransferFold>,
    reservations: Reservations,
    /// The live reservations of the states that are kept whole, and the open lines of orders.
    whole_reservations: usize,
    open_lines: usize,
    /// The events of the group so far.
    group: Vec<RecordedEvent>,
    remaining: Option<u64>,
    expected: Expected,
    findings: Findings,
}

impl LogAudit {
    /// An audit of a share of the streams. `whole` are the stocks whose states can be had ([`LogAudit::observe_with`]); they
    /// remember `closed_remembered` closed reservations.
    #[must_use]
    pub fn new(
        share: Share,
        checkpoints: Checkpoints,
        whole: std::collections::HashSet<StockId>,
        closed_remembered: usize,
    ) -> Self {
        Self {
            share,
            checkpoints,
            whole,
            closed_remembered,
            head: Position::START,
            stocks: HashMap::new(),
            orders: HashMap::new(),
            transfers: HashMap::new(),
            reservations: Reservations::default(),
            whole_reservations: 0,
            open_lines: 0,
            group: Vec::new(),
            remaining: None,
            expected: Expected::default(),
            findings: Findings::default(),
        }
    }

    /// The same, adding to what other shares, or nobody, have to show.
    #[must_use]
    pub fn adding_to(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// Takes in the next event of the log.
    pub fn observe(&mut self, event: RecordedEvent) {
        self.observe_with(event, &mut |_, _| Vec::new());
    }

    /// The same. `compare` sees each event of the log in order, also those inside a group, with the state of its stock after it,
    /// where this share keeps that whole; it says what is wrong. The events of a group are seen when the group is complete.
    pub fn observe_with(
        &mut self,
        event: RecordedEvent,
        compare: &mut dyn FnMut(&RecordedEvent, Option<&Inventory>) -> Vec<String>,
    ) {
        if event.position.0 != self.head.0 + 1 {
            let head = self.head;
            self.findings.add(|| format!("position {} follows {head}", event.position));
        }
        self.head = event.position;
        if let Some(remaining) = self.remaining
            && event.remaining + 1 != remaining
        {
            self.findings.add(|| {
                format!("{}: its group goes on for {} events, not {remaining}", place(&event), event.remaining + 1)
            });
        }
        self.remaining = (event.remaining > 0).then_some(event.remaining);
        let is_last = event.remaining == 0;
        if is_last && self.group.is_empty() {
            self.check_alone(&event);
            self.fold(&event, false);
            self.compare(&event, compare);
            return;
        }
        self.group.push(event);
        if is_last {
            let group = std::mem::take(&mut self.group);
            self.check_group(&group);
            for event in &group {
                self.fold(event, true);
                self.compare(event, compare);
            }
            self.group = group;
            self.group.clear();
        }
    }

    /// Shows `compare` an event that was just folded.
    fn compare(
        &mut self,
        event: &RecordedEvent,
        compare: &mut dyn FnMut(&RecordedEvent, Option<&Inventory>) -> Vec<String>,
    ) {
        let fold = event.stream.stock_id().filter(|stock_id| self.whole.contains(stock_id));
        let state = fold.and_then(|stock_id| self.stocks.get(&stock_id)).and_then(|fold| fold.whole.as_deref());
        compare(event, state).into_iter().for_each(|said| self.findings.add(|| said));
    }

    /// What it takes in memory, about, in bytes; in the second place what no smaller share would take less of, which is the largest
    /// stock that is kept whole.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let per = |count: usize, bytes: u64| count as u64 * bytes;
        let whole =
            |reservations| per(reservations, WHOLE_RESERVATION_BYTES) + per(self.closed_remembered, CLOSED_BYTES);
        let folds = per(self.stocks.len() + self.orders.len() + self.transfers.len(), STREAM_BYTES)
            + per(self.reservations.len(), RESERVATION_BYTES)
            + per(self.open_lines, LINE_BYTES)
            + per(self.whole_reservations, WHOLE_RESERVATION_BYTES);
        let states = self.stocks.values().filter(|fold| fold.whole.is_some());
        let (count, largest) =
            states.fold((0, 0), |(count, largest), fold| (count + 1, fold.whole_reservations().max(largest)));
        (folds + per(count, per(self.closed_remembered, CLOSED_BYTES)), if count == 0 { 0 } else { whole(largest) })
    }

    /// Takes down something that was found elsewhere.
    pub fn found(&mut self, finding: impl FnOnce() -> String) {
        self.findings.add(finding);
    }

    /// The first thing that was found so far.
    #[must_use]
    pub fn first_finding(&self) -> Option<&str> {
        self.findings.said.first().map(String::as_str)
    }

    /// Where the last event stands.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// The version of a stream and where its last event stands, for those of the share.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, u64, Position)> {
        let stocks = self.stocks.iter().map(|(id, fold)| (StreamId::from(*id), fold.version, fold.last));
        let orders = self.orders.iter().map(|(id, fold)| (StreamId::from(*id), fold.version, fold.last));
        let transfers = self.transfers.iter().map(|(id, fold)| (StreamId::from(*id), fold.version, fold.last));
        stocks.chain(orders).chain(transfers)
    }

    /// What was found, and what the read models have to show.
    #[must_use]
    pub fn finish(mut self) -> (Findings, Expected) {
        if self.remaining.is_some() {
            let head = self.head;
            self.findings.add(|| format!("the log ends at {head} in the middle of a group"));
        }
        (self.findings, self.expected)
    }

    /// An event that is a group of its own moves nothing that moves only together.
    fn check_alone(&mut self, event: &RecordedEvent) {
        let is_part = match &event.event {
            DomainEvent::Order(_) | DomainEvent::Transfer(_) => true,
            DomainEvent::Inventory(event) => {
                matches!(
                    event,
                    Event::StockTransferredOut { .. }
                        | Event::StockTransferredIn { .. }
                        | Event::StockTransferCancelled { .. }
                ) || matches!(event, Event::StockReserved { order_id: Some(_), .. })
            }
        };
        if is_part {
            self.findings.add(|| format!("{}: it stands alone, without what belongs to it", place(event)));
        }
    }

    /// An order's or a transfer's event stands with those of its stocks, and with no others.
    fn check_group(&mut self, group: &[RecordedEvent]) {
        for event in group {
            if (event.recorded_at, &event.metadata) != (group[0].recorded_at, &group[0].metadata) {
                self.findings.add(|| format!("{}: it has another time or origin than its group", place(event)));
            }
            match (&event.event, event.stream) {
                (DomainEvent::Order(order_event), StreamId::Order(order_id)) if self.share.has(event.stream) => {
                    let lines = match (order_event, self.orders.get(&order_id)) {
                        (order::Event::OrderPlaced { lines, .. }, _) => Some(lines.clone()),
                        (_, Some(fold)) => fold.lines.clone(),
                        (_, None) => None,
                    };
                    let fits = lines.is_some_and(|lines| {
                        lines
                            .iter()
                            .all(|line| group.iter().any(|other| folds::settles(other, order_id, line, order_event)))
                    });
                    if !fits {
                        self.findings.add(|| format!("{}: its group hasn't every line of the order", place(event)));
                    }
                }
                (DomainEvent::Transfer(transfer_event), StreamId::Transfer(transfer_id))
                    if !group.iter().any(|other| folds::carries(other, transfer_id, transfer_event)) =>
                {
                    self.findings.add(|| format!("{}: its group hasn't the stock's part of it", place(event)));
                }
                (DomainEvent::Inventory(stock_event), StreamId::Inventory(_)) => {
                    let belongs_to = match stock_event {
                        Event::StockReserved { order_id, .. } => order_id.map(StreamId::from),
                        Event::StockTransferredOut { transfer_id, .. }
                        | Event::StockTransferredIn { transfer_id, .. }
                        | Event::StockTransferCancelled { transfer_id, .. } => Some((*transfer_id).into()),
                        _ => None,
                    };
                    if belongs_to.is_some_and(|stream| group.iter().all(|other| other.stream != stream)) {
                        self.findings.add(|| format!("{}: its group hasn't what it belongs to", place(event)));
                    }
                }
                _ => (),
            }
        }
    }

    fn fold(&mut self, recorded: &RecordedEvent, in_group: bool) {
        if let (StreamId::Inventory(stock_id), DomainEvent::Inventory(event)) = (recorded.stream, &recorded.event)
            && folds::reservation_of(event).is_some_and(|id| self.share.has_reservation(stock_id, id))
        {
            let is_shown = recorded.position <= self.checkpoints.reservations;
            let rows = is_shown.then_some(&mut self.expected.reservations);
            if let Err(problem) = self.reservations.take(stock_id, recorded, event, in_group, rows) {
                self.findings.add(|| format!("{}: {problem}", place(recorded)));
            }
        }
        if !self.share.has(recorded.stream) {
            return;
        }
        let found = match (recorded.stream, &recorded.event) {
            (StreamId::Inventory(stock_id), DomainEvent::Inventory(event)) => {
                let whole = &self.whole;
                let closed_remembered = self.closed_remembered;
                let fold = self.stocks.entry(stock_id).or_insert_with(|| {
                    let whole = whole.contains(&stock_id).then(|| Box::new(Inventory::remembering(closed_remembered)));
                    StockFold::new(whole)
                });
                let before = fold.whole_reservations();
                let found = fold.take(stock_id, recorded, event, self.checkpoints, &mut self.expected);
                self.whole_reservations = self.whole_reservations + fold.whole_reservations() - before;
                found
            }
            (StreamId::Order(order_id), DomainEvent::Order(event)) => {
                let fold = self.orders.entry(order_id).or_default();
                let lines = |fold: &OrderFold| fold.lines.as_ref().map_or(0, |lines| lines.iter().len());
                let before = lines(fold);
                let found = fold.take(order_id, recorded, event, self.checkpoints.orders, &mut self.expected.orders);
                self.open_lines = self.open_lines + lines(fold) - before;
                found
            }
            (StreamId::Transfer(transfer_id), DomainEvent::Transfer(event)) => {
                let fold = self.transfers.entry(transfer_id).or_default();
                fold.take(transfer_id, recorded, event, self.checkpoints.transfers, &mut self.expected.transfers)
            }
            _ => Err("it is of another kind than its stream".to_owned()),
        };
        if let Err(problem) = found {
            self.findings.add(|| format!("{}: {problem}", place(recorded)));
        }
    }
}

/// How an event is named in a finding.
fn place(event: &RecordedEvent) -> String {
    format!("event {}, version {} of {}", event.position, event.version, event.stream)
}

/// An order's event that closes it.
fn closes(event: &order::Event) -> bool {
    matches!(event, order::Event::OrderCommitted | order::Event::OrderReleased { .. })
}

/// The units that a transfer's event moves.
fn units_of(event: &transfer::Event) -> u64 {
    match event {
        transfer::Event::TransferStarted { quantity, .. }
        | transfer::Event::TransferReceived { quantity }
        | transfer::Event::TransferCancelled { quantity } => quantity.units(),
    }
}
