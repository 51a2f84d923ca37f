//! The lines of an order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;

use crate::{Quantity, QuantityOutOfRange, ReservationId, StockId};

/// Units of one stock, and the reservation that holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderLine {
    /// Which stock.
    pub stock_id: StockId,
    /// How many units.
    pub quantity: Quantity,
    /// The reservation on that stock.
    pub reservation_id: ReservationId,
}

/// 1 to [`OrderLines::MAX`] lines, each of another stock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderLines(Vec<OrderLine>);

/// Lines that are no order's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrderLinesError {
    /// None, or too many.
    #[error("must be 1 to {most} lines, got {given}", most = OrderLines::MAX)]
    Count {
        /// How many there are.
        given: usize,
    },
    /// The lines of one stock add up to more than a command may move.
    #[error("the lines of {stock_id} add up to too much: {source}")]
    Sum {
        /// The first such line, from 0 on.
        index: usize,
        /// Whose lines.
        stock_id: StockId,
        /// What they add up to.
        source: QuantityOutOfRange,
    },
    /// Two lines are of the same stock.
    #[error("{stock_id} is in two lines")]
    Twice {
        /// Which stock.
        stock_id: StockId,
    },
}

impl OrderLines {
    /// The most lines that may be asked for.
    pub const MAX: usize = 500;

    /// The lines that `asked` comes to: lines of the same stock are summed where the first of them stands.
    ///
    /// # Errors
    ///
    /// [`OrderLinesError`] when there are none or too many, or a sum is more than [`Quantity::MAX`].
    pub fn summed(
        asked: &[(StockId, Quantity)],
        mut fresh_id: impl FnMut() -> ReservationId,
    ) -> Result<Self, OrderLinesError> {
        if asked.is_empty() || asked.len() > Self::MAX {
            return Err(OrderLinesError::Count { given: asked.len() });
        }
        let mut places = HashMap::with_capacity(asked.len());
        let mut lines: Vec<OrderLine> = Vec::with_capacity(asked.len());
        for (index, (stock_id, quantity)) in asked.iter().enumerate() {
            match places.entry(*stock_id) {
                Entry::Vacant(place) => {
                    place.insert(lines.len());
                    lines.push(OrderLine { stock_id: *stock_id, quantity: *quantity, reservation_id: fresh_id() });
                }
                Entry::Occupied(place) => {
                    let line = &mut lines[*place.get()];
                    let sum = line.quantity.units().saturating_add(quantity.units());
                    let sum = Quantity::new(i64::try_from(sum).unwrap_or(i64::MAX));
                    let stock_id = *stock_id;
                    line.quantity = sum.map_err(|source| OrderLinesError::Sum { index, stock_id, source })?;
                }
            }
        }
        Ok(Self(lines))
    }

    /// The lines of an order as they were kept.
    ///
    /// # Errors
    ///
    /// [`OrderLinesError`] when there are none or too many, or two are of the same stock.
    pub fn new(lines: Vec<OrderLine>) -> Result<Self, OrderLinesError> {
        if lines.is_empty() || lines.len() > Self::MAX {
            return Err(OrderLinesError::Count { given: lines.len() });
        }
        let mut sorted: Vec<StockId> = lines.iter().map(|line| line.stock_id).collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(OrderLinesError::Twice { stock_id: pair[0] }),
            None => Ok(Self(lines)),
        }
    }

    /// The lines, in the order in which they were asked for.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &OrderLine> {
        self.0.iter()
    }

    /// Whether both ask for the same units of the same stocks, in whatever order and under whatever reservation.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let sorted = |lines: &Self| {
            let mut sorted: Vec<_> = lines.0.iter().map(|line| (line.stock_id, line.quantity)).collect();
            sorted.sort_unstable();
            sorted
        };
        sorted(self) == sorted(other)
    }
}
