//! A log that the command loop has written passes the audit; every kind of damage is found.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::collections::{HashMap, HashSet};

use inventory_application::audit::{
    BUCKETS, Checkpoints, Digest, EventIds, Expected, Findings, LevelRow, LogAudit, OrderRow, ReservationRow, Share,
    bucket,
};
use inventory_application::ports::RecordedEvent;
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::inventory::{Event, Extend};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, Quantity, ReservationId, Timestamp, inventory, order, transfer,
};

use support::{NOON, Node, SlowStore, add, change, commit, log_of, place, release, reserve, start, stock};

#[tokio::test]
async fn a_sound_log_passes_in_one_part_or_in_many() {
    let log = log().await;
    let (findings, whole) = audit(log.clone(), Share::WHOLE);
    assert_eq!(findings.said, [""; 0]);
    assert_eq!((whole.stock_levels.rows(), whole.orders.rows(), whole.transfers.rows()), (5, 3, 2));
    assert_eq!(whole.reservations.rows(), 6 + 4);
    let mut sum = Expected::default();
    for part in 0..3 {
        let (findings, share) = audit(log.clone(), Share { part, parts: 3 });
        assert_eq!(findings.count, 0, "{:?}", findings.said);
        sum.stock_levels.merge(&share.stock_levels);
        sum.reservations.merge(&share.reservations);
        sum.orders.merge(&share.orders);
        sum.transfers.merge(&share.transfers);
    }
    assert!(sum.stock_levels.differing(&whole.stock_levels).is_empty());
    assert!(sum.reservations.differing(&whole.reservations).is_empty());
    assert!(sum.orders.differing(&whole.orders).is_empty() && sum.transfers.differing(&whole.transfers).is_empty());
}

#[tokio::test]
async fn shares_split_the_reservations_of_one_stock_too() {
    let log = log().await;
    let (_, whole) = audit(log.clone(), Share::WHOLE);
    let mut sum = Expected::default();
    let shares: Vec<Share> = Share::WHOLE.split(2).flat_map(|share| share.split(3)).collect();
    for share in &shares {
        let (findings, part) = audit(log.clone(), *share);
        assert_eq!(findings.count, 0, "{:?}", findings.said);
        assert!(part.reservations.rows() < whole.reservations.rows(), "{share:?} has all of them");
        sum.reservations.merge(&part.reservations);
        sum.stock_levels.merge(&part.stock_levels);
    }
    assert_eq!((shares.len(), sum.reservations.rows()), (6, whole.reservations.rows()));
    assert!(sum.reservations.differing(&whole.reservations).is_empty());
    assert!(sum.stock_levels.differing(&whole.stock_levels).is_empty());
}

#[tokio::test]
async fn an_id_that_is_there_twice_is_found_however_few_are_remembered() {
    let sound = log().await;
    let found = |ids: &dyn Fn(usize) -> u128, remembered| {
        let (mut seen, mut found, mut looks) = (EventIds::new(remembered), Vec::new(), 0);
        loop {
            for (place, event) in sound.iter().enumerate() {
                let event = RecordedEvent { event_id: EventId(uuid::Uuid::from_u128(ids(place))), ..event.clone() };
                found.extend(seen.observe(&event));
            }
            looks += 1;
            if !seen.look_again() {
                return (!found.is_empty(), looks);
            }
        }
    };
    let count = sound.len();
    let in_order = |place: usize| place as u128 + 10;
    let backwards = |place: usize| (count - place) as u128;
    assert_eq!(found(&in_order, 1), (false, 1), "one look is enough");
    for remembered in [1, 2, 1_000] {
        assert!(!found(&backwards, remembered).0, "with {remembered} remembered");
        for (one, other) in [(0, 1), (0, count - 1), (3, 9), (count - 2, count - 1)] {
            for (twin, of) in [(one, other), (other, one)] {
                let twice = |ids: &dyn Fn(usize) -> u128, place| ids(if place == twin { of } else { place });
                let what = format!("{twin} like {of}, with {remembered} remembered");
                assert!(found(&|place| twice(&in_order, place), remembered).0, "{what}");
                assert!(found(&|place| twice(&backwards, place), remembered).0, "backwards, {what}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_read_model_has_to_show_depends_on_how_far_it_is() {
    let log = log().await;
    let levels = |checkpoint: u64| {
        let checkpoints = Checkpoints { stock_levels: Position(checkpoint), ..Checkpoints::default() };
        let mut audit = LogAudit::new(Share::WHOLE, checkpoints, HashSet::new(), 10);
        log.iter().cloned().for_each(|event| audit.observe(event));
        audit.finish().1.stock_levels
    };
    assert_eq!((levels(0).rows(), levels(1).rows(), levels(2).rows()), (0, 1, 2));
    assert_eq!(levels(7).differing(&levels(8)).len(), 1, "the row that the event has changed");
}

#[tokio::test]
async fn a_state_can_be_had_to_compare_it_with_a_snapshot() {
    let log = log().await;
    let mut audit = LogAudit::new(Share::WHOLE, Checkpoints::default(), HashSet::from([stock(1)]), 10);
    let mut seen = Vec::new();
    for event in log.clone() {
        audit.observe_with(event, &mut |event, state| {
            seen.push(event.position);
            assert_eq!(state.is_some(), event.stream == stock(1).into());
            // Also in the middle of an order, it is the state after exactly this event.
            state.iter().for_each(|state| assert_eq!(state.version(), event.version));
            if event.position == Position(2) { vec!["it differs".to_owned()] } else { Vec::new() }
        });
    }
    assert_eq!(seen, log.iter().map(|event| event.position).collect::<Vec<_>>());
    assert!(log.iter().any(|event| event.stream == stock(1).into() && event.remaining > 0));
    assert_eq!(audit.finish().0.said, ["it differs"]);
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one case after the other")]
async fn every_kind_of_damage_is_found() {
    let log = log().await;
    let check = |what: &str, says: &str, damage: &dyn Fn(&mut Vec<RecordedEvent>)| {
        let mut damaged = log.clone();
        damage(&mut damaged);
        let (findings, _) = audit(damaged, Share::WHOLE);
        assert!(findings.said.iter().any(|said| said.contains(says)), "{what}: {:?}", findings.said);
    };
    let renumber =
        |log: &mut Vec<RecordedEvent>| log.iter_mut().zip(1..).for_each(|(event, at)| event.position = Position(at));
    let of = |log: &[RecordedEvent], is: &dyn Fn(&DomainEvent) -> bool| {
        log.iter().position(|event| is(&event.event)).unwrap()
    };
    let stock_event = |log: &[RecordedEvent], is: fn(&Event) -> bool| {
        of(log, &|event| matches!(event, DomainEvent::Inventory(event) if is(event)))
    };
    check("a position is missing", "position 4 follows 2", &|log| drop(log.remove(2)));
    check("a version is missing", "it follows version", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::ReservationExtended { .. }));
        log.remove(place);
        renumber(log);
    });
    check("a version is there twice", "it follows version", &|log| {
        log.insert(1, log[0].clone());
        renumber(log);
    });
    check("more is held than is there", "oversold", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockReserved { order_id: None, .. }));
        let DomainEvent::Inventory(Event::StockReserved { quantity, .. }) = &mut log[place].event else {
            unreachable!()
        };
        *quantity = Quantity::new(1_000).unwrap();
    });
    check("a reservation is made twice", "is held already", &|log| {
        let first = stock_event(log, |event| matches!(event, Event::StockReserved { order_id: None, .. }));
        let DomainEvent::Inventory(Event::StockReserved { reservation_id: known, .. }) = log[first].event else {
            unreachable!()
        };
        let DomainEvent::Inventory(Event::StockReserved { reservation_id, .. }) = &mut log[first + 1].event else {
            unreachable!()
        };
        *reservation_id = known;
    });
    check("what nobody holds is sold", "isn't held", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockCommitted { .. }));
        let DomainEvent::Inventory(Event::StockCommitted { reservation_id, .. }) = &mut log[place].event else {
            unreachable!()
        };
        *reservation_id = ReservationId::from_u128(999);
    });
    check("more is sold than is held", "which holds", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockCommitted { .. }));
        let DomainEvent::Inventory(Event::StockCommitted { quantity, .. }) = &mut log[place].event else {
            unreachable!()
        };
        *quantity = Quantity::new(50).unwrap();
    });
    check("it is sold after its deadline", "after its deadline", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockCommitted { .. }));
        log[place..].iter_mut().for_each(|event| event.recorded_at = Timestamp::from_millis(i64::MAX));
    });
    check("it is freed before its deadline", "before its deadline", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockReleased { .. }));
        let DomainEvent::Inventory(Event::StockReleased { cause, .. }) = &mut log[place].event else { unreachable!() };
        *cause = inventory::ReleaseCause::Expired;
    });
    check("time goes back", "before the one before", &|log| log[9].recorded_at = Timestamp::from_millis(0));
    check("a count doesn't add up", "a count of", &|log| {
        let place = stock_event(log, |event| matches!(event, Event::StockAdjusted { .. }));
        let DomainEvent::Inventory(Event::StockAdjusted { change, .. }) = &mut log[place].event else { unreachable!() };
        *change += 1;
    });
    check("a group is cut", "its group", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Order(_)));
        log[place - 1].remaining = 0;
    });
    check("two groups are made one", "another time or origin", &|log| {
        (log[0].remaining, log[1].recorded_at) = (1, Timestamp::from_millis(log[1].recorded_at.millis() + 1));
    });
    check("the log ends in a group", "in the middle of a group", &|log| log.last_mut().unwrap().remaining = 1);
    check("an order lacks a line", "hasn't every line", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Order(_)));
        let DomainEvent::Inventory(Event::StockReserved { quantity, .. }) = &mut log[place - 1].event else {
            unreachable!()
        };
        *quantity = Quantity::new(1).unwrap();
    });
    check("a line lacks its order", "hasn't what it belongs to", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Order(_)));
        log[place].stream = inventory_domain::OrderId::from_u128(77).into();
    });
    check("an order is closed twice", "closed already", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Order(order::Event::OrderCommitted)));
        let (mut again, version) = (log[place].clone(), log[place].version + 1);
        (again.version, again.event_id) = (version, EventId(uuid::Uuid::nil()));
        log.insert(place + 1, again);
        renumber(log);
    });
    check("a line is closed alone", "closed alone", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Order(order::Event::OrderCommitted)));
        log[place - 1].remaining = 0;
        log[place - 2].remaining = 0;
    });
    check("a transfer brings more than was sent", "have arrived or come back", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Transfer(transfer::Event::TransferReceived { .. })));
        let DomainEvent::Transfer(transfer::Event::TransferReceived { quantity }) = &mut log[place].event else {
            unreachable!()
        };
        *quantity = Quantity::new(50).unwrap();
    });
    check("a transfer lacks the stock's part", "hasn't the stock's part", &|log| {
        let place = of(log, &|event| matches!(event, DomainEvent::Transfer(transfer::Event::TransferReceived { .. })));
        let DomainEvent::Inventory(Event::StockTransferredIn { quantity, .. }) = &mut log[place - 1].event else {
            unreachable!()
        };
        *quantity = Quantity::new(1).unwrap();
    });
    check("an event is in another's stream", "of another kind", &|log| {
        log[0].stream = inventory_domain::OrderId::from_u128(1).into();
    });
}

#[tokio::test]
async fn what_was_sold_in_part_and_what_was_asked_to_be_released_is_shown_as_that() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    node.ask(add(1, 20)).await.unwrap();
    node.ask(reserve(1, 1, 4)).await.unwrap();
    let (reservation_id, order_id) = (ReservationId::from_u128(1), OrderId::from_u128(5));
    let part = inventory::Commit { reservation_id, order_id, quantity: Quantity::new(1).ok() };
    node.ask(change(1, inventory::Command::Commit(part))).await.unwrap();
    node.order(2, place(&[(1, 2)])).await.unwrap();
    let reason = inventory_domain::Reason::new("changed their mind").unwrap();
    node.order(2, order::Command::Release { reason }).await.unwrap();
    let log = log_of(&store).await;
    let line = log.iter().find_map(|event| match &event.event {
        DomainEvent::Order(order::Event::OrderPlaced { lines, .. }) => lines.iter().next().copied(),
        _ => None,
    });
    let line = line.unwrap().reservation_id;
    let (findings, shown) = audit(log, Share::WHOLE);
    assert_eq!(findings.said, [""; 0]);

    let deadline = Some(Timestamp::from_millis(NOON.millis() + 30 * 60_000));
    let sold = ReservationRow {
        stock_id: stock(1),
        reservation_id,
        customer_id: CustomerId::from_u128(9),
        order_id: Some(order_id),
        is_line: false,
        quantity: 4,
        committed: 1,
        state: 1,
        ttl_minutes: Some(30),
        expires_at: deadline,
        reserved_at: NOON,
        closed_at: Some(NOON),
    };
    let (order_id, is_line) = (Some(OrderId::from_u128(2)), true);
    let freed = ReservationRow { reservation_id: line, order_id, is_line, quantity: 2, committed: 0, state: 2, ..sold };
    assert_same(&shown.reservations, digest(&[sold, freed]), "a reservation");
    let order = OrderRow {
        position: Position(6),
        order_id: OrderId::from_u128(2),
        customer_id: CustomerId::from_u128(9),
        state: 2,
        version: 2,
        ttl_minutes: Some(30),
        expires_at: deadline,
        placed_at: NOON,
        changed_at: NOON,
        release_reason: Some("changed their mind".to_owned()),
        lines: vec![(stock(1), 2, line)],
    };
    assert_same(&shown.orders, digest(&[order]), "the order");
}

#[tokio::test]
async fn shares_can_add_to_one_sum() {
    let log = log().await;
    let (_, whole) = audit(log.clone(), Share::WHOLE);
    let mut sum = Expected::default();
    for share in Share::WHOLE.split(3) {
        let mut audit = LogAudit::new(share, everything(), HashSet::new(), 10).adding_to(sum);
        log.iter().cloned().for_each(|event| audit.observe(event));
        sum = audit.finish().1;
    }
    assert_same(&sum.stock_levels, whole.stock_levels, "levels");
    assert_same(&sum.reservations, whole.reservations, "reservations");
    assert_same(&sum.orders, whole.orders, "orders");
    assert_same(&sum.transfers, whole.transfers, "transfers");
}

#[test]
fn the_rows_of_a_sum_that_differs_can_be_had_in_words() {
    let row = |number| LevelRow { stock_id: stock(number), quantity: 5, reserved: 2, version: 3 };
    let rows: Vec<LevelRow> = (0..200).map(row).collect();
    let picked = bucket(&rows[7]);
    let (mut all, mut some) = (Digest::default(), Digest::keeping(&[picked]));
    for row in &rows {
        all.add(row);
        some.add(row);
    }
    assert_same(&some, all.clone(), "keeping words changes no sum");
    assert_eq!(all.kept().count(), 0);
    let words = |rows: &[LevelRow]| {
        let of_sum = rows.iter().filter(|row| bucket(*row) == picked).map(|row| format!("{row:?}"));
        of_sum.collect::<HashSet<_>>()
    };
    let kept = |digest: &Digest| digest.kept().map(str::to_owned).collect::<HashSet<_>>();
    assert_eq!(kept(&some), words(&rows));
    // A row that changes is taken out as it was, and is put in as it is.
    let mut changed = rows.clone();
    changed[7].quantity += 1;
    some.remove(&rows[7]);
    some.add(&changed[7]);
    assert_eq!((kept(&some), some.rows()), (words(&changed), 200));
    assert_eq!(some.differing(&all), [picked]);
    let everywhere: Vec<usize> = (0..BUCKETS).collect();
    let mut every = Digest::keeping(&everywhere);
    rows.iter().for_each(|row| every.add(row));
    assert_eq!(every.kept().count(), rows.len());
}

#[tokio::test]
async fn every_stream_is_told_with_its_version_and_where_it_ends() {
    let log = log().await;
    let mut last: HashMap<StreamId, (u64, Position)> = HashMap::new();
    for event in &log {
        last.insert(event.stream, (event.version, event.position));
    }
    let mut told = HashMap::new();
    for share in Share::WHOLE.split(3) {
        let mut audit = LogAudit::new(share, everything(), HashSet::new(), 10);
        log.iter().cloned().for_each(|event| audit.observe(event));
        assert_eq!(audit.head(), log.last().unwrap().position, "of all the log, whatever the share");
        for (stream, version, position) in audit.streams() {
            assert!(share.has(stream), "{stream:?} in {share:?}");
            assert_eq!(told.insert(stream, (version, position)), None, "{stream:?} twice");
        }
    }
    assert_eq!(told, last);
}

#[tokio::test]
async fn what_an_audit_takes_in_memory_is_split_by_shares_but_for_a_stock_that_is_kept_whole() {
    let log = log().await;
    let memory = |log: &[RecordedEvent], share, whole: &[u128], closed_remembered| {
        let whole = whole.iter().map(|number| stock(*number)).collect();
        let mut audit = LogAudit::new(share, everything(), whole, closed_remembered);
        log.iter().cloned().for_each(|event| audit.observe(event));
        audit.memory()
    };
    let (folds, least) = memory(&log, Share::WHOLE, &[], 10);
    assert_eq!(least, 0, "without states that are kept whole, shares can be as small as is wanted");
    assert_eq!(memory(&log, Share::WHOLE, &[], 10_000), (folds, 0), "nobody remembers what was closed");
    let shares: Vec<_> = Share::WHOLE.split(4).map(|share| memory(&log, share, &[], 10)).collect();
    assert_eq!(shares.iter().map(|(folds, _)| folds).sum::<u64>(), folds);
    assert!(shares.iter().all(|(share, _)| *share < folds), "{shares:?}");
    assert!(memory(&log[..10], Share::WHOLE, &[], 10).0 > memory(&log[..4], Share::WHOLE, &[], 10).0);

    // Stock 1 holds more than stock 2 when half of the log is through: it is the one that has to fit.
    let half = &log[..10];
    let one = memory(half, Share::WHOLE, &[1], 10);
    assert!(one.1 > memory(half, Share::WHOLE, &[2], 10).1);
    assert_eq!(memory(half, Share::WHOLE, &[1, 2], 10).1, one.1);
    assert!(memory(half, Share::WHOLE, &[1], 20).1 > one.1, "it remembers more of what was closed");
    assert!(one.0 - memory(half, Share::WHOLE, &[], 10).0 >= one.1, "the largest is a part of all");
    let shares: Vec<_> = Share::WHOLE.split(4).map(|share| memory(half, share, &[1], 10).1).collect();
    assert_eq!(shares.iter().filter(|least| **least == one.1).count(), 1, "a share has it whole: {shares:?}");
    assert_eq!(shares.iter().filter(|least| **least == 0).count(), 3, "{shares:?}");
}

#[tokio::test]
async fn an_order_takes_room_for_its_lines_while_it_is_open() {
    let node = async || {
        let store = SlowStore::over(InMemoryEventStore::exclusive());
        let node = Node::on(&store);
        for number in 1..=3 {
            node.ask(add(number, 5)).await.unwrap();
        }
        (store, node)
    };
    let memory = async |store| {
        let mut audit = LogAudit::new(Share::WHOLE, everything(), HashSet::new(), 10);
        log_of(store).await.into_iter().for_each(|event| audit.observe(event));
        audit.memory().0
    };
    // As many stocks, orders and reservations on both.
    let ((short, with_one), (long, with_three)) = (node().await, node().await);
    with_one.order(1, place(&[(1, 1)])).await.unwrap();
    with_one.ask(reserve(2, 2, 1)).await.unwrap();
    with_one.ask(reserve(3, 3, 1)).await.unwrap();
    with_three.order(1, place(&[(1, 1), (2, 1), (3, 1)])).await.unwrap();
    assert!(memory(&long).await > memory(&short).await);
    with_one.order(1, order::Command::Commit).await.unwrap();
    with_one.ask(commit(2, 2)).await.unwrap();
    with_one.ask(commit(3, 3)).await.unwrap();
    with_three.order(1, order::Command::Commit).await.unwrap();
    assert_eq!(memory(&long).await, memory(&short).await, "a closed one takes none");
}

#[tokio::test]
async fn findings_are_told_in_their_order_and_so_many_in_words() {
    let log = log().await;
    let mut audit = LogAudit::new(Share::WHOLE, everything(), HashSet::new(), 10);
    audit.observe(log[0].clone());
    assert_eq!(audit.first_finding(), None);
    audit.found(|| "a snapshot differs".to_owned());
    audit.observe(log[2].clone());
    assert_eq!(audit.first_finding(), Some("a snapshot differs"));
    let before = Findings::SAID_MAX - 2;
    (0..before).for_each(|_| audit.found(|| "once more".to_owned()));
    audit.found(|| unreachable!("nobody would see it"));
    let findings = audit.finish().0;
    assert_eq!(findings.said[..2], ["a snapshot differs", "position 3 follows 1"]);
    assert_eq!((findings.said.len(), findings.count), (Findings::SAID_MAX, Findings::SAID_MAX as u64 + 1));
}

fn digest(rows: &[impl inventory_application::audit::Row]) -> Digest {
    let mut digest = Digest::default();
    rows.iter().for_each(|row| digest.add(row));
    digest
}

#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "what is expected is made for it")]
fn assert_same(digest: &Digest, expected: Digest, what: &str) {
    assert_eq!((digest.rows(), digest.differing(&expected)), (expected.rows(), vec![]), "{what}");
}

fn audit(log: Vec<RecordedEvent>, share: Share) -> (Findings, Expected) {
    let mut audit = LogAudit::new(share, everything(), HashSet::new(), 10);
    log.into_iter().for_each(|event| audit.observe(event));
    audit.finish()
}

/// Read models that have every event.
fn everything() -> Checkpoints {
    let all = Position(u64::MAX);
    Checkpoints {
        stock_levels: all,
        product_inventory: all,
        low_stock: all,
        reservations: all,
        orders: all,
        transfers: all,
    }
}

/// Something of everything.
async fn log() -> Vec<RecordedEvent> {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    let node = Node::on(&store);
    for number in 1..=4 {
        node.ask(add(number, 20)).await.unwrap();
    }
    for id in 1..=6 {
        node.ask(reserve(1, id, 2)).await.unwrap();
    }
    node.ask(commit(1, 1)).await.unwrap();
    node.ask(release(1, 2)).await.unwrap();
    let extend = Extend { reservation_id: ReservationId::from_u128(3), hold_for: HoldFor::from_minutes(60).unwrap() };
    node.ask(change(1, inventory::Command::Extend(extend))).await.unwrap();
    let counted = inventory_domain::StockQuantity::new(19).unwrap();
    let reason = inventory_domain::Reason::new("count").unwrap();
    node.ask(change(2, inventory::Command::Adjust(inventory::Adjust { counted, reason, then: None }))).await.unwrap();
    node.order(1, place(&[(1, 3), (2, 3)])).await.unwrap();
    node.order(1, order::Command::Commit).await.unwrap();
    node.order(2, place(&[(3, 2)])).await.unwrap();
    node.transfer(1, start(3, 5)).await.unwrap();
    node.transfer(1, transfer::Command::Receive { quantity: Quantity::new(2).ok() }).await.unwrap();
    node.transfer(1, transfer::Command::Cancel).await.unwrap();
    node.transfer(2, start(4, 5)).await.unwrap();
    node.clock.set(Timestamp::from_millis(NOON.millis() + 31 * 60_000));
    node.order(2, order::Command::Expire).await.unwrap();
    node.order(3, place(&[(4, 2)])).await.unwrap();
    node.ask(change(1, inventory::Command::ReleaseExpired { reservations_max: 9 })).await.unwrap();
    log_of(&store).await
}
