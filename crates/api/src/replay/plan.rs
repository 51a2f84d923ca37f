//! What a file of baskets asks for, stock by stock and basket by basket; all of it in memory.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use blake3::{Hash, Hasher};
use inventory_domain::{CustomerId, OrderId, ProductId, Quantity, StockId, StoreId};
use jiff::civil::DateTime;

use super::baskets::{Basket, BasketFileError, BasketReader};
use super::ids::{customer_id, order_id, product_id, store_id};

/// One basket in so many is abandoned: what it holds is released, not sold. Which ones follows from their ids alone.
pub const ABANDONED_ONE_IN: u128 = 20;

/// What a file asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the file is called.
    pub file: String,
    /// Its baskets in time order.
    pub baskets: Vec<PlannedBasket>,
    /// The stocks that its baskets move, in the order in which they first come up.
    pub stocks: Vec<PlannedStock>,
    /// How many lines it has, the refused ones included.
    pub lines: u64,
    /// Lines whose quantity no command can have.
    pub refused_lines: u64,
    /// The first of them.
    pub first_refused_line: Option<u64>,
    /// The times of the first and of the last basket.
    pub span: Option<(DateTime, DateTime)>,
    /// A hash of all that the baskets ask for: the same for the same baskets, whatever their file is called.
    pub fingerprint: Hash,
}

/// What a basket asks for.
#[derive(Clone, Debug)]
pub struct PlannedBasket {
    /// The basket's number in the file.
    pub basket: u64,
    /// The line of the file that it starts on, from 1 on.
    pub first_line: u64,
    /// The order that it becomes.
    pub order_id: OrderId,
    /// Whom it is held for.
    pub customer_id: CustomerId,
    /// Whether it is left standing, so that what it holds is released.
    pub is_abandoned: bool,
    /// What is in it.
    pub lines: Vec<PlannedLine>,
}

/// Units of one of the [`Plan::stocks`].
#[derive(Clone, Copy, Debug)]
pub struct PlannedLine {
    /// The stock's place there.
    pub stock: usize,
    /// How many.
    pub quantity: Quantity,
}

/// What all baskets together ask of one stock.
#[derive(Clone, Copy, Debug)]
pub struct PlannedStock {
    /// The stock.
    pub stock_id: StockId,
    /// The product's number in the file.
    pub product: u64,
    /// The store's number in the file.
    pub store: u64,
    /// How many units.
    pub wanted: u64,
}

impl Plan {
    /// Reads the file at `path`, which may have up to `lines_max` lines.
    ///
    /// # Errors
    ///
    /// [`BasketFileError`] names the file and the line.
    pub fn open(path: &Path, lines_max: u64) -> Result<Self, BasketFileError> {
        Self::of(BasketReader::open(path)?, path.display().to_string(), lines_max)
    }

    /// Reads `source`, which is called `name`, as [`Plan::open`] reads a file.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(source: impl Read + 'static, name: &str, lines_max: u64) -> Result<Self, BasketFileError> {
        Self::of(BasketReader::new(source, name)?, name.to_owned(), lines_max)
    }

    fn of(baskets: BasketReader, file: String, lines_max: u64) -> Result<Self, BasketFileError> {
        let mut planner = Planner::default();
        for basket in baskets {
            planner.add(&basket?);
            if planner.lines > lines_max {
                return Err(BasketFileError::TooManyLines { file, lines_max });
            }
        }
        let fingerprint = planner.fingerprint.finalize();
        let Planner { baskets, stocks, lines, refused_lines, first_refused_line, span, .. } = planner;
        Ok(Self { file, baskets, stocks, lines, refused_lines, first_refused_line, span, fingerprint })
    }
}

#[derive(Default)]
struct Planner {
    baskets: Vec<PlannedBasket>,
    stocks: Vec<PlannedStock>,
    lines: u64,
    refused_lines: u64,
    first_refused_line: Option<u64>,
    span: Option<(DateTime, DateTime)>,
    fingerprint: Hasher,
    /// Where each product and store stands among the stocks.
    places: HashMap<(u64, u64), usize>,
    products: HashMap<u64, ProductId>,
    stores: HashMap<u64, StoreId>,
}

impl Planner {
    fn add(&mut self, basket: &Basket) {
        let order_id = order_id(basket.basket);
        let mut lines = Vec::with_capacity(basket.lines.len());
        for line in &basket.lines {
            self.lines += 1;
            if let Ok(quantity) = line.quantity {
                let stock = self.place(line.product, basket.store);
                let wanted = &mut self.stocks[stock].wanted;
                *wanted = wanted.saturating_add(quantity.units());
                lines.push(PlannedLine { stock, quantity });
            } else {
                self.refused_lines += 1;
                self.first_refused_line.get_or_insert(line.line);
            }
        }
        let is_abandoned = order_id.uuid().as_u128().is_multiple_of(ABANDONED_ONE_IN);
        let (number, first_line) = (basket.basket, basket.lines.first().map_or(0, |line| line.line));
        let customer_id = customer_id(basket.household);
        self.mark(basket, &lines);
        self.baskets.push(PlannedBasket { basket: number, first_line, order_id, customer_id, is_abandoned, lines });
        let first = self.span.map_or(basket.at, |(first, _)| first);
        self.span = Some((first, basket.at));
    }

    /// Has the fingerprint cover what a basket asks for.
    fn mark(&mut self, basket: &Basket, lines: &[PlannedLine]) {
        for number in [basket.basket, basket.household, basket.store, lines.len() as u64] {
            self.fingerprint.update(&number.to_le_bytes());
        }
        for line in lines {
            self.fingerprint.update(&self.stocks[line.stock].product.to_le_bytes());
            self.fingerprint.update(&line.quantity.units().to_le_bytes());
        }
    }

    fn place(&mut self, product: u64, store: u64) -> usize {
        *self.places.entry((product, store)).or_insert_with(|| {
            let product_id = *self.products.entry(product).or_insert_with(|| product_id(product));
            let store_id = *self.stores.entry(store).or_insert_with(|| store_id(store));
            self.stocks.push(PlannedStock { stock_id: StockId { product_id, store_id }, product, store, wanted: 0 });
            self.stocks.len() - 1
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_all_baskets_want_is_added_up() {
        let plan = plan("1 10x2 11x1; 2 10x3; 3 11x0 12x0; 4 10x1");
        let wanted: Vec<_> = plan.stocks.iter().map(|stock| (stock.product, stock.store, stock.wanted)).collect();
        assert_eq!(wanted, [(10, 330, 6), (11, 330, 1)]);
        assert_eq!((plan.lines, plan.refused_lines, plan.first_refused_line), (6, 2, Some(5)));
        assert_eq!(plan.baskets.iter().map(|basket| basket.lines.len()).collect::<Vec<_>>(), [2, 1, 0, 1]);
    }

    #[test]
    fn about_one_basket_in_twenty_is_abandoned_and_always_the_same_ones() {
        let baskets = (1..=2_000).map(|basket| format!("{basket} 10x1")).collect::<Vec<_>>().join("; ");
        let abandoned = || plan(&baskets).baskets.iter().map(|basket| basket.is_abandoned).collect::<Vec<_>>();
        assert!((60..=140).contains(&abandoned().iter().filter(|is_abandoned| **is_abandoned).count()));
        assert_eq!(abandoned(), abandoned());
    }

    #[test]
    fn the_fingerprint_is_of_what_is_asked_for() {
        let fingerprint = |baskets| plan(baskets).fingerprint;
        assert_eq!(fingerprint("1 10x2 11x1; 2 10x3"), fingerprint("1 10x2 12x0 11x1; 2 10x3"));
        for other in ["1 10x2 11x1; 2 10x4", "1 10x2; 2 11x1 10x3", "1 10x2 11x1; 3 10x3", "1 11x1 10x2; 2 10x3"] {
            assert_ne!(fingerprint("1 10x2 11x1; 2 10x3"), fingerprint(other), "{other}");
        }
    }

    #[test]
    fn a_file_with_too_many_lines_is_refused() {
        let error = Plan::read(Cursor::new(csv("1 10x1 11x1 12x1")), "baskets.csv", 2).unwrap_err();
        assert_eq!(error.to_string(), "baskets.csv has more than 2 lines");
    }

    /// The plan of a file with such baskets, each a number and then products and quantities.
    pub(in super::super) fn plan(baskets: &str) -> Plan {
        Plan::read(Cursor::new(csv(baskets)), "baskets.csv", 1_000_000).unwrap()
    }

    fn csv(baskets: &str) -> String {
        let mut rows = vec!["transaction_timestamp,basket_id,household_id,store_id,product_id,quantity".to_owned()];
        for basket in baskets.split("; ") {
            let (number, lines) = basket.split_once(' ').unwrap();
            rows.extend(lines.split(' ').map(|line| {
                let (product, quantity) = line.split_once('x').unwrap();
                format!("2017-01-01 11:53:26,{number},900,330,{product},{quantity}")
            }));
        }
        rows.join("\n")
    }
}
