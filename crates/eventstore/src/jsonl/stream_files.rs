//! A readable file for each stock, written behind the journal: one event a line, for `less` and `jq`.
//!
//! The service never reads them. They are not synced, and made anew from the journal when in doubt: after a crash of the machine,
//! or when what says how far they are is gone. After a crash of the process alone they go on where they were, each cut back to
//! what is known to be in it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inventory_application::ports::StoreError;
use inventory_application::{Position, StreamId};
use lru::LruCache;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::index::Index;
use super::reader::each_line;
use crate::lost_events::Seen;

/// What says how far the files are.
const CHECKPOINT: &str = "streams.checkpoint";

/// Names the start of the machine: files that weren't synced outlast a process, not a machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Events that are taken from the journal at a time.
const PAGE: usize = 16_384;

/// How long the writer waits between looks for new events, and after a failure.
const PAUSE: Duration = Duration::from_millis(50);

/// How far the files are.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    position: u64,
    boot_id: String,
}

/// How far the files in this folder are, if it is known: only what was acknowledged is written.
pub(super) fn written(folder: &Path) -> Option<Seen> {
    let by = folder.join(CHECKPOINT);
    let position = Position(checkpoint(&by)?.position);
    Some(Seen { by, position })
}

fn checkpoint(path: &Path) -> Option<Checkpoint> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The thread that writes the files.
pub(super) struct StreamFiles {
    stop: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl StreamFiles {
    /// Starts writing behind the journal whose acknowledged part `index` has.
    pub(super) fn start(
        folder: PathBuf,
        index: Arc<RwLock<Index>>,
        appended: watch::Receiver<Position>,
        open_max: usize,
    ) -> io::Result<Self> {
        let (stop, failure) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (stopped, said) = (Arc::clone(&stop), Arc::clone(&failure));
        let thread = thread::Builder::new().name("stream-files".into()).spawn(move || {
            let mut writer = Writer {
                folder,
                page: Page::default(),
                open_max,
                open: LruCache::unbounded(),
                cut: HashSet::new(),
                position: 0,
            };
            let mut is_ready = false;
            loop {
                // Before the look: what is acknowledged until a stop is still written.
                let is_last = stopped.load(Ordering::SeqCst);
                let head = *appended.borrow();
                let done = if is_ready { Ok(()) } else { writer.resume(head) };
                let done = done.and_then(|()| {
                    is_ready = true;
                    writer.follow(&index)
                });
                if done.is_err() {
                    is_ready = false; // Whatever was half written is cut back.
                }
                *said.lock().unwrap_or_else(PoisonError::into_inner) = done.err().map(|error| error.to_string());
                if is_last {
                    return;
                }
                thread::park_timeout(PAUSE);
            }
        })?;
        Ok(Self { stop, failure, thread: Some(thread) })
    }

    /// Why the files can't be written, if they can't.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what is acknowledged so far, and ends.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join()); // If it has panicked, it has said so.
        }
    }
}

/// What is to be written, put together in memory that is used again for the next page.
#[derive(Default)]
struct Page {
    text: Vec<u8>,
    /// Where each stream's lines are in the text.
    pieces: HashMap<StreamId, Vec<Range<usize>>>,
    /// One stream's lines, where they are not in one piece.
    together: Vec<u8>,
}

impl Page {
    fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
    }

    fn add(&mut self, stream: StreamId, shown: &[u8]) {
        let start = self.text.len();
        self.text.push(b'{');
        self.text.extend(shown);
        self.text.push(b'\n');
        let pieces = self.pieces.entry(stream).or_default();
        match pieces.last_mut() {
            Some(last) if last.end == start => last.end = self.text.len(),
            _ => pieces.push(start..self.text.len()),
        }
    }

    fn each_stream(&mut self, mut write: impl FnMut(StreamId, &[u8]) -> io::Result<()>) -> io::Result<()> {
        for (stream, pieces) in &self.pieces {
            if let [piece] = &pieces[..] {
                write(*stream, &self.text[piece.clone()])?;
            } else {
                self.together.clear();
                pieces.iter().for_each(|piece| self.together.extend(&self.text[piece.clone()]));
                write(*stream, &self.together)?;
            }
        }
        Ok(())
    }
}

struct Writer {
    folder: PathBuf,
    page: Page,
    open_max: usize,
    open: LruCache<StreamId, File>,
    /// Streams whose files have been cut back since the start.
    cut: HashSet<StreamId>,
    position: u64,
}

impl Writer {
    /// Finds out how far the files are; starts anew when in doubt.
    fn resume(&mut self, head: Position) -> io::Result<()> {
        self.open.clear();
        self.cut.clear();
        let known = checkpoint(&self.folder.join(CHECKPOINT));
        match known.filter(|known| known.boot_id == boot_id() && known.position <= head.0) {
            Some(known) => self.position = known.position,
            None => {
                for entry in fs::read_dir(&self.folder)? {
                    let path = entry?.path();
                    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    if name.strip_suffix(".jsonl").is_some_and(|stem| stem.starts_with("inventory-")) {
                        fs::remove_file(path)?;
                    }
                }
                self.position = 0;
            }
        }
        Ok(())
    }

    /// Writes all that is acknowledged and not written yet.
    fn follow(&mut self, index: &RwLock<Index>) -> io::Result<()> {
        loop {
            let mut page = std::mem::take(&mut self.page);
            page.clear();
            let (mut count, mut last) = (0, self.position);
            let from = index.read().unwrap_or_else(PoisonError::into_inner).log_from(Position(self.position));
            if let Some((place, segments)) = from {
                let read = each_line(&segments, place, Position(self.position), &mut |line, _| {
                    if line.stream.stock_id().is_some() {
                        page.add(line.stream, line.shown);
                    }
                    (count, last) = (count + 1, line.position.0);
                    Ok(count < PAGE)
                });
                read.map_err(|error: StoreError| io::Error::other(error.to_string()))?;
            }
            page.each_stream(|stream, text| self.write(stream, text))?;
            self.page = page;
            if count == 0 {
                return Ok(());
            }
            self.position = last;
            self.keep_checkpoint()?;
        }
    }

    fn write(&mut self, stream: StreamId, text: &[u8]) -> io::Result<()> {
        if !self.open.contains(&stream) {
            let path = self.folder.join(format!("{stream}.jsonl"));
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            if self.cut.insert(stream) {
                cut_back(&mut file, self.position)?;
            } else {
                file.seek(SeekFrom::End(0))?;
            }
            self.open.put(stream, file);
            while self.open.len() > self.open_max {
                self.open.pop_lru();
            }
        }
        match self.open.get_mut(&stream) {
            Some(file) => file.write_all(text),
            None => Ok(()),
        }
    }

    fn keep_checkpoint(&self) -> io::Result<()> {
        let checkpoint = Checkpoint { position: self.position, boot_id: boot_id() };
        let (path, unfinished) = (self.folder.join(CHECKPOINT), self.folder.join("streams.checkpoint.new"));
        fs::write(&unfinished, serde_json::to_vec(&checkpoint)?)?;
        fs::rename(unfinished, path)
    }
}

/// Cuts off what stands in the file behind the last event at `position` or before, and goes to its end.
fn cut_back(file: &mut File, position: u64) -> io::Result<()> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    while end > 0 {
        let start = text[..end - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
        if position_of(&text[start..end]).is_some_and(|of| of <= position) {
            break;
        }
        end = start;
    }
    file.set_len(end as u64)?;
    file.seek(SeekFrom::Start(end as u64))?;
    Ok(())
}

fn position_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Event {
        position: u64,
    }
    serde_json::from_slice::<Event>(line).ok().map(|event| event.position)
}

fn boot_id() -> String {
    fs::read_to_string(Path::new(BOOT_ID)).unwrap_or_default()
}
