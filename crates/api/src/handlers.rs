//! One file for each resource: a handler translates between HTTP and the use cases, and decides nothing.

pub mod health;
pub mod stock;
