//! The one thread that writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use inventory_application::Position;
use inventory_application::ports::{AppendGroup, AppendOutcome, StoreError};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::journal::Journal;

/// What the thread is asked to do.
pub(super) enum Job {
    /// Make a batch durable.
    Append {
        /// The batch.
        batch: Arc<Vec<AppendGroup>>,
        /// Who waits for it.
        reply: oneshot::Sender<Result<Vec<AppendOutcome>, StoreError>>,
    },
    /// Take nothing new, and end after all that was accepted.
    Close,
}

/// Appends what comes until there is nobody left to ask for it; `repair_pause` is between two tries to start a new segment.
pub(super) fn run(
    mut journal: Journal,
    mut jobs: mpsc::Receiver<Job>,
    announce: &watch::Sender<Position>,
    poisoned: &AtomicBool,
    repair_pause: Duration,
) {
    while let Some(job) = jobs.blocking_recv() {
        let Job::Append { batch, reply } = job else {
            jobs.close();
            continue;
        };
        let outcome = journal.append(&batch);
        poisoned.store(journal.is_poisoned(), Ordering::Relaxed);
        let head = journal.head();
        announce.send_if_modified(|announced| std::mem::replace(announced, head) < head);
        drop(reply.send(outcome)); // Who asked may have gone; what is done stays done.
        if journal.is_poisoned() && !repair_or_refuse(&mut journal, &mut jobs, repair_pause) {
            return;
        }
        poisoned.store(false, Ordering::Relaxed);
    }
}

/// Tries to start a new segment until it stands, without waiting for a caller. Whoever asks meanwhile is told that nothing has
/// happened. `false` when the store is closed before that.
fn repair_or_refuse(journal: &mut Journal, jobs: &mut mpsc::Receiver<Job>, pause: Duration) -> bool {
    loop {
        let Err(error) = journal.repair() else { return true };
        let error: Arc<io::Error> = Arc::new(error);
        thread::sleep(pause);
        loop {
            match jobs.try_recv() {
                Ok(Job::Append { reply, .. }) => {
                    drop(reply.send(Err(StoreError::Unavailable(Box::new(Arc::clone(&error))))));
                }
                Ok(Job::Close) => jobs.close(),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}
