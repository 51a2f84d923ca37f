//! `inventory verify`: replays the whole log and compares everything with it.
//!
//! The log's pages are read and decoded by one thread and proved by another. Memory stays within a bound: where the streams need
//! more, the log is replayed several times, each time for a share of them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::iter::Peekable;
use std::sync::mpsc::sync_channel;
use std::thread;

use inventory_application::audit::{Checkpoints, Digest, Expected, Findings, LogAudit, Share};
use inventory_application::ports::{RecordedEvent, StoreError};
use inventory_application::{Position, StreamId};
use inventory_domain::{Inventory, StockId};
use inventory_eventstore::{EventFile, KeptState, SnapshotPlace};
use inventory_projections::digests::{ReadModel, ReadModelFile, wanted};

use super::{MaintenanceError, open_events};
use crate::composition::READ_MODELS_FILE;
use crate::progress::Progress;
use crate::settings::Settings;

/// Events that are read at a time.
const PAGE: usize = 8_192;

/// Pages that wait to be proved.
const PAGES_AHEAD: usize = 4;

/// What a stream takes in memory while it is proved, about, in bytes; and one whose snapshots are compared.
const STREAM_BYTES: u64 = 300;
const WHOLE_STREAM_BYTES: u64 = 150_000;

/// Rows that a read model lacks, and rows that it shows for nothing, that are told of each.
const ROWS_SHOWN: usize = 5;

/// What was found.
#[derive(Debug)]
pub struct VerifyReport {
    /// Events that were replayed.
    pub events: u64,
    /// Streams that they are of.
    pub streams: u64,
    /// Snapshots that were compared.
    pub snapshots: u64,
    /// Rows of read models that were compared.
    pub rows: u64,
    /// What is wrong.
    pub findings: Findings,
}

impl VerifyReport {
    /// Whether nothing is.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.count == 0
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for said in &self.findings.said {
            writeln!(formatter, "WRONG: {said}")?;
        }
        let unsaid = self.findings.count - self.findings.said.len() as u64;
        if unsaid > 0 {
            writeln!(formatter, "WRONG: and {unsaid} more")?;
        }
        let Self { events, streams, snapshots, rows, .. } = self;
        let verdict = match self.findings.count {
            0 => "nothing is wrong".to_owned(),
            count => format!("{count} things are wrong"),
        };
        write!(
            formatter,
            "{events} events of {streams} streams, {snapshots} snapshots, {rows} rows of read models: {verdict}"
        )
    }
}

/// Proves the store and the read models that the settings name, within about `memory_mib` of memory.
///
/// # Errors
///
/// [`MaintenanceError`] when something can't be read at all; what is read and wrong is in the report.
pub fn verify(settings: &Settings, memory_mib: u64, progress: Progress) -> Result<VerifyReport, MaintenanceError> {
    // The read models first: what they have is in the log then, whoever goes on writing.
    let models_path = settings.data.dir.join(READ_MODELS_FILE);
    let models = models_path.exists().then(|| ReadModelFile::open(&models_path)).transpose();
    let models = models.map_err(MaintenanceError::sqlite(&models_path))?;
    let mut findings = Findings::default();
    let events = match open_events(settings) {
        Ok(events) => events,
        // A journal that is damaged can't be read any further: that is what there is to say.
        Err(damaged @ MaintenanceError::Store(StoreError::Damaged(_))) => {
            findings.add(|| damaged.to_string());
            return Ok(VerifyReport { events: 0, streams: 0, snapshots: 0, rows: 0, findings });
        }
        Err(error) => return Err(error),
    };
    let closed_remembered = settings.command_loop.closed_reservations_remembered;
    let head = events.head();
    let checkpoints = models.as_ref().map(ReadModelFile::checkpoints).unwrap_or_default();

    let phase = progress.phase("Structure", head.0);
    let flaws = events.flaws(Findings::SAID_MAX, &mut |steps| phase.advance(steps))?;
    flaws.into_iter().for_each(|said| findings.add(|| said));
    drop(phase);
    ahead_of(checkpoints, head).into_iter().for_each(|said| findings.add(|| said));

    let whole: HashSet<StockId> = events.snapshot_places()?.iter().filter_map(|place| place.stock_id).collect();
    let streams = events.stream_count()?;
    let needed = streams * STREAM_BYTES + whole.len() as u64 * WHOLE_STREAM_BYTES;
    let parts = needed.div_ceil(memory_mib.max(1) << 20).max(1);
    let proof = Proof { settings, events, whole, checkpoints, closed_remembered, head, parts, progress };
    let mut snapshots = 0;
    let mut expected = proof.run(Expected::default(), &mut findings, &mut snapshots)?;

    let mut rows = 0;
    if let Some(models) = &models {
        let sqlite = |error| MaintenanceError::sqlite(&models_path)(error);
        models
            .damage()
            .map_err(sqlite)?
            .into_iter()
            .for_each(|said| findings.add(|| format!("{}: {said}", models_path.display())));
        let phase = progress.phase("Read models", ReadModel::ALL.len() as u64);
        let mut differing = Vec::new();
        for model in ReadModel::ALL {
            match models.digest(model, Digest::default()) {
                Ok(actual) => {
                    rows += actual.rows();
                    let buckets = wanted(&mut expected, model).differing(&actual);
                    if !buckets.is_empty() {
                        differing.push((model, buckets));
                    }
                }
                Err(error) => findings.add(|| format!("{} can't be read: {error}", model.name())),
            }
            phase.advance(1);
        }
        drop(phase);
        if !differing.is_empty() {
            proof.show_differing(models, &differing, &mut findings)?;
        }
    }
    Ok(VerifyReport { events: head.0, streams, snapshots, rows, findings })
}

/// Read models that have events which the log hasn't.
fn ahead_of(checkpoints: Checkpoints, head: Position) -> Vec<String> {
    let Checkpoints { stock_levels, product_inventory, reservations, orders, transfers } = checkpoints;
    let all = [stock_levels, product_inventory, reservations, orders, transfers];
    let ahead = ReadModel::ALL.into_iter().zip(all).filter(|(_, checkpoint)| *checkpoint > head);
    ahead.map(|(model, at)| format!("{} has events up to {at}, but the log ends at {head}", model.name())).collect()
}

/// The replay.
struct Proof<'a> {
    settings: &'a Settings,
    events: Box<dyn EventFile>,
    whole: HashSet<StockId>,
    checkpoints: Checkpoints,
    closed_remembered: usize,
    head: Position,
    parts: u64,
    progress: Progress,
}

impl Proof<'_> {
    /// Replays the log share by share, and adds what the read models have to show to `expected`.
    fn run(
        &self,
        mut expected: Expected,
        findings: &mut Findings,
        snapshots: &mut u64,
    ) -> Result<Expected, MaintenanceError> {
        for part in 0..self.parts {
            let share = Share { part, parts: self.parts };
            let whole = self.whole.iter().copied().filter(|stock_id| share.has((*stock_id).into())).collect();
            let mut audit = LogAudit::new(share, self.checkpoints, whole, self.closed_remembered).adding_to(expected);
            self.replay(share, &mut audit, snapshots)?;
            let (found, sums) = audit.finish();
            // What concerns no single stream is found by every share; once is enough.
            if part == 0 || found.count > 0 {
                for said in found.said {
                    if !findings.said.contains(&said) {
                        findings.add(|| said);
                    }
                }
            }
            expected = sums;
        }
        Ok(expected)
    }

    fn replay(&self, share: Share, audit: &mut LogAudit, snapshots: &mut u64) -> Result<(), MaintenanceError> {
        let events = self.events.another()?; // For the thread that reads.
        let mut kept = Snapshots::of(&*self.events, share)?;
        let phase = self.progress.phase("Events", self.head.0);
        let head = self.head;
        let (pages, waiting) = sync_channel::<Result<Vec<RecordedEvent>, MaintenanceError>>(PAGES_AHEAD);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut after = Position::START;
                while after < head {
                    let page = events.read(after, PAGE).map_err(MaintenanceError::from);
                    let next = page.as_ref().ok().and_then(|page| page.last()).map(|last| last.position);
                    let ends = next.is_none();
                    if pages.send(page).is_err() || ends {
                        return;
                    }
                    after = next.unwrap_or(head);
                }
            });
            for page in waiting {
                let page = match page {
                    Ok(page) => page,
                    Err(error) => {
                        // One event that can't be read hides all that follow it.
                        audit.found(|| error.to_string());
                        break;
                    }
                };
                phase.advance(page.len() as u64);
                for event in page.into_iter().take_while(|event| event.position <= head) {
                    audit.observe_with(event, &mut |event, state| kept.compare(event, state));
                }
                if let Some(error) = kept.failed.take() {
                    return Err(error.into());
                }
            }
            kept.beyond().into_iter().for_each(|said| audit.found(|| said));
            *snapshots += kept.compared;
            Ok(())
        })
    }

    /// Replays the log once more, to say which rows of the differing read models are which.
    fn show_differing(
        &self,
        models: &ReadModelFile,
        differing: &[(ReadModel, Vec<usize>)],
        findings: &mut Findings,
    ) -> Result<(), MaintenanceError> {
        let mut keeping = Expected::default();
        for (model, buckets) in differing {
            *wanted(&mut keeping, *model) = Digest::keeping(buckets);
        }
        let (mut ignored, mut compared) = (Findings::default(), 0);
        let mut expected = self.run(keeping, &mut ignored, &mut compared)?;
        for (model, buckets) in differing {
            let actual = models.digest(*model, Digest::keeping(buckets));
            let actual = actual.map_err(MaintenanceError::sqlite(&self.settings.data.dir.join(READ_MODELS_FILE)))?;
            let ought: BTreeSet<&str> = wanted(&mut expected, *model).kept().collect();
            let is: BTreeSet<&str> = actual.kept().collect();
            for (what, rows) in [("lacks", ought.difference(&is)), ("shows", is.difference(&ought))] {
                for (place, row) in rows.enumerate() {
                    if place < ROWS_SHOWN {
                        findings.add(|| format!("{} {what} {row}", model.name()));
                    } else {
                        findings.count += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The snapshots of a share, beside the replay: each is compared with the state after the very event that it was taken after, which
/// may stand in the middle of a group.
struct Snapshots<'a> {
    events: &'a dyn EventFile,
    places: Peekable<std::vec::IntoIter<SnapshotPlace>>,
    compared: u64,
    failed: Option<StoreError>,
}

impl<'a> Snapshots<'a> {
    /// Those of the share; one that is of no stock is the first share's.
    fn of(events: &'a dyn EventFile, share: Share) -> Result<Self, StoreError> {
        let mut places = events.snapshot_places()?;
        places.retain(|place| place.stock_id.map_or(share.part == 0, |stock_id| share.has(stock_id.into())));
        Ok(Self { events, places: places.into_iter().peekable(), compared: 0, failed: None })
    }

    /// What is wrong with those that were taken after this event, or where there is none.
    fn compare(&mut self, event: &RecordedEvent, state: Option<&Inventory>) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(place) = self.places.next_if(|place| place.position <= event.position) {
            self.compared += 1;
            let is_there = place.position == event.position
                && place.stock_id.map(StreamId::from) == Some(event.stream)
                && (place.version, place.event_id) == (event.version, event.event_id);
            if !is_there {
                found.push(no_such_event(&place));
                continue;
            }
            if place.recorded_at != event.recorded_at {
                found.push(format!("{} is of another time than its event", named(&place)));
            }
            match self.events.snapshot(place.key) {
                Ok(KeptState::State(kept)) if state == Some(&*kept) => (),
                Ok(KeptState::State(_) | KeptState::Unreadable) => {
                    found.push(format!("{} is not the state at that version", named(&place)));
                }
                Ok(KeptState::None) => self.compared -= 1,
                Err(error) => self.failed = Some(error),
            }
        }
        found
    }

    /// Those that were taken after events which the log hasn't.
    fn beyond(&mut self) -> Vec<String> {
        self.compared += self.places.len() as u64;
        self.places.by_ref().map(|place| no_such_event(&place)).collect()
    }
}

fn named(place: &SnapshotPlace) -> String {
    match place.stock_id {
        Some(stock_id) => format!("the snapshot of version {} of {}", place.version, StreamId::from(stock_id)),
        None => format!("the snapshot of version {} of no stock", place.version),
    }
}

fn no_such_event(place: &SnapshotPlace) -> String {
    format!("{} was taken after an event at {} that isn't there", named(place), place.position)
}
