//! Read models built from the log: the runner, the projections and their store.
//!
//! In reading order: [`stock_change`] (events -> changes of stock rows, pure), [`page`] (events as projections see them), [`table`]
//! (where they put rows), [`projection`] (what a projection is, and the list of them), the projections ([`stock_levels`], [`product_inventory`], [`low_stock`], [`reservations`], [`orders`], [`transfers`]: a file
//! each, with its table, what events do to it and the queries on it), [`sqlite_read_models`] (rows and checkpoints in one file; answers queries), [`projection_runner`]
//! (follows the log; [`runner_status`] says how it is, [`projection_control`] asks it to make a read model anew), [`digests`] (the read models as sums, to be compared with a log's).

pub mod digests;
mod disk_work;
mod following;
pub mod low_stock;
mod model;
pub mod orders;
pub mod page;
pub mod product_inventory;
pub mod projection;
pub mod projection_control;
pub mod projection_runner;
mod rebuilding;
pub mod reservation_lists;
pub mod reservations;
pub mod runner_status;
mod shared;
mod short_log;
mod slice;
pub mod sqlite_read_models;
pub mod stock_change;
pub mod stock_levels;
mod stock_rows;
pub mod table;
pub mod transfers;
mod values;

#[cfg(feature = "testing")]
pub use disk_work::Pause;
pub use projection::{Projection, ProjectionError};
pub use projection_control::{ControlError, ProjectionControl};
pub use projection_runner::{ProjectionRunner, ProjectionRunnerSettings};
pub use runner_status::{ProjectionStatus, Rebuild, RunnerStatus};
pub use sqlite_read_models::{OpenError, ReadModelSettings, SqliteReadModels};
