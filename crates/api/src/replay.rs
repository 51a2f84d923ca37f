//! Replays real sales from a file of baskets, in process or over HTTP, and checks that every stock adds up after it.
//!
//! In reading order: [`ids`] (how a retailer's numbers become UUIDs), [`baskets`] (the file), [`plan`] (what the file
//! asks for), [`shop`] (whom it is asked of: [`embedded_shop`] or [`http_shop`]), `till` (asks, measures, counts),
//! [`run`] (the replay itself, line by line), [`orders`] (the one in which a basket is an order), [`levels_digest`],
//! [`report`].

pub mod baskets;
pub mod embedded_shop;
#[cfg(test)]
mod fake_shop;
pub mod http_shop;
pub mod ids;
pub mod levels_digest;
pub mod orders;
pub mod plan;
pub mod report;
pub mod run;
pub mod shop;
mod till;

pub use self::baskets::BasketFileError;
pub use self::embedded_shop::EmbeddedShop;
pub use self::http_shop::{BaseUrlError, HttpShop};
pub use self::orders::{NotAnOrder, replay_orders};
pub use self::plan::Plan;
pub use self::report::{Earlier, Mismatch, ReplayReport};
pub use self::run::{ReplayError, ReplayOptions, replay, replay_plan};
pub use self::shop::{Shop, ShopError};
pub use self::till::{Operation, Subject};
