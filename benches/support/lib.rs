//! What the benchmarks share.

pub mod flags;
pub mod generator;
