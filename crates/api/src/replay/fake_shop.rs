//! A shop for tests: stocks and orders in memory, and what can go wrong with them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use blake3::Hash;
use inventory_domain::order::{OrderLine, OrderStatus, Place};
use inventory_domain::{CustomerId, Level, OrderId, Quantity, Reason, ReservationId, StockId};
use tokio::task::yield_now;

use super::levels_digest::levels_digest;
use super::report::ReplayReport;
use super::shop::{Restocked, Shop, ShopError, ShopOrder};
use super::till::Operation;
use crate::request_key::IdempotencyKey;

/// When a shop breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Before it has done what it was asked for.
    BeforeIt,
    /// After that, so that only the answer is missing.
    AfterIt,
}

/// Operations are counted from 1.
#[derive(Default)]
pub(super) struct FakeShop {
    /// Says that it has done this one, and hasn't.
    pub(super) loses: Option<(Operation, u64)>,
    /// Breaks at this one.
    pub(super) fails: Option<(Operation, u64)>,
    /// Breaks at this one of all operations, and goes on when it is asked again.
    pub(super) breaks: Cell<Option<(u64, Broken)>>,
    pub(super) loses_answer: Cell<bool>,
    /// Says that it has sold, and hasn't.
    pub(super) sells_nothing: bool,
    /// The most units that fit into a stock.
    pub(super) room: Option<u64>,
    /// How often it is busy.
    pub(super) busy_times: Cell<u64>,
    pub(super) levels: RefCell<HashMap<StockId, Level>>,
    pub(super) held: RefCell<HashMap<ReservationId, u64>>,
    pub(super) orders: RefCell<HashMap<OrderId, ShopOrder>>,
    /// The keys of what has come in.
    pub(super) keys: RefCell<HashSet<String>>,
    pub(super) counts: RefCell<HashMap<Operation, u64>>,
    pub(super) most_held: Cell<usize>,
    pub(super) reserves: RefCell<Vec<StockId>>,
}

impl FakeShop {
    /// Counts an operation; whether it is to be done in earnest.
    async fn begin(&self, operation: Operation) -> Result<bool, ShopError> {
        yield_now().await;
        if let Some(left) = self.busy_times.get().checked_sub(1) {
            self.busy_times.set(left);
            return Err(ShopError::Busy { retry_after: Duration::ZERO, detail: "busy".into() });
        }
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(operation).or_default();
        *count += 1;
        if self.fails == Some((operation, *count)) || self.breaks_now() {
            return Err(broken());
        }
        Ok(self.loses != Some((operation, *count)))
    }

    /// Answers what has been done, unless the answer gets lost.
    fn end<T>(&self, answer: T) -> Result<T, ShopError> {
        if self.loses_answer.take() { Err(broken()) } else { Ok(answer) }
    }

    /// Whether it breaks now, before it has done what it was asked for.
    fn breaks_now(&self) -> bool {
        match self.breaks.get() {
            Some((1, when)) => {
                self.breaks.set(None);
                self.loses_answer.set(when == Broken::AfterIt);
                when == Broken::BeforeIt
            }
            Some((left, when)) => {
                self.breaks.set(Some((left - 1, when)));
                false
            }
            None => false,
        }
    }

    /// Ends an order so.
    fn close(&self, order_id: OrderId, status: OrderStatus, in_earnest: bool) -> Result<(), ShopError> {
        let mut orders = self.orders.borrow_mut();
        let Some(order) = orders.get_mut(&order_id) else { return Err(refused("order-not-found")) };
        if order.status != OrderStatus::Active {
            return Err(refused("order-closed"));
        }
        if in_earnest {
            order.status = status;
            let mut levels = self.levels.borrow_mut();
            for line in order.place.lines.iter() {
                let level = levels.get_mut(&line.stock_id).unwrap();
                level.reserved -= line.quantity.units();
                if status == OrderStatus::Committed {
                    level.quantity -= line.quantity.units();
                }
            }
        }
        Ok(())
    }

    /// A hash of all that it has.
    pub(super) fn digest(&self) -> Hash {
        levels_digest(self.levels.borrow().iter().map(|(stock_id, level)| (*stock_id, *level)))
    }
}

#[async_trait(?Send)]
impl Shop for FakeShop {
    fn operations_max(&self) -> usize {
        16
    }

    async fn level(&self, stock_id: StockId) -> Result<Option<Level>, ShopError> {
        self.begin(Operation::Level).await?;
        self.end(self.levels.borrow().get(&stock_id).copied())
    }

    async fn add(&self, stock_id: StockId, quantity: Quantity, _: &Reason) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::Add).await?;
        if self.room.is_some_and(|room| quantity.units() > room) {
            return Err(ShopError::Refused("stock-limit-exceeded".into()));
        }
        if in_earnest {
            self.levels.borrow_mut().entry(stock_id).or_default().quantity += quantity.units();
        }
        Ok(())
    }

    async fn restock(
        &self,
        key: &IdempotencyKey,
        stock_id: StockId,
        quantity: Quantity,
        _: &Reason,
    ) -> Result<Restocked, ShopError> {
        let in_earnest = self.begin(Operation::Restock).await?;
        if !self.keys.borrow_mut().insert(key.as_str().to_owned()) {
            return self.end(Restocked::Before);
        }
        if in_earnest {
            self.levels.borrow_mut().entry(stock_id).or_default().quantity += quantity.units();
        }
        self.end(Restocked::Now)
    }

    async fn reserve(&self, stock_id: StockId, quantity: Quantity, _: CustomerId) -> Result<ReservationId, ShopError> {
        self.reserves.borrow_mut().push(stock_id);
        self.begin(Operation::Reserve).await?;
        let mut levels = self.levels.borrow_mut();
        let level = levels.entry(stock_id).or_default();
        if level.available() < quantity.units() {
            return Err(ShopError::Refused("insufficient-stock".into()));
        }
        level.reserved += quantity.units();
        let count = self.counts.borrow()[&Operation::Reserve];
        let reservation_id = ReservationId::from_u128(count.into());
        self.held.borrow_mut().insert(reservation_id, quantity.units());
        self.most_held.set(self.most_held.get().max(self.held.borrow().len()));
        Ok(reservation_id)
    }

    async fn commit(&self, stock_id: StockId, reservation_id: ReservationId, _: OrderId) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::Commit).await?;
        let units = self.held.borrow_mut().remove(&reservation_id).unwrap();
        if in_earnest && !self.sells_nothing {
            let mut levels = self.levels.borrow_mut();
            let level = levels.get_mut(&stock_id).unwrap();
            (level.quantity, level.reserved) = (level.quantity - units, level.reserved - units);
        }
        Ok(())
    }

    async fn release(&self, stock_id: StockId, reservation_id: ReservationId, _: &Reason) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::Release).await?;
        let units = self.held.borrow_mut().remove(&reservation_id).unwrap();
        if in_earnest {
            self.levels.borrow_mut().get_mut(&stock_id).unwrap().reserved -= units;
        }
        Ok(())
    }

    async fn order(&self, order_id: OrderId) -> Result<Option<ShopOrder>, ShopError> {
        self.begin(Operation::Order).await?;
        self.end(self.orders.borrow().get(&order_id).cloned())
    }

    async fn place_order(&self, order_id: OrderId, place: &Place) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::PlaceOrder).await?;
        let mut orders = self.orders.borrow_mut();
        if orders.contains_key(&order_id) {
            return Err(refused("order-exists"));
        }
        let mut levels = self.levels.borrow_mut();
        let has = |line: &OrderLine| {
            levels.get(&line.stock_id).is_some_and(|level| level.available() >= line.quantity.units())
        };
        if !place.lines.iter().all(has) {
            return Err(refused("insufficient-stock"));
        }
        for line in place.lines.iter().filter(|_| in_earnest) {
            levels.get_mut(&line.stock_id).unwrap().reserved += line.quantity.units();
        }
        orders.insert(order_id, ShopOrder { place: place.clone(), status: OrderStatus::Active });
        self.end(())
    }

    async fn commit_order(&self, order_id: OrderId) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::CommitOrder).await?;
        self.close(order_id, OrderStatus::Committed, in_earnest)?;
        self.end(())
    }

    async fn release_order(&self, order_id: OrderId, _: &Reason) -> Result<(), ShopError> {
        let in_earnest = self.begin(Operation::ReleaseOrder).await?;
        self.close(order_id, OrderStatus::Released, in_earnest)?;
        self.end(())
    }
}

/// What was done, in words.
pub(super) fn done(report: &ReplayReport) -> String {
    let done = report.operations.iter().map(|of| format!("{} {}", of.operation.name(), of.done));
    done.collect::<Vec<_>>().join(", ")
}

fn refused(reason: &str) -> ShopError {
    ShopError::Refused(reason.to_owned())
}

fn broken() -> ShopError {
    ShopError::Failed("broken".into())
}
