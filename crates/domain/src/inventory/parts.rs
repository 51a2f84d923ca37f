//! A state taken apart, so that it can be kept as a snapshot and put together again.

use std::collections::HashSet;

use thiserror::Error;

use super::{ClosedReservations, Closing, Inventory, Reservation};
use crate::{ReservationId, StockQuantity, Timestamp};

/// All that an [`Inventory`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryParts {
    /// Units on hand.
    pub quantity: u64,
    /// How many events the stock has.
    pub version: u64,
    /// When the last one was recorded.
    pub recorded_at: Timestamp,
    /// The sum of all corrections by counts.
    pub corrected: i64,
    /// The latest moment that a count was taken at.
    pub counted_at: Option<Timestamp>,
    /// The live reservations, by id.
    pub reservations: Vec<(ReservationId, Reservation)>,
    /// The closed ones that are remembered, oldest first.
    pub closed: Vec<ClosedPart>,
    /// How many closed ones are remembered at most.
    pub closed_remembered: usize,
    /// The version up to which closed ones may be forgotten.
    pub forgotten_version: u64,
}

/// A closed reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedPart {
    /// Which one.
    pub reservation_id: ReservationId,
    /// How it ended.
    pub closing: Closing,
    /// The stock's version after the event that closed it.
    pub version: u64,
}

/// Parts that no stock is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PartsDontFit {
    /// More units are held than are on hand, or more are on hand than can be.
    #[error("{reserved} units are held of {quantity} on hand")]
    Units {
        /// Units held.
        reserved: u64,
        /// Units on hand.
        quantity: u64,
    },
    /// A reservation is there twice, or more closed ones than are remembered.
    #[error("a reservation is there twice, or there are too many closed ones")]
    Reservations,
}

impl Inventory {
    /// All that the stock is made of, in an order that depends on nothing else.
    #[must_use]
    pub fn to_parts(&self) -> InventoryParts {
        let mut reservations: Vec<_> = self.reservations.iter().map(|(id, held)| (*id, *held)).collect();
        reservations.sort_unstable_by_key(|(id, _)| *id);
        let closed = self.closed.by_age.iter().filter_map(|(reservation_id, version)| {
            let closing = *self.closed.by_id.get(reservation_id)?;
            Some(ClosedPart { reservation_id: *reservation_id, closing, version: *version })
        });
        InventoryParts {
            quantity: self.quantity,
            version: self.version,
            recorded_at: self.recorded_at,
            corrected: self.corrected,
            counted_at: self.counted_at,
            reservations,
            closed: closed.collect(),
            closed_remembered: self.closed.limit,
            forgotten_version: self.closed.forgotten_version,
        }
    }

    /// The stock that is made of these parts.
    ///
    /// # Errors
    ///
    /// [`PartsDontFit`] when they would break an invariant.
    pub fn from_parts(parts: InventoryParts) -> Result<Self, PartsDontFit> {
        let InventoryParts { quantity, version, recorded_at, corrected, counted_at, reservations, closed, .. } = parts;
        let held = reservations.iter().try_fold(0u64, |sum, (_, held)| sum.checked_add(held.quantity.units()));
        let reserved = held.unwrap_or(u64::MAX);
        if reserved > quantity || quantity > StockQuantity::MAX {
            return Err(PartsDontFit::Units { reserved, quantity });
        }
        let ids = reservations.iter().map(|(id, _)| *id).chain(closed.iter().map(|closed| closed.reservation_id));
        let count = reservations.len() + closed.len();
        if ids.collect::<HashSet<_>>().len() != count || closed.len() > parts.closed_remembered {
            return Err(PartsDontFit::Reservations);
        }
        let deadlines = reservations.iter().filter_map(|(id, held)| Some((held.expires_at?, *id))).collect();
        let closed = ClosedReservations {
            limit: parts.closed_remembered,
            by_age: closed.iter().map(|closed| (closed.reservation_id, closed.version)).collect(),
            by_id: closed.iter().map(|closed| (closed.reservation_id, closed.closing)).collect(),
            forgotten_version: parts.forgotten_version,
        };
        let reservations = reservations.into_iter().collect();
        Ok(Self { quantity, reserved, version, recorded_at, corrected, counted_at, reservations, deadlines, closed })
    }
}
