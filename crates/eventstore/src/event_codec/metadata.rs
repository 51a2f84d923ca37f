//! Where events came from <-> JSON, with the version of the event's own format beside it.

use std::sync::Arc;

use inventory_application::ports::Metadata;
use serde::{Deserialize, Serialize};

use super::{CodecError, SCHEMA_VERSION, Text, write};

/// Writes the metadata behind what is in `out`.
pub fn encode_metadata(metadata: &Metadata, out: &mut Vec<u8>) {
    let stored = StoredMetadata {
        schema_version: SCHEMA_VERSION,
        request_id: metadata.request_id.as_deref().map(Into::into),
        trace_id: metadata.trace_id.as_deref().map(Into::into),
        actor: metadata.actor.as_deref().map(Into::into),
        idempotency_key: metadata.idempotency_key.as_deref().map(Into::into),
    };
    write(out, &stored);
}

/// The metadata, and the schema version of the event that it stands beside.
///
/// # Errors
///
/// [`CodecError::Malformed`].
pub fn decode_metadata(stored: &str) -> Result<(Metadata, u32), CodecError> {
    let stored: StoredMetadata<'_> = serde_json::from_str(stored).map_err(malformed_metadata)?;
    let metadata = Metadata {
        request_id: stored.request_id.map(Into::into),
        trace_id: stored.trace_id.map(Into::into),
        span_id: None, // Whatever was recorded is over.
        actor: stored.actor.map(Into::into),
        idempotency_key: stored.idempotency_key.map(Into::into),
    };
    Ok((metadata, stored.schema_version))
}

/// The schema version alone, for who needs no more of the metadata.
///
/// # Errors
///
/// [`CodecError::Malformed`].
pub fn decode_schema_version(stored: &str) -> Result<u32, CodecError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u32,
    }
    let Version { schema_version } = serde_json::from_str(stored).map_err(malformed_metadata)?;
    Ok(schema_version)
}

fn malformed_metadata(source: serde_json::Error) -> CodecError {
    CodecError::Malformed { part: "metadata".to_owned(), source }
}

/// Writes metadata as JSON, once for all that a request or a client's batch has decided.
#[derive(Default)]
pub(crate) struct MetadataEncoder {
    last: Option<Arc<Metadata>>,
    text: Vec<u8>,
}

impl MetadataEncoder {
    /// The JSON.
    pub(crate) fn encode(&mut self, metadata: &Arc<Metadata>) -> &[u8] {
        if !self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, metadata)) {
            self.text.clear();
            encode_metadata(metadata, &mut self.text);
            self.last = Some(Arc::clone(metadata));
        }
        &self.text
    }
}

/// Reads metadata from JSON, once for all events in a row that have the same.
#[derive(Default)]
pub(crate) struct MetadataDecoder {
    text: String,
    last: Option<(Arc<Metadata>, u32)>,
}

impl MetadataDecoder {
    /// As [`decode_metadata`].
    pub(crate) fn decode(&mut self, stored: &str) -> Result<(Arc<Metadata>, u32), CodecError> {
        match &self.last {
            Some((metadata, schema_version)) if self.text == stored => Ok((Arc::clone(metadata), *schema_version)),
            _ => {
                let (metadata, schema_version) = decode_metadata(stored)?;
                let metadata = Arc::new(metadata);
                self.text.clear();
                self.text.push_str(stored);
                self.last = Some((Arc::clone(&metadata), schema_version));
                Ok((metadata, schema_version))
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredMetadata<'a> {
    schema_version: u32,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    actor: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<Text<'a>>,
}
