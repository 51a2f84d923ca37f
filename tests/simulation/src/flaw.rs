//! Bugs to be planted: what finds none of them proves nothing.

/// A bug that a run is given, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The store appends now and then what expects another version.
    IgnoresVersions,
    /// The store appends what rests on a group that it has refused, where the version fits by accident.
    DoesNotTaint,
    /// The store forgets an append id now and then.
    ForgetsAppendIds,
    /// The store appends a group now and then without its last stream.
    TearsGroups,
    /// The store loses its last batch when a node crashes.
    LosesTheLastBatch,
    /// The store says that nothing has happened where nobody knows.
    SaysNothingHappened,
    /// The store says that nobody else appends.
    SaysItIsExclusive,
    /// The log that a projection follows lacks an event now and then.
    SkipsAnEvent,
    /// The cache doesn't hear of what was projected.
    LeavesTheCacheUntold,
    /// A node that starts doesn't know that an earlier run has acknowledged something.
    ForgetsTheMark,
    /// The expiry process looks at a clock that stands still.
    StopsTheExpiryClock,
}
