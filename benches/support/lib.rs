//! What the benchmarks share.

pub mod flags;
