//! The time of day.

use inventory_domain::Timestamp;

/// Tells what time it is. It may go back; the command loop never lets a stream's history do so.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}
