//! Values of a line that are left out where there are none.

use slog::{Key, Record, Serializer, Value};

/// A value that there may be.
#[derive(Clone, Copy, Debug)]
pub struct Optional<T>(pub Option<T>);

impl<T: Value> Value for Optional<T> {
    fn serialize(&self, record: &Record<'_>, key: Key, serializer: &mut dyn Serializer) -> slog::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.serialize(record, key, serializer))
    }
}
