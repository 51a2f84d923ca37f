//! How streams, events and places in the log are named.

use std::fmt;

use inventory_domain::{OrderId, StockId, TransferId};
use uuid::Uuid;

/// The stream of events of one aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// The stock of one product in one store.
    Inventory(StockId),
    /// An order.
    Order(OrderId),
    /// A transfer.
    Transfer(TransferId),
}

impl StreamId {
    /// The stock whose stream this is, if it is one's.
    #[must_use]
    pub const fn stock_id(self) -> Option<StockId> {
        match self {
            Self::Inventory(stock_id) => Some(stock_id),
            Self::Order(_) | Self::Transfer(_) => None,
        }
    }
}

impl StreamId {
    /// The stream that is written so; `None` when none is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const UUID_CHARACTERS: usize = 36;
        let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == UUID_CHARACTERS);
        let (kind, ids) = text.split_once('-')?;
        match kind {
            "inventory" => {
                let (product, store) = ids.split_at_checked(UUID_CHARACTERS)?;
                let (product_id, store_id) = (uuid(product)?.into(), uuid(store.strip_prefix('-')?)?.into());
                Some(Self::Inventory(StockId { product_id, store_id }))
            }
            "order" => Some(Self::Order(uuid(ids)?.into())),
            "transfer" => Some(Self::Transfer(uuid(ids)?.into())),
            _ => None,
        }
    }
}

impl From<StockId> for StreamId {
    fn from(stock_id: StockId) -> Self {
        Self::Inventory(stock_id)
    }
}

impl From<OrderId> for StreamId {
    fn from(order_id: OrderId) -> Self {
        Self::Order(order_id)
    }
}

impl From<TransferId> for StreamId {
    fn from(transfer_id: TransferId) -> Self {
        Self::Transfer(transfer_id)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inventory(stock_id) => write!(formatter, "inventory-{stock_id}"),
            Self::Order(order_id) => write!(formatter, "order-{order_id}"),
            Self::Transfer(transfer_id) => write!(formatter, "transfer-{transfer_id}"),
        }
    }
}

/// The name of one event, for a consumer to know a repeat by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub Uuid);

/// A place in the log: the first event stands at 1, and no place is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_as_it_is_written() {
        let id = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
        let stock_id = StockId { product_id: id.into(), store_id: Uuid::nil().into() };
        for stream in [StreamId::Inventory(stock_id), StreamId::Order(id.into()), StreamId::Transfer(id.into())] {
            assert_eq!(StreamId::parse(&stream.to_string()), Some(stream));
        }
        for text in ["", "order", "order-", "order-7", "cart-01890a5d-ac96-774b-bcce-b302099a8057", "inventory-x-y"] {
            assert_eq!(StreamId::parse(text), None, "{text}");
        }
        assert_eq!(StreamId::parse(&format!("inventory-{id}{id}")), None);
    }
}
