//! The rules under test, put to work as the service does it: what an order or a transfer asks of its stocks stands or falls as a whole.

use std::collections::BTreeMap;

use inventory_domain::inventory::{
    self, Command, CountedThen, Event, Extend, Rejection, Release, ReleaseCause, Reserve,
};
use inventory_domain::order::{self, OrderLines, OrderReleaseCause, OrderStatus, Place};
use inventory_domain::transfer::{self, Route, Start};
use inventory_domain::{
    CustomerId, HoldFor, Inventory, Order, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity,
    StoreId, Timestamp, Transfer, TransferId,
};

use super::model::{Answer, REMEMBERED, line_reservation};
use super::operation::{Ask, OrderAsk, START, STOCKS, TransferAsk};

pub struct Shop {
    pub clock: i64,
    pub stocks: Vec<Inventory>,
    pub orders: BTreeMap<u8, Order>,
    pub transfers: BTreeMap<u8, Transfer>,
    /// Each stock's events, with their time.
    history: Vec<Vec<(Event, Timestamp)>>,
}

impl Shop {
    pub fn new() -> Self {
        let stocks = vec![Inventory::remembering(REMEMBERED); STOCKS];
        let (orders, transfers) = (BTreeMap::new(), BTreeMap::new());
        Self { clock: START, stocks, orders, transfers, history: vec![Vec::new(); STOCKS] }
    }

    pub fn ask_stock(&mut self, number: usize, ask: &Ask) -> Answer {
        let id = |id: &u8| ReservationId::from_u128((*id).into());
        let command = match ask {
            Ask::Add { units } => Command::Add { quantity: quantity(*units), reason: reason() },
            Ask::Reserve { id: reservation, units, customer, minutes } => Command::Reserve(Reserve {
                reservation_id: id(reservation),
                quantity: quantity(*units),
                customer_id: CustomerId::from_u128((*customer).into()),
                hold_for: hold_for(*minutes),
                order_id: None,
            }),
            Ask::Commit { id: reservation, part } => {
                let (order_id, quantity) = (OrderId::from_u128(77), part.map(quantity));
                Command::Commit(inventory::Commit { reservation_id: id(reservation), order_id, quantity })
            }
            Ask::Release { id: reservation } => {
                Command::Release(Release { reservation_id: id(reservation), reason: reason() })
            }
            Ask::Extend { id: reservation, minutes } => {
                let hold_for = HoldFor::from_minutes(*minutes).unwrap();
                Command::Extend(Extend { reservation_id: id(reservation), hold_for })
            }
            Ask::Count { counted, ms_ago } => Command::Adjust(inventory::Adjust {
                counted: StockQuantity::new(*counted).unwrap(),
                reason: reason(),
                then: ms_ago.map(|ago| self.then(number, Timestamp::from_millis(self.clock - ago))),
            }),
            Ask::ReleaseExpired { most } => Command::ReleaseExpired { reservations_max: *most },
        };
        let clock = Timestamp::from_millis(self.clock);
        let now = self.stocks[number].moment(clock);
        self.grant(vec![(number, command)], clock, now)
    }

    /// A stock as it was.
    fn then(&self, number: usize, counted_at: Timestamp) -> CountedThen {
        let past = self.history[number].iter().take_while(|(_, at)| *at <= counted_at);
        let was =
            past.fold(Inventory::remembering(REMEMBERED), |state, (event, at)| inventory::evolve(state, event, *at));
        CountedThen { counted_at, quantity: was.quantity(), corrected: was.corrected() }
    }

    pub fn ask_order(&mut self, id: u8, ask: &OrderAsk) -> Answer {
        let state = self.orders.get(&id).cloned().unwrap_or_default();
        let command = match ask {
            OrderAsk::Place { lines, minutes } => {
                let asked: Vec<_> = lines.iter().map(|(stock, units)| (stock_id(*stock), quantity(*units))).collect();
                let mut first = Vec::new(); // Each stock where it comes first: that is where its line is.
                lines.iter().for_each(|(stock, _)| {
                    if !first.contains(stock) {
                        first.push(*stock);
                    }
                });
                let mut names = first.into_iter().map(|stock| ReservationId::from_u128(line_reservation(id, stock)));
                let lines = OrderLines::summed(&asked, || names.next().unwrap());
                let customer_id = CustomerId::from_u128(0);
                order::Command::Place(Place { customer_id, hold_for: hold_for(*minutes), lines: lines.unwrap() })
            }
            OrderAsk::Commit => order::Command::Commit,
            OrderAsk::Release => order::Command::Release { reason: reason() },
            OrderAsk::Expire => order::Command::Expire,
        };
        let mut involved: Vec<_> =
            state.placed().iter().flat_map(|placed| placed.lines.iter()).map(|line| line.stock_id).collect();
        if let (order::Command::Place(place), None) = (&command, state.placed()) {
            involved = place.lines.iter().map(|line| line.stock_id).collect();
        }
        let involved: Vec<_> = involved.into_iter().map(number_of).collect();
        let now = self.now(&involved, state.recorded_at());
        let events = order::decide(&state, &command, now).map_err(|rejection| match rejection {
            order::Rejection::OrderExists => "the order exists".to_owned(),
            order::Rejection::OrderNotFound => "no such order".to_owned(),
            order::Rejection::OrderExpired => "the order is expired".to_owned(),
            order::Rejection::OrderCommitted => "the order is committed".to_owned(),
            order::Rejection::OrderReleased => "the order is released".to_owned(),
        })?;
        let Some(event) = events.first() else { return Ok(Vec::new()) };
        let asks = event.asks(OrderId::from_u128(id.into()), &state).into_iter();
        let mut done = self.grant(asks.map(|(stock, command)| (number_of(stock), command)).collect(), now, now)?;
        done.push(match event {
            order::Event::OrderPlaced { .. } => "order placed".to_owned(),
            order::Event::OrderCommitted => "order committed".to_owned(),
            order::Event::OrderReleased { cause: OrderReleaseCause::Requested(_) } => "order released".to_owned(),
            order::Event::OrderReleased { cause: OrderReleaseCause::Expired } => "order expired".to_owned(),
        });
        self.orders.insert(id, order::evolve(state, event, now));
        Ok(done)
    }

    pub fn ask_transfer(&mut self, id: u8, ask: &TransferAsk) -> Answer {
        let state = self.transfers.get(&id).cloned().unwrap_or_default();
        let command = match ask {
            TransferAsk::Start { from, units } => {
                let store = |number: usize| stock_id(number % STOCKS).store_id;
                let route = Route::new(ProductId::from_u128(1), store(*from), store(from + 1)).unwrap();
                transfer::Command::Start(Start { route, quantity: quantity(*units), reason: reason() })
            }
            TransferAsk::Receive { part } => transfer::Command::Receive { quantity: part.map(quantity) },
            TransferAsk::Cancel => transfer::Command::Cancel,
        };
        let events = transfer::decide(&state, &command).map_err(|rejection| match rejection {
            transfer::Rejection::TransferExists => "the transfer exists".to_owned(),
            transfer::Rejection::TransferNotFound => "no such transfer".to_owned(),
            transfer::Rejection::TransferReceived => "the transfer is received".to_owned(),
            transfer::Rejection::TransferCancelled => "the transfer is cancelled".to_owned(),
            transfer::Rejection::ExceedsTransfer { requested, in_transit } => {
                format!("{requested} to receive, {in_transit} in transit")
            }
        })?;
        let Some(event) = events.first() else { return Ok(Vec::new()) };
        let (stock, command) = event.ask(TransferId::from_u128(id.into()), &state).unwrap();
        let now = self.now(&[number_of(stock)], state.recorded_at());
        let done = self.grant(vec![(number_of(stock), command)], now, now)?;
        self.transfers.insert(id, transfer::evolve(state, event, now));
        Ok(done)
    }

    fn now(&self, stocks: &[usize], last: Timestamp) -> Timestamp {
        stocks.iter().fold(Timestamp::from_millis(self.clock).max(last), |now, number| self.stocks[*number].moment(now))
    }

    /// Has every command granted, or none.
    fn grant(&mut self, commands: Vec<(usize, Command)>, clock: Timestamp, now: Timestamp) -> Answer {
        let (mut all, mut done) = (Vec::new(), Vec::new());
        for (number, command) in commands {
            let events = inventory::decide(&self.stocks[number], &command, clock).map_err(|why| rejected(&why))?;
            done.extend(events.iter().map(happened));
            all.push((number, events));
        }
        for (number, events) in all {
            for event in events {
                self.stocks[number] = inventory::evolve(self.stocks[number].clone(), &event, now);
                self.history[number].push((event, now));
            }
        }
        Ok(done)
    }
}

/// How an order's status reads.
pub fn status(order: &Order) -> &'static str {
    match order.status() {
        OrderStatus::Active => "active",
        OrderStatus::Committed => "committed",
        OrderStatus::Released => "released",
        OrderStatus::Expired => "expired",
    }
}

fn happened(event: &Event) -> String {
    let name = |id: &ReservationId| format!("r{}", id.uuid().as_u128());
    match event {
        Event::StockAdded { quantity, .. } => format!("added {quantity}"),
        Event::StockReserved { reservation_id, quantity, expires_at, .. } => {
            let until = expires_at.map(Timestamp::millis);
            format!("reserved {} {quantity} until {until:?}", name(reservation_id))
        }
        Event::StockCommitted { reservation_id, quantity, .. } => {
            format!("committed {} {quantity}", name(reservation_id))
        }
        Event::StockReleased { reservation_id, quantity, cause } => {
            let cause = match cause {
                ReleaseCause::Requested(_) => "requested",
                ReleaseCause::Expired => "expired",
                ReleaseCause::UncommittedPart => "rest",
            };
            format!("released {} {quantity} {cause}", name(reservation_id))
        }
        Event::ReservationExtended { reservation_id, expires_at, .. } => {
            format!("extended {} until {}", name(reservation_id), expires_at.millis())
        }
        Event::StockAdjusted { counted, change, .. } => format!("counted {counted}: {change}"),
        Event::StockTransferredOut { quantity, .. } => format!("sent {quantity}"),
        Event::StockTransferredIn { quantity, .. } => format!("arrived {quantity}"),
        Event::StockTransferCancelled { quantity, .. } => format!("came back {quantity}"),
    }
}

fn rejected(rejection: &Rejection) -> String {
    let name = |id: &ReservationId| format!("r{}", id.uuid().as_u128());
    let order = |id: &OrderId| format!("o{}", id.uuid().as_u128());
    match rejection {
        Rejection::InsufficientStock { requested, available } => {
            format!("{requested} asked for, {available} available")
        }
        Rejection::StockLimitExceeded { on_hand, added } => format!("{on_hand} and {added} are too many"),
        Rejection::CountedTooLongAgo { .. } => "counted too long ago".to_owned(),
        Rejection::ReservationExists(id) => format!("{} exists", name(id)),
        Rejection::ReservationNotFound(id) => format!("no reservation {}", name(id)),
        Rejection::ReservationExpired { reservation_id, .. } => format!("{} is expired", name(reservation_id)),
        Rejection::ReservationCommitted(id) => format!("{} is committed", name(id)),
        Rejection::ReservationReleased(id) => format!("{} is released", name(id)),
        Rejection::BelongsToOrder { reservation_id, order_id } => {
            format!("{} belongs to {}", name(reservation_id), order(order_id))
        }
        Rejection::HeldByExpiredOrder(id) => format!("{} has to be closed first", order(id)),
        Rejection::ExceedsReservation { requested, held } => format!("{requested} to commit, {held} held"),
        Rejection::BelowReserved { counted, reserved } => format!("{counted} counted, {reserved} reserved"),
    }
}

fn stock_id(number: usize) -> StockId {
    StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(number as u128) }
}

fn number_of(stock_id: StockId) -> usize {
    usize::try_from(stock_id.store_id.uuid().as_u128()).unwrap()
}

fn quantity(units: i64) -> Quantity {
    Quantity::new(units).unwrap()
}

fn hold_for(minutes: Option<i64>) -> Option<HoldFor> {
    minutes.map(|minutes| HoldFor::from_minutes(minutes).unwrap())
}

fn reason() -> Reason {
    Reason::new("test").unwrap()
}
