//! What is left of a store when only the disk's work remains: rows in `SQLite`, and bytes in a file.
#![allow(dead_code, reason = "not every benchmark needs all of it")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use inventory_domain::DomainEvent;
use inventory_eventstore::event_codec::{encode_event, encode_metadata};
use uuid::Uuid;

use crate::event_table::{EventTable, Layout, NewEvent, Pragmas};
use crate::shop::{Draw, System, fresh_reservation, metadata, reserved};
use inventory_application::ports::Clock;

/// `SQLite` in the layout of the service's log, one connection, and nothing else.
pub(crate) struct RawSqlite {
    table: EventTable,
    draw: Draw,
    data: String,
    metadata: String,
}

impl RawSqlite {
    /// A new log of so many streams.
    pub(crate) fn create(folder: &Path, streams: u32) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (mut data, mut about) = (Vec::new(), Vec::new());
        _ = encode_event(&DomainEvent::from(reserved(fresh_reservation(), System.now())), &mut data);
        encode_metadata(&metadata(), &mut about);
        Self {
            table: EventTable::create(&folder.join("raw.db"), Layout::Chain, Pragmas::Default).unwrap(),
            draw: Draw::among(streams),
            data: text(data),
            metadata: text(about),
        }
    }

    /// Rows for the streams from `first` on, in turn.
    pub(crate) fn in_turn(&self, first: u32, rows: usize, streams: u32) -> Vec<NewEvent> {
        (first..).take(rows).map(|number| self.row(number % streams)).collect()
    }

    /// Rows for streams that are drawn.
    pub(crate) fn drawn(&mut self, rows: usize) -> Vec<NewEvent> {
        (0..rows)
            .map(|_| {
                let stream = self.draw.next();
                self.row(stream)
            })
            .collect()
    }

    fn row(&self, stream: u32) -> NewEvent {
        NewEvent { stream, event_id: Uuid::now_v7(), data: self.data.clone(), metadata: self.metadata.clone() }
    }

    pub(crate) fn append(&mut self, rows: &[NewEvent]) {
        self.table.append(System.now().millis(), rows).unwrap();
    }

    pub(crate) fn read_stream(&self, stream: u32) -> usize {
        self.read_end(stream, usize::MAX)
    }

    pub(crate) fn read_end(&self, stream: u32, limit: usize) -> usize {
        self.table.read_stream(stream, limit).unwrap()
    }

    pub(crate) fn read_page(&self, after: i64, limit: u32) -> usize {
        self.table.read_page(after, limit).unwrap()
    }
}

/// A file of lines as long as the journal's, allocated beforehand.
pub(crate) struct RawFile {
    file: File,
    line: Vec<u8>,
    bytes: u64,
    end: u64,
}

/// A segment of the journal.
const FILE_BYTES: u64 = 64 << 20;

impl RawFile {
    /// A line with a reservation; one that fills a stock where there are no others.
    fn line_of(segment: &[u8]) -> Option<&[u8]> {
        let find = |kind: &[u8]| {
            let mut lines = segment.split_inclusive(|byte| *byte == b'\n');
            lines.find(|line| line.windows(kind.len()).any(|part| part == kind))
        };
        find(b"StockReserved").or_else(|| find(b"StockAdded"))
    }

    /// A file full of lines such as `journal` (a store's folder) has.
    pub(crate) fn create(folder: &Path, journal: &Path) -> io::Result<Self> {
        let segment = fs::read(journal.join("events/log/00000001.jsonl"))?;
        let line = Self::line_of(&segment).ok_or(io::ErrorKind::InvalidData)?.to_vec();
        let file = File::options().read(true).write(true).create_new(true).open(folder.join("raw.jsonl"))?;
        let filling = line.repeat(4_096);
        let mut bytes = 0;
        while bytes < FILE_BYTES {
            file.write_all_at(&filling, bytes)?;
            bytes += filling.len() as u64;
        }
        file.sync_all()?;
        Ok(Self { file, line, bytes, end: 0 })
    }

    /// So many lines.
    pub(crate) fn lines(&self, count: usize) -> Vec<u8> {
        self.line.repeat(count)
    }

    /// Writes these bytes behind the last ones, or over the oldest ones, and waits for the disk.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.end + bytes.len() as u64 > self.bytes {
            self.end = 0;
        }
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.file.sync_data()
    }

    /// Reads so many lines, the first one and every `step`-th after it.
    pub(crate) fn read(&self, first: u64, step: u64, count: u64) -> io::Result<u64> {
        let mut line = vec![0; self.line.len()];
        let length = line.len() as u64;
        for number in (first..).step_by(step as usize).take(count as usize) {
            self.file.read_exact_at(&mut line, number * length)?;
        }
        Ok(std::hint::black_box(count))
    }

    /// Reads so many lines in one go.
    pub(crate) fn read_page(&self, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let length = self.line.len() as u64;
        let mut page = vec![0; (length * count) as usize];
        self.file.read_exact_at(&mut page, first * length)?;
        Ok(page)
    }
}
