//! What is read as an event, or as where it came from, is written so that the same is read again.
//!
//! The first line is the event's type, the second its schema version, the rest its data; the data is tried as metadata as well.

use inventory_domain::DomainEvent;
use inventory_eventstore::event_codec::{decode_event, decode_metadata, encode_event, encode_metadata};

/// Writes an event.
pub type Encode = fn(&DomainEvent, &mut Vec<u8>) -> &'static str;

/// Tries the codec.
pub fn check(input: &[u8]) {
    check_with(input, encode_event);
}

/// Tries the codec with this way to write an event.
pub fn check_with(input: &[u8], encode: Encode) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut parts = text.splitn(3, '\n');
    let (Some(event_type), Some(version), Some(data)) = (parts.next(), parts.next(), parts.next()) else { return };
    metadata_is_kept(data);
    let Ok(version) = version.parse() else { return };
    let Ok(event) = decode_event(event_type, version, data) else { return };
    let mut written = Vec::new();
    let written_type = encode(&event, &mut written);
    assert_eq!(written_type, event_type);
    let written = String::from_utf8(written).unwrap();
    let again = decode_event(written_type, newest_version(), &written).unwrap();
    assert_eq!(again, event, "{written}");
    let mut twice = Vec::new();
    encode(&again, &mut twice);
    assert_eq!(twice, written.into_bytes());
}

fn metadata_is_kept(stored: &str) {
    let Ok((metadata, _)) = decode_metadata(stored) else { return };
    let mut written = Vec::new();
    encode_metadata(&metadata, &mut written);
    let (again, version) = decode_metadata(std::str::from_utf8(&written).unwrap()).unwrap();
    assert_eq!((again, version), (metadata, newest_version()));
}

/// The version that is written now.
fn newest_version() -> u32 {
    let mut written = Vec::new();
    encode_metadata(&inventory_application::ports::Metadata::default(), &mut written);
    decode_metadata(std::str::from_utf8(&written).unwrap()).unwrap().1
}
