//! The journal's lines: each is JSON, and starts with a checksum of all that follows in it.
//!
//! ```text
//! {"crc":"xxxxxxxx","journal":1,"segment":1,"bytes":67108864,"after":0,"previous_end":0,"abandoned":false}
//! {"crc":"xxxxxxxx","previous":[0,0],"remaining":0,"position":1,"event_id":"…","event_type":"…","stream_id":"…","version":1,
//!  "recorded_at":"…","data":{…},"metadata":{…}}
//! {"crc":"xxxxxxxx","commit":{"start":101,"first":1,"last":1,"at":1764000000000,"keys":[…]}}
//! {"crc":"xxxxxxxx","continued":2}
//! ```
//!
//! What is read here was written here, so lines are read by their fixed order, which is quick; whoever damages one breaks
//! its checksum.

use std::fmt::Write as _;
use std::str;

use inventory_application::ports::{NewEvent, StreamAppend};
use inventory_application::{EventId, Position, StreamId};
use inventory_domain::{StockId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event_codec::encode_event;

/// How every line starts.
const START: &[u8] = b"{\"crc\":\"";

/// What comes before the part that the checksum covers: the start, eight hexadecimal digits, a quote and a comma.
const COVERED_FROM: usize = START.len() + 8 + 2;

/// Where something stands: the number of the segment, and the offset in it. No segment has the number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// The first line of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the journal's form.
    pub(super) journal: u32,
    pub(super) segment: u32,
    /// How long the file is.
    pub(super) bytes: u64,
    /// The last position that was acknowledged before it.
    pub(super) after: u64,
    /// Where the segment before it ends, whatever stands behind.
    pub(super) previous_end: u64,
    /// Whether the segment before it was left after a failure, so that anything may stand behind its end.
    pub(super) abandoned: bool,
}

/// The last line of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit {
    /// Where the batch starts in the segment.
    pub(super) start: u64,
    /// The position of its first event, or the next one where it has none.
    pub(super) first: u64,
    /// The position of its last event, or the last one where it has none.
    pub(super) last: u64,
    /// When it was written, in milliseconds since the epoch.
    pub(super) at: i64,
    /// The groups that have an append id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<CommittedKey>,
}

/// A group with an append id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommittedKey {
    /// The append id, in hexadecimal.
    pub(super) id: Hex16,
    /// The request's hash, in hexadecimal.
    pub(super) hash: Hex16,
    /// What a repeat is to be told, in hexadecimal.
    pub(super) result: String,
    /// Where the group's last event stands; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
}

/// Sixteen bytes, written in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hex16(pub(super) [u8; 16]);

impl From<Hex16> for String {
    fn from(bytes: Hex16) -> Self {
        to_hex(&bytes.0)
    }
}

impl TryFrom<String> for Hex16 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        from_hex(&text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or("32 hexadecimal digits are wanted")
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a string can't fail.
        text
    })
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// The mark behind a segment's last batch: the log goes on in another segment, which has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Continued {
    continued: u32,
}

/// What a mark takes at most; each segment keeps so much room for its own.
pub(super) const MARK_BYTES: u64 = 64;

/// The mark that the log goes on in this segment.
pub(super) fn mark_of(segment: u32) -> Vec<u8> {
    let mut line = Vec::new();
    write_object(&mut line, &Continued { continued: segment });
    line
}

/// Where lines may start in `bytes`, whatever is damaged around them.
pub(super) fn starts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(bytes, START)
}

/// Begins a line behind what is in `out`; [`end`] it.
fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend(START);
    out.extend(b"00000000\",");
    start
}

/// Ends the line that began at `start`: puts in the checksum.
fn end(out: &mut Vec<u8>, start: usize) {
    let crc = crc32c::crc32c(&out[start + COVERED_FROM..]);
    for place in 0..8 {
        out[start + START.len() + place] = hex_digit(crc >> (28 - 4 * place));
    }
    out.push(b'\n');
}

fn hex_digit(nibble: u32) -> u8 {
    b"0123456789abcdef"[(nibble & 15) as usize]
}

/// Writes any JSON object as a line behind what is in `out`.
fn write_object(out: &mut Vec<u8>, object: &impl Serialize) {
    let start = begin(out);
    let body = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, object) {
        unreachable!("plain data is always JSON: {error}");
    }
    out.remove(body); // The object's own brace: the line has one.
    end(out, start);
}

pub(super) fn write_header(out: &mut Vec<u8>, header: &Header) {
    write_object(out, header);
}

pub(super) fn write_commit(out: &mut Vec<u8>, commit: &Commit) {
    #[derive(Serialize)]
    struct Line<'a> {
        commit: &'a Commit,
    }
    write_object(out, &Line { commit });
}

/// What an event's line says beside the event.
pub(super) struct EventPlace<'a> {
    pub(super) previous: Place,
    pub(super) remaining: u64,
    pub(super) position: u64,
    pub(super) version: u64,
    /// When it was decided, as RFC 3339.
    pub(super) recorded_at: &'a str,
    /// The metadata, as JSON.
    pub(super) metadata: &'a [u8],
}

/// Writes an event as a line behind what is in `out`; `data` is a buffer for its data.
pub(super) fn write_event(
    out: &mut Vec<u8>,
    append: &StreamAppend,
    new: &NewEvent,
    place: &EventPlace<'_>,
    data: &mut Vec<u8>,
) {
    let start = begin(out);
    data.clear();
    let event_type = encode_event(&new.event, data);
    let EventPlace { previous: Place { segment, offset }, remaining, position, version, recorded_at, metadata } = place;
    // Piece by piece: the machinery of `write!` costs more than all the rest.
    out.extend(b"\"previous\":[");
    number(out, (*segment).into());
    out.push(b',');
    number(out, (*offset).into());
    out.extend(b"],\"remaining\":");
    number(out, *remaining);
    out.extend(b",\"position\":");
    number(out, *position);
    out.extend(b",\"event_id\":\"");
    uuid(out, new.event_id.0);
    out.extend(b"\",\"event_type\":\"");
    out.extend(event_type.as_bytes());
    out.extend(b"\",\"stream_id\":\"");
    stream_id(out, append.stream);
    out.extend(b"\",\"version\":");
    number(out, *version);
    out.extend(b",\"recorded_at\":\"");
    out.extend(recorded_at.as_bytes());
    out.extend(b"\",\"data\":");
    out.extend(&*data);
    out.extend(b",\"metadata\":");
    out.extend(*metadata);
    out.push(b'}');
    end(out, start);
}

fn number(out: &mut Vec<u8>, number: u64) {
    drop(serde_json::to_writer(out, &number)); // Writing a number to memory can't fail.
}

fn uuid(out: &mut Vec<u8>, uuid: Uuid) {
    out.extend(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

/// As the stream's `Display`.
fn stream_id(out: &mut Vec<u8>, stream: StreamId) {
    match stream {
        StreamId::Inventory(StockId { product_id, store_id }) => {
            out.extend(b"inventory-");
            uuid(out, product_id.uuid());
            out.push(b'-');
            uuid(out, store_id.uuid());
        }
        StreamId::Order(order_id) => {
            out.extend(b"order-");
            uuid(out, order_id.uuid());
        }
        StreamId::Transfer(transfer_id) => {
            out.extend(b"transfer-");
            uuid(out, transfer_id.uuid());
        }
    }
}

/// A line that is whole.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Header(Header),
    Event(EventLine<'a>),
    Commit(Commit),
    /// The log goes on in the segment with this number.
    Continued(u32),
}

/// An event's line, read as far as finding one's way takes.
#[derive(Debug)]
pub(super) struct EventLine<'a> {
    pub(super) previous: Place,
    pub(super) remaining: u64,
    pub(super) position: Position,
    event_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) stream: StreamId,
    pub(super) version: u64,
    /// RFC 3339, always as long.
    pub(super) recorded_at: &'a str,
    /// The data as JSON, a comma, and the metadata under its name, without the last brace.
    rest: &'a str,
    /// The line from the position on: with a brace in front, it is the event as clients see it.
    pub(super) shown: &'a [u8],
}

impl<'a> EventLine<'a> {
    /// The event's name; `None` where it is none.
    pub(super) fn event_id(&self) -> Option<EventId> {
        Uuid::try_parse(self.event_id).ok().map(EventId)
    }

    /// The data and the metadata, as JSON.
    pub(super) fn parts(&self) -> Option<(&'a str, &'a str)> {
        // The metadata's name can stand in no text of the data: a quote there is escaped.
        const NAME: &str = ",\"metadata\":";
        let end = self.rest.rfind(",\"metadata\":{")?;
        Some((&self.rest[..end], &self.rest[end + NAME.len()..]))
    }
}

/// The line in `bytes`, without its end; `None` where it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Line<'_>> {
    let covered = bytes.get(COVERED_FROM..)?;
    let crc = str::from_utf8(bytes.get(START.len()..START.len() + 8)?).ok()?;
    let is_whole = bytes.starts_with(START)
        && &bytes[START.len() + 8..COVERED_FROM] == b"\","
        && crc.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
        && u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(covered);
    if !is_whole {
        return None;
    }
    let text = str::from_utf8(covered).ok()?;
    if text.starts_with("\"previous\":") {
        return read_event(text).map(Line::Event);
    }
    let object = format!("{{{text}");
    if text.starts_with("\"commit\":") {
        return serde_json::from_str::<CommitLine>(&object).ok().map(|line| Line::Commit(line.commit));
    }
    if text.starts_with("\"continued\":") {
        return serde_json::from_str::<Continued>(&object).ok().map(|line| Line::Continued(line.continued));
    }
    serde_json::from_str(&object).ok().map(Line::Header)
}

/// What a commit line is.
#[derive(Deserialize)]
struct CommitLine {
    commit: Commit,
}

fn read_event(text: &str) -> Option<EventLine<'_>> {
    let mut rest = Rest(text);
    rest.skip("\"previous\":[")?;
    let segment = rest.number()?;
    rest.skip(",")?;
    let offset = rest.number()?;
    rest.skip("],\"remaining\":")?;
    let remaining = rest.number()?;
    rest.skip(",")?;
    let shown = rest.0.as_bytes();
    rest.skip("\"position\":")?;
    let position = Position(rest.number()?);
    rest.skip(",\"event_id\":\"")?;
    let event_id = rest.until('"')?;
    rest.skip("\",\"event_type\":\"")?;
    let event_type = rest.until('"')?;
    rest.skip("\",\"stream_id\":\"")?;
    let stream = StreamId::parse(rest.until('"')?)?;
    rest.skip("\",\"version\":")?;
    let version = rest.number()?;
    rest.skip(",\"recorded_at\":\"")?;
    let recorded_at = rest.until('"')?;
    rest.skip("\",\"data\":")?;
    let previous = Place { segment: u32::try_from(segment).ok()?, offset: u32::try_from(offset).ok()? };
    let rest = rest.0.strip_suffix('}')?;
    Some(EventLine { previous, remaining, position, event_id, event_type, stream, version, recorded_at, rest, shown })
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        number.parse().ok()
    }

    fn until(&mut self, end: char) -> Option<&'a str> {
        let (before, _) = self.0.split_at(self.0.find(end)?);
        self.0 = &self.0[before.len()..];
        Some(before)
    }
}

/// The moment that the codec has written so.
pub(super) fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

/// Segments are smaller than 4 GiB.
pub(super) fn offset32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use inventory_application::ports::ExpectedVersion;
    use inventory_domain::inventory::Event;
    use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId};

    use super::*;

    #[test]
    fn every_line_is_json_and_reads_back() {
        let mut out = Vec::new();
        let header = Header { journal: 1, segment: 7, bytes: 4_096, after: 12, previous_end: 99, abandoned: true };
        write_header(&mut out, &header);
        let key =
            CommittedKey { id: Hex16([7; 16]), hash: Hex16([255; 16]), result: to_hex(b"told"), position: Some(3) };
        let commit = Commit { start: 101, first: 13, last: 14, at: 5, keys: vec![key] };
        write_commit(&mut out, &commit);
        let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
        assert!(matches!(read(lines[0]), Some(Line::Header(read)) if read == header));
        assert!(matches!(read(lines[1]), Some(Line::Commit(read)) if read == commit));
        assert!(lines[..2].iter().all(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok()));
        for place in 0..lines[1].len() {
            let mut damaged = lines[1].to_vec();
            damaged[place] ^= 4;
            assert!(read(&damaged).is_none(), "byte {place}");
        }
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("012"), None);
    }

    #[test]
    fn an_event_is_found_whatever_its_texts_say() {
        let odd = "a \"metadata\":{}, \\ ,\"metadata\":{\"x\" and \u{1f4e6}";
        let event = Event::StockAdded { quantity: Quantity::new(1).unwrap(), reason: Reason::new(odd).unwrap() };
        let stock_id = StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(2) };
        let append = StreamAppend { stream: stock_id.into(), expected: ExpectedVersion::NoStream, events: Vec::new() };
        let new = NewEvent { event_id: EventId(Uuid::from_u128(5)), event: event.into() };
        let metadata = serde_json::json!({"schema_version": 2, "actor": odd}).to_string();
        let place = EventPlace {
            previous: Place { segment: 3, offset: 44 },
            remaining: 2,
            position: 9,
            version: 1,
            recorded_at: "2025-11-24T00:00:00.000Z",
            metadata: metadata.as_bytes(),
        };
        let mut out = Vec::new();
        write_event(&mut out, &append, &new, &place, &mut Vec::new());
        let Some(Line::Event(line)) = read(out.strip_suffix(b"\n").unwrap()) else { panic!("{out:?}") };
        assert_eq!((line.previous, line.remaining, line.position, line.version), (place.previous, 2, Position(9), 1));
        assert_eq!(
            (line.stream, line.event_type, line.recorded_at),
            (append.stream, "StockAddedEvent", place.recorded_at)
        );
        let (data, read_metadata) = line.parts().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap()["reason"], odd);
        assert_eq!(read_metadata, metadata);
        let shown = [b"{", line.shown].concat();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&shown).unwrap()["position"], 9);
    }
}
