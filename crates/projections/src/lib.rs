//! Read models built from the log: the runner, the projections and their store.
//!
//! In reading order: [`stock_change`] (events -> changes of stock rows, pure), [`projection`] (what a projection is, and the
//! list of them), [`sqlite_read_models`] (rows and checkpoints in one file; answers queries), [`projection_runner`]
//! (follows the log).

pub mod product_inventory;
pub mod projection;
pub mod projection_runner;
pub mod sqlite_read_models;
pub mod stock_change;
pub mod stock_levels;
mod stock_rows;

pub use projection::{Projection, ProjectionError};
pub use projection_runner::{ProjectionRunner, ProjectionRunnerSettings, RunnerStatus};
pub use sqlite_read_models::{OpenError, ReadModelSettings, SqliteReadModels};
