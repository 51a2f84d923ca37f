//! A disk that fails when it is told to, and forgets what was not synced, for tests of the event stores.
//!
//! A [`Disk`] stands over a folder. What is done there goes through it: it counts, has the n-th operation fail, and writes
//! down what was done. From that, [`PowerCut`] tells what would be left if the power had gone at any moment: kill tests keep the
//! page cache, so they don't notice a missing sync. `SQLite` reaches the disk by [`vfs`], the journal by its own file layer.
//!
//! In reading order: [`fault`] (what fails, and how), [`trace`] (what was done), [`disk`], [`power_cut`] (what is left), [`vfs`]; then
//! what the stores are put through: [`stores`], [`told`] (what they said, and whether it holds), [`mod@appends`] and [`mod@commands`] (the work),
//! [`again`] (one step alone), [`campaign`] (the work again and again, with another fault each time), [`planted`] (stores that are
//! wrong, each of which a campaign has to find).
#![allow(clippy::missing_panics_doc, reason = "for tests, which fail so")]

pub mod again;
pub mod appends;
pub mod campaign;
pub mod commands;
pub mod disk;
pub mod fault;
pub mod planted;
pub mod power_cut;
pub mod stores;
pub mod told;
pub mod trace;
pub mod vfs;

pub use again::Again;
pub use appends::appends;
pub use campaign::{
    Scope, fail_every_change, fail_every_read, forget_at_every_look, lose_power_after_a_copy, lose_power_after_a_kill,
    lose_power_everywhere,
};
pub use commands::commands;
pub use disk::Disk;
pub use fault::{Aim, Fault, How, Problem};
pub use planted::{Flaw, Planted};
pub use power_cut::{PowerCut, Survival};
pub use stores::{Backend, Opened, ReaderBeside};
pub use trace::{Change, Entry, FileId, Trace};

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("tests count and write less")
}
