//! The feed's bounds.

/// The feed's bounds.
#[derive(Clone, Copy, Debug)]
pub struct EventFeedSettings {
    /// Events that are read from the log at a time.
    pub page_events_max: usize,
    /// Events that one request for a page looks through, about, where its filter lets few through.
    pub look_events_max: usize,
    /// Reads of the log at a time, for pages and for listeners who aren't there yet.
    pub reads_max: usize,
    /// How long a request for a page waits for its turn to read, in milliseconds.
    pub read_wait_ms_max: u64,
    /// Listeners at a time.
    pub listeners_max: usize,
    /// Bytes that wait for one listener; where there would be more it reads the log when it gets to it.
    pub listener_bytes_max: usize,
    /// Bytes that wait for all listeners together; an event that several wait for counts once.
    pub waiting_bytes_max: usize,
    /// Committed batches that wait for the broadcaster; where there would be more it reads the log.
    pub queue_batches_max: usize,
    /// How long the broadcaster waits to be handed what the log is known to have, in milliseconds, before it reads it.
    pub linger_ms: u64,
    /// How often the broadcaster looks at the log when no hint comes, in milliseconds.
    pub poll_ms: u64,
}

impl Default for EventFeedSettings {
    fn default() -> Self {
        Self {
            page_events_max: 256,
            look_events_max: 10_000,
            reads_max: 2,
            read_wait_ms_max: 5_000,
            listeners_max: 4_096,
            listener_bytes_max: 8 << 20,
            waiting_bytes_max: 64 << 20,
            queue_batches_max: 16,
            linger_ms: 20,
            poll_ms: 1_000,
        }
    }
}
