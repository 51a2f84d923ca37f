//! How news leaves a component: the in-process buses.
//!
//! Not in here: brokers and webhooks, which follow the log with checkpoints of their own. What goes over this bus may be
//! lost with the process, because everybody who listens to it starts from nothing with the process.

mod commit_bus;
mod in_process_bus;

pub use commit_bus::CommitBus;
pub use in_process_bus::InProcessBus;
