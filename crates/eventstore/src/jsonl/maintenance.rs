//! Work on the journal as a whole, beside a service that may be writing it: what is read was committed when it was opened.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{RecordedEvent, StoreError};
use inventory_domain::StockId;

use super::index::Index;
use super::reader::read_log;
use super::recovery::{RecoveryError, recover_beside_a_writer, segment_path};
use super::snapshots::Snapshots;
use crate::event_file::{EventFile, KeptSnapshot};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// The journal, only to be read, as it was at one moment.
#[derive(Clone)]
pub struct JsonlEventFile {
    folder: PathBuf,
    index: Arc<Index>,
    /// The snapshots of use: whose, of which version, and where in the log.
    snapshots: Arc<Vec<(Position, StockId, u64)>>,
    kept: Arc<Snapshots>,
}

impl JsonlEventFile {
    /// Opens the journal in this folder as it is now; `closed_remembered` says which snapshots are of use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] names the file and the line.
    pub fn open(folder: &Path, closed_remembered: usize) -> Result<Self, StoreError> {
        let recovered = recover_beside_a_writer(&folder.join("log")).map_err(|error| match error {
            damaged @ RecoveryError::Damaged { .. } => StoreError::Damaged(Box::new(damaged)),
            failed @ RecoveryError::File { .. } => StoreError::Unavailable(Box::new(failed)),
        })?;
        let kept = Snapshots::read_only(folder.join("snapshots"), closed_remembered).map_err(unavailable)?;
        let (index, kept) = (Arc::new(recovered.index), Arc::new(kept));
        let head = index.head;
        let all = kept.all().into_iter().map(|(stock_id, state)| (state.position, stock_id, state.inventory.version()));
        let mut snapshots: Vec<_> = all.filter(|(position, ..)| *position <= head).collect();
        snapshots.sort_unstable();
        Ok(Self { folder: folder.to_owned(), index, snapshots: Arc::new(snapshots), kept })
    }
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}

impl EventFile for JsonlEventFile {
    fn another(&self) -> Result<Box<dyn EventFile>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn head(&self) -> Position {
        self.index.head
    }

    fn stream_count(&self) -> Result<u64, StoreError> {
        Ok(self.index.stream_count() as u64)
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        match self.index.log_from(after) {
            Some((from, segments)) => read_log(&segments, from, after, limit),
            None => Ok(Vec::new()),
        }
    }

    /// None: a journal whose structure is damaged doesn't open.
    fn flaws(&self, _: usize, advance: &mut dyn FnMut(u64)) -> Result<Vec<String>, StoreError> {
        advance(self.index.head.0);
        Ok(Vec::new())
    }

    fn stocks_with_snapshots(&self) -> Result<Vec<StockId>, StoreError> {
        Ok(self.snapshots.iter().map(|(_, stock_id, _)| *stock_id).collect())
    }

    fn snapshot_places(&self) -> Result<Vec<(Position, i64)>, StoreError> {
        Ok(self.snapshots.iter().zip(0..).map(|((position, ..), key)| (*position, key)).collect())
    }

    fn snapshot(&self, key: i64) -> Result<Option<KeptSnapshot>, StoreError> {
        let found = usize::try_from(key).ok().and_then(|key| self.snapshots.get(key));
        Ok(found.map(|(_, stock_id, version)| {
            let inventory = self.kept.of_version(*stock_id, *version);
            KeptSnapshot { stock_id: *stock_id, version: *version, inventory }
        }))
    }

    /// Every segment up to where it ends, and zeros behind that.
    fn copy_to(&self, to: &Path, advance: &mut dyn FnMut(u64, u64)) -> Result<(), StoreError> {
        let log = to.join(super::FOLDER).join("log");
        fs::create_dir_all(&log).map_err(unavailable)?;
        let all = self.index.segments.0.iter().map(|segment| segment.end).sum();
        let mut done = 0;
        for segment in &self.index.segments.0 {
            let source = segment_path(&self.folder.join("log"), segment.number);
            let target = segment_path(&log, segment.number);
            let mut copied = |count: u64| {
                done += count;
                advance(done, all);
            };
            copy_segment(&source, &target, segment.end, &mut copied).map_err(unavailable)?;
        }
        for folder in [&log, &to.join(super::FOLDER), to] {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(unavailable)?;
        }
        Ok(())
    }
}

fn copy_segment(source: &Path, target: &Path, end: u64, copied: &mut dyn FnMut(u64)) -> io::Result<()> {
    let source = File::open(source)?;
    let length = source.metadata()?.len();
    let (mut rest, mut target) = (source.take(end), File::create_new(target)?);
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = rest.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        target.write_all(&chunk[..count])?;
        copied(count as u64);
    }
    target.set_len(length)?;
    target.sync_all()
}
