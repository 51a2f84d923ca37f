//! What works behind the services, each on a thread of its own, until it is told to end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use inventory_application::{CommandLoop, ExpiryProcess};
use inventory_projections::ProjectionRunner;
use slog::{Logger, error, warn};
use tokio::sync::oneshot;

use crate::logging::business_events::{BusinessEvents, BusinessEventsWriter};
use crate::logging::levels::{LogPart, part_log};
use crate::logging::projections::tell_of_projections;
use crate::opened_store::StoreControl;

/// What works behind the services, in the order in which it has to end.
pub(super) struct Background {
    expiry: Worker,
    command_loop: Worker,
    projections: Worker,
    event_feed: Worker,
    business_log: BusinessEventsWriter,
    store: Arc<dyn StoreControl>,
}

impl Background {
    pub(super) fn start(
        command_loop: CommandLoop,
        runner: ProjectionRunner,
        expiry: ExpiryProcess,
        event_feed: Worker,
        business_log: BusinessEventsWriter,
        store: Arc<dyn StoreControl>,
        log: &Logger,
    ) -> io::Result<Self> {
        let told = (runner.control(), part_log(log, LogPart::Projections));
        let command_loop = Worker::start("command-loop", |stop| command_loop.run(stop))?;
        let projections = Worker::start("projections", move |stop| async move {
            let (control, log) = told;
            let watched = tell_of_projections(control, log);
            tokio::select! {
                () = runner.run(stop) => (),
                () = watched => (),
            }
        })?;
        let expiry_log = part_log(log, LogPart::Expiry);
        let expiry = Worker::start("expiry", move |stop| {
            expiry.run(stop, move |cause| warn!(expiry_log, "expiry_failed"; "cause" => cause))
        })?;
        Ok(Self { expiry, command_loop, projections, event_feed, business_log, store })
    }

    /// Finishes what was accepted and closes the store, the write side first.
    pub(super) async fn stop(self, business_events: &BusinessEvents, log: &Logger) {
        let Self { expiry, command_loop, projections, event_feed, business_log, store } = self;
        expiry.stop(log).await;
        command_loop.stop(log).await;
        projections.stop(log).await;
        event_feed.stop(log).await;
        store.close().await; // Before the log, whose reader may take its time.
        business_events.close();
        business_log.finish(log);
    }
}

/// A thread with a runtime of its own, and the way to end it.
pub(super) struct Worker {
    name: &'static str,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start<F: Future<Output = ()>>(
        name: &'static str,
        work: impl FnOnce(Stopped) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let body = move || runtime.block_on(work(Box::pin(async move { drop(stopped.await) })));
        Ok(Self { name, stop, thread: thread::Builder::new().name(name.into()).spawn(body)? })
    }

    async fn stop(self, log: &Logger) {
        let Self { name, stop, thread } = self;
        stop.send(()).ok(); // Whoever has ended already needs no telling.
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            error!(log, "worker_ended_early"; "worker" => name);
        }
    }
}

/// Comes when a worker is to end.
type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;
