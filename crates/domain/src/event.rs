//! What has happened, to whatever it happened.

use crate::{inventory, order, transfer};

/// A fact about a stock, an order or a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DomainEvent {
    /// About a stock.
    Inventory(inventory::Event),
    /// About an order.
    Order(order::Event),
    /// About a transfer.
    Transfer(transfer::Event),
}

impl From<inventory::Event> for DomainEvent {
    fn from(event: inventory::Event) -> Self {
        Self::Inventory(event)
    }
}

impl From<order::Event> for DomainEvent {
    fn from(event: order::Event) -> Self {
        Self::Order(event)
    }
}

impl From<transfer::Event> for DomainEvent {
    fn from(event: transfer::Event) -> Self {
        Self::Transfer(event)
    }
}
