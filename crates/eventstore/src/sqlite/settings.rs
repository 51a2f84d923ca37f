//! The store's bounds.

/// Every bound of the store.
#[derive(Clone, Copy, Debug)]
pub struct SqliteSettings {
    /// Connections that read, at most.
    pub readers_max: u32,
    /// How long a read waits for a connection, in milliseconds.
    pub reader_wait_ms_max: u64,
    /// Batches that may wait for the writer; appending waits when there are more.
    pub writer_queue_batches_max: usize,
    /// Streams whose version and last position the writer keeps in memory.
    pub streams_remembered_max: usize,
    /// Page cache of each connection, in KiB.
    pub cache_kib: u32,
    /// Pages in the write-ahead log after which it is taken into the file.
    pub wal_autocheckpoint_pages: u32,
    /// Append ids in one segment; about 24 bytes each are held in memory, of at most two segments.
    pub append_id_segment_keys_max: usize,
    /// Closed reservations that a state remembers: a snapshot of a state that remembers another number is not used.
    pub closed_reservations_remembered: usize,
    /// Events in one page of the log, at most (but for a last group that is not split).
    pub log_page_events_max: usize,
    /// How long the writer waits between two tries to repair the file, in milliseconds.
    pub repair_pause_ms: u64,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            readers_max: 4,
            reader_wait_ms_max: 5_000,
            writer_queue_batches_max: 64,
            streams_remembered_max: 100_000,
            cache_kib: 16_384,
            wal_autocheckpoint_pages: 1_000,
            append_id_segment_keys_max: 500_000,
            closed_reservations_remembered: inventory_domain::Inventory::CLOSED_REMEMBERED,
            log_page_events_max: 8_192,
            repair_pause_ms: 250,
        }
    }
}
