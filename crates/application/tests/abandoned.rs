//! Who waits for a loop that has ended without an answer is told so.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::time::Duration;

use inventory_application::CommandError;
use inventory_application::testing::InMemoryEventStore;
use tokio::time::timeout;

use support::{Node, SlowStore, add, send_all, settled};

/// Who has waited so long is never told.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_loop_that_ends_early_owes_nobody_an_answer() {
    for is_written in [true, false] {
        let store = SlowStore::over(InMemoryEventStore::exclusive());
        let node = Node::on(&store);
        store.hold_appends();
        let before = node.send(add(9, 1));
        settled().await;
        if is_written {
            store.let_appends_go(); // What comes is taken at once, and held up as it is written.
            before.await.unwrap().unwrap();
            store.hold_appends();
        }
        let (one, batch) = (node.send(add(1, 1)), send_all(&node, vec![add(2, 1), add(3, 1)]));
        settled().await;
        node.crash();
        let one = timeout(PATIENCE, one).await.expect("it is told").unwrap();
        assert!(matches!(one, Err(CommandError::Abandoned)), "{one:?}");
        let batch = timeout(PATIENCE, batch).await.expect("all of it are told").unwrap().unwrap();
        assert!(batch.len() == 2 && batch.iter().all(|one| matches!(one, Err(CommandError::Abandoned))), "{batch:?}");
        assert_eq!(node.commands.queue_depth(), 0, "nobody has a place any more");
    }
}
