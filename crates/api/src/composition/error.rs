//! What may keep the services from being put together.

use std::io;
use std::path::PathBuf;

use inventory_application::ports::StoreError;
use inventory_eventstore::{DataFolderError, LostEvents};
use thiserror::Error;

use crate::metrics::MetricsError;
use crate::opened_store::OpenStoreError;
use crate::telemetry::ExporterError;

/// Why the services can't be put together.
#[derive(Debug, Error)]
pub enum CompositionError {
    /// The data folder can't be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The event store can't be opened.
    #[error(transparent)]
    EventStore(#[from] OpenStoreError),
    /// The event store can't be read.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    EventLog(StoreError),
    /// The read models can't be opened.
    #[error("{path}: {source}", path = path.display())]
    ReadModels {
        /// Their file.
        path: PathBuf,
        /// Why.
        source: inventory_projections::OpenError,
    },
    /// The log was put back to an earlier state, and the read models were not.
    #[error(transparent)]
    LostEvents(#[from] LostEvents),
    /// Traces can't be recorded.
    #[error(transparent)]
    Telemetry(#[from] ExporterError),
    /// Something can't be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A thread can't be started.
    #[error("a thread can't be started: {0}")]
    Thread(#[from] io::Error),
}
