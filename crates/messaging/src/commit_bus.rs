//! Hands on what this node has committed.

use std::sync::Arc;

use inventory_application::ports::{AppendGroup, CommitListener, CommittedGroup};

/// Hands each commit on to its listeners, one after the other.
pub struct CommitBus {
    listeners: Vec<Arc<dyn CommitListener>>,
}

impl CommitBus {
    /// A bus with these listeners.
    #[must_use]
    pub fn new(listeners: Vec<Arc<dyn CommitListener>>) -> Self {
        Self { listeners }
    }
}

impl CommitListener for CommitBus {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        if let Some((last, others)) = self.listeners.split_last() {
            others.iter().for_each(|listener| listener.committed(batch, committed.clone()));
            last.committed(batch, committed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use inventory_application::Position;

    use super::*;

    #[derive(Default)]
    struct Notes(Mutex<Vec<(usize, Vec<u64>)>>);

    impl CommitListener for Notes {
        fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
            let positions = committed.iter().map(|group| group.position.0).collect();
            self.0.lock().unwrap().push((batch.len(), positions));
        }
    }

    #[test]
    fn everybody_hears_everything() {
        let (first, second) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let bus = CommitBus::new(vec![Arc::clone(&first) as _, Arc::clone(&second) as _]);
        let group = |position| CommittedGroup { index: 0, position: Position(position) };
        bus.committed(&Arc::new(Vec::new()), vec![group(3), group(5)]);
        bus.committed(&Arc::new(Vec::new()), vec![group(6)]);
        for notes in [first, second] {
            assert_eq!(*notes.0.lock().unwrap(), [(0, vec![3, 5]), (0, vec![6])]);
        }
    }
}
