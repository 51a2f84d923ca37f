//! Stand-ins for what is outside, and the checks that every adapter must pass.
//!
//! For tests only, behind the feature `testing`. In reading order: [`in_memory_event_store`] (the reference store),
//! [`event_store_contract`] (what every store owes), then what single tests need.

// What it calls is more of tokio than `shuttle` has.
#[cfg(not(shuttle))]
pub mod event_store_contract;
pub mod failing_event_store;
pub mod in_memory_event_store;
pub mod log_reservations;
pub mod manual_clock;
pub mod sequential_ids;

#[cfg(not(shuttle))]
pub use event_store_contract::check_event_store;
pub use failing_event_store::{FailingEventStore, Fault};
pub use in_memory_event_store::InMemoryEventStore;
pub use log_reservations::LogReservations;
pub use manual_clock::ManualClock;
pub use sequential_ids::SequentialIds;
