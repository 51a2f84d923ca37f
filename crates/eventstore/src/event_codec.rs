//! A domain event <-> what is stored: a type, JSON data, JSON metadata.
//!
//! Every format that was ever written is read for ever: the schema version stands in the metadata, and an old format is
//! turned into today's event here, on reading. `tests/stored_formats` keeps one file of each.

mod metadata;
mod moment;

use inventory_domain::inventory::{Event, ReleaseCause};
use inventory_domain::order::{self, OrderLine, OrderLines, OrderReleaseCause};
use inventory_domain::transfer::{self, Route};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, OrderId, ProductId, Quantity, Reason, ReservationId, StockId, StockQuantity,
    StoreId, TransferId,
};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use self::moment::Moment;

pub(crate) use self::metadata::{MetadataDecoder, MetadataEncoder};
pub use self::metadata::{decode_metadata, decode_schema_version, encode_metadata};
pub use self::moment::rfc3339;

/// The version of the formats that are written today.
///
/// 1: stocks. 2: orders and transfers; a reservation may be an order's line (`order_id`), a count may be late (`counted_at`).
pub const SCHEMA_VERSION: u32 = 2;

/// Why stored bytes are no event.
#[derive(Debug, Error)]
pub enum CodecError {
    /// No event has this name.
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    /// The format is newer than this program.
    #[error("schema version {0} is newer than this program")]
    UnknownSchemaVersion(u32),
    /// The JSON is not what the type says.
    #[error("the JSON of {part} can't be read: {source}")]
    Malformed {
        /// The event's type, or "metadata".
        part: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The types of all events, as clients know them.
pub const EVENT_TYPES: [&str; 15] = [
    STOCK_ADDED,
    STOCK_RESERVED,
    STOCK_COMMITTED,
    STOCK_RELEASED,
    RESERVATION_EXTENDED,
    STOCK_ADJUSTED,
    STOCK_TRANSFERRED_OUT,
    STOCK_TRANSFERRED_IN,
    STOCK_TRANSFER_CANCELLED,
    ORDER_PLACED,
    ORDER_COMMITTED,
    ORDER_RELEASED,
    TRANSFER_STARTED,
    TRANSFER_RECEIVED,
    TRANSFER_CANCELLED,
];

/// The event's type.
#[must_use]
pub fn event_type(event: &DomainEvent) -> &'static str {
    match event {
        DomainEvent::Inventory(event) => match event {
            Event::StockAdded { .. } => STOCK_ADDED,
            Event::StockReserved { .. } => STOCK_RESERVED,
            Event::StockCommitted { .. } => STOCK_COMMITTED,
            Event::StockReleased { .. } => STOCK_RELEASED,
            Event::ReservationExtended { .. } => RESERVATION_EXTENDED,
            Event::StockAdjusted { .. } => STOCK_ADJUSTED,
            Event::StockTransferredOut { .. } => STOCK_TRANSFERRED_OUT,
            Event::StockTransferredIn { .. } => STOCK_TRANSFERRED_IN,
            Event::StockTransferCancelled { .. } => STOCK_TRANSFER_CANCELLED,
        },
        DomainEvent::Order(event) => match event {
            order::Event::OrderPlaced { .. } => ORDER_PLACED,
            order::Event::OrderCommitted => ORDER_COMMITTED,
            order::Event::OrderReleased { .. } => ORDER_RELEASED,
        },
        DomainEvent::Transfer(event) => match event {
            transfer::Event::TransferStarted { .. } => TRANSFER_STARTED,
            transfer::Event::TransferReceived { .. } => TRANSFER_RECEIVED,
            transfer::Event::TransferCancelled { .. } => TRANSFER_CANCELLED,
        },
    }
}

/// Writes the event's data behind what is in `out`, and says its type.
#[must_use]
pub fn encode_event(event: &DomainEvent, out: &mut Vec<u8>) -> &'static str {
    match event {
        DomainEvent::Inventory(event) => encode_inventory(event, out),
        DomainEvent::Order(event) => encode_order(event, out),
        DomainEvent::Transfer(event) => encode_transfer(event, out),
    }
}

fn encode_inventory(event: &Event, out: &mut Vec<u8>) -> &'static str {
    match event {
        Event::StockAdded { quantity, reason } => {
            write(out, &StockAdded { quantity: (*quantity).into(), reason: reason.as_str().into() });
            STOCK_ADDED
        }
        Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id } => {
            let data = StockReserved {
                reservation_id: reservation_id.uuid(),
                quantity: (*quantity).into(),
                customer_id: customer_id.uuid(),
                ttl_minutes: hold_for.map(HoldFor::minutes),
                expires_at: expires_at.map(Moment),
                order_id: order_id.map(OrderId::uuid),
            };
            write(out, &data);
            STOCK_RESERVED
        }
        Event::StockCommitted { reservation_id, order_id, quantity } => {
            let (reservation_id, order_id) = (reservation_id.uuid(), order_id.uuid());
            write(out, &StockCommitted { reservation_id, order_id, quantity: (*quantity).into() });
            STOCK_COMMITTED
        }
        Event::StockReleased { reservation_id, quantity, cause } => {
            let (cause, reason) = match cause {
                ReleaseCause::Requested(reason) => (Cause::Requested, Some(reason.as_str().into())),
                ReleaseCause::Expired => (Cause::Expired, None),
                ReleaseCause::UncommittedPart => (Cause::UncommittedPart, None),
            };
            let reservation_id = reservation_id.uuid();
            write(out, &StockReleased { reservation_id, quantity: (*quantity).into(), cause, reason });
            STOCK_RELEASED
        }
        Event::ReservationExtended { reservation_id, hold_for, expires_at } => {
            let (reservation_id, ttl_minutes) = (reservation_id.uuid(), hold_for.minutes());
            write(out, &ReservationExtended { reservation_id, ttl_minutes, expires_at: Moment(*expires_at) });
            RESERVATION_EXTENDED
        }
        Event::StockAdjusted { counted, change, reason, counted_at } => {
            let data = StockAdjusted {
                quantity: (*counted).into(),
                change: *change,
                reason: reason.as_str().into(),
                counted_at: counted_at.map(Moment),
            };
            write(out, &data);
            STOCK_ADJUSTED
        }
        Event::StockTransferredOut { transfer_id, to_store_id, quantity, reason } => {
            let (transfer_id, to_store_id) = (transfer_id.uuid(), to_store_id.uuid());
            let (quantity, reason) = ((*quantity).into(), reason.as_str().into());
            write(out, &StockTransferredOut { transfer_id, to_store_id, quantity, reason });
            STOCK_TRANSFERRED_OUT
        }
        Event::StockTransferredIn { transfer_id, from_store_id, quantity } => {
            let (transfer_id, from_store_id) = (transfer_id.uuid(), from_store_id.uuid());
            write(out, &StockTransferredIn { transfer_id, from_store_id, quantity: (*quantity).into() });
            STOCK_TRANSFERRED_IN
        }
        Event::StockTransferCancelled { transfer_id, quantity } => {
            write(out, &StockTransferCancelled { transfer_id: transfer_id.uuid(), quantity: (*quantity).into() });
            STOCK_TRANSFER_CANCELLED
        }
    }
}

fn encode_order(event: &order::Event, out: &mut Vec<u8>) -> &'static str {
    match event {
        order::Event::OrderPlaced { customer_id, hold_for, expires_at, lines } => {
            let line = |line: &OrderLine| StoredLine {
                product_id: line.stock_id.product_id.uuid(),
                store_id: line.stock_id.store_id.uuid(),
                quantity: line.quantity.into(),
                reservation_id: line.reservation_id.uuid(),
            };
            let data = OrderPlaced {
                customer_id: customer_id.uuid(),
                ttl_minutes: hold_for.map(HoldFor::minutes),
                expires_at: expires_at.map(Moment),
                lines: lines.iter().map(line).collect(),
            };
            write(out, &data);
            ORDER_PLACED
        }
        order::Event::OrderCommitted => {
            write(out, &Nothing {});
            ORDER_COMMITTED
        }
        order::Event::OrderReleased { cause } => {
            let (cause, reason) = match cause {
                OrderReleaseCause::Requested(reason) => (Cause::Requested, Some(reason.as_str().into())),
                OrderReleaseCause::Expired => (Cause::Expired, None),
            };
            write(out, &OrderReleased { cause, reason });
            ORDER_RELEASED
        }
    }
}

fn encode_transfer(event: &transfer::Event, out: &mut Vec<u8>) -> &'static str {
    match event {
        transfer::Event::TransferStarted { route, quantity, reason } => {
            let data = TransferStarted {
                product_id: route.product_id().uuid(),
                from_store_id: route.from().store_id.uuid(),
                to_store_id: route.to().store_id.uuid(),
                quantity: (*quantity).into(),
                reason: reason.as_str().into(),
            };
            write(out, &data);
            TRANSFER_STARTED
        }
        transfer::Event::TransferReceived { quantity } => {
            write(out, &Units { quantity: (*quantity).into() });
            TRANSFER_RECEIVED
        }
        transfer::Event::TransferCancelled { quantity } => {
            write(out, &Units { quantity: (*quantity).into() });
            TRANSFER_CANCELLED
        }
    }
}

/// The event of this type with this data, as it was written under `schema_version`.
///
/// # Errors
///
/// [`CodecError`] when the type, the version or the data is unknown.
pub fn decode_event(event_type: &str, schema_version: u32, data: &str) -> Result<DomainEvent, CodecError> {
    if schema_version == 0 || schema_version > SCHEMA_VERSION {
        return Err(CodecError::UnknownSchemaVersion(schema_version));
    }
    let decoded = match event_type {
        STOCK_ADDED => read(data, |stored: StockAdded<'_>| {
            Ok(Event::StockAdded { quantity: quantity(stored.quantity)?, reason: reason(&stored.reason)? })
        }),
        STOCK_RESERVED => read(data, |stored: StockReserved| {
            Ok(Event::StockReserved {
                reservation_id: ReservationId::new(stored.reservation_id),
                quantity: quantity(stored.quantity)?,
                customer_id: CustomerId::new(stored.customer_id),
                hold_for: stored.ttl_minutes.map(hold_for).transpose()?,
                expires_at: stored.expires_at.map(|Moment(moment)| moment),
                order_id: stored.order_id.map(OrderId::new),
            })
        }),
        STOCK_COMMITTED => read(data, |stored: StockCommitted| {
            Ok(Event::StockCommitted {
                reservation_id: ReservationId::new(stored.reservation_id),
                order_id: OrderId::new(stored.order_id),
                quantity: quantity(stored.quantity)?,
            })
        }),
        STOCK_RELEASED => read(data, |stored: StockReleased<'_>| {
            let cause = match (stored.cause, &stored.reason) {
                (Cause::Requested, Some(given)) => ReleaseCause::Requested(reason(given)?),
                (Cause::Requested, None) => return Err(serde_json::Error::missing_field("reason")),
                (Cause::Expired, _) => ReleaseCause::Expired,
                (Cause::UncommittedPart, _) => ReleaseCause::UncommittedPart,
            };
            let reservation_id = ReservationId::new(stored.reservation_id);
            Ok(Event::StockReleased { reservation_id, quantity: quantity(stored.quantity)?, cause })
        }),
        RESERVATION_EXTENDED => read(data, |stored: ReservationExtended| {
            Ok(Event::ReservationExtended {
                reservation_id: ReservationId::new(stored.reservation_id),
                hold_for: hold_for(stored.ttl_minutes)?,
                expires_at: stored.expires_at.0,
            })
        }),
        STOCK_ADJUSTED => read(data, |stored: StockAdjusted<'_>| {
            let counted = StockQuantity::new(stored.quantity).map_err(serde_json::Error::custom)?;
            let counted_at = stored.counted_at.map(|Moment(moment)| moment);
            Ok(Event::StockAdjusted { counted, change: stored.change, reason: reason(&stored.reason)?, counted_at })
        }),
        STOCK_TRANSFERRED_OUT => read(data, |stored: StockTransferredOut<'_>| {
            Ok(Event::StockTransferredOut {
                transfer_id: TransferId::new(stored.transfer_id),
                to_store_id: StoreId::new(stored.to_store_id),
                quantity: quantity(stored.quantity)?,
                reason: reason(&stored.reason)?,
            })
        }),
        STOCK_TRANSFERRED_IN => read(data, |stored: StockTransferredIn| {
            Ok(Event::StockTransferredIn {
                transfer_id: TransferId::new(stored.transfer_id),
                from_store_id: StoreId::new(stored.from_store_id),
                quantity: quantity(stored.quantity)?,
            })
        }),
        STOCK_TRANSFER_CANCELLED => read(data, |stored: StockTransferCancelled| {
            let transfer_id = TransferId::new(stored.transfer_id);
            Ok(Event::StockTransferCancelled { transfer_id, quantity: quantity(stored.quantity)? })
        }),
        ORDER_PLACED => read(data, |stored: OrderPlaced| {
            Ok(order::Event::OrderPlaced {
                customer_id: CustomerId::new(stored.customer_id),
                hold_for: stored.ttl_minutes.map(hold_for).transpose()?,
                expires_at: stored.expires_at.map(|Moment(moment)| moment),
                lines: lines(stored.lines)?,
            })
        }),
        ORDER_COMMITTED => read(data, |_: Nothing| Ok(order::Event::OrderCommitted)),
        ORDER_RELEASED => read(data, |stored: OrderReleased<'_>| {
            let cause = match (stored.cause, &stored.reason) {
                (Cause::Requested, Some(given)) => OrderReleaseCause::Requested(reason(given)?),
                (Cause::Requested, None) => return Err(serde_json::Error::missing_field("reason")),
                (Cause::Expired, _) => OrderReleaseCause::Expired,
                (Cause::UncommittedPart, _) => return Err(serde_json::Error::custom("an order is freed as a whole")),
            };
            Ok(order::Event::OrderReleased { cause })
        }),
        TRANSFER_STARTED => read(data, |stored: TransferStarted<'_>| {
            let (from, to) = (StoreId::new(stored.from_store_id), StoreId::new(stored.to_store_id));
            let route = Route::new(ProductId::new(stored.product_id), from, to).map_err(serde_json::Error::custom)?;
            let (quantity, reason) = (quantity(stored.quantity)?, reason(&stored.reason)?);
            Ok(transfer::Event::TransferStarted { route, quantity, reason })
        }),
        TRANSFER_RECEIVED => {
            read(data, |stored: Units| Ok(transfer::Event::TransferReceived { quantity: quantity(stored.quantity)? }))
        }
        TRANSFER_CANCELLED => {
            read(data, |stored: Units| Ok(transfer::Event::TransferCancelled { quantity: quantity(stored.quantity)? }))
        }
        unknown => return Err(CodecError::UnknownType(unknown.to_owned())),
    };
    decoded.map_err(|source| CodecError::Malformed { part: event_type.to_owned(), source })
}

const STOCK_ADDED: &str = "StockAddedEvent";
const STOCK_RESERVED: &str = "StockReservedEvent";
const STOCK_COMMITTED: &str = "StockCommittedEvent";
const STOCK_RELEASED: &str = "StockReleasedEvent";
const RESERVATION_EXTENDED: &str = "ReservationExtendedEvent";
const STOCK_ADJUSTED: &str = "StockAdjustedEvent";
const STOCK_TRANSFERRED_OUT: &str = "StockTransferredOutEvent";
const STOCK_TRANSFERRED_IN: &str = "StockTransferredInEvent";
const STOCK_TRANSFER_CANCELLED: &str = "StockTransferCancelledEvent";
const ORDER_PLACED: &str = "OrderPlacedEvent";
const ORDER_COMMITTED: &str = "OrderCommittedEvent";
const ORDER_RELEASED: &str = "OrderReleasedEvent";
const TRANSFER_STARTED: &str = "TransferStartedEvent";
const TRANSFER_RECEIVED: &str = "TransferReceivedEvent";
const TRANSFER_CANCELLED: &str = "TransferCancelledEvent";

/// Text that is borrowed where JSON lets it be.
type Text<'a> = std::borrow::Cow<'a, str>;

#[derive(Serialize, Deserialize)]
struct StockAdded<'a> {
    quantity: i64,
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct StockReserved {
    reservation_id: Uuid,
    quantity: i64,
    customer_id: Uuid,
    ttl_minutes: Option<u16>,
    expires_at: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
struct StockCommitted {
    reservation_id: Uuid,
    order_id: Uuid,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct StockReleased<'a> {
    reservation_id: Uuid,
    quantity: i64,
    cause: Cause,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cause {
    Requested,
    Expired,
    UncommittedPart,
}

#[derive(Serialize, Deserialize)]
struct ReservationExtended {
    reservation_id: Uuid,
    ttl_minutes: u16,
    expires_at: Moment,
}

#[derive(Serialize, Deserialize)]
struct StockAdjusted<'a> {
    quantity: i64,
    change: i64,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_at: Option<Moment>,
}

#[derive(Serialize, Deserialize)]
struct StockTransferredOut<'a> {
    transfer_id: Uuid,
    to_store_id: Uuid,
    quantity: i64,
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct StockTransferredIn {
    transfer_id: Uuid,
    from_store_id: Uuid,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct StockTransferCancelled {
    transfer_id: Uuid,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    customer_id: Uuid,
    ttl_minutes: Option<u16>,
    expires_at: Option<Moment>,
    lines: Vec<StoredLine>,
}

#[derive(Serialize, Deserialize)]
struct StoredLine {
    product_id: Uuid,
    store_id: Uuid,
    quantity: i64,
    reservation_id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct OrderReleased<'a> {
    cause: Cause,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct TransferStarted<'a> {
    product_id: Uuid,
    from_store_id: Uuid,
    to_store_id: Uuid,
    quantity: i64,
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct Units {
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

/// Serializing these plain structs into memory has no way to fail.
fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(out, value) {
        unreachable!("plain data is always JSON: {error}");
    }
}

fn read<'a, T: Deserialize<'a>, E: Into<DomainEvent>>(
    data: &'a str,
    build: impl FnOnce(T) -> Result<E, serde_json::Error>,
) -> Result<DomainEvent, serde_json::Error> {
    serde_json::from_str(data).and_then(build).map(Into::into)
}

fn lines(stored: Vec<StoredLine>) -> Result<OrderLines, serde_json::Error> {
    let line = |line: StoredLine| {
        let (product_id, store_id) = (ProductId::new(line.product_id), StoreId::new(line.store_id));
        let (stock_id, reservation_id) = (StockId { product_id, store_id }, ReservationId::new(line.reservation_id));
        Ok(OrderLine { stock_id, quantity: quantity(line.quantity)?, reservation_id })
    };
    let lines: Result<Vec<_>, serde_json::Error> = stored.into_iter().map(line).collect();
    OrderLines::new(lines?).map_err(serde_json::Error::custom)
}

fn quantity(stored: i64) -> Result<Quantity, serde_json::Error> {
    Quantity::new(stored).map_err(serde_json::Error::custom)
}

fn reason(stored: &str) -> Result<Reason, serde_json::Error> {
    Reason::new(stored).map_err(serde_json::Error::custom)
}

fn hold_for(stored: u16) -> Result<HoldFor, serde_json::Error> {
    HoldFor::from_minutes(stored.into()).map_err(serde_json::Error::custom)
}
