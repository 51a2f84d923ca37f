//! The lists that the read side answers with.

use std::sync::Arc;

use inventory_domain::{Order, OrderId, Transfer, TransferId};
use tokio::sync::watch;

use crate::freshness::{CatchUp, Freshness};
use crate::ports::{
    Listed, OrderFilter, OrderViews, ReservationFilter, ReservationKey, ReservationLists, ShownReservation, Slice,
    TransferFilter,
};
use crate::{Position, QueryError};

/// Lists of orders, transfers and reservations, by the read models.
#[derive(Clone)]
pub struct ListQueries {
    orders: Arc<dyn OrderViews>,
    reservations: Arc<dyn ReservationLists>,
    checkpoints: ListCheckpoints,
    catch_up: CatchUp,
}

/// How far the read models of lists are; each is looked at alone, so that one that has stopped holds up no question to another.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ListCheckpoints {
    pub orders: watch::Receiver<Position>,
    pub transfers: watch::Receiver<Position>,
    pub reservations: watch::Receiver<Position>,
}

impl ListQueries {
    /// Lists by these views.
    #[must_use]
    pub fn new(
        orders: Arc<dyn OrderViews>,
        reservations: Arc<dyn ReservationLists>,
        checkpoints: ListCheckpoints,
        catch_up: CatchUp,
    ) -> Self {
        Self { orders, reservations, checkpoints, catch_up }
    }

    /// The orders of `filter` whose key is after `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the view can't be read, or doesn't get as far as is wanted in time.
    pub async fn orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
        wanted: Freshness,
    ) -> Result<Vec<Listed<OrderId, Order>>, QueryError> {
        self.caught_up(&self.checkpoints.orders, wanted).await?;
        Ok(self.orders.orders(filter, after, limit).await?)
    }

    /// The transfers of `filter` whose key is after `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the view can't be read, or doesn't get as far as is wanted in time.
    pub async fn transfers(
        &self,
        filter: TransferFilter,
        after: Position,
        limit: usize,
        wanted: Freshness,
    ) -> Result<Vec<Listed<TransferId, Transfer>>, QueryError> {
        self.caught_up(&self.checkpoints.transfers, wanted).await?;
        Ok(self.orders.transfers(filter, after, limit).await?)
    }

    /// The reservations of `filter` that follow `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when the view can't be read, or doesn't get as far as is wanted in time.
    pub async fn reservations(
        &self,
        filter: ReservationFilter,
        after: Option<ReservationKey>,
        limit: usize,
        wanted: Freshness,
    ) -> Result<Slice<ShownReservation, ReservationKey>, QueryError> {
        self.caught_up(&self.checkpoints.reservations, wanted).await?;
        Ok(self.reservations.reservations(filter, after, limit).await?)
    }

    async fn caught_up(&self, reached: &watch::Receiver<Position>, wanted: Freshness) -> Result<(), QueryError> {
        let needed = self.catch_up.needed(wanted).await?;
        Ok(self.catch_up.until(reached, needed).await?)
    }
}
