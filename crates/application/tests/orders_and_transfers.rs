//! Groups over many stocks: orders and transfers through the command loop.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use inventory_application::ports::EventLog;
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{Ask, CommandError, Position, Request, StreamId};
use inventory_domain::order::{self, OrderStatus};
use inventory_domain::transfer;
use inventory_domain::{OrderId, Quantity, Reason, Timestamp};

use support::{
    NOON, Node, SlowStore, add, fold, keyed, level, log_of, order_request, place, release, reserve, send_all, settled,
    start, stock,
};

#[tokio::test]
async fn an_order_holds_every_line_or_none() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    for number in 1..=3 {
        node.ask(add(number, 5)).await.unwrap();
    }
    assert_eq!(node.order(1, place(&[(1, 2), (2, 3), (1, 1)])).await.unwrap(), OrderStatus::Active);
    assert_eq!((fold(&store, 1).await.reserved, fold(&store, 2).await.reserved), (3, 3));
    let Err(CommandError::Shortfalls(short)) = node.order(2, place(&[(1, 3), (3, 5), (2, 3), (9, 1)])).await else {
        panic!("there is not enough")
    };
    let short: Vec<_> = short.iter().map(|line| (line.stock_id, line.requested, line.available)).collect();
    assert_eq!(short, [(stock(1), 3, 2), (stock(2), 3, 2), (stock(9), 1, 0)]);
    assert_eq!(fold(&store, 3).await.reserved, 0, "no line is held");
    let groups = log_of(&store).await;
    assert_eq!(
        groups.iter().map(|event| event.stream).skip(3).collect::<Vec<_>>(),
        [stock(1).into(), stock(2).into(), StreamId::Order(OrderId::from_u128(1))]
    );
    let page = store.read(Position(3), 1).await.unwrap();
    assert_eq!(page.len(), 3, "no reader sees a part of it");
}

#[tokio::test]
async fn an_order_is_committed_or_released_as_a_whole() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let release_order = || order::Command::Release { reason: Reason::new("left").unwrap() };
    for number in 1..=2 {
        node.ask(add(number, 5)).await.unwrap();
    }
    for (number, end) in [(1, order::Command::Commit), (2, release_order())] {
        node.order(number, place(&[(1, 2), (2, 1)])).await.unwrap();
        node.order(number, end).await.unwrap();
    }
    let (one, two) = (fold(&store, 1).await, fold(&store, 2).await);
    assert_eq!((one.quantity, one.reserved, two.quantity, two.reserved), (3, 0, 4, 0));
    assert_eq!(node.order(1, release_order()).await.unwrap_err().to_string(), "the order is committed");
    assert_eq!(node.order(2, order::Command::Commit).await.unwrap_err().to_string(), "the order is released");
    assert_eq!(node.order(3, order::Command::Commit).await.unwrap_err().to_string(), "there is no such order");
    let levels = || async { (fold(&store, 1).await, fold(&store, 2).await) };
    let before = levels().await;
    assert_eq!(node.order(2, place(&[(1, 2), (2, 1)])).await.unwrap(), OrderStatus::Released, "as it stands");
    assert_eq!(levels().await, before, "nothing is held again");
    assert_eq!(node.order(2, place(&[(1, 2)])).await.unwrap_err().to_string(), "the order exists already");
    // Cold: a node that holds nothing loads the order first, then its stocks.
    node.order(4, place(&[(1, 1), (2, 1)])).await.unwrap();
    let another = Node::on(&store);
    assert_eq!(another.order(4, order::Command::Commit).await.unwrap(), OrderStatus::Committed);
}

#[tokio::test]
async fn a_line_is_left_to_its_order() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    let order::Command::Place(placed) = place(&[(1, 2)]) else { unreachable!() };
    let line = placed.lines.iter().next().unwrap().reservation_id;
    node.order(1, order::Command::Place(placed)).await.unwrap();
    let error = node.ask(release(1, line.uuid().as_u128())).await.unwrap_err();
    assert!(error.to_string().contains("is a line of order"), "{error}");
}

#[tokio::test]
async fn who_needs_units_of_an_expired_order_expires_all_of_it_first() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    node.ask(add(2, 5)).await.unwrap();
    node.order(1, place(&[(1, 4), (2, 5)])).await.unwrap();
    node.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    let cold = Node::on(&store);
    cold.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    let before = store.batches().len();
    assert_eq!(cold.ask(reserve(1, 77, 3)).await.unwrap().level.reserved, 3);
    assert_eq!(store.batches()[before..], [2], "the order's expiry and the reserve, in one batch");
    assert_eq!(fold(&store, 2).await.reserved, 0, "its other line is free as well");
    assert_eq!(cold.order(1, order::Command::Commit).await.unwrap_err().to_string(), "the order has expired");
    let other_order = Node::on(&store);
    other_order.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    other_order.order(2, place(&[(1, 2), (2, 5)])).await.unwrap();
}

#[tokio::test]
async fn orders_on_two_nodes_never_oversell() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let nodes = [Node::on(&store), Node::on(&store)];
    for number in 1..=4 {
        nodes[0].ask(add(number, 10)).await.unwrap();
    }
    let orders: Vec<_> = (1..=40u128)
        .map(|number| {
            let commands = nodes[usize::try_from(number).unwrap() % 2].commands.clone();
            let lines = [(number % 4 + 1, 2), ((number + 1) % 4 + 1, 1)];
            tokio::spawn(async move { commands.send_order(order_request(number, place(&lines))).await })
        })
        .collect();
    let mut granted = 0;
    for order in orders {
        match order.await.unwrap() {
            Ok(_) => granted += 1,
            Err(CommandError::Shortfalls(_) | CommandError::Contended { .. }) => (),
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut reserved = 0;
    for number in 1..=4 {
        let level = fold(&store, number).await;
        assert!(level.reserved <= level.quantity);
        reserved += level.reserved;
    }
    assert_eq!(reserved, granted * 3, "all lines of those that were granted, and no others");
    assert!(granted >= 10);
}

#[tokio::test]
async fn a_node_that_knows_a_stock_from_before_an_order_reads_it_again() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    other.ask(add(1, 5)).await.unwrap();
    one.order(1, place(&[(1, 2)])).await.unwrap();
    // The other one reads the order, and has the stock without it.
    assert_eq!(other.order(1, order::Command::Commit).await.unwrap(), OrderStatus::Committed);
    assert_eq!(fold(&store, 1).await.quantity, 3);
}

#[tokio::test]
async fn a_node_that_knows_a_stock_from_before_an_order_was_closed_reads_it_again() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    one.ask(add(1, 5)).await.unwrap();
    one.order(1, place(&[(1, 4)])).await.unwrap();
    other.ask(level(1)).await.unwrap();
    one.order(1, order::Command::Commit).await.unwrap();
    one.ask(add(1, 2)).await.unwrap();
    // For the other one the stock's units are held by an order that has expired; the order, which it reads now, is committed.
    other.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    assert_eq!(other.ask(reserve(1, 77, 3)).await.unwrap().level.available(), 0);
}

#[tokio::test]
async fn a_node_that_knows_another_line_from_before_an_order_reads_it_again_to_close_the_order() {
    let store = SlowStore::over(InMemoryEventStore::shared());
    let (one, other) = (Node::on(&store), Node::on(&store));
    one.ask(add(1, 5)).await.unwrap();
    other.ask(add(2, 5)).await.unwrap();
    one.order(1, place(&[(1, 4), (2, 5)])).await.unwrap();
    other.clock.set(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    // The other one reads the first stock and the order that holds it, and has the second stock without it.
    assert_eq!(other.ask(reserve(1, 77, 3)).await.unwrap().level.reserved, 3);
    assert_eq!(fold(&store, 2).await.reserved, 0, "the order is closed with all its lines");
}

#[tokio::test]
async fn an_order_is_expired_by_the_time_of_who_needs_its_units() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    let minutes = |minutes: i64| node.clock.set(Timestamp::from_millis(NOON.millis() + minutes * 60_000));
    node.ask(add(1, 5)).await.unwrap();
    node.order(1, place(&[(1, 4)])).await.unwrap();
    minutes(40);
    node.ask(add(2, 5)).await.unwrap();
    minutes(10); // The clock goes back; the second stock doesn't.
    assert_eq!(node.order(2, place(&[(1, 3), (2, 1)])).await.unwrap(), OrderStatus::Active);
    assert_eq!((fold(&store, 1).await.reserved, fold(&store, 2).await.reserved), (3, 1));
    assert_eq!(node.order(1, order::Command::Commit).await.unwrap_err().to_string(), "the order has expired");
}

#[tokio::test]
async fn a_dry_run_tells_and_holds_nothing() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    let dry = |units| {
        Request::plain(Ask::Order { order_id: OrderId::from_u128(1), command: place(&[(1, units)]), is_dry_run: true })
    };
    let told = node.commands.send_order(dry(5)).await.unwrap();
    assert_eq!(told.order.placed().unwrap().lines.iter().len(), 1);
    assert!(matches!(node.commands.send_order(dry(6)).await, Err(CommandError::Shortfalls(_))));
    assert_eq!(log_of(&store).await.len(), 1);
    assert_eq!(node.ask(level(1)).await.unwrap().level.reserved, 0);
}

#[tokio::test]
async fn a_repeated_order_has_one_effect_and_one_answer() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    let placed = place(&[(1, 2)]);
    let first = node.commands.send_order(keyed(1, order_request(1, placed.clone()))).await.unwrap();
    node.order(1, order::Command::Commit).await.unwrap();
    let again = node.commands.send_order(keyed(1, order_request(1, placed))).await.unwrap();
    assert!(again.is_repeat && !first.is_repeat);
    assert_eq!((again.order, again.position), (first.order, first.position), "as it was then");
}

#[tokio::test]
async fn units_are_in_one_store_or_in_transit_or_in_the_other() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 9)).await.unwrap();
    let receive = |units| transfer::Command::Receive { quantity: Quantity::new(units).ok() };
    assert_eq!(node.transfer(1, start(1, 5)).await.unwrap(), (5, 0, 0));
    assert_eq!(fold(&store, 1).await.quantity, 4);
    assert_eq!(node.transfer(1, receive(2)).await.unwrap(), (3, 2, 0));
    assert_eq!(node.transfer(1, receive(4)).await.unwrap_err().to_string(), "4 units to receive, 3 in transit");
    assert_eq!(node.transfer(1, transfer::Command::Cancel).await.unwrap(), (0, 2, 3));
    assert_eq!(fold(&store, 1).await.quantity, 7);
    let Err(CommandError::Rejected(no)) = node.transfer(2, start(1, 8)).await else { panic!("there are only 7") };
    assert_eq!(no.to_string(), "8 units asked for, 7 available");
    let cold = Node::on(&store);
    assert_eq!(cold.transfer(3, start(1, 7)).await.unwrap(), (7, 0, 0));
    let colder = Node::on(&store);
    assert_eq!(colder.transfer(3, transfer::Command::Receive { quantity: None }).await.unwrap(), (0, 7, 0));
    assert_eq!(colder.transfer(4, receive(1)).await.unwrap_err().to_string(), "there is no such transfer");
}

#[tokio::test]
async fn an_order_that_has_to_be_read_first_holds_nobody_up() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 5)).await.unwrap();
    store.hold_appends();
    let elsewhere = node.send(add(2, 5));
    settled().await;
    let commands = node.commands.clone();
    let order = tokio::spawn(async move { commands.send_order(order_request(1, place(&[(1, 3), (2, 5)]))).await });
    settled().await;
    let single = node.send(reserve(1, 1, 3));
    settled().await;
    store.let_appends_go();
    elsewhere.await.unwrap().unwrap();
    single.await.unwrap().unwrap();
    let order = order.await.unwrap();
    assert!(matches!(order, Err(CommandError::Shortfalls(_))), "the single command went ahead: {order:?}");
    let rest = send_all(&node, vec![reserve(1, 2, 2), reserve(1, 3, 1)]).await.unwrap().unwrap();
    assert_eq!(rest.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}
