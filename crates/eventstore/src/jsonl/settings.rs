//! The store's bounds.

/// Every bound of the store.
#[derive(Clone, Copy, Debug)]
pub struct JsonlSettings {
    /// Bytes of a segment of the journal; a batch that is larger gets one of its own size.
    pub segment_bytes: u64,
    /// Batches that may wait for the writer; appending waits when there are more.
    pub writer_queue_batches_max: usize,
    /// Reads that may run at a time.
    pub readers_max: usize,
    /// How long a read waits for its turn, in milliseconds.
    pub reader_wait_ms_max: u64,
    /// Events in one page of the log, at most (but for a last group that is not split).
    pub log_page_events_max: usize,
    /// Whether each stock has a readable file of its own, written behind the journal.
    pub stream_files: bool,
    /// How many of these files are open at a time.
    pub stream_files_open_max: usize,
    /// Closed reservations that a state remembers: a snapshot of a state that remembers another number is not used.
    pub closed_reservations_remembered: usize,
    /// How long the writer waits between two tries to start a new segment after a failure, in milliseconds.
    pub repair_pause_ms: u64,
}

impl Default for JsonlSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            writer_queue_batches_max: 64,
            readers_max: 4,
            reader_wait_ms_max: 5_000,
            log_page_events_max: 8_192,
            stream_files: true,
            stream_files_open_max: 256,
            closed_reservations_remembered: inventory_domain::Inventory::CLOSED_REMEMBERED,
            repair_pause_ms: 250,
        }
    }
}
