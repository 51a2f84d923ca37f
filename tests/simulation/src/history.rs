//! The log, folded by the domain's own functions: every state that anything was ever in.

use std::collections::BTreeMap;

use inventory_application::ports::RecordedEvent;
use inventory_application::{Position, StreamId};
use inventory_domain::{
    DomainEvent, Inventory, Order, OrderId, StockId, Timestamp, Transfer, TransferId, inventory, order, transfer,
};

/// States after each event that changed them, by where the event stands.
type States<T> = Vec<(Position, T)>;

/// What has happened, as the log has it.
pub(crate) struct History {
    pub(crate) groups: Vec<Group>,
    stocks: BTreeMap<StockId, States<Inventory>>,
    orders: BTreeMap<OrderId, States<Order>>,
    transfers: BTreeMap<TransferId, States<Transfer>>,
    /// What was there before the first event of a stream.
    nothing: (Inventory, Order, Transfer),
}

/// Events that were appended together.
pub(crate) struct Group {
    pub(crate) events: Vec<RecordedEvent>,
}

impl Group {
    /// Where its last event stands.
    pub(crate) fn last(&self) -> Position {
        self.events.last().map_or(Position::START, |event| event.position)
    }

    /// Where the log ended before it.
    pub(crate) fn before(&self) -> Position {
        Position(self.events.first().map_or(0, |event| event.position.0 - 1))
    }

    pub(crate) fn recorded_at(&self) -> Timestamp {
        self.events[0].recorded_at
    }

    /// The attempt that made it; `None` where the service has done so by itself.
    pub(crate) fn attempt(&self) -> Option<usize> {
        self.events[0].metadata.request_id.as_ref()?.parse().ok()
    }

    /// The client's key, by name.
    pub(crate) fn key(&self) -> Option<&str> {
        self.events[0].metadata.idempotency_key.as_deref()
    }
}

impl History {
    pub(crate) fn of(log: &[RecordedEvent]) -> Self {
        let (groups, stocks, orders, transfers) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let nothing = (Inventory::remembering(usize::MAX), Order::default(), Transfer::default());
        let mut history = Self { groups, stocks, orders, transfers, nothing };
        let mut events = Vec::new();
        for event in log {
            history.fold(event);
            events.push(event.clone());
            if event.remaining == 0 {
                history.groups.push(Group { events: std::mem::take(&mut events) });
            }
        }
        if !events.is_empty() {
            history.groups.push(Group { events });
        }
        history
    }

    fn fold(&mut self, recorded: &RecordedEvent) {
        let (at, time) = (recorded.position, recorded.recorded_at);
        match (recorded.stream, &recorded.event) {
            (StreamId::Inventory(id), DomainEvent::Inventory(event)) => {
                let before = self.stock_at(id, at).clone();
                self.stocks.entry(id).or_default().push((at, inventory::evolve(before, event, time)));
            }
            (StreamId::Order(id), DomainEvent::Order(event)) => {
                let before = self.order_at(id, at).clone();
                self.orders.entry(id).or_default().push((at, order::evolve(before, event, time)));
            }
            (StreamId::Transfer(id), DomainEvent::Transfer(event)) => {
                let before = self.transfer_at(id, at).clone();
                self.transfers.entry(id).or_default().push((at, transfer::evolve(before, event, time)));
            }
            _ => (), // The audit says that it is of another kind than its stream.
        }
    }

    /// A stock with every event up to a position; it has forgotten nothing.
    pub(crate) fn stock_at(&self, id: StockId, at: Position) -> &Inventory {
        state_at(self.stocks.get(&id), at).unwrap_or(&self.nothing.0)
    }

    /// A stock after so many events; `None` where it never had as many.
    pub(crate) fn stock_of_version(&self, id: StockId, version: u64) -> Option<&Inventory> {
        let place = usize::try_from(version.checked_sub(1)?).ok()?;
        self.stocks.get(&id)?.get(place).map(|(_, state)| state)
    }

    pub(crate) fn order_at(&self, id: OrderId, at: Position) -> &Order {
        state_at(self.orders.get(&id), at).unwrap_or(&self.nothing.1)
    }

    pub(crate) fn transfer_at(&self, id: TransferId, at: Position) -> &Transfer {
        state_at(self.transfers.get(&id), at).unwrap_or(&self.nothing.2)
    }

    /// Where the last event of a stream stands, of those up to a position.
    pub(crate) fn position_at(&self, stream: StreamId, at: Position) -> Position {
        fn last<T>(states: Option<&States<T>>, at: Position) -> Position {
            states
                .and_then(|states| states.iter().rev().find(|(position, _)| *position <= at))
                .map_or(Position::START, |last| last.0)
        }
        match stream {
            StreamId::Inventory(id) => last(self.stocks.get(&id), at),
            StreamId::Order(id) => last(self.orders.get(&id), at),
            StreamId::Transfer(id) => last(self.transfers.get(&id), at),
        }
    }

    /// The ends of groups from one position to another, both included: where a decision may have been taken.
    pub(crate) fn ends(&self, from: Position, to: Position) -> impl Iterator<Item = Position> {
        let between = self.groups.iter().map(Group::last).filter(move |last| *last > from && *last <= to);
        std::iter::once(from).chain(between)
    }

    pub(crate) fn stocks(&self) -> impl Iterator<Item = StockId> {
        self.stocks.keys().copied()
    }

    pub(crate) fn transfers(&self) -> impl Iterator<Item = TransferId> {
        self.transfers.keys().copied()
    }
}

fn state_at<T>(states: Option<&States<T>>, at: Position) -> Option<&T> {
    states?.iter().rev().find(|(position, _)| *position <= at).map(|(_, state)| state)
}
