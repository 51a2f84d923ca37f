//! `inventory verify`: replays the whole log and compares everything with it.
//!
//! The log's pages are read and decoded by one thread and proved by another. Memory stays within a bound: where the streams and the
//! live reservations need more, the log is replayed several times, each time for a share of them.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::iter::Peekable;
use std::sync::mpsc::sync_channel;
use std::thread;

use inventory_application::audit::{BUCKETS, Checkpoints, Digest, EventIds, Expected, Findings, LogAudit, Share};
use inventory_application::ports::{RecordedEvent, StoreError};
use inventory_application::{Position, StreamId};
use inventory_domain::{Inventory, StockId, Timestamp};
use inventory_eventstore::{EventFile, KeptState, SnapshotPlace};
use inventory_projections::digests::{ReadModel, ReadModelFile, wanted};

use super::{MaintenanceError, open_events};
use crate::composition::READ_MODELS_FILE;
use crate::opened_store::files_of;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::system;

/// Events that are read at a time.
const PAGE: usize = 2_048;

/// Pages that wait to be proved.
const PAGES_AHEAD: usize = 4;

/// What a stream takes in memory while it is proved, about, in bytes; and one whose snapshots are compared.
const STREAM_BYTES: u64 = 300;
const WHOLE_STREAM_BYTES: u64 = 150_000;

/// Shares that there are at most, and that one is split into at a time.
const PARTS_MAX: u64 = 1_024;
const SPLIT_MAX: u64 = 8;

/// What an id takes in memory while it is looked for, about, in bytes, and how many are looked for at a time at least.
const ID_BYTES: u64 = 64;
const IDS_MIN: usize = 65_536;

/// What a row takes in memory when it is kept in words, about, in bytes.
const ROW_IN_WORDS_BYTES: u64 = 800;

const DAY_MS: i64 = 86_400_000;

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
    let models = ReadModelFile::open(&models_path).map_err(MaintenanceError::sqlite(&models_path))?;
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
    let memory = memory_mib.max(1) << 20;
    let flaws = events.flaws(Findings::SAID_MAX, memory, &mut |steps| phase.advance(steps))?;
    flaws.into_iter().for_each(|said| findings.add(|| said));
    drop(phase);
    ahead_of(checkpoints, head).into_iter().for_each(|said| findings.add(|| said));
    let log = files_of(settings).path_in(&settings.data.dir);
    let lost = events.seen().and_then(|seen| seen.check(&log, head).err());
    lost.into_iter().for_each(|lost| findings.add(|| lost.to_string()));

    let whole: HashSet<StockId> = events.snapshot_places()?.iter().filter_map(|place| place.stock_id).collect();
    let streams = events.stream_count()?;
    let needed = streams * STREAM_BYTES + whole.len() as u64 * WHOLE_STREAM_BYTES;
    let parts = needed.div_ceil(memory).clamp(1, PARTS_MAX);
    let proof = Proof { settings, events, whole, checkpoints, closed_remembered, head, parts, memory, progress };
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
                    let mut buckets = wanted(&mut expected, model).differing(&actual);
                    // As many as there is memory to keep the rows of, on both sides.
                    let bucket_bytes = actual.rows().div_ceil(BUCKETS as u64) * 2 * ROW_IN_WORDS_BYTES;
                    let buckets_max = usize::try_from(memory / 4 / bucket_bytes.max(1)).unwrap_or(usize::MAX).max(1);
                    findings.count += buckets.len().saturating_sub(buckets_max) as u64; // A row each, at least.
                    buckets.truncate(buckets_max);
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
    let Checkpoints { stock_levels, product_inventory, low_stock, reservations, orders, transfers } = checkpoints;
    let all = [stock_levels, product_inventory, low_stock, reservations, orders, transfers];
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
    /// How many shares to begin with, and what each may take in memory, in bytes.
    parts: u64,
    memory: u64,
    progress: Progress,
}

impl Proof<'_> {
    /// Replays the log share by share, and adds what the read models have to show to `expected`. A share that turns out to need
    /// more memory than it may have is given up, and split.
    fn run(
        &self,
        mut expected: Expected,
        findings: &mut Findings,
        snapshots: &mut u64,
    ) -> Result<Expected, MaintenanceError> {
        let mut shares: Vec<Share> = Share::WHOLE.split(self.parts).collect();
        shares.reverse();
        let mut is_first = true;
        while let Some(share) = shares.pop() {
            let whole = self.whole.iter().copied().filter(|stock_id| share.has((*stock_id).into())).collect();
            let audit = LogAudit::new(share, self.checkpoints, whole, self.closed_remembered);
            let mut audit = audit.adding_to(expected.clone());
            if let Some(reached) = self.replay(share, is_first, &mut audit, snapshots)? {
                // As many as it takes when the rest of the log is like what was read of it.
                let into = (self.head.0 * 5 / 4).div_ceil(reached.0.max(1)).clamp(2, SPLIT_MAX);
                shares.extend(share.split(into));
                continue;
            }
            let (found, sums) = audit.finish();
            // What concerns no single stream is found by every share; once is enough.
            if is_first || found.count > 0 {
                for said in found.said {
                    if !findings.said.contains(&said) {
                        findings.add(|| said);
                    }
                }
            }
            (expected, is_first) = (sums, false);
        }
        Ok(expected)
    }

    /// Whether a share needs more than it may, and splitting it would help.
    fn is_too_much(&self, share: Share, audit: &LogAudit) -> bool {
        let (needed, largest) = audit.memory();
        share.parts < PARTS_MAX && needed.saturating_sub(largest) > self.memory
    }

    /// Looks for ids that were out of order when the events were first read.
    fn repeated_ids(&self, ids: &mut EventIds, findings: &mut Findings) {
        while ids.look_again() {
            let phase = self.progress.phase("Event ids", self.head.0);
            let mut after = Position::START;
            while after < self.head {
                let Ok(page) = self.events.read(after, PAGE) else { return }; // The replay has said why.
                let Some(last) = page.last() else { break };
                after = last.position;
                phase.advance(page.len() as u64);
                for said in page.iter().filter_map(|event| ids.observe(event)) {
                    findings.add(|| said);
                }
            }
        }
    }

    /// Replays the log for a share; `Some` says where it needed too much memory. The first share also looks at what concerns
    /// single events.
    fn replay(
        &self,
        share: Share,
        is_first: bool,
        audit: &mut LogAudit,
        snapshots: &mut u64,
    ) -> Result<Option<Position>, MaintenanceError> {
        let mut events_seen = EventsSeen::new(self.memory);
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
                    let twice = is_first.then(|| events_seen.observe(&event)).flatten();
                    twice.into_iter().for_each(|said| audit.found(|| said));
                    audit.observe_with(event, &mut |event, state| kept.compare(event, state));
                }
                if self.is_too_much(share, audit) {
                    return Ok(Some(audit.head()));
                }
                if let Some(error) = kept.failed.take() {
                    return Err(error.into());
                }
            }
            kept.beyond().into_iter().for_each(|said| audit.found(|| said));
            *snapshots += kept.compared;
            if is_first {
                let mut found = Findings::default();
                self.repeated_ids(&mut events_seen.ids, &mut found);
                found.said.into_iter().chain(events_seen.ahead_of_the_clock()).for_each(|said| audit.found(|| said));
            }
            Ok(None)
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

/// What concerns single events.
struct EventsSeen {
    ids: EventIds,
    /// The latest moment at which one was recorded, and which.
    latest: Option<(Timestamp, Position)>,
}

impl EventsSeen {
    fn new(memory: u64) -> Self {
        let ids_max = usize::try_from(memory / 8 / ID_BYTES).unwrap_or(usize::MAX).max(IDS_MIN);
        Self { ids: EventIds::new(ids_max), latest: None }
    }

    fn observe(&mut self, event: &RecordedEvent) -> Option<String> {
        if self.latest.is_none_or(|(latest, _)| event.recorded_at > latest) {
            self.latest = Some((event.recorded_at, event.position));
        }
        self.ids.observe(event)
    }

    /// A clock may be wrong by a bit, but not by more than a day.
    fn ahead_of_the_clock(&self) -> Option<String> {
        let (latest, position) = self.latest?;
        let ahead = latest.millis().saturating_sub(system::now().millis());
        (ahead > DAY_MS).then(|| format!("event {position} was recorded {} hours from now", ahead / (DAY_MS / 24)))
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
