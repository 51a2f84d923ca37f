//! A command loop on a store in memory.
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

use std::sync::Arc;

use inventory_application::command_loop::CommandLoopPorts;
use inventory_application::ports::{CommitListener, Unobserved};
use inventory_application::testing::{InMemoryEventStore, LogReservations, ManualClock, SequentialIds};
use inventory_application::{AcknowledgedLevels, Ask, CommandLoop, CommandLoopSettings, CommandSender, Request};
use inventory_domain::inventory::Command;
use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};

pub const NOON: Timestamp = Timestamp::from_millis(1_763_985_600_000);

pub fn command_loop(
    store: &Arc<InMemoryEventStore>,
    listener: Arc<dyn CommitListener>,
    acknowledged: Arc<AcknowledgedLevels>,
    change: impl FnOnce(&mut CommandLoopSettings),
) -> (CommandSender, CommandLoop) {
    let ports = CommandLoopPorts {
        store: store.clone(),
        reservations: Arc::new(LogReservations::of(store.clone())),
        clock: Arc::new(ManualClock::at(NOON)),
        ids: Arc::new(SequentialIds::default()),
        acknowledged,
        listener,
        observer: Arc::new(Unobserved),
    };
    let mut settings = CommandLoopSettings { queue_wait_ms_max: 3_600_000, ..CommandLoopSettings::default() };
    change(&mut settings);
    let (commands, command_loop) = CommandLoop::new(ports, settings);
    (commands, command_loop.with_jitter(|_| 0))
}

/// A unit for the stock.
pub fn add(number: u64) -> Request {
    let (quantity, reason) = (Quantity::new(1).unwrap(), Reason::new("delivery").unwrap());
    Request::plain(Ask::Stock { stock_id: stock(number), command: Command::Add { quantity, reason }, is_fresh: true })
}

pub fn stock(number: u64) -> StockId {
    StockId { product_id: ProductId::from_u128(number.into()), store_id: StoreId::from_u128(7) }
}
