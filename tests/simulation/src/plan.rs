//! What a seed decides before anything happens.

use std::num::NonZeroUsize;

use inventory_application::{CatchUpSettings, CommandLoopSettings, ExpirySettings};
use inventory_cache::CacheSettings;
use inventory_domain::{ProductId, StockId, StoreId};
use inventory_projections::{ProjectionRunnerSettings, ReadModelSettings};

use crate::chance::Chance;

/// The sizes and rates of a run. Everything is small, so that each bound is met.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// One node with a store of its own, or three with one store.
    pub(crate) nodes: usize,
    pub(crate) clients: u64,
    pub(crate) steps: u64,
    pub(crate) stocks: Vec<StockId>,
    /// Units that each stock starts with, about.
    pub(crate) units: i64,
    /// How often a call of a store, a log or a view fails: once in so many; never, where it is 0.
    pub(crate) one_fault_in: u64,
    /// The longest wait before and after a call has its effect, in milliseconds.
    pub(crate) delay_ms_max: u64,
    /// How far a node's clock is off, at most, in milliseconds of the wall clock.
    pub(crate) skew_ms_max: i64,
    /// How often something befalls a node.
    pub(crate) blows: u64,
    pub(crate) command_loop: CommandLoopSettings,
    pub(crate) acknowledged_max: usize,
    pub(crate) recent_events_max: usize,
    pub(crate) cache: CacheSettings,
    pub(crate) runner: ProjectionRunnerSettings,
}

/// Milliseconds of the wall clock for each one that work takes: a hold of a minute runs out within a second of work.
pub(crate) const WALL_RATE: i64 = 60;

/// How long an append that nobody waits for any more may take.
pub(crate) const LATE_MS_MAX: u64 = 400;

pub(crate) const EXPIRY: ExpirySettings =
    ExpirySettings { poll_ms: 150, reservations_max: 6, reservations_of_stock_max: 2, catch_up_ms_max: 300 };

/// One question waits at a time: of several who wait for the same watch, `tokio` wakes them in an order that no seed decides.
pub(crate) const CATCH_UP: CatchUpSettings = CatchUpSettings { wait_ms_max: 400, waiting_max: 1 };

pub(crate) const READ_MODELS: ReadModelSettings = ReadModelSettings {
    readers_max: 1,
    reader_wait_ms_max: 30_000,
    cache_kib: 256,
    checkpoint_ms: 3_600_000,
    wal_pages_max: 100_000,
    list_rows_max: 100,
};

impl Plan {
    pub(crate) fn draw(chance: &Chance) -> Self {
        let within = |range| chance.between(range);
        let some = |range| usize::try_from(chance.between(range)).unwrap_or(1);
        let count = |range| chance.between(range).unsigned_abs();
        let nodes = if chance.one_in(4) { 1 } else { 3 };
        let (products, stores) = (count(1..=2), count(2..=3));
        let stocks = (1..=products).flat_map(|product| {
            (1..=stores).map(move |store| StockId {
                product_id: ProductId::from_u128(product.into()),
                store_id: StoreId::from_u128(store.into()),
            })
        });
        let batch_commands_max = some(4..=48);
        let at_least_one = |given| NonZeroUsize::new(given).unwrap_or(NonZeroUsize::MIN);
        Self {
            nodes,
            clients: count(3..=8),
            steps: count(12..=28),
            stocks: stocks.collect(),
            units: within(1..=25),
            one_fault_in: *chance.pick(&[0, 60, 25, 10]).unwrap_or(&0),
            delay_ms_max: *chance.pick(&[2, 8, 40]).unwrap_or(&2),
            skew_ms_max: *chance.pick(&[0, 900, 20_000]).unwrap_or(&0),
            blows: count(0..=5),
            command_loop: CommandLoopSettings {
                queue_commands_max: some(6..=60),
                queue_wait_ms_max: count(100..=1_500),
                batch_commands_max,
                states_max: batch_commands_max + some(0..=20),
                loads_max: some(1..=3),
                closed_reservations_remembered: some(1..=8),
                snapshot_every_events: count(2..=30),
                snapshot_reservations_max: some(2..=40),
                conflict_tries_max: u32::try_from(within(2..=12)).unwrap_or(2),
                conflict_delay_ms_max: count(1..=50),
            },
            acknowledged_max: some(1..=30),
            recent_events_max: some(0..=30),
            cache: CacheSettings {
                entries_max: at_least_one(some(1..=8)),
                ttl_ms: count(20..=2_000),
                stale_ms_max: count(0..=500),
                floors_max: at_least_one(some(1..=8)),
            },
            runner: ProjectionRunnerSettings {
                page_events_max: some(1..=20),
                catch_up_page_events_max: some(1..=10),
                linger_ms: count(0..=20),
                poll_ms: count(30..=120),
                retry_delay_ms_max: 100,
            },
        }
    }

    /// Whether the one node has the store to itself.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.nodes == 1
    }
}
