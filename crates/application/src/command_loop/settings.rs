//! The loop's bounds.

/// Every bound of the command loop.
#[derive(Clone, Copy, Debug)]
pub struct CommandLoopSettings {
    /// Commands that may be waiting or in work; the next one is refused at once.
    pub queue_commands_max: usize,
    /// How long a command may wait before it is decided, in milliseconds; then it is refused, and nothing was done.
    pub queue_wait_ms_max: u64,
    /// Commands in one batch, at most.
    pub batch_commands_max: usize,
    /// Stocks, orders and transfers whose state is held in memory; at least [`CommandLoopSettings::batch_commands_max`].
    pub states_max: usize,
    /// Reads of missing streams that may run at a time.
    pub loads_max: usize,
    /// Closed reservations that a stock remembers; at least 1, or the loop couldn't tell what a batch has just closed.
    pub closed_reservations_remembered: usize,
    /// Events of a stock after which its state is kept, or as many as it has live reservations, whichever is more.
    pub snapshot_every_events: u64,
    /// Live reservations of a stock up to which its state is kept.
    pub snapshot_reservations_max: usize,
    /// How often a command may lose to another node before it is refused.
    pub conflict_tries_max: u32,
    /// The longest wait before a command that has lost is tried again, in milliseconds.
    pub conflict_delay_ms_max: u64,
}

impl Default for CommandLoopSettings {
    fn default() -> Self {
        Self {
            queue_commands_max: 32_768,
            queue_wait_ms_max: 5_000,
            batch_commands_max: 8_192,
            states_max: 100_000,
            loads_max: 4,
            closed_reservations_remembered: inventory_domain::Inventory::CLOSED_REMEMBERED,
            snapshot_every_events: 1_000,
            snapshot_reservations_max: 50_000,
            conflict_tries_max: 10,
            conflict_delay_ms_max: 50,
        }
    }
}
