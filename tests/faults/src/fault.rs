//! What fails, and how.

/// Which operations are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Whatever changes something: creating, opening, writing, cutting, syncing, renaming and removing files, and syncing folders.
    Changes,
    /// Syncs of files alone.
    Syncs,
    /// Whatever only looks: reading, and asking for a length.
    Reads,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It does nothing.
    Fails,
    /// A write does half; anything else does nothing.
    Tears,
    /// It does what it should, and says that it failed.
    Lies,
    /// From then on every write does half and no file is made, as on a full disk, until the disk is healed.
    Full,
    /// From then on nothing is changed any more, until the disk is healed.
    Breaks,
}

impl How {
    /// Every way to fail.
    pub const ALL: [Self; 5] = [Self::Fails, Self::Tears, Self::Lies, Self::Full, Self::Breaks];
}

/// The n-th operation of a kind fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which operations are counted.
    pub aim: Aim,
    /// Which of them fails, from 1 on.
    pub nth: u64,
    /// How.
    pub how: How,
}

/// What an operation that fails says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
}
