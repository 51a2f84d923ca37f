//! The rules of orders as such, and what they ask of stocks.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_domain::order::{self, OrderLine, OrderLines, OrderLinesError, OrderStatus, Place};
use inventory_domain::{
    CustomerId, HoldFor, Order, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[test]
fn an_order_is_placed_once() {
    let order = run(&[place(&[(1, 2)])], 0);
    assert_eq!((order.status(), order.version()), (OrderStatus::Active, 1));
    assert_eq!(decide(&order, &place(&[(1, 2)]), 1), "nothing");
    assert_eq!(decide(&order, &place(&[(1, 1), (1, 1)]), 1), "nothing", "lines of one stock are summed");
    assert_eq!(decide(&order, &place(&[(1, 3)]), 1), "the order exists already");
    assert_eq!(decide(&order, &place(&[(2, 2)]), 1), "the order exists already");
    assert_eq!(decide(&order, &place_for(2, Some(30), &[(1, 2)]), 1), "the order exists already");
    assert_eq!(decide(&order, &place_for(1, Some(31), &[(1, 2)]), 1), "the order exists already");
    assert_eq!(decide(&order, &place(&[(1, 2)]), 30 * 60), "nothing", "it has expired, and is shown so");
    for last in [order::Command::Commit, release()] {
        let order = run(&[place(&[(1, 2), (2, 1)]), last], 0);
        assert_eq!(decide(&order, &place(&[(1, 2), (2, 1)]), 1), "nothing");
        assert_eq!(decide(&order, &place(&[(1, 2)]), 1), "the order exists already");
    }
    let order = run(&[place(&[(1, 2), (2, 1)])], 0);
    assert_eq!(decide(&order, &place(&[(2, 1), (1, 2)]), 1), "nothing", "the order of lines means nothing");
}

#[test]
fn an_order_ends_once() {
    for command in [order::Command::Commit, release()] {
        assert_eq!(decide(&Order::default(), &command, 0), "there is no such order");
        let with = |last| run(&[place(&[(1, 2)]), last], 0);
        assert_eq!(decide(&with(order::Command::Commit), &command, 1), "the order is committed");
        assert_eq!(decide(&with(release()), &command, 1), "the order is released");
        let placed = run(&[place(&[(1, 2)])], 0);
        assert_eq!(decide(&placed, &command, 30 * 60), "the order has expired");
        assert_ne!(decide(&placed, &command, 30 * 60 - 1), "the order has expired");
        let expired = fold(placed, &order::Command::Expire, 30 * 60);
        assert_eq!(expired.status(), OrderStatus::Expired);
        assert_eq!(decide(&expired, &command, 30 * 60), "the order has expired");
    }
}

#[test]
fn only_an_order_that_is_due_expires() {
    let expire = order::Command::Expire;
    assert_eq!(decide(&Order::default(), &expire, 0), "nothing");
    let placed = run(&[place(&[(1, 2)])], 0);
    assert_eq!(decide(&placed, &expire, 30 * 60 - 1), "nothing");
    assert_eq!(decide(&placed, &expire, 30 * 60), "OrderReleased { cause: Expired }");
    assert_eq!(decide(&fold(placed, &expire, 1800), &expire, 1801), "nothing");
    assert_eq!(decide(&run(&[place_for(1, None, &[(1, 2)])], 0), &expire, 99_999_999), "nothing");
    assert_eq!(decide(&run(&[place(&[(1, 2)]), order::Command::Commit], 0), &expire, 1800), "nothing");
}

#[test]
fn every_line_is_asked_of_its_stock() {
    let lines = lines(&[(1, 2), (2, 1), (1, 3)]).unwrap();
    assert_eq!(lines.iter().map(|line| line.quantity.units()).collect::<Vec<_>>(), [5, 1]);
    let order = run(&[place(&[(1, 2), (2, 1), (1, 3)])], 0);
    for command in [place(&[(7, 1), (8, 1)]), order::Command::Commit, release()] {
        let before = if matches!(command, order::Command::Place(_)) { Order::default() } else { order.clone() };
        let events = order::decide(&before, &command, NOON).unwrap();
        let asks: Vec<_> = events.iter().flat_map(|event| event.asks(OrderId::from_u128(1), &before)).collect();
        assert_eq!(asks.len(), 2);
        assert!(asks.iter().all(|(_, ask)| ask.reservation_id().is_some()));
        assert_ne!(asks[0].0, asks[1].0);
    }
}

#[test]
fn lines_have_their_range() {
    assert_eq!(lines(&[]), Err(OrderLinesError::Count { given: 0 }));
    let many: Vec<(u128, i64)> = (0..501).map(|number| (number, 1)).collect();
    assert_eq!(lines(&many), Err(OrderLinesError::Count { given: 501 }));
    assert_eq!(lines(&many[..500]).unwrap().iter().len(), 500);
    let most = Quantity::MAX.cast_signed();
    assert!(matches!(lines(&[(2, 1), (1, most), (1, 1)]), Err(OrderLinesError::Sum { index: 2, .. })));
    let line = OrderLine { stock_id: stock(1), quantity: units(1), reservation_id: ReservationId::from_u128(1) };
    assert_eq!(OrderLines::new(vec![line, line]), Err(OrderLinesError::Twice { stock_id: stock(1) }));
    assert_eq!(OrderLines::new(vec![]), Err(OrderLinesError::Count { given: 0 }));
}

fn run(commands: &[order::Command], at: i64) -> Order {
    commands.iter().fold(Order::default(), |order, command| fold(order, command, at))
}

fn fold(order: Order, command: &order::Command, at: i64) -> Order {
    let events = order::decide(&order, command, after(at)).unwrap();
    events.iter().fold(order, |order, event| order::evolve(order, event, after(at)))
}

fn decide(order: &Order, command: &order::Command, at: i64) -> String {
    match order::decide(order, command, after(at)) {
        Ok(events) if events.is_empty() => "nothing".to_owned(),
        Ok(events) => events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>().join(", "),
        Err(no) => no.to_string(),
    }
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOON.millis() + seconds * 1000)
}

fn release() -> order::Command {
    order::Command::Release { reason: Reason::new("left").unwrap() }
}

fn place(asked: &[(u128, i64)]) -> order::Command {
    place_for(1, Some(30), asked)
}

fn place_for(customer: u128, minutes: Option<i64>, asked: &[(u128, i64)]) -> order::Command {
    let hold_for = minutes.map(|minutes| HoldFor::from_minutes(minutes).unwrap());
    let (customer_id, lines) = (CustomerId::from_u128(customer), lines(asked).unwrap());
    order::Command::Place(Place { customer_id, hold_for, lines })
}

fn lines(asked: &[(u128, i64)]) -> Result<OrderLines, OrderLinesError> {
    let asked: Vec<_> = asked.iter().map(|(number, quantity)| (stock(*number), units(*quantity))).collect();
    let mut next = 0;
    OrderLines::summed(&asked, || {
        next += 1;
        ReservationId::from_u128(next)
    })
}

fn stock(number: u128) -> StockId {
    StockId { product_id: ProductId::from_u128(number), store_id: StoreId::from_u128(1) }
}

fn units(quantity: i64) -> Quantity {
    Quantity::new(quantity).unwrap()
}
