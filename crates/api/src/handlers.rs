//! One file for each resource; each handler translates between HTTP and the use cases.

pub mod batch;
pub mod documents;
pub mod events;
pub mod health;
pub mod history;
pub mod log_levels;
pub mod metrics;
pub mod orders;
pub mod projections;
pub mod reservations;
pub mod stock;
pub mod stock_lists;
pub mod transfers;
pub mod writer;
