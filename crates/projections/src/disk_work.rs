//! Where work that waits for the disk is done.

#[cfg(feature = "testing")]
use std::{sync::Arc, time::Duration};

use tokio::task::{JoinError, spawn_blocking};

/// How long to pause, drawn anew each time.
#[cfg(feature = "testing")]
pub type Pause = Arc<dyn Fn() -> Duration + Send + Sync>;

/// On which thread the work is done.
#[derive(Clone)]
pub(crate) enum DiskWork {
    /// On threads that may wait.
    OnThreads,
    /// On the thread that asks, between two pauses.
    #[cfg(feature = "testing")]
    Here(Pause),
}

impl DiskWork {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self {
            Self::OnThreads => spawn_blocking(work).await,
            #[cfg(feature = "testing")]
            Self::Here(pause) => {
                tokio::time::sleep(pause()).await;
                let done = work();
                tokio::time::sleep(pause()).await;
                Ok(done)
            }
        }
    }

    /// Does what nobody waits for.
    pub(crate) fn start(&self, work: impl FnOnce() + Send + 'static) {
        match self {
            Self::OnThreads => drop(spawn_blocking(work)),
            #[cfg(feature = "testing")]
            Self::Here(_) => work(),
        }
    }
}
