//! `inventory backup` and `inventory restore`: a copy of the event store as it was at one moment, and a data folder from it.
//!
//! A backup is a folder with the store's files and `backup.json`, which has the length and a checksum of each and is written last:
//! without it a backup isn't whole. Read models aren't part of it; they are built anew from the log.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use inventory_application::Position;
use inventory_eventstore::{DataFolder, create_folder, sync_folder};
use serde::{Deserialize, Serialize};

use super::{MaintenanceError, is_there, open_events};
use crate::composition::{READ_MODELS_FILE, seen_by_read_models};
use crate::moment::Rfc3339;
use crate::opened_store::files_of;
use crate::progress::{Phase, Progress};
use crate::settings::Settings;
use crate::system::now;

/// What a backup is of; written last.
const MANIFEST: &str = "backup.json";

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// Memory for proving a copy, about, in bytes; with more streams it is read several times.
const PROOF_BYTES: u64 = 64 << 20;

/// What is wrong with a copy that is told.
const FLAWS_MAX: usize = 3;

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
    files: Vec<BackedUp>,
}

/// A file of a backup.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackedUp {
    /// Where it is in the backup.
    path: PathBuf,
    bytes: u64,
    blake3: String,
}

/// Copies the event store, also while a service writes it, into the folder `to`, which must not be there, and proves that the copy is sound:
/// all that the read models have seen, in a structure without a flaw. Returns where the copy's log ends.
///
/// # Errors
///
/// [`MaintenanceError`] says what can't be read or written, or what is wrong with the store; then the copy is no backup.
pub fn backup(settings: &Settings, to: &Path, progress: Progress) -> Result<Position, MaintenanceError> {
    // Before the events: those of a service that goes on are never behind what was seen of them earlier.
    let models = settings.data.dir.join(READ_MODELS_FILE);
    let seen = seen_by_read_models(&models).map_err(MaintenanceError::sqlite(&models))?;
    let events = open_events(settings)?;
    let files = files_of(settings);
    let log = files.path_in(&settings.data.dir);
    seen.iter().chain(events.seen()).try_for_each(|seen| seen.check(&log, events.head()))?;
    if is_there(to)? {
        return Err(MaintenanceError::InTheWay(to.to_owned()));
    }
    create_folder(to).map_err(MaintenanceError::file(to))?;
    let phase = progress.phase("Backing up", 0);
    events.copy_to(to, &mut |done, all| phase.set(done, all))?;
    drop(phase);
    let copied = files.open(to, settings.command_loop.closed_reservations_remembered)?;
    let phase = progress.phase("Proving", copied.head().0);
    let flaws = copied.flaws(FLAWS_MAX, PROOF_BYTES, &mut |steps| phase.advance(steps))?;
    drop((phase, copied));
    if !flaws.is_empty() {
        return Err(MaintenanceError::Damaged { path: to.to_owned(), flaws });
    }
    let manifest = Manifest {
        event_store: files.name().to_owned(),
        head: events.head().0,
        taken_at: Rfc3339(now()).to_string(),
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
        files: sums(to, progress)?,
    };
    let path = to.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| MaintenanceError::File { path: path.clone(), source: error.into() })?;
    let write = || {
        let mut file = File::create_new(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(MaintenanceError::file(&path))?;
    sync_folder(to).map_err(MaintenanceError::file(to))?;
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
    let there = sums(from, progress)?;
    let differing = |file: &&BackedUp| !there.contains(file);
    if let Some(BackedUp { path, .. }) = manifest.files.iter().find(differing) {
        return Err(no_backup(&format!("{} is missing, or is not what was backed up", path.display())));
    }
    let copied = files.open(from, settings.command_loop.closed_reservations_remembered)?;
    if copied.head().0 != manifest.head {
        let problem = format!("its log ends at {}, and not at {} as it says", copied.head(), manifest.head);
        return Err(no_backup(&problem));
    }
    let folder = DataFolder::open(&settings.data.dir)?;
    for path in IN_THE_WAY.iter().map(|name| folder.file(name)) {
        if is_there(&path)? {
            return Err(MaintenanceError::InTheWay(path));
        }
    }
    // Under a name that means nothing until all of it is there.
    let unfinished = folder.file("restoring");
    if is_there(&unfinished)? {
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
    sync_folder(&settings.data.dir).map_err(MaintenanceError::file(&settings.data.dir))?;
    Ok(Position(manifest.head))
}

/// What is in the folder of a backup, but for what it says about itself.
fn sums(folder: &Path, progress: Progress) -> Result<Vec<BackedUp>, MaintenanceError> {
    let (mut paths, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(MaintenanceError::file(&next))? {
            let path = entry.map_err(MaintenanceError::file(&next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path != folder.join(MANIFEST) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let lengths = paths.iter().map(|path| path.metadata().map_or(0, |file| file.len()));
    let phase = progress.phase("Checksums", lengths.sum());
    let sum = |path: &PathBuf| {
        let (bytes, blake3) = sum(path, &phase).map_err(MaintenanceError::file(path))?;
        let path = path.strip_prefix(folder).unwrap_or(path).to_owned();
        Ok(BackedUp { path, bytes, blake3 })
    };
    paths.iter().map(sum).collect()
}

/// The length of a file, and its checksum.
fn sum(path: &Path, phase: &Phase) -> io::Result<(u64, String)> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, blake3::Hasher::new(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hasher.finalize().to_hex().to_string())),
            count => {
                hasher.update(&chunk[..count]);
                bytes += count as u64;
                phase.advance(count as u64);
            }
        }
    }
}
