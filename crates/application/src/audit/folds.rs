//! What an audit keeps of each stream, and the rules that each event has to keep.

use std::collections::HashMap;

use inventory_domain::inventory::{self, Event, ReleaseCause};
use inventory_domain::order::{self, OrderLine, OrderLines, OrderReleaseCause};
use inventory_domain::{
    DomainEvent, Inventory, Level, OrderId, ReservationId, StockId, StockQuantity, Timestamp, TransferId, transfer,
};

use super::rows::{LevelRow, OrderRow, ReservationRow, TransferRow};
use super::{Checkpoints, Digest, Expected, closes, units_of};
use crate::Position;
use crate::ports::RecordedEvent;

/// What is wrong with an event.
type Verdict = Result<(), String>;

/// A stock, without its reservations.
#[derive(Default)]
pub(super) struct StockFold {
    pub(super) version: u64,
    pub(super) last: Position,
    pub(super) whole: Option<Box<Inventory>>,
    quantity: u64,
    reserved: u64,
    recorded_at: Option<Timestamp>,
}

impl StockFold {
    /// A stock that nobody has filled; `whole` is its state, where that is kept.
    pub(super) fn new(whole: Option<Box<Inventory>>) -> Self {
        Self { whole, ..Self::default() }
    }

    pub(super) fn take(
        &mut self,
        stock_id: StockId,
        recorded: &RecordedEvent,
        event: &Event,
        checkpoints: Checkpoints,
        expected: &mut Expected,
    ) -> Verdict {
        let before = LevelRow::new(stock_id, self.level());
        let followed = follows(self.version, self.recorded_at, recorded);
        let kept = self.apply(event);
        if let Some(whole) = &mut self.whole {
            let state = std::mem::replace(&mut **whole, Inventory::remembering(0));
            **whole = inventory::evolve(state, event, recorded.recorded_at);
        }
        (self.version, self.last) = (recorded.version, recorded.position);
        self.recorded_at = Some(recorded.recorded_at);
        let after = LevelRow::new(stock_id, self.level());
        let levels = [
            (checkpoints.stock_levels, &mut expected.stock_levels),
            (checkpoints.product_inventory, &mut expected.product_inventory),
            (checkpoints.low_stock, &mut expected.low_stock),
        ];
        for (checkpoint, digest) in levels {
            if recorded.position <= checkpoint {
                if before.version > 0 {
                    digest.remove(&before);
                }
                digest.add(&after);
            }
        }
        followed.and(kept)
    }

    /// The live reservations of the state that is kept whole.
    pub(super) fn whole_reservations(&self) -> usize {
        self.whole.as_ref().map_or(0, |whole| whole.reservations().size_hint().0)
    }

    fn level(&self) -> Level {
        Level { quantity: self.quantity, reserved: self.reserved, version: self.version }
    }

    /// Applies the event also where it breaks a rule, as a read model would.
    fn apply(&mut self, event: &Event) -> Verdict {
        match event {
            Event::StockAdded { quantity, .. }
            | Event::StockTransferredIn { quantity, .. }
            | Event::StockTransferCancelled { quantity, .. } => {
                self.quantity = self.quantity.saturating_add(quantity.units());
                ensure(self.quantity <= StockQuantity::MAX, || format!("{} units on hand are too many", self.quantity))
            }
            Event::StockTransferredOut { quantity, .. } => self.shrink(quantity.units()),
            Event::StockAdjusted { counted, change, counted_at, .. } => {
                self.quantity = self.quantity.saturating_add_signed(*change);
                let (quantity, reserved) = (self.quantity, self.reserved);
                ensure(quantity >= reserved, || format!("{reserved} units are held of {quantity} on hand"))?;
                let fits = counted_at.is_some() || quantity == counted.units();
                ensure(fits && quantity <= StockQuantity::MAX, || {
                    format!("a count of {counted} leaves {quantity} units")
                })
            }
            Event::StockReserved { quantity, .. } => {
                self.reserved = self.reserved.saturating_add(quantity.units());
                let (quantity, reserved) = (self.quantity, self.reserved);
                ensure(reserved <= quantity, || format!("oversold: {reserved} units are held of {quantity} on hand"))
            }
            Event::StockCommitted { quantity, .. } => {
                self.reserved = self.reserved.saturating_sub(quantity.units());
                self.quantity = self.quantity.saturating_sub(quantity.units());
                Ok(())
            }
            Event::StockReleased { quantity, .. } => {
                self.reserved = self.reserved.saturating_sub(quantity.units());
                Ok(())
            }
            Event::ReservationExtended { .. } => Ok(()),
        }
    }

    fn shrink(&mut self, units: u64) -> Verdict {
        let enough = self.quantity.saturating_sub(self.reserved) >= units;
        self.quantity = self.quantity.saturating_sub(units);
        ensure(enough, || format!("{units} units left, and fewer were to be had"))
    }
}

/// The live reservations of a share; what holds no more is forgotten.
#[derive(Default)]
pub(super) struct Reservations(HashMap<(StockId, ReservationId), Box<Live>>);

/// A live reservation: its row as it is, and what it still holds.
struct Live {
    row: ReservationRow,
    held: u64,
}

impl Reservations {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Applies the event also where it breaks a rule, as a read model would.
    pub(super) fn take(
        &mut self,
        stock_id: StockId,
        recorded: &RecordedEvent,
        event: &Event,
        in_group: bool,
        rows: Option<&mut Digest>,
    ) -> Verdict {
        let at = recorded.recorded_at;
        match event {
            Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id } => {
                let row = ReservationRow {
                    stock_id,
                    reservation_id: *reservation_id,
                    customer_id: *customer_id,
                    order_id: *order_id,
                    is_line: order_id.is_some(),
                    quantity: quantity.units(),
                    committed: 0,
                    state: 0,
                    ttl_minutes: hold_for.map(inventory_domain::HoldFor::minutes),
                    expires_at: *expires_at,
                    reserved_at: at,
                    closed_at: None,
                };
                if let Some(rows) = rows {
                    rows.add(&row);
                }
                let live = Box::new(Live { row, held: quantity.units() });
                let twice = self.0.insert((stock_id, *reservation_id), live);
                ensure(twice.is_none(), || format!("reservation {reservation_id} is held already"))
            }
            Event::StockCommitted { reservation_id, order_id, quantity } => {
                let (units, order_id) = (quantity.units(), *order_id);
                self.close((stock_id, *reservation_id), units, in_group, rows, |row| {
                    (row.state, row.committed, row.order_id) = (1, row.committed + units, Some(order_id));
                    row.closed_at = Some(at);
                    let is_late = row.expires_at.is_some_and(|deadline| at >= deadline);
                    ensure(!is_late, || "it was sold after its deadline".to_owned())
                })
            }
            Event::StockReleased { reservation_id, quantity, cause } => {
                self.close((stock_id, *reservation_id), quantity.units(), in_group, rows, |row| {
                    row.closed_at = Some(at);
                    row.state = match cause {
                        ReleaseCause::UncommittedPart => 1,
                        ReleaseCause::Requested(_) => 2,
                        ReleaseCause::Expired => 3,
                    };
                    let is_early =
                        *cause == ReleaseCause::Expired && row.expires_at.is_none_or(|deadline| at < deadline);
                    ensure(!is_early, || "it was freed as expired before its deadline".to_owned())
                })
            }
            Event::ReservationExtended { reservation_id, hold_for, expires_at } => {
                let live = self.0.get_mut(&(stock_id, *reservation_id));
                let live = live.ok_or_else(|| format!("reservation {reservation_id} isn't held"))?;
                let before = live.row;
                (live.row.ttl_minutes, live.row.expires_at) = (Some(hold_for.minutes()), Some(*expires_at));
                if let Some(rows) = rows {
                    rows.remove(&before);
                    rows.add(&live.row);
                }
                ensure(!live.row.is_line, || "a line of an order was extended alone".to_owned())
            }
            Event::StockAdded { .. }
            | Event::StockAdjusted { .. }
            | Event::StockTransferredOut { .. }
            | Event::StockTransferredIn { .. }
            | Event::StockTransferCancelled { .. } => Ok(()),
        }
    }

    /// Takes `units` out of a reservation.
    fn close(
        &mut self,
        key: (StockId, ReservationId),
        units: u64,
        in_group: bool,
        rows: Option<&mut Digest>,
        change: impl FnOnce(&mut ReservationRow) -> Verdict,
    ) -> Verdict {
        let id = key.1;
        let live = self.0.get_mut(&key).ok_or_else(|| format!("reservation {id} isn't held"))?;
        let before = live.row;
        let kept = change(&mut live.row);
        if let Some(rows) = rows {
            rows.remove(&before);
            rows.add(&live.row);
        }
        let (held, is_line) = (live.held, live.row.is_line);
        live.held = held.saturating_sub(units);
        if live.held == 0 {
            self.0.remove(&key);
        }
        ensure(units <= held, || format!("{units} units of reservation {id}, which holds {held}"))?;
        ensure(in_group || !is_line, || format!("reservation {id} is a line of an order, and was closed alone"))?;
        kept
    }
}

/// An order; its lines only while it is active.
#[derive(Default)]
pub(super) struct OrderFold {
    pub(super) version: u64,
    pub(super) last: Position,
    pub(super) lines: Option<OrderLines>,
    recorded_at: Option<Timestamp>,
    row: Option<Box<OrderRow>>,
}

impl OrderFold {
    pub(super) fn take(
        &mut self,
        order_id: OrderId,
        recorded: &RecordedEvent,
        event: &order::Event,
        checkpoint: Position,
        rows: &mut Digest,
    ) -> Verdict {
        let followed = follows(self.version, self.recorded_at, recorded);
        let is_placing = matches!(event, order::Event::OrderPlaced { .. });
        let in_order = ensure(is_placing == (self.version == 0), || "it is placed first, and once".to_owned());
        let was_open = ensure(!closes(event) || self.lines.is_some(), || "the order is closed already".to_owned());
        (self.version, self.last) = (recorded.version, recorded.position);
        self.recorded_at = Some(recorded.recorded_at);
        let before = self.row.clone();
        match event {
            order::Event::OrderPlaced { customer_id, hold_for, expires_at, lines } => {
                self.lines = Some(lines.clone());
                let line = |line: &OrderLine| (line.stock_id, line.quantity.units(), line.reservation_id);
                self.row = Some(Box::new(OrderRow {
                    position: recorded.position,
                    order_id,
                    customer_id: *customer_id,
                    state: 0,
                    version: 0,
                    ttl_minutes: hold_for.map(inventory_domain::HoldFor::minutes),
                    expires_at: *expires_at,
                    placed_at: recorded.recorded_at,
                    changed_at: recorded.recorded_at,
                    release_reason: None,
                    lines: lines.iter().map(line).collect(),
                }));
            }
            order::Event::OrderCommitted => self.close(1),
            order::Event::OrderReleased { cause: OrderReleaseCause::Requested(reason) } => {
                self.close(2);
                if let Some(row) = &mut self.row {
                    row.release_reason = Some(reason.as_str().to_owned());
                }
            }
            order::Event::OrderReleased { cause: OrderReleaseCause::Expired } => self.close(3),
        }
        if let Some(row) = &mut self.row {
            (row.version, row.changed_at) = (recorded.version, recorded.recorded_at);
            if recorded.position <= checkpoint {
                if let Some(before) = before {
                    rows.remove(&*before);
                }
                rows.add(&**row);
            }
        }
        if self.lines.is_none() {
            self.row = None; // Closed: nothing more can happen to it.
        }
        followed.and(in_order).and(was_open)
    }

    fn close(&mut self, state: u8) {
        self.lines = None;
        if let Some(row) = &mut self.row {
            row.state = state;
        }
    }
}

/// A transfer; its row only while units are on their way.
#[derive(Default)]
pub(super) struct TransferFold {
    pub(super) version: u64,
    pub(super) last: Position,
    recorded_at: Option<Timestamp>,
    row: Option<Box<TransferRow>>,
}

impl TransferFold {
    pub(super) fn take(
        &mut self,
        transfer_id: TransferId,
        recorded: &RecordedEvent,
        event: &transfer::Event,
        checkpoint: Position,
        rows: &mut Digest,
    ) -> Verdict {
        let followed = follows(self.version, self.recorded_at, recorded);
        let is_starting = matches!(event, transfer::Event::TransferStarted { .. });
        let in_order = ensure(is_starting == (self.version == 0), || "it is started first, and once".to_owned());
        (self.version, self.last) = (recorded.version, recorded.position);
        self.recorded_at = Some(recorded.recorded_at);
        let before = self.row.clone();
        match event {
            transfer::Event::TransferStarted { route, quantity, reason } => {
                let (position, quantity) = (recorded.position, quantity.units());
                let (from, to) = (route.from(), route.to());
                self.row = Some(Box::new(TransferRow {
                    position,
                    transfer_id,
                    from,
                    to,
                    state: 0,
                    quantity,
                    reason: reason.as_str().to_owned(),
                    received: 0,
                    cancelled: 0,
                    version: 0,
                    started_at: recorded.recorded_at,
                    changed_at: recorded.recorded_at,
                }));
            }
            transfer::Event::TransferReceived { .. } => {
                if let Some(row) = &mut self.row {
                    row.received += units_of(event);
                }
            }
            transfer::Event::TransferCancelled { .. } => {
                if let Some(row) = &mut self.row {
                    row.cancelled += units_of(event);
                }
            }
        }
        let Some(row) = &mut self.row else {
            return followed.and(in_order).and(Err("nothing of the transfer is on its way any more".to_owned()));
        };
        let gone = row.received + row.cancelled;
        (row.version, row.changed_at) = (recorded.version, recorded.recorded_at);
        row.state = match row.cancelled {
            _ if gone < row.quantity => 0,
            0 => 1,
            _ => 2,
        };
        if recorded.position <= checkpoint {
            if let Some(before) = before {
                rows.remove(&*before);
            }
            rows.add(&**row);
        }
        let conserved =
            ensure(gone <= row.quantity, || format!("{gone} units have arrived or come back of {}", row.quantity));
        if gone >= row.quantity {
            self.row = None; // All have come to where they belong: nothing more can happen to it.
        }
        followed.and(in_order).and(conserved)
    }
}

/// Whether an event is the next of its stream, and not before the one before.
fn follows(version: u64, recorded_at: Option<Timestamp>, recorded: &RecordedEvent) -> Verdict {
    ensure(recorded.version == version + 1, || format!("it follows version {version}"))?;
    ensure(recorded_at.is_none_or(|last| last <= recorded.recorded_at), || {
        "it was recorded before the one before".to_owned()
    })
}

/// Whether an event of the same group is what this event of an order wants of one of its lines.
pub(super) fn settles(other: &RecordedEvent, order_id: OrderId, line: &OrderLine, wanted: &order::Event) -> bool {
    let DomainEvent::Inventory(event) = &other.event else { return false };
    if other.stream != line.stock_id.into() {
        return false;
    }
    match (wanted, event) {
        (order::Event::OrderPlaced { .. }, Event::StockReserved { reservation_id, quantity, order_id: of, .. }) => {
            (*reservation_id, *quantity, *of) == (line.reservation_id, line.quantity, Some(order_id))
        }
        (order::Event::OrderCommitted, Event::StockCommitted { reservation_id, quantity, .. })
        | (order::Event::OrderReleased { .. }, Event::StockReleased { reservation_id, quantity, .. }) => {
            (*reservation_id, *quantity) == (line.reservation_id, line.quantity)
        }
        _ => false,
    }
}

/// Whether an event of the same group is the stock's part of this event of a transfer.
pub(super) fn carries(other: &RecordedEvent, id: TransferId, wanted: &transfer::Event) -> bool {
    let DomainEvent::Inventory(event) = &other.event else { return false };
    match (wanted, event) {
        (transfer::Event::TransferStarted { .. }, Event::StockTransferredOut { transfer_id, quantity, .. })
        | (transfer::Event::TransferReceived { .. }, Event::StockTransferredIn { transfer_id, quantity, .. })
        | (transfer::Event::TransferCancelled { .. }, Event::StockTransferCancelled { transfer_id, quantity }) => {
            (*transfer_id, quantity.units()) == (id, units_of(wanted))
        }
        _ => false,
    }
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(problem()) }
}

/// The reservation that an event is about.
pub(super) fn reservation_of(event: &Event) -> Option<ReservationId> {
    match event {
        Event::StockReserved { reservation_id, .. }
        | Event::StockCommitted { reservation_id, .. }
        | Event::StockReleased { reservation_id, .. }
        | Event::ReservationExtended { reservation_id, .. } => Some(*reservation_id),
        Event::StockAdded { .. }
        | Event::StockAdjusted { .. }
        | Event::StockTransferredOut { .. }
        | Event::StockTransferredIn { .. }
        | Event::StockTransferCancelled { .. } => None,
    }
}
