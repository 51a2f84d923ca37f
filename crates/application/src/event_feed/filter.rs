//! Which events somebody wants.

use inventory_domain::{ProductId, StoreId};

use crate::StreamId;

/// Which events somebody wants; all, where it says nothing.
///
/// A product and a store choose among the events of stocks. What an order or a transfer does to a stock is an event of that
/// stock, too; their own events are about no one stock, so a product or a store leaves them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this product.
    pub product_id: Option<ProductId>,
    /// In this store.
    pub store_id: Option<StoreId>,
    /// Of these types; of all, where it is empty.
    pub types: Vec<&'static str>,
}

impl EventFilter {
    /// Whether every event gets through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.product_id.is_none() && self.store_id.is_none() && self.types.is_empty()
    }

    /// Whether an event of this stream and type gets through.
    #[must_use]
    pub fn matches(&self, stream: StreamId, event_type: &str) -> bool {
        let stock_id = stream.stock_id();
        let is_product = self.product_id.is_none_or(|wanted| stock_id.is_some_and(|stock| stock.product_id == wanted));
        let is_store = self.store_id.is_none_or(|wanted| stock_id.is_some_and(|stock| stock.store_id == wanted));
        is_product && is_store && (self.types.is_empty() || self.types.contains(&event_type))
    }

    /// What the listener is found by: one interest for each type that it wants.
    pub(super) fn interests(&self) -> Vec<Interest> {
        let of_type = |event_type| Interest { product_id: self.product_id, store_id: self.store_id, event_type };
        if self.types.is_empty() {
            return vec![of_type(None)];
        }
        let mut types = self.types.clone();
        types.sort_unstable();
        types.dedup();
        types.into_iter().map(|event_type| of_type(Some(event_type))).collect()
    }
}

/// What a listener is found by, and what an event is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Interest {
    product_id: Option<ProductId>,
    store_id: Option<StoreId>,
    event_type: Option<&'static str>,
}

impl Interest {
    /// How many shapes an interest may have: each of its three parts is there or isn't.
    pub(super) const SHAPES: usize = 8;

    /// Which of its parts are there.
    pub(super) fn shape(&self) -> usize {
        usize::from(self.product_id.is_some())
            | usize::from(self.store_id.is_some()) << 1
            | usize::from(self.event_type.is_some()) << 2
    }

    /// The one interest of this shape that lets an event of this stream and type through, if one can.
    pub(super) fn of(shape: usize, stream: StreamId, event_type: &'static str) -> Option<Self> {
        let stock_id = stream.stock_id();
        if shape & 0b11 != 0 && stock_id.is_none() {
            return None;
        }
        Some(Self {
            product_id: stock_id.filter(|_| shape & 0b1 != 0).map(|stock| stock.product_id),
            store_id: stock_id.filter(|_| shape & 0b10 != 0).map(|stock| stock.store_id),
            event_type: (shape & 0b100 != 0).then_some(event_type),
        })
    }
}

#[cfg(test)]
mod tests {
    use inventory_domain::{OrderId, StockId};

    use super::*;

    #[test]
    fn an_event_is_found_by_exactly_the_interests_that_match_it() {
        let product = |number| ProductId::from_u128(number);
        let store = |number| StoreId::from_u128(number);
        let stock = |product_id, store_id| StreamId::Inventory(StockId { product_id, store_id });
        let streams = [stock(product(1), store(1)), stock(product(1), store(2)), OrderId::from_u128(1).into()];
        let types = ["Added", "Reserved"];
        for product_id in [None, Some(product(1)), Some(product(2))] {
            for store_id in [None, Some(store(1)), Some(store(2))] {
                for wanted in [vec![], vec!["Added"], vec!["Reserved", "Added", "Reserved"]] {
                    let filter = EventFilter { product_id, store_id, types: wanted };
                    let interests = filter.interests();
                    for stream in streams {
                        for event_type in types {
                            let looked_up = (0..Interest::SHAPES).filter_map(|shape| {
                                let interest = Interest::of(shape, stream, event_type)?;
                                assert_eq!(interest.shape(), shape);
                                Some(interest)
                            });
                            let found = looked_up.filter(|interest| interests.contains(interest)).count();
                            let expected = usize::from(filter.matches(stream, event_type));
                            assert_eq!(found, expected, "{filter:?} {stream} {event_type}");
                        }
                    }
                }
            }
        }
    }
}
