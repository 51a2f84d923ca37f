//! A stock's state <-> the bytes of a snapshot.
//!
//! A snapshot is a cache: one that was written under another fingerprint, or that can't be read, is as good as none.

use inventory_domain::inventory::{ClosedPart, Closing, InventoryParts, Reservation};
use inventory_domain::{CustomerId, HoldFor, Inventory, OrderId, Quantity, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names the form of the state and how it is written. It changes whenever either does; a test compares it with a sample.
const SCHEMA: &str = "inventory-2";

/// What a snapshot has to have been written under: the schema, and how many closed reservations a state remembers.
#[must_use]
pub fn fingerprint(closed_remembered: usize) -> String {
    format!("{SCHEMA}-{closed_remembered}")
}

/// The bytes of a state.
#[must_use]
pub fn encode_state(inventory: &Inventory) -> Vec<u8> {
    let parts = inventory.to_parts();
    let held = |(id, held): &(ReservationId, Reservation)| Held {
        id: id.uuid(),
        quantity: held.quantity.into(),
        customer: held.customer_id.uuid(),
        hold_for: held.hold_for.map(HoldFor::minutes),
        expires_at: held.expires_at.map(Timestamp::millis),
        order: held.order_id.map(OrderId::uuid),
    };
    let state = State {
        quantity: parts.quantity,
        version: parts.version,
        recorded_at: parts.recorded_at.millis(),
        corrected: parts.corrected,
        counted_at: parts.counted_at.map(Timestamp::millis),
        forgotten_version: parts.forgotten_version,
        held: parts.reservations.iter().map(held).collect(),
        closed: parts
            .closed
            .iter()
            .map(|part| (part.reservation_id.uuid(), part.closing.into(), part.version))
            .collect(),
    };
    serde_json::to_vec(&state).unwrap_or_default() // Plain data is always JSON; nothing is as good as no snapshot.
}

/// The state of these bytes, which were written under [`fingerprint`] of `closed_remembered`; `None` when they are no state.
#[must_use]
pub fn decode_state(bytes: &[u8], closed_remembered: usize) -> Option<Inventory> {
    let state: State = serde_json::from_slice(bytes).ok()?;
    let held = |held: Held| {
        let reservation = Reservation {
            quantity: Quantity::new(held.quantity).ok()?,
            customer_id: CustomerId::new(held.customer),
            hold_for: match held.hold_for {
                Some(minutes) => Some(HoldFor::from_minutes(minutes.into()).ok()?),
                None => None,
            },
            expires_at: held.expires_at.map(Timestamp::from_millis),
            order_id: held.order.map(OrderId::new),
        };
        Some((ReservationId::new(held.id), reservation))
    };
    let closed = |(id, closing, version): (Uuid, How, u64)| ClosedPart {
        reservation_id: ReservationId::new(id),
        closing: closing.into(),
        version,
    };
    let parts = InventoryParts {
        quantity: state.quantity,
        version: state.version,
        recorded_at: Timestamp::from_millis(state.recorded_at),
        corrected: state.corrected,
        counted_at: state.counted_at.map(Timestamp::from_millis),
        reservations: state.held.into_iter().map(held).collect::<Option<_>>()?,
        closed: state.closed.into_iter().map(closed).collect(),
        closed_remembered,
        forgotten_version: state.forgotten_version,
    };
    Inventory::from_parts(parts).ok()
}

#[derive(Serialize, Deserialize)]
struct State {
    quantity: u64,
    version: u64,
    recorded_at: i64,
    corrected: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_at: Option<i64>,
    forgotten_version: u64,
    held: Vec<Held>,
    closed: Vec<(Uuid, How, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Held {
    id: Uuid,
    quantity: i64,
    customer: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold_for: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<Uuid>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum How {
    #[serde(rename = "c")]
    Committed,
    #[serde(rename = "r")]
    Released,
    #[serde(rename = "e")]
    Expired,
}

impl From<Closing> for How {
    fn from(closing: Closing) -> Self {
        match closing {
            Closing::Committed => Self::Committed,
            Closing::Released => Self::Released,
            Closing::Expired => Self::Expired,
        }
    }
}

impl From<How> for Closing {
    fn from(how: How) -> Self {
        match how {
            How::Committed => Self::Committed,
            How::Released => Self::Released,
            How::Expired => Self::Expired,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use super::*;

    /// If this fails, the schema has changed: give it another name, and change the sample.
    #[test]
    fn the_sample_is_written_under_this_schema() {
        let sample = concat!(
            r#"{"quantity":9,"version":12,"recorded_at":1700000000000,"corrected":-3,"counted_at":1699999999000,"#,
            r#""forgotten_version":4,"held":["#,
            r#"{"id":"00000000-0000-0000-0000-000000000001","quantity":2,"customer":"00000000-0000-0000-0000-000000000002","#,
            r#""hold_for":30,"expires_at":1700001800000,"order":"00000000-0000-0000-0000-000000000003"},"#,
            r#"{"id":"00000000-0000-0000-0000-000000000004","quantity":3,"customer":"00000000-0000-0000-0000-000000000002"}],"#,
            r#""closed":[["00000000-0000-0000-0000-000000000005","c",7],["00000000-0000-0000-0000-000000000006","r",8],"#,
            r#"["00000000-0000-0000-0000-000000000007","e",9]]}"#
        );
        assert_eq!(fingerprint(3), "inventory-2-3");
        let state = decode_state(sample.as_bytes(), 3).unwrap();
        assert_eq!((state.quantity(), state.reserved(), state.version(), state.forgotten_version()), (9, 5, 12, 4));
        assert_eq!(String::from_utf8(encode_state(&state)).unwrap(), sample);
    }

    #[test]
    fn what_is_no_state_is_no_snapshot() {
        for bytes in [
            "",
            "{}",
            "null",
            r#"{"quantity":1,"version":1,"recorded_at":0,"corrected":0,"forgotten_version":0,"held":[{"id":"00000000-0000-0000-0000-000000000001","quantity":2,"customer":"00000000-0000-0000-0000-000000000002"}],"closed":[]}"#,
        ] {
            assert_eq!(decode_state(bytes.as_bytes(), 3), None, "{bytes}");
        }
    }
}
