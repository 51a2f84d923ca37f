//! What the tests of the whole service share: the real binary, on a free port, with a data folder of its own; clients of it; and the
//! rules of the shop once more, to compare its answers with.

mod asked;
mod client;
mod event_stream;
mod fill;
mod naive_shop;
mod running_service;

pub use asked::{Asked, Stock};
pub use client::{Answer, Client};
pub use event_stream::{Block, EventStream};
pub use fill::{fill, fill_with_groups};
pub use naive_shop::{Fact, NaiveShop, Refusal, has};
pub use running_service::{RunningService, inventory, inventory_on, path_of};

use uuid::Uuid;

/// The UUID of the thing with this number.
#[must_use]
pub fn id(number: u128) -> String {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + number).to_string()
}
