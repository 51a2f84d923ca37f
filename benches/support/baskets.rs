//! Real baskets as orders: each basket one order of its lines.
//!
//! Ids are those of `inventory replay`; `data/samples/README.md` says how they are made.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use uuid::{Uuid, uuid};

use crate::requests::{InTurn, OrderLine, place_order, stock_up_these};

const PRODUCTS: Uuid = uuid!("6c4636c9-4602-496e-804b-8996677085d1");
const STORES: Uuid = uuid!("c9a46c89-a1d7-4544-94ea-f721a4b796cf");
const HOUSEHOLDS: Uuid = uuid!("0331c0bd-8488-42ce-9366-c0bbbd5edebf");

/// A file of baskets, as requests.
#[derive(Clone, Debug)]
pub struct Baskets {
    /// Puts units into each stock that they need.
    pub stock_up: InTurn,
    /// The orders.
    pub orders: InTurn,
    /// Lines in all orders.
    pub lines: u64,
}

/// The numbers of a basket, its household and its store.
type Basket = (u64, u64, u64);

#[derive(Deserialize)]
struct Row {
    basket_id: u64,
    household_id: u64,
    store_id: u64,
    product_id: u64,
    quantity: u64,
}

impl Baskets {
    /// Reads a file of baskets, plain or gzipped; lines of no units are left out.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is no file of baskets.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let is_gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let text: Box<dyn Read> = if is_gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut stocks = BTreeSet::new();
        // The rows of a basket stand together. A product that was scanned twice is one line: an order has each stock once.
        let mut baskets: Vec<(Basket, BTreeMap<u64, u64>)> = Vec::new();
        for row in csv::Reader::from_reader(text).deserialize() {
            let Row { basket_id, household_id, store_id, product_id, quantity } = row?;
            if quantity == 0 {
                continue;
            }
            stocks.insert((product_id, store_id));
            let basket = (basket_id, household_id, store_id);
            if baskets.last().is_none_or(|(last, _)| *last != basket) {
                baskets.push((basket, BTreeMap::new()));
            }
            if let Some((_, lines)) = baskets.last_mut() {
                *lines.entry(product_id).or_default() += quantity;
            }
        }
        if baskets.is_empty() {
            return Err(format!("{} has no basket", path.display()).into());
        }
        let lines = baskets.iter().map(|(_, lines)| lines.len() as u64).sum();
        let orders = baskets.into_iter().map(|((_, household, store), lines)| {
            let lines = lines.into_iter().map(|(product, quantity)| OrderLine {
                product_id: id(&PRODUCTS, product),
                store_id: id(&STORES, store),
                quantity,
            });
            place_order(&id(&HOUSEHOLDS, household), lines)
        });
        let stocks = stocks.into_iter().map(|(product, store)| (id(&PRODUCTS, product), id(&STORES, store)));
        Ok(Self { orders: InTurn::new(orders.collect()), stock_up: stock_up_these(stocks), lines })
    }
}

fn id(namespace: &Uuid, number: u64) -> String {
    Uuid::new_v5(namespace, number.to_string().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
    use super::*;
    use crate::generator::Requests;

    #[test]
    fn the_sample_is_five_hundred_orders() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/samples/baskets.csv");
        let mut baskets = Baskets::read(&sample).unwrap();
        assert_eq!(baskets.orders.count(), 500);
        let mut bytes = Vec::new();
        baskets.orders.write_next(&mut bytes);
        let order = String::from_utf8(bytes).unwrap();
        assert!(order.contains(r#"{"product_id":"5fb507ea-f630-5df8-9ad4-c0e5c95bb742""#), "{order}");
    }
}
