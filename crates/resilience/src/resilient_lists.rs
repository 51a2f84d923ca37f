//! Lists that are not asked for while the read models keep failing, and tried again when they fail now and then.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{
    Listed, OrderFilter, OrderViews, ReservationFilter, ReservationKey, ReservationLists, ShownReservation, Slice,
    StockLists, StockSlice, TransferFilter, ViewError, Viewed,
};
use inventory_domain::{Order, OrderId, StockId, StoreId, Transfer, TransferId};

use crate::guarded_views::GuardedViews;

/// A breaker in front of any lists, with retries.
pub struct ResilientLists<L> {
    inner: Arc<L>,
    guard: GuardedViews,
}

impl<L> ResilientLists<L> {
    /// `inner`, called through `guard`.
    #[must_use]
    pub fn new(inner: Arc<L>, guard: GuardedViews) -> Self {
        Self { inner, guard }
    }
}

#[async_trait]
impl<L: OrderViews> OrderViews for ResilientLists<L> {
    async fn orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<OrderId, Order>>, ViewError> {
        self.guard.call(|| self.inner.orders(filter, after, limit)).await
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<TransferId, Transfer>>, ViewError> {
        self.guard.call(|| self.inner.transfers(filter, after, limit)).await
    }
}

#[async_trait]
impl<L: ReservationLists> ReservationLists for ResilientLists<L> {
    async fn reservations(
        &self,
        filter: ReservationFilter,
        after: Option<ReservationKey>,
        limit: usize,
    ) -> Result<Slice<ShownReservation, ReservationKey>, ViewError> {
        self.guard.call(|| self.inner.reservations(filter, after, limit)).await
    }
}

#[async_trait]
impl<L: StockLists> StockLists for ResilientLists<L> {
    async fn of_store(
        &self,
        store_id: StoreId,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError> {
        self.guard.call(|| self.inner.of_store(store_id, after, limit)).await
    }

    async fn below(
        &self,
        units: u64,
        store_id: Option<StoreId>,
        after: Option<StockId>,
        limit: usize,
    ) -> Result<Viewed<StockSlice>, ViewError> {
        self.guard.call(|| self.inner.below(units, store_id, after, limit)).await
    }
}
