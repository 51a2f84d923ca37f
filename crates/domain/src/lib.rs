//! The rules of stock: plain data and pure functions.
//!
//! A stock is one product in one store. Its state is an [`Inventory`], folded from [`inventory::Event`]s by
//! [`inventory::evolve`]; what may happen next is said by [`inventory::decide`]. Nothing in here reads a clock, draws
//! a random number, does I/O or logs: the time and every id come in with the call, so that a replay of the same events
//! gives the same answer for ever.
//!
//! An [`Order`] holds lines on many stocks as one; a [`Transfer`] moves units between two. Both decide about themselves and say
//! what each stock has to grant; who appends makes one group of it.
//!
//! In reading order: [`ids`], [`quantity`], [`timestamp`], [`reason`], [`inventory`], [`order`], [`transfer`], [`event`].
#![doc = include_str!("../README.md")]

pub mod event;
pub mod ids;
pub mod inventory;
pub mod order;
pub mod quantity;
pub mod reason;
pub mod timestamp;
pub mod transfer;

pub use event::DomainEvent;
pub use ids::{CustomerId, OrderId, ProductId, ReservationId, StockId, StoreId, TransferId};
pub use inventory::{Inventory, Level};
pub use order::Order;
pub use quantity::{Quantity, QuantityOutOfRange, StockQuantity};
pub use reason::{Reason, ReasonOutOfRange};
pub use timestamp::{HoldFor, HoldForOutOfRange, Timestamp};
pub use transfer::Transfer;
