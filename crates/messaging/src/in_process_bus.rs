//! Hands news on to whoever listens in this process.

use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{AppliedPage, Projected, ProjectionListener};

/// Hands each step of the read models on to its listeners, one after the other, in the order given.
pub struct InProcessBus {
    listeners: Vec<Arc<dyn ProjectionListener>>,
}

impl InProcessBus {
    /// A bus with these listeners. The order is a promise: whoever stands later knows that the others have heard.
    #[must_use]
    pub fn new(listeners: Vec<Arc<dyn ProjectionListener>>) -> Self {
        Self { listeners }
    }
}

impl ProjectionListener for InProcessBus {
    fn projected(&self, step: Projected<'_>) {
        for listener in &self.listeners {
            listener.projected(step);
        }
    }

    fn rebuilt(&self, checkpoint: Position) {
        for listener in &self.listeners {
            listener.rebuilt(checkpoint);
        }
    }

    fn applied(&self, page: &AppliedPage) {
        for listener in &self.listeners {
            listener.applied(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Notes(&'static str, Arc<Mutex<Vec<String>>>);

    impl ProjectionListener for Notes {
        fn projected(&self, step: Projected<'_>) {
            self.1.lock().unwrap().push(format!("{} {}", self.0, step.checkpoint));
        }

        fn rebuilt(&self, checkpoint: Position) {
            self.1.lock().unwrap().push(format!("{} anew {checkpoint}", self.0));
        }
    }

    #[test]
    fn listeners_hear_in_order() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = |name| -> Arc<dyn ProjectionListener> { Arc::new(Notes(name, Arc::clone(&heard))) };
        let bus = InProcessBus::new(vec![listener("cache"), listener("levels")]);
        for position in [1, 2] {
            bus.projected(Projected { checkpoint: Position(position), stocks: &[] });
        }
        bus.rebuilt(Position(3));
        let expected = ["cache 1", "levels 1", "cache 2", "levels 2", "cache anew 3", "levels anew 3"];
        assert_eq!(*heard.lock().unwrap(), expected);
    }
}
