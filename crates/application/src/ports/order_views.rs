//! Lists of orders and transfers, by the read side.

use async_trait::async_trait;
use inventory_domain::order::OrderStatus;
use inventory_domain::transfer::TransferStatus;
use inventory_domain::{CustomerId, Order, OrderId, ProductId, Transfer, TransferId};

use super::ViewError;
use crate::Position;

/// Which orders are meant; `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Whose.
    pub customer_id: Option<CustomerId>,
    /// How they stand.
    pub status: Option<OrderStatus>,
}

/// Which transfers are meant; `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// What is on its way.
    pub product_id: Option<ProductId>,
    /// How they stand.
    pub status: Option<TransferStatus>,
}

/// A thing in a list, with the key that the list is ordered by: it never changes, so a page that starts after it is right
/// whatever has happened since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<I, T> {
    /// Where its first event stands.
    pub key: Position,
    /// Its id.
    pub id: I,
    /// What it is like.
    pub value: T,
}

/// Lists, in the order in which their things came to be.
#[async_trait]
pub trait OrderViews: Send + Sync {
    /// The orders of `filter` whose key is after `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<OrderId, Order>>, ViewError>;

    /// The transfers of `filter` whose key is after `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the view can't be read.
    async fn transfers(
        &self,
        filter: TransferFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<TransferId, Transfer>>, ViewError>;
}
