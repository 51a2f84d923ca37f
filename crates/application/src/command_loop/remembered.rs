//! What a repeat is to be told <-> the bytes that the store keeps under an append id, for a day.
//!
//! A byte for the form, then the fields in order, numbers in little-endian. Positions are the store's to know where the
//! request had events.

use inventory_domain::inventory::Level;
use inventory_domain::order::{self, OrderLine, OrderLines, OrderReleaseCause};
use inventory_domain::transfer::{self, Route};
use inventory_domain::{
    CustomerId, HoldFor, Order, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
    Transfer, TransferId,
};

use super::request::{Answer, OrderAnswer, StockAnswer, TransferAnswer};
use crate::Position;

const STOCK: u8 = 1;
const ORDER: u8 = 2;
const TRANSFER: u8 = 3;

/// The bytes of an answer.
pub(super) fn write_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(64));
    match answer {
        Answer::Stock(StockAnswer { level, position, reservation_id, expires_at, .. }) => {
            out.byte(STOCK);
            for number in [level.quantity, level.reserved, level.version, position.0] {
                out.number(number);
            }
            out.option(*reservation_id, |out, id| out.id(id.uuid().as_u128()));
            out.option(*expires_at, Out::moment);
        }
        Answer::Order(OrderAnswer { order_id, order, position, .. }) => {
            out.byte(ORDER);
            out.id(order_id.uuid().as_u128());
            out.number(position.0);
            out.order(order);
        }
        Answer::Transfer(TransferAnswer { transfer_id, transfer, position, .. }) => {
            out.byte(TRANSFER);
            out.id(transfer_id.uuid().as_u128());
            out.number(position.0);
            out.transfer(transfer);
        }
    }
    out.0
}

/// The answer of these bytes; `None` when they are none.
pub(super) fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let mut read = In(bytes);
    let answer = match read.byte()? {
        STOCK => {
            let (quantity, reserved, version) = (read.number()?, read.number()?, read.number()?);
            Answer::Stock(StockAnswer {
                level: Level { quantity, reserved, version },
                position: Position(read.number()?),
                reservation_id: read.option(In::id)?.map(ReservationId::from_u128),
                expires_at: read.option(In::moment)?,
                is_repeat: false,
            })
        }
        ORDER => Answer::Order(OrderAnswer {
            order_id: OrderId::from_u128(read.id()?),
            position: Position(read.number()?),
            order: read.order()?,
            is_repeat: false,
        }),
        TRANSFER => Answer::Transfer(TransferAnswer {
            transfer_id: TransferId::from_u128(read.id()?),
            position: Position(read.number()?),
            transfer: read.transfer()?,
            is_repeat: false,
        }),
        _ => return None,
    };
    read.0.is_empty().then_some(answer)
}

struct Out(Vec<u8>);

impl Out {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn id(&mut self, id: u128) {
        self.0.extend(id.to_le_bytes());
    }

    fn moment(&mut self, moment: Timestamp) {
        self.number(moment.millis().cast_unsigned());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// An order as the one or two events that make it.
    fn order(&mut self, order: &Order) {
        self.option(order.placed(), |out, placed| {
            out.moment(placed.placed_at);
            out.id(placed.customer_id.uuid().as_u128());
            out.option(placed.hold_for, |out, hold_for| out.number(hold_for.minutes().into()));
            out.option(placed.expires_at, Self::moment);
            out.number(placed.lines.iter().len() as u64);
            for line in placed.lines.iter() {
                out.id(line.stock_id.product_id.uuid().as_u128());
                out.id(line.stock_id.store_id.uuid().as_u128());
                out.number(line.quantity.units());
                out.id(line.reservation_id.uuid().as_u128());
            }
        });
        self.moment(order.recorded_at());
        self.byte(match order.status() {
            order::OrderStatus::Active => 0,
            order::OrderStatus::Committed => 1,
            order::OrderStatus::Released => 2,
            order::OrderStatus::Expired => 3,
        });
    }

    /// A transfer as the events that would make it with the fewest receipts; the version tells how many there were.
    fn transfer(&mut self, transfer: &Transfer) {
        self.option(transfer.started(), |out, started| {
            out.moment(started.started_at);
            out.id(started.route.product_id().uuid().as_u128());
            out.id(started.route.from().store_id.uuid().as_u128());
            out.id(started.route.to().store_id.uuid().as_u128());
            out.number(started.quantity.units());
            out.text(started.reason.as_str());
        });
        for number in [transfer.received(), transfer.cancelled(), transfer.version()] {
            self.number(number);
        }
        self.moment(transfer.recorded_at());
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn id(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(self.take(16)?.try_into().ok()?))
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.number().map(|millis| Timestamp::from_millis(millis.cast_signed()))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn quantity(&mut self) -> Option<Quantity> {
        Quantity::new(i64::try_from(self.number()?).ok()?).ok()
    }

    #[allow(clippy::option_option, reason = "the outer one is whether it can be read")]
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn order(&mut self) -> Option<Order> {
        let placed = self.option(|read| {
            let placed_at = read.moment()?;
            let customer_id = CustomerId::from_u128(read.id()?);
            let hold_for = read.option(|read| HoldFor::from_minutes(i64::try_from(read.number()?).ok()?).ok())?;
            let expires_at = read.option(Self::moment)?;
            let count = read.number()?;
            let lines: Option<Vec<OrderLine>> = (0..count).map(|_| read.line()).collect();
            let lines = OrderLines::new(lines?).ok()?;
            Some((order::Event::OrderPlaced { customer_id, hold_for, expires_at, lines }, placed_at))
        })?;
        let recorded_at = self.moment()?;
        let closed = match self.byte()? {
            0 => None,
            1 => Some(order::Event::OrderCommitted),
            2 => Some(order::Event::OrderReleased {
                cause: OrderReleaseCause::Requested(Reason::new("asked for").ok()?),
            }),
            3 => Some(order::Event::OrderReleased { cause: OrderReleaseCause::Expired }),
            _ => return None,
        };
        let events = placed.into_iter().chain(closed.map(|event| (event, recorded_at)));
        Some(events.fold(Order::default(), |order, (event, at)| order::evolve(order, &event, at)))
    }

    fn line(&mut self) -> Option<OrderLine> {
        let product_id = ProductId::from_u128(self.id()?);
        let stock_id = StockId { product_id, store_id: StoreId::from_u128(self.id()?) };
        let quantity = self.quantity()?;
        Some(OrderLine { stock_id, quantity, reservation_id: ReservationId::from_u128(self.id()?) })
    }

    fn transfer(&mut self) -> Option<Transfer> {
        let started = self.option(|read| {
            let started_at = read.moment()?;
            let product_id = ProductId::from_u128(read.id()?);
            let (from, to) = (StoreId::from_u128(read.id()?), StoreId::from_u128(read.id()?));
            let route = Route::new(product_id, from, to).ok()?;
            let (quantity, reason) = (read.quantity()?, Reason::new(read.text()?).ok()?);
            Some((transfer::Event::TransferStarted { route, quantity, reason }, started_at))
        })?;
        let (received, cancelled, version) = (self.number()?, self.number()?, self.number()?);
        let recorded_at = self.moment()?;
        let (started, started_at) = started?;
        let transfer = transfer::evolve(Transfer::default(), &started, started_at);
        Transfer::resumed(transfer, received, cancelled, version, recorded_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stock_answer_reads_back(
            numbers: [u64; 4], id in prop::option::of(any::<u128>()), expires_at in prop::option::of(any::<i64>())
        ) {
            let [quantity, reserved, version, position] = numbers;
            let answer = Answer::Stock(StockAnswer {
                level: Level { quantity, reserved, version },
                position: Position(position),
                reservation_id: id.map(ReservationId::from_u128),
                expires_at: expires_at.map(Timestamp::from_millis),
                is_repeat: false,
            });
            prop_assert_eq!(read_answer(&write_answer(&answer)), Some(answer));
        }

        #[test]
        fn an_order_answer_reads_back(lines in 1u128..20, minutes in prop::option::of(1i64..1440), end in 0usize..4) {
            let line = |number: u128| OrderLine {
                stock_id: StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(1) },
                quantity: Quantity::new(5).unwrap(),
                reservation_id: ReservationId::from_u128(number),
            };
            let lines = OrderLines::new((0..lines).map(line).collect()).unwrap();
            let hold_for = minutes.map(|minutes| HoldFor::from_minutes(minutes).unwrap());
            let at = Timestamp::from_millis(1_000);
            let customer_id = CustomerId::from_u128(1);
            let placed = order::Event::OrderPlaced { customer_id, hold_for, expires_at: hold_for.map(|hold| at + hold), lines };
            let order = order::evolve(Order::default(), &placed, at);
            let ends = [
                None,
                Some(order::Event::OrderCommitted),
                Some(order::Event::OrderReleased { cause: OrderReleaseCause::Requested(Reason::new("x").unwrap()) }),
                Some(order::Event::OrderReleased { cause: OrderReleaseCause::Expired }),
            ];
            let order = ends[end].iter().fold(order, |order, event| order::evolve(order, event, Timestamp::from_millis(9)));
            let (order_id, position) = (OrderId::from_u128(1), Position(7));
            let answer = Answer::Order(OrderAnswer { order_id, order, position, is_repeat: false });
            prop_assert_eq!(read_answer(&write_answer(&answer)), Some(answer));
        }

        #[test]
        fn a_transfer_answer_reads_back(parts in prop::collection::vec(1i64..5, 0..5), is_cancelled: bool) {
            let route = Route::new(ProductId::from_u128(1), StoreId::from_u128(1), StoreId::from_u128(2)).unwrap();
            let (quantity, reason) = (Quantity::new(30).unwrap(), Reason::new("rebalance").unwrap());
            let started = transfer::Event::TransferStarted { route, quantity, reason };
            let received = |units: &i64| transfer::Event::TransferReceived { quantity: Quantity::new(*units).unwrap() };
            let rest = 30 - parts.iter().sum::<i64>();
            let cancelled = is_cancelled.then(|| transfer::Event::TransferCancelled { quantity: Quantity::new(rest).unwrap() });
            let events = std::iter::once(started).chain(parts.iter().map(received)).chain(cancelled);
            let transfer = events.zip(1..).fold(Transfer::default(), |state, (event, at)| {
                transfer::evolve(state, &event, Timestamp::from_millis(at))
            });
            let (transfer_id, position) = (TransferId::from_u128(1), Position(7));
            let answer = Answer::Transfer(TransferAnswer { transfer_id, transfer, position, is_repeat: false });
            prop_assert_eq!(read_answer(&write_answer(&answer)), Some(answer));
        }

        #[test]
        fn whatever_is_read_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_answer(&bytes);
        }
    }
}
