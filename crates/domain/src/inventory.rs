//! The stock of one product in one store: its state and its invariants.

mod command;
mod decide;
mod event;
mod evolve;
mod parts;
mod rejection;

use std::collections::{BTreeSet, HashMap, VecDeque};

pub use command::{Adjust, Command, Commit, CountedThen, Extend, OrderLineRef, Release, Reserve};
pub use decide::{decide, reject_closed};
pub use event::{Event, ReleaseCause};
pub use evolve::evolve;
pub use parts::{ClosedPart, InventoryParts, PartsDontFit};
pub use rejection::Rejection;

use crate::{CustomerId, HoldFor, OrderId, Quantity, ReservationId, Timestamp};

/// The state of one stock, folded from its events.
///
/// Invariants: `quantity >= reserved`; `reserved` is the sum of the live reservations; `version` is the number of
/// events folded. A reservation lives until an event closes it: one that is past its deadline still counts as reserved
/// until its release is in the log, so that published numbers are always the fold of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Inventory {
    quantity: u64,
    reserved: u64,
    version: u64,
    recorded_at: Timestamp,
    /// The sum of all corrections by counts.
    corrected: i64,
    /// The latest moment that a count was taken at.
    counted_at: Option<Timestamp>,
    reservations: HashMap<ReservationId, Reservation>,
    deadlines: BTreeSet<(Timestamp, ReservationId)>,
    closed: ClosedReservations,
}

/// Units held for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reservation {
    /// How many units are held.
    pub quantity: Quantity,
    /// Whom they are held for.
    pub customer_id: CustomerId,
    /// How long the hold was asked to last when it was made; `None` when without a deadline.
    pub hold_for: Option<HoldFor>,
    /// The first moment at which the hold no longer counts; `None` when without a deadline.
    pub expires_at: Option<Timestamp>,
    /// The order that the units are a line of, if they are.
    pub order_id: Option<OrderId>,
}

impl Reservation {
    /// Whether the hold has run out at `now`: from the very millisecond of its deadline on.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|deadline| now >= deadline)
    }
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Closing {
    /// Sold, as a whole or in part.
    Committed,
    /// Given back on request.
    Released,
    /// Given back because its deadline passed.
    Expired,
}

/// The numbers of a stock that are shown to the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Level {
    /// Units on hand, whether held or not.
    pub quantity: u64,
    /// Units on hand that reservations hold.
    pub reserved: u64,
    /// How many events the stock has; 0 when nobody has ever filled it.
    pub version: u64,
}

impl Level {
    /// Units that can still be reserved.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.quantity.saturating_sub(self.reserved) // The invariant says that this never saturates.
    }
}

impl Inventory {
    /// How many closed reservations a stock remembers unless told otherwise.
    pub const CLOSED_REMEMBERED: usize = 1_000;

    /// An empty stock that remembers the last `limit` closed reservations, to name a refusal and to know a late repeat.
    #[must_use]
    pub fn remembering(limit: usize) -> Self {
        Self {
            quantity: 0,
            reserved: 0,
            version: 0,
            recorded_at: Timestamp::from_millis(i64::MIN),
            corrected: 0,
            counted_at: None,
            reservations: HashMap::new(),
            deadlines: BTreeSet::new(),
            closed: ClosedReservations::new(limit),
        }
    }

    /// Units on hand, whether held or not.
    #[must_use]
    pub const fn quantity(&self) -> u64 {
        self.quantity
    }

    /// Units on hand that reservations hold.
    #[must_use]
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Units that can still be reserved.
    #[must_use]
    pub const fn available(&self) -> u64 {
        self.level().available()
    }

    /// How many events the stock has; 0 when nobody has ever filled it.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The numbers that are shown to the outside.
    #[must_use]
    pub const fn level(&self) -> Level {
        Level { quantity: self.quantity, reserved: self.reserved, version: self.version }
    }

    /// The live reservation with this id, also when it is past its deadline.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    /// How the reservation with this id ended, if it did so among the last that the stock remembers.
    #[must_use]
    pub fn closing(&self, id: ReservationId) -> Option<Closing> {
        self.closed.by_id.get(&id).copied()
    }

    /// The version up to which closed reservations may be forgotten: one that this stock doesn't know, and that was ever made,
    /// was closed at that version or before. 0 when nothing is forgotten.
    #[must_use]
    pub const fn forgotten_version(&self) -> u64 {
        self.closed.forgotten_version
    }

    /// When the last event was recorded; the beginning of time when there is none.
    #[must_use]
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The sum of all corrections by counts, in units: what a late count has to know of the moment that it was taken at.
    #[must_use]
    pub const fn corrected(&self) -> i64 {
        self.corrected
    }

    /// How many reservations are live.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.reservations.len()
    }

    /// The live reservations, in no order.
    pub fn reservations(&self) -> impl Iterator<Item = (ReservationId, &Reservation)> {
        self.reservations.iter().map(|(id, reservation)| (*id, reservation))
    }

    /// The moment at which a decision is taken when the clock shows `clock`: never before the stock's last event, so
    /// that a clock that goes back neither reorders history nor revives what has expired.
    #[must_use]
    pub fn moment(&self, clock: Timestamp) -> Timestamp {
        clock.max(self.recorded_at)
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::remembering(Self::CLOSED_REMEMBERED)
    }
}

/// The last few reservations that are no longer live: bounded, oldest forgotten first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct ClosedReservations {
    limit: usize,
    /// Each with the version at which it was closed.
    by_age: VecDeque<(ReservationId, u64)>,
    by_id: HashMap<ReservationId, Closing>,
    forgotten_version: u64,
}

impl ClosedReservations {
    fn new(limit: usize) -> Self {
        Self { limit, by_age: VecDeque::new(), by_id: HashMap::new(), forgotten_version: 0 }
    }

    fn remember(&mut self, id: ReservationId, closing: Closing, version: u64) {
        if self.by_id.insert(id, closing).is_none() {
            self.by_age.push_back((id, version));
        }
        while self.by_age.len() > self.limit {
            if let Some((oldest, version)) = self.by_age.pop_front() {
                self.by_id.remove(&oldest);
                self.forgotten_version = version;
            }
        }
    }
}
