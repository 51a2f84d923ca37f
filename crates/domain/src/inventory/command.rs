//! What may be asked of a stock.

use crate::{CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity};

/// A wish to change a stock. Its values are already in range; whether the stock allows it is for
/// [`decide`](crate::inventory::decide) to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// Puts units on the shelf.
    Add {
        /// How many units came in.
        quantity: Quantity,
        /// Why.
        reason: Reason,
    },
    /// Holds units for a customer.
    Reserve(Reserve),
    /// Sells held units, all or a part; what is left of the reservation is freed.
    Commit(Commit),
    /// Frees held units.
    Release(Release),
    /// Moves a reservation's deadline.
    Extend(Extend),
    /// Sets the units on hand to what was counted.
    Adjust(Adjust),
}

/// Asks to hold units for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reserve {
    /// The new reservation's id; the same request with the same id holds once.
    pub reservation_id: ReservationId,
    /// How many units to hold.
    pub quantity: Quantity,
    /// Whom to hold them for.
    pub customer_id: CustomerId,
    /// How long to hold them, from the moment of the decision; `None` for no deadline.
    pub hold_for: Option<HoldFor>,
}

/// Asks to sell held units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Commit {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// The sale that the units go into.
    pub order_id: OrderId,
    /// How many of the held units are sold; `None` for all.
    pub quantity: Option<Quantity>,
}

/// Asks to free held units.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Release {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// Why.
    pub reason: Reason,
}

/// Asks to move a reservation's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extend {
    /// Which reservation.
    pub reservation_id: ReservationId,
    /// How long it holds from the moment of the decision, whatever its deadline was.
    pub hold_for: HoldFor,
}

/// Asks to set the units on hand to what was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adjust {
    /// Units counted on hand, held ones included.
    pub counted: StockQuantity,
    /// Why.
    pub reason: Reason,
}
