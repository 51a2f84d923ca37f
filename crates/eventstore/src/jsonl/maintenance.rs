//! Work on the journal as a whole, beside a service that may be writing it. What is read was acknowledged when it was opened; but for the
//! last batch, which may just have been written, and whose sync may fail.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{RecordedEvent, StoreError};

use super::index::Index;
use super::reader::read_log;
use super::recovery::{RecoveryError, recover_beside_a_writer, segment_path};
use super::snapshots::Snapshots;
use super::stream_files;
use crate::event_file::{EventFile, KeptState, SnapshotPlace};
use crate::files::{RealFiles, sync_folder};
use crate::lost_events::Seen;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// The journal, only to be read, as it was at one moment.
#[derive(Clone)]
pub struct JsonlEventFile {
    folder: PathBuf,
    index: Arc<Index>,
    /// How far the readable files of stocks were.
    written: Option<Seen>,
    /// What the snapshots of use say of themselves, in the order of the log; the keys count up.
    snapshots: Arc<Vec<SnapshotPlace>>,
    kept: Arc<Snapshots>,
}

impl JsonlEventFile {
    /// Opens the journal in this folder as it is now; `closed_remembered` says which snapshots are of use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] names the file and the line.
    pub fn open(folder: &Path, closed_remembered: usize) -> Result<Self, StoreError> {
        // What knows of events first: they are in the journal then, whoever goes on writing.
        let kept = Snapshots::read_only(folder.join("snapshots"), Arc::new(RealFiles), closed_remembered)
            .map_err(unavailable)?;
        let snapshots = Arc::new(kept.places());
        let written = stream_files::written(folder).map_err(unavailable)?;
        let recovered = recover_beside_a_writer(&folder.join("log")).map_err(|error| match error {
            damaged @ RecoveryError::Damaged { .. } => StoreError::Damaged(Box::new(damaged)),
            failed @ RecoveryError::File { .. } => StoreError::Unavailable(Box::new(failed)),
        })?;
        let (index, kept) = (Arc::new(recovered.index), Arc::new(kept));
        Ok(Self { folder: folder.to_owned(), index, written, snapshots, kept })
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

    fn seen(&self) -> Option<&Seen> {
        self.written.as_ref()
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
    fn flaws(&self, _: usize, _: u64, advance: &mut dyn FnMut(u64)) -> Result<Vec<String>, StoreError> {
        advance(self.index.head.0);
        Ok(Vec::new())
    }

    fn snapshot_places(&self) -> Result<Vec<SnapshotPlace>, StoreError> {
        Ok(self.snapshots.to_vec())
    }

    /// None where it can't be read: it is not synced, so a loss of power may have torn it.
    fn snapshot(&self, key: i64) -> Result<KeptState, StoreError> {
        let place = usize::try_from(key).ok().and_then(|key| self.snapshots.get(key));
        let state = place.and_then(|place| self.kept.of_place(place));
        Ok(state.map_or(KeptState::None, |state| KeptState::State(state.inventory)))
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
            sync_folder(folder).map_err(unavailable)?;
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
