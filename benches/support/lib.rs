//! What the benchmarks share.
//!
//! For `scripts/bench`, in reading order: [`generator`] (sends requests and measures), [`requests`] and [`baskets`] (what is sent),
//! [`program`] (to whom), [`machine`] (where), [`results`] (what is kept of it), [`compare`] (what has moved since another run),
//! [`report`] and [`plots`].

pub mod baskets;
pub mod compare;
pub mod flags;
pub mod generator;
pub mod machine;
pub mod plots;
pub mod program;
pub mod ratios;
pub mod report;
pub mod requests;
pub mod results;
