//! What the command loop has done to reservations, orders and transfers is what their read models show.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{
    AppendGroup, CommitListener, CommittedGroup, Due, EventLog, Listed, OrderFilter, OrderViews, ReservationViews,
    TransferFilter, Unobserved,
};
use inventory_application::testing::{InMemoryEventStore, LogReservations, ManualClock, SequentialIds};
use inventory_application::{
    AcknowledgedLevels, Answer, Ask, CommandLoop, CommandLoopSettings, CommandSender, Position, Request,
};
use inventory_domain::inventory::{Command, Commit, Extend, Release, Reserve};
use inventory_domain::order::{self, OrderLines, OrderStatus, Place};
use inventory_domain::transfer::{self, Route, Start, TransferStatus};
use inventory_domain::{
    CustomerId, HoldFor, Order, OrderId, Quantity, Reason, ReservationId, StoreId, Timestamp, Transfer, TransferId,
};
use inventory_projections::{ProjectionRunnerSettings, SqliteReadModels};
use proptest::prelude::*;
use rusqlite::Connection;

use support::{Follower, Heard, SETTINGS, open, stock};

/// What is asked: which kind, three small numbers, and how many seconds after the one before.
type Step = (u8, u128, u128, i64, i64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_read_models_show_what_has_happened(
        steps in prop::collection::vec((0..16_u8, 0..4_u128, 0..12_u128, 1..5_i64, 0..25_i64), 20..140),
        page_events_max in 1..9_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(steps, page_events_max));
    }
}

async fn check(steps: Vec<Step>, page_events_max: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(InMemoryEventStore::exclusive());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
    let commands = start(&log, &clock);
    let live = folder.path().join("live.db");
    let models = open(&live);
    let settings = ProjectionRunnerSettings { page_events_max, ..SETTINGS };
    let mut follower = Follower::start_with(&log, &models, settings, Arc::new(Heard::default()));
    let (mut orders, mut transfers) = (BTreeMap::new(), BTreeMap::new());
    let mut now = 0;
    for (number, step) in steps.iter().enumerate() {
        now += step.4 * 1_000;
        clock.set(Timestamp::from_millis(now));
        match commands.send(Request::plain(ask(number as u128, *step))).await {
            Ok(Answer::Order(answer)) if answer.order.placed().is_some() => {
                orders.insert(answer.order_id, answer.order);
            }
            Ok(Answer::Transfer(answer)) => {
                transfers.insert(answer.transfer_id, answer.transfer);
            }
            Ok(Answer::Order(_) | Answer::Stock(_)) | Err(_) => (),
        }
    }
    follower.reaches(log.head().await.unwrap()).await;
    let reference = LogReservations::of(log.clone());
    agree_on_reservations(&models, &reference, Timestamp::from_millis(now)).await;
    // An order may have expired for the sake of another command: nobody was told, but the read model knows.
    let listed = list(&models, OrderFilter::default()).await;
    assert_eq!(listed.len(), orders.len());
    for Listed { id, value, .. } in &listed {
        let told = &orders[id];
        assert!(value == told || value.status() == OrderStatus::Expired, "{value:?} {told:?}");
        assert_eq!(value.placed(), told.placed());
    }
    for status in [OrderStatus::Active, OrderStatus::Committed, OrderStatus::Released, OrderStatus::Expired] {
        for customer in [None, Some(CustomerId::from_u128(1)), Some(CustomerId::from_u128(2))] {
            let filter = OrderFilter { customer_id: customer, status: Some(status) };
            let wanted = |listed: &&Listed<OrderId, Order>| {
                let of_customer = listed.value.placed().map(|placed| placed.customer_id);
                listed.value.status() == status && (customer.is_none() || customer == of_customer)
            };
            assert_eq!(list(&models, filter).await, listed.iter().filter(wanted).cloned().collect::<Vec<_>>());
        }
    }
    let shown: BTreeMap<TransferId, Transfer> = models
        .transfers(TransferFilter::default(), Position::START, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|listed| (listed.id, listed.value))
        .collect();
    assert_eq!(shown, transfers);
    for status in [TransferStatus::InTransit, TransferStatus::Received, TransferStatus::Cancelled] {
        let filter = TransferFilter { product_id: None, status: Some(status) };
        let of_status = models.transfers(filter, Position::START, 1_000).await.unwrap();
        assert_eq!(of_status.len(), transfers.values().filter(|transfer| transfer.status() == status).count());
        let filter = TransferFilter { product_id: Some(stock(0).product_id), status: Some(status) };
        assert!(models.transfers(filter, Position::START, 1_000).await.unwrap().len() <= of_status.len());
    }
    follower.stop().await;
    drop(models);

    let rebuilt = folder.path().join("rebuilt.db");
    let models = open(&rebuilt);
    let mut follower = Follower::start(&log, &models);
    follower.reaches(log.head().await.unwrap()).await;
    follower.stop().await;
    drop(models);
    assert_eq!(dump(&live), dump(&rebuilt), "a rebuild gives the same rows");
}

async fn agree_on_reservations(models: &SqliteReadModels, reference: &LogReservations, now: Timestamp) {
    for number in 0..4 {
        for id in 0..12 {
            let id = ReservationId::from_u128(id);
            let shown = models.recall(stock(number), id).await.unwrap();
            assert_eq!(shown, reference.recall(stock(number), id).await.unwrap(), "{id} of {number}");
        }
    }
    for later in [0, 60_000, 3_600_000] {
        let at = Timestamp::from_millis(now.millis() + later);
        let sorted = |mut due: Vec<Due>| {
            due.sort_by_key(|due| format!("{due:?}"));
            due
        };
        let (shown, known) = (models.due(at, 1_000).await.unwrap(), reference.due(at, 1_000).await.unwrap());
        assert_eq!(sorted(shown), sorted(known));
    }
}

/// The whole list, in pages of two.
async fn list(models: &SqliteReadModels, filter: OrderFilter) -> Vec<Listed<OrderId, Order>> {
    let mut all: Vec<Listed<OrderId, Order>> = Vec::new();
    loop {
        let after = all.last().map_or(Position::START, |last| last.key);
        let page = models.orders(filter, after, 2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Every row of every read model, as text.
fn dump(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for table in ["stock_levels", "product_inventory", "low_stock", "reservations", "orders", "transfers"] {
        let mut all = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
        let columns = all.column_count();
        let mut found = all.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
            rows.push(format!("{table}: {}", values.join(" ")));
        }
    }
    rows
}

fn ask(number: u128, (kind, a, b, units, _): Step) -> Ask {
    let quantity = Quantity::new(units).unwrap();
    let reason = Reason::new("test").unwrap();
    let hold_for = HoldFor::from_minutes(1).ok();
    let (stock_id, reservation_id) = (stock(a), ReservationId::from_u128(b));
    let on_stock = |command| Ask::Stock { stock_id, command, is_fresh: false };
    let customer_id = CustomerId::from_u128(b % 2 + 1);
    match kind {
        0..=2 => on_stock(Command::Add { quantity: Quantity::new(units * 3).unwrap(), reason }),
        3..=5 => {
            on_stock(Command::Reserve(Reserve { reservation_id, quantity, customer_id, hold_for, order_id: None }))
        }
        6 => {
            let quantity = Quantity::new(units - 2).ok();
            on_stock(Command::Commit(Commit { reservation_id, order_id: OrderId::from_u128(1), quantity }))
        }
        7 => on_stock(Command::Release(Release { reservation_id, reason })),
        8 => on_stock(Command::Extend(Extend { reservation_id, hold_for: hold_for.unwrap() })),
        9 => on_stock(Command::ReleaseExpired { reservations_max: 2 }),
        10..=11 => {
            let mut fresh = 1_000 * (number + 1);
            let asked = [(stock(a), quantity), (stock((a + 1) % 4), Quantity::new(1).unwrap())];
            let lines = OrderLines::summed(&asked, || {
                fresh += 1;
                ReservationId::from_u128(fresh)
            });
            let command = order::Command::Place(Place { customer_id, hold_for, lines: lines.unwrap() });
            Ask::Order { order_id: OrderId::from_u128(b), command, is_dry_run: false }
        }
        12 => {
            let command = [order::Command::Commit, order::Command::Release { reason }, order::Command::Expire];
            let command = command[usize::try_from(units % 3).unwrap()].clone();
            Ask::Order { order_id: OrderId::from_u128(b), command, is_dry_run: false }
        }
        13 => {
            let from = stock(a);
            let route = Route::new(from.product_id, from.store_id, StoreId::from_u128(99)).unwrap();
            let command = transfer::Command::Start(Start { route, quantity, reason });
            Ask::Transfer { transfer_id: TransferId::from_u128(b), command }
        }
        14 => {
            let command = transfer::Command::Receive { quantity: Quantity::new(units - 1).ok() };
            Ask::Transfer { transfer_id: TransferId::from_u128(b), command }
        }
        _ => Ask::Transfer { transfer_id: TransferId::from_u128(b), command: transfer::Command::Cancel },
    }
}

fn start(log: &Arc<InMemoryEventStore>, clock: &Arc<ManualClock>) -> CommandSender {
    let ports = CommandLoopPorts {
        store: log.clone(),
        reservations: Arc::new(LogReservations::of(log.clone())),
        clock: clock.clone(),
        ids: Arc::new(SequentialIds::default()),
        acknowledged: Arc::new(AcknowledgedLevels::new(100, Position::START)),
        listener: Arc::new(Nobody),
        observer: Arc::new(Unobserved),
    };
    let settings = CommandLoopSettings { closed_reservations_remembered: 2, ..CommandLoopSettings::default() };
    let (commands, command_loop) = CommandLoop::new(ports, settings);
    tokio::spawn(command_loop.run(std::future::pending()));
    commands
}

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &Arc<Vec<AppendGroup>>, _: Vec<CommittedGroup>) {}
}
