//! Work on a data folder as a whole: [`export`], [`import`], [`backup`] (and restore), [`verify`], [`rebuild`].
//!
//! What only reads works beside a service that uses the folder; what writes takes the folder for itself.

pub mod backup;
pub mod export;
pub mod export_line;
pub mod import;
pub mod rebuild;
pub mod verify;

use std::path::{Path, PathBuf};
use std::{fs, io};

use inventory_application::ports::StoreError;
use inventory_eventstore::{DataFolderError, EventFile, LostEvents};
use thiserror::Error;

use crate::opened_store::{OpenStoreError, files_of};
use crate::settings::Settings;

/// Why maintenance came to nothing.
#[derive(Debug, Error)]
pub enum MaintenanceError {
    /// There is nothing to work on.
    #[error("there is no event store of kind {kind} in {folder}", folder = folder.display())]
    NoStore {
        /// Which kind the settings name.
        kind: &'static str,
        /// The data folder.
        folder: PathBuf,
    },
    /// There is something in the way.
    #[error("{} is there already", .0.display())]
    InTheWay(PathBuf),
    /// The data folder can't be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// `SQLite` refuses.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The event store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenStoreError),
    /// The event store can't be read or written.
    #[error("{0}: {cause}", cause = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Store(#[from] StoreError),
    /// The event store has lost what something has seen of it.
    #[error(transparent)]
    LostEvents(#[from] LostEvents),
    /// The event store is damaged.
    #[error("the event store is damaged, so {path} is no backup: {}", .flaws.join("; "), path = path.display())]
    Damaged {
        /// The folder of the copy.
        path: PathBuf,
        /// What is wrong with it.
        flaws: Vec<String>,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a file says can't be.
    #[error("{path}, line {line}: {problem}", path = path.display())]
    BadLine {
        /// Which file.
        path: PathBuf,
        /// The line, from 1 on.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A read model can't be made anew.
    #[error("{0}; the read models are as they were")]
    Rebuild(String),
    /// A backup is none, or not a whole one.
    #[error("{path} is no backup: {problem}", path = path.display())]
    NoBackup {
        /// Which folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl MaintenanceError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn sqlite<E: std::error::Error + Send + Sync + 'static>(path: &Path) -> impl Fn(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Sqlite { path: path.clone(), source: Box::new(source) }
    }
}

/// Whether there is such a file or folder; what can't be asked for isn't taken for missing.
fn is_there(path: &Path) -> Result<bool, MaintenanceError> {
    fs::exists(path).map_err(MaintenanceError::file(path))
}

/// The event store in the data folder, as it is now.
fn open_events(settings: &Settings) -> Result<Box<dyn EventFile>, MaintenanceError> {
    let files = files_of(settings);
    if !is_there(&files.path_in(&settings.data.dir))? {
        return Err(MaintenanceError::NoStore { kind: files.name(), folder: settings.data.dir.clone() });
    }
    Ok(files.open(&settings.data.dir, settings.command_loop.closed_reservations_remembered)?)
}
