//! `inventory export`: the log as JSON Lines, whole or a file a stock.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use inventory_application::{Position, StreamId};
use lru::LruCache;

use super::export_line::write_line;
use super::{MaintenanceError, open_events};
use crate::progress::Progress;
use crate::settings::Settings;

/// Events that are read at a time.
const PAGE: usize = 8_192;

/// Files of streams that are open at a time.
const OPEN_FILES_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Where the events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them into one file, which must not be there; `-` is standard output.
    Log(PathBuf),
    /// Those of stocks into a folder, a file a stock: `inventory-{product_id}-{store_id}.jsonl`.
    Streams(PathBuf),
}

/// Writes every event, as of now, and returns how many there were.
///
/// # Errors
///
/// [`MaintenanceError`] says what can't be read or written.
pub fn export(settings: &Settings, target: &Target, progress: Progress) -> Result<u64, MaintenanceError> {
    let events = open_events(settings)?;
    let head = events.head();
    let mut writer: Box<dyn EventWriter> = match target {
        Target::Log(to) if to == Path::new("-") => Box::new(LogWriter::new(to, Box::new(io::stdout()))),
        Target::Log(to) => {
            let file = File::create_new(to).map_err(MaintenanceError::file(to))?;
            Box::new(LogWriter::new(to, Box::new(file)))
        }
        Target::Streams(to) => Box::new(StreamWriter::new(to)?),
    };
    let phase = progress.phase("Exporting", head.0);
    let (mut after, mut line) = (Position::START, Vec::new());
    while after < head {
        let page = events.read(after, PAGE)?;
        let Some(last) = page.last().map(|event| event.position) else { break };
        for event in &page {
            line.clear();
            write_line(event, &mut line).map_err(|problem| {
                let source = io::Error::other(problem.to_string());
                MaintenanceError::File { path: settings.data.dir.clone(), source }
            })?;
            writer.write(event.stream, &line)?;
        }
        phase.advance(page.len() as u64);
        after = last;
    }
    writer.finish()?;
    Ok(after.0)
}

trait EventWriter {
    fn write(&mut self, stream: StreamId, line: &[u8]) -> Result<(), MaintenanceError>;
    fn finish(&mut self) -> Result<(), MaintenanceError>;
}

struct LogWriter {
    path: PathBuf,
    out: BufWriter<Box<dyn Write>>,
}

impl LogWriter {
    fn new(path: &Path, out: Box<dyn Write>) -> Self {
        Self { path: path.to_owned(), out: BufWriter::with_capacity(1 << 20, out) }
    }
}

impl EventWriter for LogWriter {
    fn write(&mut self, _: StreamId, line: &[u8]) -> Result<(), MaintenanceError> {
        self.out.write_all(line).map_err(MaintenanceError::file(&self.path))
    }

    fn finish(&mut self) -> Result<(), MaintenanceError> {
        self.out.flush().map_err(MaintenanceError::file(&self.path))
    }
}

struct StreamWriter {
    folder: PathBuf,
    started: HashSet<StreamId>,
    open: LruCache<StreamId, BufWriter<File>>,
}

impl StreamWriter {
    fn new(folder: &Path) -> Result<Self, MaintenanceError> {
        fs::create_dir_all(folder).map_err(MaintenanceError::file(folder))?;
        Ok(Self { folder: folder.to_owned(), started: HashSet::new(), open: LruCache::unbounded() })
    }
}

impl EventWriter for StreamWriter {
    fn write(&mut self, stream: StreamId, line: &[u8]) -> Result<(), MaintenanceError> {
        if stream.stock_id().is_none() {
            return Ok(());
        }
        let path = self.folder.join(format!("{stream}.jsonl"));
        if !self.open.contains(&stream) {
            let is_new = self.started.insert(stream);
            let file = OpenOptions::new().append(true).create_new(is_new).open(&path);
            self.open.put(stream, BufWriter::new(file.map_err(MaintenanceError::file(&path))?));
        }
        if let Some(out) = self.open.get_mut(&stream) {
            out.write_all(line).map_err(MaintenanceError::file(&path))?;
        }
        if self.open.len() > OPEN_FILES_MAX.get()
            && let Some((_, mut oldest)) = self.open.pop_lru()
        {
            oldest.flush().map_err(MaintenanceError::file(&self.folder))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), MaintenanceError> {
        while let Some((_, mut out)) = self.open.pop_lru() {
            out.flush().map_err(MaintenanceError::file(&self.folder))?;
        }
        Ok(())
    }
}
