//! A readable file for each stock, written behind the journal: one event a line, for `less` and `jq`.
//!
//! The service never reads them. They are not synced, and made anew from the journal when in doubt: after a crash of the machine,
//! when what says how far they are is gone, or when there are not as many at a start as there are stocks. After a crash of the
//! process alone they go on where they were, each cut back to what is known to be in it.
//!
//! What is promised: when a stock's next event is written, its file ends with the one before it, whatever somebody has done to the
//! file; where it doesn't, the stock's file is made anew. What somebody has changed further up in a file, or in one whose stock
//! stands still, is not looked for: remove the file and start the service again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inventory_application::ports::StoreError;
use inventory_application::{Position, StreamId};
use lru::LruCache;
use memchr::memrchr;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::index::Index;
use super::line::EventLine;
use super::reader::{each_line, each_stream_line};
use crate::files::named;
use crate::lost_events::Seen;

/// What says how far the files are.
const CHECKPOINT: &str = "streams.checkpoint";

/// Names the start of the machine: files that weren't synced outlast a process, not a machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Events that are taken from the journal at a time.
const PAGE: usize = 16_384;

/// Events of one stock that are taken from the journal at a time, when its file is made anew.
const STOCK_PAGE: u64 = 4_096;

/// What is read of a file's end at first, to find its last event.
const TAIL_BYTES: u64 = 8_192;

/// How long the writer waits between looks for new events, and after a failure.
const PAUSE: Duration = Duration::from_millis(50);

/// How far the files are.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    position: u64,
    boot_id: String,
}

/// How far the files in this folder are, if it is known: only what was acknowledged is written.
pub(super) fn written(folder: &Path) -> io::Result<Option<Seen>> {
    let by = folder.join(CHECKPOINT);
    let written = checkpoint(&by)?.map(|checkpoint| Position(checkpoint.position));
    Ok(written.map(|position| Seen { by, position }))
}

/// `None` where there is none, or half of one: it isn't synced. One that can't be read may be the last that knows of lost events.
fn checkpoint(path: &Path) -> io::Result<Option<Checkpoint>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path)(error)),
    }
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
            let mut writer =
                Writer { folder, index, page: Page::default(), open_max, open: LruCache::unbounded(), position: 0 };
            let mut is_ready = false;
            loop {
                // Before the look: what is acknowledged until a stop is still written.
                let is_last = stopped.load(Ordering::SeqCst);
                let head = *appended.borrow();
                let done = if is_ready { writer.follow().map(drop) } else { writer.resume(head) };
                is_ready = done.is_ok(); // If not, whatever was half written is cut back.
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
    /// Each stream's first version, and where its lines are in the text.
    pieces: HashMap<StreamId, (u64, Vec<Range<usize>>)>,
    /// One stream's lines, where they are not in one piece.
    together: Vec<u8>,
}

impl Page {
    fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
    }

    fn add(&mut self, line: &EventLine<'_>) {
        let start = self.text.len();
        show(&mut self.text, line);
        let (_, pieces) = self.pieces.entry(line.stream).or_insert((line.version, Vec::new()));
        match pieces.last_mut() {
            Some(last) if last.end == start => last.end = self.text.len(),
            _ => pieces.push(start..self.text.len()),
        }
    }

    fn each_stream(&mut self, mut write: impl FnMut(StreamId, u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        for (stream, (first, pieces)) in &self.pieces {
            if let [piece] = &pieces[..] {
                write(*stream, *first, &self.text[piece.clone()])?;
            } else {
                self.together.clear();
                pieces.iter().for_each(|piece| self.together.extend(&self.text[piece.clone()]));
                write(*stream, *first, &self.together)?;
            }
        }
        Ok(())
    }
}

/// Writes an event as people see it behind what is in `out`.
fn show(out: &mut Vec<u8>, line: &EventLine<'_>) {
    out.push(b'{');
    out.extend(line.shown);
    out.push(b'\n');
}

struct Writer {
    folder: PathBuf,
    index: Arc<RwLock<Index>>,
    page: Page,
    open_max: usize,
    open: LruCache<StreamId, OpenFile>,
    position: u64,
}

/// A file that is written, and where it ends.
struct OpenFile {
    file: File,
    end: u64,
}

impl Writer {
    /// Finds out how far the files are, and writes what is missing; starts anew when in doubt.
    fn resume(&mut self, head: Position) -> io::Result<()> {
        self.open.clear();
        let known = checkpoint(&self.folder.join(CHECKPOINT))?;
        match known.filter(|known| known.boot_id == boot_id() && known.position <= head.0) {
            Some(known) => self.position = known.position,
            None => self.start_anew()?,
        }
        let stocks = self.follow()?;
        if self.files()?.try_fold(0, |count, path| path.map(|_| count + 1))? != stocks {
            self.start_anew()?;
            self.follow()?;
        }
        Ok(())
    }

    fn start_anew(&mut self) -> io::Result<()> {
        self.open.clear();
        self.position = 0;
        self.keep_checkpoint()?; // Before they are gone: a kill in between must not leave what isn't there any more.
        self.files()?.try_for_each(|path| fs::remove_file(path?))
    }

    /// The files that there are, one after the other: there may be a million.
    fn files(&self) -> io::Result<impl Iterator<Item = io::Result<PathBuf>> + use<>> {
        let is_one = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_suffix(".jsonl").is_some_and(|stem| stem.starts_with("inventory-"))
        };
        let paths = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path()));
        Ok(paths.filter(move |path| path.as_ref().map_or(true, is_one)))
    }

    /// Writes all that is acknowledged and not written yet, and returns how many stocks there are by then.
    fn follow(&mut self) -> io::Result<usize> {
        loop {
            let mut page = std::mem::take(&mut self.page);
            page.clear();
            let (mut count, mut last) = (0, self.position);
            let (from, stocks) = {
                let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
                (index.log_from(Position(self.position)), index.stock_count)
            };
            if let Some((place, segments)) = from {
                let read = each_line(&segments, place, Position(self.position), &mut |line, _| {
                    if line.stream.stock_id().is_some() {
                        page.add(line);
                    }
                    (count, last) = (count + 1, line.position.0);
                    Ok(count < PAGE)
                });
                read.map_err(|error| other(&error))?;
            }
            page.each_stream(|stream, first, text| self.write(stream, first, text))?;
            self.page = page;
            if count == 0 {
                return Ok(stocks);
            }
            self.position = last;
            self.keep_checkpoint()?;
        }
    }

    /// Writes a stock's events from version `first` on behind those that its file has.
    fn write(&mut self, stream: StreamId, first: u64, text: &[u8]) -> io::Result<()> {
        let is_as_it_was =
            |open: &OpenFile| open.file.metadata().is_ok_and(|file| (file.len(), file.nlink() > 0) == (open.end, true));
        if !self.open.get(&stream).is_some_and(is_as_it_was) {
            let open = self.open(stream, first)?;
            self.open.put(stream, open);
            while self.open.len() > self.open_max {
                self.open.pop_lru();
            }
        }
        match self.open.get_mut(&stream) {
            Some(open) => open.add(text),
            None => Ok(()),
        }
    }

    /// Opens a stock's file where its next event has version `first`: cut back to what is known to be in it, made anew where that
    /// doesn't end with the event before.
    fn open(&self, stream: StreamId, first: u64) -> io::Result<OpenFile> {
        let path = self.folder.join(format!("{stream}.jsonl"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let (end, version) = last_event(&file, self.position)?;
        let is_sound = version + 1 == first;
        let mut open = OpenFile { end: if is_sound { end } else { 0 }, file };
        open.file.set_len(open.end)?;
        let (mut after, mut text) = (if is_sound { version } else { 0 }, Vec::new());
        while after + 1 < first {
            let last = (after + STOCK_PAGE).min(first - 1);
            let (from, segments) = {
                let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
                (index.back_from_version(stream, last), index.segments.clone())
            };
            text.clear();
            let read = each_stream_line(&segments, from, after, last, &mut |line, _| {
                show(&mut text, line);
                Ok(())
            });
            read.map_err(|error| other(&error))?;
            open.add(&text)?;
            after = last;
        }
        Ok(open)
    }

    fn keep_checkpoint(&self) -> io::Result<()> {
        let checkpoint = Checkpoint { position: self.position, boot_id: boot_id() };
        let (path, unfinished) = (self.folder.join(CHECKPOINT), self.folder.join("streams.checkpoint.new"));
        fs::write(&unfinished, serde_json::to_vec(&checkpoint)?)?;
        fs::rename(unfinished, path)
    }
}

impl OpenFile {
    fn add(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all_at(text, self.end)?;
        self.end += text.len() as u64;
        Ok(())
    }
}

fn other(error: &StoreError) -> io::Error {
    io::Error::other(error.to_string())
}

/// Where the last event at `position` or before ends in the file, and its version; zeros where there is none.
fn last_event(file: &File, position: u64) -> io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    let (mut wanted, mut text) = (TAIL_BYTES, Vec::new());
    loop {
        let start = length.saturating_sub(wanted);
        text.resize(usize::try_from(length - start).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut text, start)?;
        let mut end = memrchr(b'\n', &text).map_or(0, |last| last + 1);
        while end > 0 {
            let line = match memrchr(b'\n', &text[..end - 1]) {
                Some(before) => before + 1,
                None if start == 0 => 0,
                None => break, // It starts further up.
            };
            if let Some(event) = event_of(&text[line..end]).filter(|event| event.position <= position) {
                return Ok((start + end as u64, event.version));
            }
            end = line;
        }
        if start == 0 {
            return Ok((0, 0));
        }
        wanted *= 8;
    }
}

#[derive(Deserialize)]
struct ShownEvent {
    position: u64,
    version: u64,
}

fn event_of(line: &[u8]) -> Option<ShownEvent> {
    serde_json::from_slice(line).ok()
}

fn boot_id() -> String {
    fs::read_to_string(Path::new(BOOT_ID)).unwrap_or_default()
}
