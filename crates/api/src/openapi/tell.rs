//! The descriptions of the routes: one file for each file of handlers.
//!
//! The examples are one story over these ids, in the order of the URL table.

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

/// The product of the examples.
pub const PRODUCT: &str = "11111111-1111-4111-8111-111111111111";
/// Its store.
pub const STORE: &str = "22222222-2222-4222-8222-222222222222";
/// Another store.
pub const OTHER_STORE: &str = "77777777-7777-4777-8777-777777777777";
/// Who buys.
pub const CUSTOMER: &str = "33333333-3333-4333-8333-333333333333";
/// A reservation that is sold.
pub const SOLD_RESERVATION: &str = "44444444-4444-4444-8444-444444444444";
/// A reservation that is given back.
pub const FREED_RESERVATION: &str = "88888888-8888-4888-8888-888888888888";
/// An order that is sold.
pub const SOLD_ORDER: &str = "55555555-5555-4555-8555-555555555555";
/// An order that is given back.
pub const FREED_ORDER: &str = "99999999-9999-4999-8999-999999999999";
/// A transfer that arrives.
pub const RECEIVED_TRANSFER: &str = "66666666-6666-4666-8666-666666666666";
/// A transfer that is taken back.
pub const CANCELLED_TRANSFER: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
