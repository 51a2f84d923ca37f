//! Where everything stands: built by the scan at the start, kept up by the writer, read by everybody.

use std::collections::HashMap;
use std::sync::Arc;

use inventory_application::{Position, StreamId};
use inventory_domain::Timestamp;

use super::line::Place;
use crate::files::ReadFile;

/// Every so many versions a stream has a mark, so that a page of a long stream is found without walking all of it.
pub(super) const MARK_EVERY: u64 = 64;

/// Every so many positions the log has a mark.
const LOG_MARK_EVERY: u64 = 256;

/// A segment that can be read.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) file: Arc<dyn ReadFile>,
    /// Where what is acknowledged starts, behind the header, and where it ends.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The segments as they are at one moment: what is read with them was acknowledged by then.
#[derive(Clone, Default)]
pub(super) struct Segments(pub(super) Vec<Segment>);

impl Segments {
    /// The segment with this number.
    pub(super) fn get(&self, number: u32) -> Option<&Segment> {
        self.0.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

/// Where a stream ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) place: Place,
}

/// A place on the way through a stream.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) place: Place,
    pub(super) recorded_at: Timestamp,
}

/// What is acknowledged, and where it stands.
#[derive(Default)]
pub(super) struct Index {
    pub(super) segments: Segments,
    pub(super) head: Position,
    streams: HashMap<StreamId, Head>,
    /// How many of them are of stocks.
    pub(super) stock_count: usize,
    /// The mark at place `n` is of version `(n + 1) * MARK_EVERY`.
    marks: HashMap<StreamId, Vec<Mark>>,
    /// The place at `n` is of position `n * LOG_MARK_EVERY + 1`.
    log_marks: Vec<Place>,
}

impl Index {
    pub(super) fn stream(&self, stream: StreamId) -> Head {
        self.streams.get(&stream).copied().unwrap_or_default()
    }

    /// Takes in the next event of the log.
    pub(super) fn add(&mut self, stream: StreamId, version: u64, place: Place, recorded_at: Timestamp) {
        self.head.0 += 1;
        if version == 1 && stream.stock_id().is_some() {
            self.stock_count += 1;
        }
        self.streams.insert(stream, Head { version, place });
        if version.is_multiple_of(MARK_EVERY) {
            self.marks.entry(stream).or_default().push(Mark { place, recorded_at });
        }
        if (self.head.0 - 1).is_multiple_of(LOG_MARK_EVERY) {
            self.log_marks.push(place);
        }
    }

    /// How many streams there are.
    pub(super) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Where to start reading the events after `after`; `None` where there are none.
    pub(super) fn log_from(&self, after: Position) -> Option<(Place, Segments)> {
        if after >= self.head {
            return None;
        }
        let number = usize::try_from(after.0 / LOG_MARK_EVERY).ok()?;
        Some((*self.log_marks.get(number)?, self.segments.clone()))
    }

    /// Where to start walking back to `version`: the first mark from it on, or the stream's end.
    pub(super) fn back_from_version(&self, stream: StreamId, version: u64) -> Head {
        let number = usize::try_from(version.div_ceil(MARK_EVERY).saturating_sub(1)).unwrap_or(usize::MAX);
        match self.marks.get(&stream).and_then(|marks| marks.get(number)) {
            Some(mark) => Head { version: (number as u64 + 1) * MARK_EVERY, place: mark.place },
            None => self.stream(stream),
        }
    }

    /// Where to start walking back to `at`: the first mark that is later, or the stream's end.
    pub(super) fn back_from_time(&self, stream: StreamId, at: Timestamp) -> Head {
        let marks = self.marks.get(&stream).map(Vec::as_slice).unwrap_or_default();
        let number = marks.partition_point(|mark| mark.recorded_at <= at);
        match marks.get(number) {
            Some(mark) => Head { version: (number as u64 + 1) * MARK_EVERY, place: mark.place },
            None => self.stream(stream),
        }
    }

    /// Moves the end of the segment at this place.
    pub(super) fn extend_segment(&mut self, place: usize, end: u64) {
        self.segments.0[place].end = end;
    }
}
