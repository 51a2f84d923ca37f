//! News of what has reached the read models.

use inventory_domain::StockId;
use tokio::time::Instant;

use crate::Position;

/// A step that the read models have taken.
#[derive(Clone, Copy, Debug)]
pub struct Projected<'a> {
    /// Every event up to here is in the read models.
    pub checkpoint: Position,
    /// The stocks whose rows the step has changed.
    pub stocks: &'a [ChangedStock],
}

/// A stock whose row a step has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedStock {
    /// Which stock.
    pub stock_id: StockId,
    /// Where the last of its events in the step stands.
    pub last: Position,
}

/// Events that projections have applied together.
#[derive(Clone, Copy, Debug)]
pub struct AppliedPage {
    /// Where the first of them stands.
    pub first: Position,
    /// Where the last of them stands.
    pub last: Position,
    /// How many there are.
    pub events: usize,
    /// When applying them began.
    pub began: Instant,
    /// When they were committed.
    pub ended: Instant,
}

/// Hears of every step of the read models, in order, after its commit. It must not block.
pub trait ProjectionListener: Send + Sync {
    /// The read models have taken this step.
    fn projected(&self, step: Projected<'_>);

    /// Read models were made anew, with every event up to `checkpoint`: any row may be another one than it was.
    fn rebuilt(&self, checkpoint: Position);

    /// Projections have taken a page, one of them at least; told after the step, and of no use to who doesn't measure.
    fn applied(&self, _: &AppliedPage) {}
}
