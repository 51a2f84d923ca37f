//! The rules of transfers as such, and what they ask of stocks.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_domain::transfer::{self, Route, SameStore, Start, TransferStatus};
use inventory_domain::{ProductId, Quantity, Reason, StoreId, Timestamp, Transfer, TransferId, inventory};

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[test]
fn units_arrive_in_parts() {
    let sent = run(&[start(5)]);
    assert_eq!((sent.status(), sent.in_transit()), (TransferStatus::InTransit, 5));
    let part = fold(sent, &receive(2));
    assert_eq!((part.status(), part.in_transit(), part.received()), (TransferStatus::InTransit, 3, 2));
    assert_eq!(decide(&part, &receive(4)), "4 units to receive, 3 in transit");
    let all = fold(part, &transfer::Command::Receive { quantity: None });
    assert_eq!((all.status(), all.in_transit(), all.received()), (TransferStatus::Received, 0, 5));
    for command in [receive(1), transfer::Command::Cancel] {
        assert_eq!(decide(&all, &command), "the transfer is received");
    }
}

#[test]
fn what_has_not_arrived_can_be_taken_back() {
    let cancelled = run(&[start(5), receive(2), transfer::Command::Cancel]);
    assert_eq!((cancelled.status(), cancelled.received(), cancelled.cancelled()), (TransferStatus::Cancelled, 2, 3));
    assert_eq!(cancelled.version(), 3, "one for each event");
    for command in [receive(1), transfer::Command::Cancel] {
        assert_eq!(decide(&cancelled, &command), "the transfer is cancelled");
        assert_eq!(decide(&Transfer::default(), &command), "there is no such transfer");
    }
}

#[test]
fn a_transfer_starts_once() {
    let sent = run(&[start(5)]);
    assert_eq!(decide(&sent, &start(5)), "nothing");
    assert_eq!(decide(&sent, &start(4)), "the transfer exists already");
    assert_eq!(decide(&run(&[start(5), transfer::Command::Cancel]), &start(5)), "the transfer exists already");
}

#[test]
fn a_transfer_goes_to_another_store() {
    let (product_id, store_id) = (ProductId::from_u128(1), StoreId::from_u128(1));
    assert_eq!(Route::new(product_id, store_id, store_id), Err(SameStore));
}

#[test]
fn each_step_is_asked_of_one_stock() {
    let sent = run(&[start(5)]);
    let id = TransferId::from_u128(1);
    let ask = |state: &Transfer, command: &transfer::Command| {
        transfer::decide(state, command).unwrap()[0].ask(id, state).unwrap()
    };
    let (stock, command) = ask(&Transfer::default(), &start(5));
    assert!(stock == route().from() && matches!(command, inventory::Command::TransferOut { .. }));
    let (stock, command) = ask(&sent, &receive(2));
    assert!(stock == route().to() && matches!(command, inventory::Command::TransferIn { .. }));
    let (stock, command) = ask(&sent, &transfer::Command::Cancel);
    assert!(stock == route().from() && matches!(command, inventory::Command::CancelTransfer { .. }));
}

fn run(commands: &[transfer::Command]) -> Transfer {
    commands.iter().fold(Transfer::default(), fold)
}

fn fold(state: Transfer, command: &transfer::Command) -> Transfer {
    let events = transfer::decide(&state, command).unwrap();
    events.iter().fold(state, |state, event| transfer::evolve(state, event, NOON))
}

fn decide(state: &Transfer, command: &transfer::Command) -> String {
    match transfer::decide(state, command) {
        Ok(events) if events.is_empty() => "nothing".to_owned(),
        Ok(events) => format!("{events:?}"),
        Err(no) => no.to_string(),
    }
}

fn route() -> Route {
    Route::new(ProductId::from_u128(1), StoreId::from_u128(1), StoreId::from_u128(2)).unwrap()
}

fn start(quantity: i64) -> transfer::Command {
    let (quantity, reason) = (Quantity::new(quantity).unwrap(), Reason::new("rebalance").unwrap());
    transfer::Command::Start(Start { route: route(), quantity, reason })
}

fn receive(quantity: i64) -> transfer::Command {
    transfer::Command::Receive { quantity: Quantity::new(quantity).ok() }
}
