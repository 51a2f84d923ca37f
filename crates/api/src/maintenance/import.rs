//! `inventory import`: a log from JSON Lines, as `export` writes it.
//!
//! The whole file is proved before anything is written. An import that was cut off goes on where it stopped: what is in the store
//! already has to be what the file says.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::audit::{Checkpoints, LogAudit, Share};
use inventory_application::ports::{
    AppendGroup, AppendOutcome, ExpectedVersion, NewEvent, RecordedEvent, StreamAppend,
};
use inventory_eventstore::DataFolder;

use super::MaintenanceError;
use super::export_line::read_line;
use crate::opened_store::{OpenedStore, open_store};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::system::SystemClock;

/// Events that are appended, and so made durable, at a time (and the rest of the last group).
const BATCH: usize = 8_192;

/// What an import has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Events that were there already.
    pub known: u64,
    /// Events that were added.
    pub added: u64,
}

/// Imports the file into the store that the settings name.
///
/// # Errors
///
/// [`MaintenanceError`] names the line that can't be, or what can't be written.
pub async fn import(settings: &Settings, from: &Path, progress: Progress) -> Result<Imported, MaintenanceError> {
    let total = prove(from, progress)?;
    let folder = Arc::new(DataFolder::open(&settings.data.dir)?);
    let store = open_store(folder, settings, Arc::new(SystemClock), None)?;
    let done = append_all(&store, from, total, progress).await;
    store.control.close().await;
    done
}

/// Checks every line and every rule, and returns how many events there are.
///
/// # Errors
///
/// As [`import`], which asks this first.
pub fn prove(from: &Path, progress: Progress) -> Result<u64, MaintenanceError> {
    let file = from.metadata().map_err(MaintenanceError::file(from))?;
    if !file.is_file() {
        let problem = "this is no regular file: it is read twice, first to prove it";
        return Err(MaintenanceError::file(from)(io::Error::other(problem)));
    }
    let length = file.len();
    let phase = progress.phase("Checking", length);
    let mut audit = LogAudit::new(Share::WHOLE, Checkpoints::default(), HashSet::new(), 0);
    let mut lines = Lines::open(from)?;
    let mut group: Vec<RecordedEvent> = Vec::new();
    while let Some(event) = lines.next()? {
        phase.set(lines.bytes, length);
        let is_last = event.remaining == 0;
        group.push(event.clone());
        if is_last {
            parts_of(&group).map_err(|problem| lines.bad(problem))?;
            group.clear();
        }
        audit.observe(event);
        if let Some(said) = audit.first_finding() {
            return Err(lines.bad(said.to_owned()));
        }
    }
    let head = audit.head();
    let (findings, _) = audit.finish();
    match findings.said.into_iter().next() {
        Some(said) => Err(lines.bad(said)),
        None => Ok(head.0),
    }
}

async fn append_all(
    store: &OpenedStore,
    from: &Path,
    total: u64,
    progress: Progress,
) -> Result<Imported, MaintenanceError> {
    let phase = progress.phase("Importing", total);
    let known = store.log.head().await?;
    let mut lines = Lines::open(from)?;
    let mut batch = Vec::new();
    let mut stored = Vec::new().into_iter();
    let (mut after, mut added) = (Position::START, 0);
    while let Some(event) = lines.next()? {
        if event.position > known {
            let is_last = event.remaining == 0;
            batch.push(event);
            if is_last && batch.len() >= BATCH {
                added += append(store, std::mem::take(&mut batch), &lines, &phase).await?;
            }
            continue;
        }
        let there = match stored.next() {
            Some(there) => there,
            None => {
                stored = store.log.read(after, BATCH).await?.into_iter();
                stored.next().ok_or_else(|| lines.bad("the store's log is shorter than it says".into()))?
            }
        };
        after = there.position;
        if there != event {
            return Err(lines.bad(format!("the store has another event at position {after}")));
        }
        phase.advance(1);
    }
    added += append(store, batch, &lines, &phase).await?;
    if known.0 > total {
        return Err(lines.bad(format!("the store has {known} events, the file only {total}")));
    }
    if known.0 + added != total {
        let there = known.0 + added;
        return Err(
            lines.bad(format!("it ends at event {there} now, and had {total} when it was proved: it has changed"))
        );
    }
    Ok(Imported { known: known.0, added })
}

/// Appends events, and returns how many there were.
async fn append(
    store: &OpenedStore,
    batch: Vec<RecordedEvent>,
    lines: &Lines,
    phase: &crate::progress::Phase,
) -> Result<u64, MaintenanceError> {
    let count = batch.len() as u64;
    if count == 0 {
        return Ok(0);
    }
    let mut groups = Vec::new();
    let mut rest = batch.as_slice();
    while let Some(first) = rest.first() {
        let length = usize::try_from(first.remaining).unwrap_or(usize::MAX).saturating_add(1).min(rest.len());
        let (group, others) = rest.split_at(length);
        let streams = parts_of(group).map_err(|problem| lines.bad(problem))?;
        let (recorded_at, metadata) = (first.recorded_at, Arc::clone(&first.metadata));
        groups.push(AppendGroup { key: None, streams, recorded_at, metadata });
        rest = others;
    }
    let outcomes = store.events.append(Arc::new(groups)).await?;
    match outcomes.iter().find(|outcome| !matches!(outcome, AppendOutcome::Appended { .. })) {
        Some(refused) => Err(lines.bad(format!("the store refuses a group: {refused:?}"))),
        None => {
            phase.advance(count);
            Ok(count)
        }
    }
}

/// A group's events by stream, or why they are no group: each stream's stand together, and all have the same time and origin.
fn parts_of(group: &[RecordedEvent]) -> Result<Vec<StreamAppend>, String> {
    let mut parts: Vec<StreamAppend> = Vec::new();
    for event in group {
        let first = &group[0];
        if event.recorded_at != first.recorded_at || event.metadata != first.metadata {
            return Err(format!("event {} has another time or origin than its group", event.position));
        }
        let new = NewEvent { event_id: event.event_id, event: event.event.clone() };
        match parts.iter().position(|part| part.stream == event.stream) {
            None => parts.push(StreamAppend {
                stream: event.stream,
                expected: ExpectedVersion::of(event.version.saturating_sub(1)),
                events: vec![new],
            }),
            Some(place) if place + 1 == parts.len() => parts[place].events.push(new),
            Some(_) => {
                return Err(format!("event {} stands apart from its stream's others in its group", event.position));
            }
        }
    }
    Ok(parts)
}

/// A file's lines as events.
struct Lines {
    path: PathBuf,
    source: BufReader<File>,
    text: Vec<u8>,
    line: u64,
    bytes: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, MaintenanceError> {
        let file = File::open(path).map_err(MaintenanceError::file(path))?;
        let source = BufReader::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), source, text: Vec::new(), line: 0, bytes: 0 })
    }

    fn next(&mut self) -> Result<Option<RecordedEvent>, MaintenanceError> {
        self.text.clear();
        let count = self.source.read_until(b'\n', &mut self.text).map_err(MaintenanceError::file(&self.path))?;
        if count == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.bytes += count as u64;
        let text = str::from_utf8(&self.text).map_err(|error| self.bad(format!("this is no UTF-8: {error}")))?;
        read_line(text).map(Some).map_err(|problem| self.bad(problem))
    }

    fn bad(&self, problem: String) -> MaintenanceError {
        MaintenanceError::BadLine { path: self.path.clone(), line: self.line, problem }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_has_changed_since_it_was_proved_is_no_success() {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.data.dir = data.path().join("data");
        let folder = Arc::new(DataFolder::open(&settings.data.dir).unwrap());
        let store = open_store(folder, &settings, Arc::new(SystemClock), None).unwrap();
        let file = data.path().join("log.jsonl");
        std::fs::write(&file, "").unwrap();
        let nothing = append_all(&store, &file, 0, Progress::hidden()).await.unwrap();
        assert_eq!(nothing, Imported { known: 0, added: 0 });
        let error = append_all(&store, &file, 5, Progress::hidden()).await.unwrap_err().to_string();
        assert!(error.ends_with("it ends at event 0 now, and had 5 when it was proved: it has changed"), "{error}");
        store.control.close().await;
    }
}
