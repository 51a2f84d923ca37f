//! Whom a replay asks: the commands of a till, whatever is behind it.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use inventory_domain::order::{OrderStatus, Place};
use inventory_domain::{CustomerId, Level, OrderId, Quantity, Reason, ReservationId, StockId};
use thiserror::Error;

use crate::request_key::IdempotencyKey;

/// Takes commands on stocks and orders, and shows each as it is after all that it has acknowledged.
///
/// For one thread: what it returns need not be `Send`.
#[async_trait(?Send)]
pub trait Shop {
    /// How many operations it is worth asking it for at a time.
    fn operations_max(&self) -> usize;

    /// The level of a stock; `None` where nobody has ever filled it.
    async fn level(&self, stock_id: StockId) -> Result<Option<Level>, ShopError>;

    /// Puts units on the shelf.
    async fn add(&self, stock_id: StockId, quantity: Quantity, reason: &Reason) -> Result<(), ShopError>;

    /// Puts units on the shelf once, however often it is asked under this key.
    async fn restock(
        &self,
        key: &IdempotencyKey,
        stock_id: StockId,
        quantity: Quantity,
        reason: &Reason,
    ) -> Result<Restocked, ShopError>;

    /// Holds units for a customer, under the id that is returned.
    async fn reserve(
        &self,
        stock_id: StockId,
        quantity: Quantity,
        customer_id: CustomerId,
    ) -> Result<ReservationId, ShopError>;

    /// Sells all that a reservation holds.
    async fn commit(
        &self,
        stock_id: StockId,
        reservation_id: ReservationId,
        order_id: OrderId,
    ) -> Result<(), ShopError>;

    /// Frees what a reservation holds.
    async fn release(&self, stock_id: StockId, reservation_id: ReservationId, reason: &Reason)
    -> Result<(), ShopError>;

    /// An order; `None` where nobody has placed it.
    async fn order(&self, order_id: OrderId) -> Result<Option<ShopOrder>, ShopError>;

    /// Holds all lines of an order, or none; under which reservations is the shop's to say.
    async fn place_order(&self, order_id: OrderId, place: &Place) -> Result<(), ShopError>;

    /// Sells all that an order holds.
    async fn commit_order(&self, order_id: OrderId) -> Result<(), ShopError>;

    /// Frees all that an order holds.
    async fn release_order(&self, order_id: OrderId, reason: &Reason) -> Result<(), ShopError>;
}

/// When units came in that were asked for under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restocked {
    /// On this request.
    Now,
    /// On an earlier one, under the same key.
    Before,
}

/// An order as a shop knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopOrder {
    /// What was asked for.
    pub place: Place,
    /// How it stands.
    pub status: OrderStatus,
}

/// Why a shop hasn't done what it was asked for.
#[derive(Debug, Error)]
pub enum ShopError {
    /// A rule of the stock or of the order says no, under this problem's name: an answer like any other. Nothing was done.
    #[error("refused: {0}")]
    Refused(String),
    /// Not now. Nothing was done, and the same may be asked again.
    #[error("too busy: {detail}")]
    Busy {
        /// How long to wait before.
        retry_after: Duration,
        /// What it says.
        detail: String,
    },
    /// Something broke; whether something was done may not be known.
    #[error("the shop failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}
