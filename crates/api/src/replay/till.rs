//! Asks a shop: bounded in number, patient where it is busy, and with a record of how it went.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use inventory_domain::{OrderId, StockId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::run::ReplayError;
use super::shop::{Shop, ShopError};

/// How often an operation is tried where the shop is busy.
const TRIES_MAX: u32 = 10;

/// The longest wait before another try, whatever the shop asks for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// The longest latency that is told from longer ones, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// What a shop is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "they are the methods of `Shop`")]
pub enum Operation {
    Level,
    Add,
    Reserve,
    Commit,
    Release,
    Restock,
    Order,
    PlaceOrder,
    CommitOrder,
    ReleaseOrder,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A stock.
    Stock(StockId),
    /// An order, and the stocks of its lines.
    Order(OrderId),
}

impl Operation {
    /// What a replay asks for that reserves each line for itself.
    pub const OF_LINES: [Self; 5] = [Self::Level, Self::Add, Self::Reserve, Self::Commit, Self::Release];

    /// What a replay asks for that makes each basket an order.
    pub const OF_ORDERS: [Self; 6] =
        [Self::Level, Self::Order, Self::Restock, Self::PlaceOrder, Self::CommitOrder, Self::ReleaseOrder];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Add => "add",
            Self::Reserve => "reserve",
            Self::Commit | Self::CommitOrder => "commit",
            Self::Release | Self::ReleaseOrder => "release",
            Self::Restock => "restock",
            Self::Order => "order",
            Self::PlaceOrder => "place",
        }
    }

    /// Whether it changes something.
    #[must_use]
    pub const fn is_command(self) -> bool {
        match self {
            Self::Level | Self::Order => false,
            Self::Add
            | Self::Reserve
            | Self::Commit
            | Self::Release
            | Self::Restock
            | Self::PlaceOrder
            | Self::CommitOrder
            | Self::ReleaseOrder => true,
        }
    }
}

impl From<StockId> for Subject {
    fn from(stock_id: StockId) -> Self {
        Self::Stock(stock_id)
    }
}

impl From<OrderId> for Subject {
    fn from(order_id: OrderId) -> Self {
        Self::Order(order_id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock(stock_id) => write!(formatter, "stock {stock_id}"),
            Self::Order(order_id) => write!(formatter, "order {order_id}"),
        }
    }
}

/// Between the replay and the shop.
pub(super) struct Till<'a> {
    pub(super) shop: &'a dyn Shop,
    permits: Semaphore,
    record: RefCell<Record>,
}

/// How it went.
pub(super) struct Record {
    /// Microseconds from asking to the answer, by operation, of those that were done.
    pub(super) latency: BTreeMap<Operation, Histogram<u64>>,
    /// How often an operation was refused, and why.
    pub(super) refusals: BTreeMap<(Operation, String), u64>,
    /// How often an operation had to be tried again.
    pub(super) retries: u64,
}

impl<'a> Till<'a> {
    pub(super) fn new(shop: &'a dyn Shop) -> Self {
        let record = Record { latency: BTreeMap::new(), refusals: BTreeMap::new(), retries: 0 };
        Self { shop, permits: Semaphore::new(shop.operations_max().max(1)), record: RefCell::new(record) }
    }

    /// What was done; `None` where it was refused, which is on record then.
    pub(super) async fn ask<T>(
        &self,
        operation: Operation,
        subject: impl Into<Subject>,
        ask: impl AsyncFn(&'a dyn Shop) -> Result<T, ShopError>,
    ) -> Result<Option<T>, ReplayError> {
        let _permit = self.permits.acquire().await;
        let start = Instant::now();
        let mut tries = 1;
        loop {
            match ask(self.shop).await {
                Ok(done) => {
                    self.record.borrow_mut().done(operation, start.elapsed());
                    return Ok(Some(done));
                }
                Err(ShopError::Refused(reason)) => {
                    *self.record.borrow_mut().refusals.entry((operation, reason)).or_default() += 1;
                    return Ok(None);
                }
                Err(ShopError::Busy { retry_after, .. }) if tries < TRIES_MAX => {
                    tries += 1;
                    let retries = self.record.borrow_mut().count_retry();
                    sleep(staggered(retry_after, retries)).await;
                }
                Err(cause @ (ShopError::Busy { .. } | ShopError::Failed(_))) => {
                    return Err(ReplayError::Shop { operation: operation.name(), subject: subject.into(), cause });
                }
            }
        }
    }

    pub(super) fn into_record(self) -> Record {
        self.record.into_inner()
    }
}

impl Record {
    fn done(&mut self, operation: Operation, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let histogram = self.latency.entry(operation).or_insert_with(new_histogram);
        histogram.saturating_record(micros.max(1));
    }

    fn count_retry(&mut self) -> u64 {
        self.retries += 1;
        self.retries
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_US_MAX, 3).expect("a histogram takes these constants")
}

/// What was asked for and up to half as much again, so that all who were sent away don't come back at once.
fn staggered(retry_after: Duration, retries: u64) -> Duration {
    let wait = retry_after.min(RETRY_AFTER_MAX);
    let sixteenths = u32::try_from(retries % 8).unwrap_or(0);
    wait + wait / 16 * sixteenths
}
