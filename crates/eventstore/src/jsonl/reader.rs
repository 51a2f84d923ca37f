//! Reads streams and the log, up to what is acknowledged.

use inventory_application::ports::{LoadedStream, PastEvent, RecordedEvent, StoreError};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::{DomainEvent, Timestamp};
use memchr::{memchr, memchr_iter, memrchr};
use thiserror::Error;

use super::index::{Head, Segment, Segments};
use super::line::{Commit, EventLine, Line, Place, offset32, parse_moment, read};
use super::snapshots::KeptState;
use crate::event_codec::{CodecError, MetadataDecoder, decode_event, decode_schema_version};

/// What is read for one line at first; most are shorter.
const LINE_BYTES: usize = 1_024;

/// What is read at a time of many lines.
const CHUNK_BYTES: usize = 1 << 18;

/// What is stored can't be right: it was when the store was opened.
#[derive(Debug, Error)]
enum Damage {
    #[error("segment {segment}, offset {offset}: no line of an event can be read there")]
    NoEvent { segment: u32, offset: u32 },
    #[error("event {position}, version {version} of {stream}: {source}")]
    Event { stream: StreamId, version: u64, position: Position, source: CodecError },
}

fn damaged(damage: Damage) -> StoreError {
    StoreError::Damaged(Box::new(damage))
}

fn no_event(place: Place) -> StoreError {
    damaged(Damage::NoEvent { segment: place.segment, offset: place.offset })
}

/// The bytes of the line at `place`, without its end.
fn line_at(segment: &Segment, place: Place, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
    let offset = u64::from(place.offset);
    let mut wanted = LINE_BYTES;
    loop {
        let left = usize::try_from(segment.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        buffer.resize(wanted.min(left), 0);
        let whole = segment.file.read_exact_at(buffer, offset);
        whole.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        match memchr(b'\n', buffer) {
            Some(end) => {
                buffer.truncate(end);
                return Ok(());
            }
            None if wanted >= left => return Err(no_event(place)),
            None => wanted *= 8,
        }
    }
}

/// The commit line at `place`.
pub(super) fn read_commit(segments: &Segments, place: Place) -> Result<Commit, StoreError> {
    let segment = segments.get(place.segment).ok_or_else(|| no_event(place))?;
    let mut buffer = Vec::new();
    line_at(segment, place, &mut buffer)?;
    match read(&buffer) {
        Some(Line::Commit(commit)) => Ok(commit),
        _ => Err(no_event(place)),
    }
}

/// Goes a stream's chain back, one event a step.
struct Walk<'a> {
    segments: &'a Segments,
    at: Head,
    buffer: Vec<u8>,
}

/// An event on the way.
struct Step {
    version: u64,
    position: Position,
    event_id: EventId,
    recorded_at: Timestamp,
    event: DomainEvent,
}

impl<'a> Walk<'a> {
    fn new(segments: &'a Segments, from: Head) -> Self {
        Self { segments, at: from, buffer: Vec::new() }
    }

    /// The next event whose version is above `version`; `None` when there is none any more.
    fn next_above(&mut self, version: u64) -> Result<Option<Step>, StoreError> {
        if self.at.version <= version {
            return Ok(None);
        }
        let place = self.at.place;
        let expected = self.at.version;
        let (step, previous) = self.with_line(|line| {
            if line.version != expected {
                return Err(no_event(place));
            }
            let recorded_at = parse_moment(line.recorded_at).ok_or_else(|| no_event(place))?;
            let event = decode(line, place)?;
            let event_id = line.event_id().ok_or_else(|| no_event(place))?;
            let (version, position) = (line.version, line.position);
            Ok((Step { version, position, event_id, recorded_at, event }, line.previous))
        })?;
        self.at = Head { version: expected - 1, place: previous };
        Ok(Some(step))
    }

    /// Where the next event stands, without decoding it; moves on.
    fn skip(&mut self) -> Result<Place, StoreError> {
        let (place, expected) = (self.at.place, self.at.version);
        let previous =
            self.with_line(|line| if line.version == expected { Ok(line.previous) } else { Err(no_event(place)) })?;
        self.at = Head { version: expected - 1, place: previous };
        Ok(place)
    }

    fn with_line<T>(&mut self, take: impl FnOnce(&EventLine<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let place = self.at.place;
        line_at(self.segments.get(place.segment).ok_or_else(|| no_event(place))?, place, &mut self.buffer)?;
        match read(&self.buffer) {
            Some(Line::Event(line)) => take(&line),
            _ => Err(no_event(place)),
        }
    }
}

/// The stream's history from `kept` on, as it was at `until`; `from` is where to start walking back.
pub(super) fn load(
    segments: &Segments,
    from: Head,
    until: Timestamp,
    kept: Option<KeptState>,
) -> Result<LoadedStream, StoreError> {
    let down_to = kept.as_ref().map_or(0, |kept| kept.inventory.version());
    let position = kept.as_ref().map_or(Position::START, |kept| kept.position);
    let snapshot = kept.map(|kept| kept.inventory);
    let mut loaded = LoadedStream { version: down_to, position, snapshot, events: Vec::new() };
    let mut walk = Walk::new(segments, from);
    while let Some(step) = walk.next_above(down_to)? {
        if step.recorded_at <= until {
            loaded.version = loaded.version.max(step.version);
            loaded.position = loaded.position.max(step.position);
            loaded.events.push(PastEvent { event: step.event, recorded_at: step.recorded_at });
        }
    }
    loaded.events.reverse();
    Ok(loaded)
}

/// The event with this version of the stream that `from` is further along; `None` where there is none.
pub(super) fn event_of(segments: &Segments, from: Head, version: u64) -> Option<(Position, EventId)> {
    let mut walk = Walk::new(segments, from);
    while walk.at.version > version {
        walk.skip().ok()?;
    }
    let step = walk.next_above(version.checked_sub(1)?).ok()??;
    Some((step.position, step.event_id))
}

/// The events after version `after` and up to version `last` of the stream that `from` is further along.
pub(super) fn stream_page(
    segments: &Segments,
    from: Head,
    after: u64,
    last: u64,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let (mut page, mut decoder) = (Vec::new(), Decoder::default());
    each_stream_line(segments, from, after, last, &mut |line, place| {
        page.push(decoder.recorded(line, place)?);
        Ok(())
    })?;
    Ok(page)
}

/// Hands over the lines of the events after version `after` and up to version `last` of the stream that `from` is further along.
pub(super) fn each_stream_line(
    segments: &Segments,
    from: Head,
    after: u64,
    last: u64,
    take: &mut dyn FnMut(&EventLine<'_>, Place) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut walk = Walk::new(segments, from);
    let mut places = Vec::new();
    while walk.at.version > after {
        let version = walk.at.version;
        let place = walk.skip()?;
        if version <= last {
            places.push(place);
        }
    }
    let mut buffer = Vec::new();
    for place in places.into_iter().rev() {
        line_at(segments.get(place.segment).ok_or_else(|| no_event(place))?, place, &mut buffer)?;
        match read(&buffer) {
            Some(Line::Event(line)) => take(&line, place)?,
            _ => return Err(no_event(place)),
        }
    }
    Ok(())
}

/// The events that follow `after`, about `limit` of them, never a part of a group.
pub(super) fn read_log(
    segments: &Segments,
    from: Place,
    after: Position,
    limit: usize,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let (mut page, mut decoder) = (Vec::new(), Decoder::default());
    each_line(segments, from, after, &mut |line, place| {
        page.push(decoder.recorded(line, place)?);
        Ok(page.len() < limit || line.remaining > 0)
    })?;
    Ok(page)
}

/// Hands over the lines of the events after `after`, in order, until `take` has enough; `from` is at one of them or before.
pub(super) fn each_line(
    segments: &Segments,
    from: Place,
    after: Position,
    take: &mut dyn FnMut(&EventLine<'_>, Place) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut place = from;
    let mut buffer = Vec::new();
    let first = usize::try_from(place.segment).unwrap_or(1).saturating_sub(1);
    for segment in &segments.0[first.min(segments.0.len())..] {
        if segment.number != place.segment {
            place = Place { segment: segment.number, offset: u32::try_from(segment.start).unwrap_or(0) };
        }
        let mut offset = u64::from(place.offset);
        let mut wanted = CHUNK_BYTES;
        while offset < segment.end {
            let left = usize::try_from(segment.end - offset).unwrap_or(usize::MAX);
            buffer.resize(wanted.min(left), 0);
            let whole = segment.file.read_exact_at(&mut buffer, offset);
            whole.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            let Some(end) = memrchr(b'\n', &buffer) else {
                if wanted >= left {
                    return Err(no_event(Place {
                        segment: segment.number,
                        offset: offset32(usize::try_from(offset).unwrap_or(0)),
                    }));
                }
                wanted *= 8; // One line that is longer.
                continue;
            };
            let mut start = 0;
            for line_end in memchr_iter(b'\n', &buffer[..=end]) {
                let at = usize::try_from(offset).unwrap_or(0) + start;
                let place = Place { segment: segment.number, offset: offset32(at) };
                let line = &buffer[start..line_end];
                start = line_end + 1;
                match read(line) {
                    Some(Line::Event(event)) if event.position > after => {
                        if !take(&event, place)? {
                            return Ok(());
                        }
                    }
                    Some(Line::Event(_) | Line::Commit(_)) => (),
                    Some(Line::Header(_) | Line::Continued(_)) | None => return Err(no_event(place)),
                }
            }
            offset += end as u64 + 1;
            wanted = CHUNK_BYTES;
        }
    }
    Ok(())
}

fn decode(line: &EventLine<'_>, place: Place) -> Result<DomainEvent, StoreError> {
    let (data, metadata) = line.parts().ok_or_else(|| no_event(place))?;
    let event = decode_schema_version(metadata).and_then(|version| decode_event(line.event_type, version, data));
    event.map_err(|source| undecodable(line, source))
}

fn undecodable(line: &EventLine<'_>, source: CodecError) -> StoreError {
    damaged(Damage::Event { stream: line.stream, version: line.version, position: line.position, source })
}

/// Decodes events that follow one another: those of one batch have the same time and mostly the same metadata.
#[derive(Default)]
struct Decoder {
    metadata: MetadataDecoder,
    last_moment: (String, Timestamp),
}

impl Decoder {
    fn recorded(&mut self, line: &EventLine<'_>, place: Place) -> Result<RecordedEvent, StoreError> {
        let (data, metadata) = line.parts().ok_or_else(|| no_event(place))?;
        let (metadata, schema_version) = self.metadata.decode(metadata).map_err(|source| undecodable(line, source))?;
        let event = decode_event(line.event_type, schema_version, data).map_err(|source| undecodable(line, source))?;
        Ok(RecordedEvent {
            position: line.position,
            event_id: line.event_id().ok_or_else(|| no_event(place))?,
            stream: line.stream,
            version: line.version,
            recorded_at: self.moment(line.recorded_at).ok_or_else(|| no_event(place))?,
            event,
            remaining: line.remaining,
            metadata,
        })
    }

    fn moment(&mut self, text: &str) -> Option<Timestamp> {
        if self.last_moment.0 != text {
            self.last_moment = (text.to_owned(), parse_moment(text)?);
        }
        Some(self.last_moment.1)
    }
}
