//! `inventory backup` and `inventory restore`: a copy of the event store as it was at one moment, and a data folder from it.
//!
//! A backup is a folder with the store's files and `backup.json`, which is written last: without it a backup isn't whole. Read
//! models aren't part of it; they are built anew from the log.

use std::fs::{self, File};
use std::path::Path;

use inventory_application::Position;
use inventory_eventstore::DataFolder;
use serde::{Deserialize, Serialize};

use super::{MaintenanceError, open_events};
use crate::moment::Rfc3339;
use crate::opened_store::files_of;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::system::now;

/// What a backup is of; written last.
const MANIFEST: &str = "backup.json";

/// What must not be in a data folder that a backup is restored to.
const IN_THE_WAY: [&str; 5] = ["events.db", "events.db-wal", "events.db-shm", "read_models.db", "events"];

/// What a backup says about itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    event_store: String,
    head: u64,
    taken_at: String,
    service_version: String,
}

/// Copies the event store, also while a service writes it, into the folder `to`, which must not be there; returns where the copy's
/// log ends.
///
/// # Errors
///
/// [`MaintenanceError`] says what can't be read or written.
pub fn backup(settings: &Settings, to: &Path, progress: Progress) -> Result<Position, MaintenanceError> {
    let events = open_events(settings)?;
    if to.exists() {
        return Err(MaintenanceError::InTheWay(to.to_owned()));
    }
    fs::create_dir_all(to).map_err(MaintenanceError::file(to))?;
    let phase = progress.phase("Backing up", 0);
    events.copy_to(to, &mut |done, all| phase.set(done, all))?;
    let manifest = Manifest {
        event_store: files_of(settings).name().to_owned(),
        head: events.head().0,
        taken_at: Rfc3339(now()).to_string(),
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let path = to.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| MaintenanceError::File { path: path.clone(), source: error.into() })?;
    fs::write(&path, text).map_err(MaintenanceError::file(&path))?;
    sync(&path)?;
    sync(to)?;
    Ok(events.head())
}

/// Makes a data folder of the backup in the folder `from`; returns where its log ends. There must be no event store in the data
/// folder, and no service that uses it.
///
/// # Errors
///
/// [`MaintenanceError`] says what is wrong with the backup or in the way.
pub fn restore(settings: &Settings, from: &Path, progress: Progress) -> Result<Position, MaintenanceError> {
    let no_backup = |problem: &str| MaintenanceError::NoBackup { path: from.to_owned(), problem: problem.to_owned() };
    let manifest = match fs::read(from.join(MANIFEST)) {
        Ok(manifest) => manifest,
        Err(error) => return Err(no_backup(&format!("{MANIFEST} can't be read: {error}"))),
    };
    let manifest: Manifest =
        serde_json::from_slice(&manifest).map_err(|error| no_backup(&format!("{MANIFEST}: {error}")))?;
    let files = files_of(settings);
    if manifest.event_store != files.name() {
        let problem = format!(
            "it is of an event store of kind {}, and event_store.kind is {}",
            manifest.event_store,
            files.name()
        );
        return Err(no_backup(&problem));
    }
    let copied = files.open(from, settings.command_loop.closed_reservations_remembered)?;
    if copied.head().0 != manifest.head {
        let problem = format!("its log ends at {}, and not at {} as it says", copied.head(), manifest.head);
        return Err(no_backup(&problem));
    }
    let folder = DataFolder::open(&settings.data.dir)?;
    if let Some(there) = IN_THE_WAY.iter().map(|name| folder.file(name)).find(|path| path.exists()) {
        return Err(MaintenanceError::InTheWay(there));
    }
    // Under a name that means nothing until all of it is there.
    let unfinished = folder.file("restoring");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(MaintenanceError::file(&unfinished))?;
    }
    fs::create_dir(&unfinished).map_err(MaintenanceError::file(&unfinished))?;
    let phase = progress.phase("Restoring", 0);
    copied.copy_to(&unfinished, &mut |done, all| phase.set(done, all))?;
    for entry in fs::read_dir(&unfinished).map_err(MaintenanceError::file(&unfinished))? {
        let path = entry.map_err(MaintenanceError::file(&unfinished))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        fs::rename(&path, folder.file(name)).map_err(MaintenanceError::file(&path))?;
    }
    fs::remove_dir(&unfinished).map_err(MaintenanceError::file(&unfinished))?;
    sync(&settings.data.dir)?;
    Ok(Position(manifest.head))
}

/// Has a file or a folder reach the disk.
fn sync(path: &Path) -> Result<(), MaintenanceError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(MaintenanceError::file(path))
}
