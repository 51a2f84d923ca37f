//! Nodes of the service without their outside, under one seed: simulated time, random delays, faults, crashes, clocks that are off,
//! and clients who get in each other's way; then promises 2 to 7 of `docs/RELIABILITY.md` are checked against the log. The others are about
//! what is on a disk.
//!
//! The parts are the service's own: command loop, acknowledged levels, cache, projections with their read models on `SQLite`, expiry,
//! queries. Only the store (in memory), the clock, the ids and the network are not. Not in here: HTTP, the stores on disk.
//!
//! In reading order: [`run`] (what a run is), `plan` (what a seed decides), `world` (what outlives the nodes), `node_store` and `node`,
//! `wish` and `client`, `account` (what was asked and told), then `history` and `serial` (the log folded, and requests decided anew),
//! and `checks`. [`flaw`] has the bugs that have to be found.
#![allow(clippy::unwrap_used, reason = "a run that can't go on has failed")]

mod account;
mod chance;
mod checks;
mod client;
pub mod flaw;
mod history;
mod node;
mod node_store;
mod plan;
pub mod run;
mod serial;
mod wish;
mod world;

pub use flaw::Flaw;
pub use run::{Run, simulate};
