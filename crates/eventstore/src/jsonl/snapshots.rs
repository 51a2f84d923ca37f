//! States of long streams, a file each beside the journal. They are a cache: one that can't be read, or doesn't fit, is none.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use inventory_application::ports::Snapshot;
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::{Inventory, StockId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event_file::SnapshotPlace;
use crate::files::{Files, make_folders, named};
use crate::state_codec::{decode_state, encode_state, fingerprint};

/// The snapshots of one folder.
pub(super) struct Snapshots {
    folder: PathBuf,
    files: Arc<dyn Files>,
    closed_remembered: usize,
    /// What is there of each stock, oldest first.
    kept: Mutex<HashMap<StockId, Vec<Kept>>>,
}

/// A snapshot, by its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    version: u64,
    recorded_at: i64,
}

/// A state, and where the event with its version stands.
pub(super) struct KeptState {
    pub(super) inventory: Box<Inventory>,
    pub(super) position: Position,
}

/// What stands in front of a state.
#[derive(Serialize, Deserialize)]
struct Front {
    crc: u32,
    fingerprint: String,
    position: u64,
    event_id: Uuid,
    version: u64,
}

impl Snapshots {
    /// The snapshots in `folder`, which is made if it isn't there.
    pub(super) fn open(folder: PathBuf, files: Arc<dyn Files>, closed_remembered: usize) -> io::Result<Self> {
        make_folders(&folder, &*files)?;
        Self::read_only(folder, files, closed_remembered)
    }

    /// The snapshots in `folder`, if it is there.
    pub(super) fn read_only(folder: PathBuf, files: Arc<dyn Files>, closed_remembered: usize) -> io::Result<Self> {
        let names = match files.names(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(named(&folder))?,
        };
        let mut kept: HashMap<StockId, Vec<Kept>> = HashMap::new();
        for name in names {
            if let Some((stock_id, one)) = name.to_str().and_then(parse_name) {
                kept.entry(stock_id).or_default().push(one);
            }
        }
        kept.values_mut().for_each(|all| all.sort_unstable());
        Ok(Self { folder, files, closed_remembered, kept: Mutex::new(kept) })
    }

    /// Keeps a state, which was taken after this event.
    pub(super) fn keep(&self, snapshot: &Snapshot, event_id: EventId) -> io::Result<()> {
        let inventory = &snapshot.inventory;
        let one = Kept { version: inventory.version(), recorded_at: inventory.recorded_at().millis() };
        let state = encode_state(inventory);
        let front = Front {
            crc: crc32c::crc32c(&state),
            fingerprint: fingerprint(self.closed_remembered),
            position: snapshot.position.0,
            event_id: event_id.0,
            version: one.version,
        };
        let mut bytes = serde_json::to_vec(&front)?;
        bytes.push(b'\n');
        bytes.extend(state);
        let path = self.path(snapshot.stock_id, one);
        let unfinished = path.with_extension("new");
        self.files.create(&unfinished, 0)?.write_all_at(&bytes, 0)?;
        self.files.rename(&unfinished, &path)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kept.entry(snapshot.stock_id).or_default();
        if let Err(place) = all.binary_search(&one) {
            all.insert(place, one);
        }
        Ok(())
    }

    /// The newest state of the stock that is of use: recorded at `until` or before, and taken after an event that `is_there`, by
    /// the version, the position and the id that it had.
    pub(super) fn newest(
        &self,
        stock_id: StockId,
        until: Timestamp,
        is_there: impl Fn(u64, Position, EventId) -> bool,
    ) -> Option<KeptState> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&stock_id)?.clone();
        let of_use = kept.into_iter().rev().filter(|one| one.recorded_at <= until.millis());
        let mut states = of_use.filter_map(|one| self.read(stock_id, one));
        let found = states.find(|(state, event_id)| is_there(state.inventory.version(), state.position, *event_id));
        found.map(|(state, _)| state)
    }

    /// What every snapshot of use says of itself, in the order of the log; their keys count up. Only the fronts are read.
    pub(super) fn places(&self) -> Vec<SnapshotPlace> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = kept.into_iter().flat_map(|(stock_id, all)| all.into_iter().map(move |one| (stock_id, one)));
        let place = |(stock_id, one): (StockId, Kept)| {
            let mut line = Vec::new();
            BufReader::new(File::open(self.path(stock_id, one)).ok()?).read_until(b'\n', &mut line).ok()?;
            let front: Front = serde_json::from_slice(&line).ok()?;
            let is_of_use = front.fingerprint == fingerprint(self.closed_remembered) && front.version == one.version;
            is_of_use.then_some(SnapshotPlace {
                position: Position(front.position),
                stock_id: Some(stock_id),
                version: one.version,
                event_id: EventId(front.event_id),
                recorded_at: Timestamp::from_millis(one.recorded_at),
                key: 0,
            })
        };
        let mut places: Vec<_> = all.filter_map(place).collect();
        places.sort_unstable_by_key(|place| (place.position, place.stock_id, place.recorded_at));
        places.iter_mut().zip(0..).for_each(|(place, key)| place.key = key);
        places
    }

    /// The state of a snapshot, where it can be read.
    pub(super) fn of_place(&self, place: &SnapshotPlace) -> Option<KeptState> {
        let one = Kept { version: place.version, recorded_at: place.recorded_at.millis() };
        self.read(place.stock_id?, one).map(|(state, _)| state)
    }

    fn read(&self, stock_id: StockId, one: Kept) -> Option<(KeptState, EventId)> {
        let bytes = self.files.read(&self.path(stock_id, one)).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let front: Front = serde_json::from_slice(&bytes[..end]).ok()?;
        let state = &bytes[end + 1..];
        let is_whole = front.crc == crc32c::crc32c(state) && front.fingerprint == fingerprint(self.closed_remembered);
        let inventory = decode_state(state, self.closed_remembered).filter(|_| is_whole)?;
        let fits = inventory.version() == one.version && front.version == one.version;
        let state = KeptState { inventory: Box::new(inventory), position: Position(front.position) };
        fits.then_some((state, EventId(front.event_id)))
    }

    fn path(&self, stock_id: StockId, one: Kept) -> PathBuf {
        let Kept { version, recorded_at } = one;
        self.folder.join(format!("{}_{version}_{recorded_at}.json", StreamId::Inventory(stock_id)))
    }
}

fn parse_name(name: &str) -> Option<(StockId, Kept)> {
    let stem = name.strip_suffix(".json")?;
    let mut parts = stem.split('_');
    let stream = StreamId::parse(parts.next()?)?;
    let kept = Kept { version: parts.next()?.parse().ok()?, recorded_at: parts.next()?.parse().ok()? };
    parts.next().is_none().then_some((stream.stock_id()?, kept))
}
