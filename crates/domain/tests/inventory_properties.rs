//! What holds for every stock, whatever is asked of it.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use inventory_domain::inventory::{
    Adjust, Command, Commit, CountedThen, Event, Extend, OrderLineRef, Release, ReleaseCause, Reserve, decide, evolve,
};
use inventory_domain::{
    CustomerId, HoldFor, Inventory, OrderId, Quantity, Reason, ReservationId, StockQuantity, StoreId, Timestamp,
    TransferId,
};
use proptest::prelude::*;

proptest! {
    /// Units on hand are what came in less what was sold, give or take what counts have found; what is held never
    /// passes what is on hand; and a replay of the events gives the same state.
    #[test]
    fn units_are_conserved(steps in prop::collection::vec((command(), -5_000i64..60_000), 1..120)) {
        let mut state = Inventory::remembering(4);
        let mut recorded = Vec::new();
        let (mut clock, mut on_hand) = (0, 0i64);
        for (command, passed) in steps {
            clock += passed;
            let now = state.moment(Timestamp::from_millis(clock));
            let before = state.level();
            match decide(&state, &command, Timestamp::from_millis(clock)) {
                Ok(events) => for event in events {
                    on_hand += match &event {
                        Event::StockCommitted { quantity, .. } | Event::StockTransferredOut { quantity, .. } => {
                            -i64::from(*quantity)
                        }
                        Event::StockAdjusted { change, .. } => *change,
                        Event::StockAdded { quantity, .. }
                        | Event::StockTransferredIn { quantity, .. }
                        | Event::StockTransferCancelled { quantity, .. } => {
                            i64::from(*quantity)
                        }
                        Event::StockReserved { .. } | Event::StockReleased { .. } | Event::ReservationExtended { .. } => 0,
                    };
                    state = evolve(state, &event, now);
                    recorded.push((event, now));
                },
                Err(_) => prop_assert_eq!(state.level(), before),
            }
            prop_assert_eq!(i64::try_from(state.quantity()).unwrap(), on_hand);
            prop_assert!(state.reserved() <= state.quantity());
            let held: u64 = state.reservations().map(|(_, reservation)| reservation.quantity.units()).sum();
            prop_assert_eq!(state.reserved(), held);
            prop_assert_eq!(state.version(), recorded.len() as u64);
        }
        let replayed = recorded.iter().fold(Inventory::remembering(4), |state, (event, at)| evolve(state, event, *at));
        prop_assert_eq!(&replayed, &state);
        prop_assert_eq!(Inventory::from_parts(state.to_parts()), Ok(replayed));
    }

    /// A reserve that is granted holds what it asked for, and asking again changes nothing.
    #[test]
    fn a_repeated_reserve_has_one_effect(added in 1i64..20, asked in 1i64..20) {
        let now = Timestamp::from_millis(0);
        let add = Command::Add { quantity: Quantity::new(added).unwrap(), reason: reason() };
        let state = fold(Inventory::default(), &decide(&Inventory::default(), &add, now).unwrap(), now);
        let reserve = Command::Reserve(Reserve {
            reservation_id: ReservationId::from_u128(1),
            quantity: Quantity::new(asked).unwrap(),
            customer_id: CustomerId::from_u128(1),
            hold_for: None,
            order_id: None,
        });
        match decide(&state, &reserve, now) {
            Ok(events) => {
                prop_assert!(asked <= added);
                let state = fold(state, &events, now);
                prop_assert_eq!(i64::try_from(state.reserved()).unwrap(), asked);
                prop_assert_eq!(decide(&state, &reserve, now), Ok(Vec::new()));
            }
            Err(_) => prop_assert!(asked > added),
        }
    }
}

fn fold(state: Inventory, events: &[Event], now: Timestamp) -> Inventory {
    events.iter().fold(state, |state, event| evolve(state, event, now))
}

fn reason() -> Reason {
    Reason::new("test").unwrap()
}

/// Few ids and small numbers, so that commands meet one another.
fn command() -> impl Strategy<Value = Command> {
    let id = || (1u128..8).prop_map(ReservationId::from_u128);
    let quantity = || (1i64..10).prop_map(|units| Quantity::new(units).unwrap());
    let hold_for = || (1i64..4).prop_map(|minutes| HoldFor::from_minutes(minutes).unwrap());
    let transfer_id = TransferId::from_u128(1);
    let store_id = StoreId::from_u128(2);
    let line = || {
        (id(), 1u128..3)
            .prop_map(|(reservation_id, order)| OrderLineRef { order_id: OrderId::from_u128(order), reservation_id })
    };
    prop_oneof![
        quantity().prop_map(|quantity| Command::Add { quantity, reason: reason() }),
        (id(), quantity(), prop::option::of(hold_for()), prop::option::weighted(0.2, 1u128..3)).prop_map(
            |(reservation_id, quantity, hold_for, order)| {
                let (customer_id, order_id) = (CustomerId::from_u128(1), order.map(OrderId::from_u128));
                Command::Reserve(Reserve { reservation_id, quantity, customer_id, hold_for, order_id })
            }
        ),
        line().prop_map(Command::CommitOrderLine),
        line().prop_map(|line| Command::ReleaseOrderLine { line, cause: ReleaseCause::Expired }),
        (0usize..3).prop_map(|reservations_max| Command::ReleaseExpired { reservations_max }),
        quantity().prop_map(move |quantity| Command::TransferOut {
            transfer_id,
            to_store_id: store_id,
            quantity,
            reason: reason()
        }),
        quantity().prop_map(move |quantity| Command::TransferIn { transfer_id, from_store_id: store_id, quantity }),
        quantity().prop_map(move |quantity| Command::CancelTransfer { transfer_id, quantity }),
        (id(), prop::option::of(quantity())).prop_map(|(reservation_id, quantity)| {
            Command::Commit(Commit { reservation_id, order_id: OrderId::from_u128(1), quantity })
        }),
        id().prop_map(|reservation_id| Command::Release(Release { reservation_id, reason: reason() })),
        (id(), hold_for()).prop_map(|(reservation_id, hold_for)| Command::Extend(Extend { reservation_id, hold_for })),
        (0i64..30, prop::option::of(0u64..30)).prop_map(|(counted, then)| {
            let then =
                then.map(|quantity| CountedThen { counted_at: Timestamp::from_millis(0), quantity, corrected: 0 });
            Command::Adjust(Adjust { counted: StockQuantity::new(counted).unwrap(), reason: reason(), then })
        }),
    ]
}
