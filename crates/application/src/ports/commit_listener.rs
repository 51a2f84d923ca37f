//! News of what has become durable.

use std::sync::Arc;

use super::AppendGroup;
use crate::Position;

/// One group of events that has reached the disk.
#[derive(Clone, Copy, Debug)]
pub struct CommittedGroup {
    /// Its place in the batch; the group there has at least one event.
    pub index: usize,
    /// Where its last event stands in the log.
    pub position: Position,
}

/// Hears of every group that this node has committed, in order.
///
/// Called on the command loop, before the clients are answered: it must not block, and it may drop news where it can't
/// keep up, so nothing that has to be right may hang on it (that follows the log).
pub trait CommitListener: Send + Sync {
    /// A batch was written. `batch` is what was handed to the store, `committed` are the groups of it that were added.
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>);
}
