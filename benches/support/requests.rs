//! The requests of the loads, as the bytes that go out.
//!
//! Ids are made from a number, so that filling and load agree. What a load repeats is prepared before it starts.

use std::fmt::Write as _;

use crate::generator::Requests;

/// The largest batch that the service takes.
pub const BATCH_COMMANDS_MAX: u64 = 8_192;

const STORE_ID: &str = "00000000-0000-4000-9000-000000000001";
const CUSTOMER_ID: &str = "00000000-0000-4000-a000-000000000001";
/// More than any load takes.
const UNITS: u64 = 1_000_000_000;

/// Prepared requests, one after the other, for ever.
#[derive(Clone, Debug)]
pub struct InTurn {
    prepared: Vec<Vec<u8>>,
    next: usize,
    are_batches: bool,
}

impl InTurn {
    /// These requests.
    #[must_use]
    pub fn new(prepared: Vec<Vec<u8>>) -> Self {
        Self { prepared, next: 0, are_batches: false }
    }

    /// These batches.
    #[must_use]
    pub fn batches(prepared: Vec<Vec<u8>>) -> Self {
        Self { prepared, next: 0, are_batches: true }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.prepared.len() as u64
    }
}

impl Requests for InTurn {
    fn write_next(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.prepared[self.next]);
        self.next = (self.next + 1) % self.prepared.len();
    }

    fn are_batches(&self) -> bool {
        self.are_batches
    }
}

/// Asks for the level of each of so many stocks.
#[must_use]
pub fn levels(stocks: u64) -> InTurn {
    InTurn::new((0..stocks).map(level).collect())
}

/// Reserves one unit of each of so many stocks.
#[must_use]
pub fn reserves(stocks: u64) -> InTurn {
    InTurn::new((0..stocks).map(reserve).collect())
}

/// Nine questions for a level and one reserve, over so many stocks.
#[must_use]
pub fn mixed(stocks: u64) -> InTurn {
    InTurn::new((0..stocks).map(|number| if number % 10 == 9 { reserve(number) } else { level(number) }).collect())
}

/// Orders of so many lines of one unit, over so many stocks.
#[must_use]
pub fn orders(stocks: u64, lines: u64) -> InTurn {
    let order = |first: u64| {
        let lines = (first..first + lines).map(|number| OrderLine {
            product_id: product_id(number % stocks),
            store_id: STORE_ID.to_owned(),
            quantity: 1,
        });
        place_order(CUSTOMER_ID, lines)
    };
    InTurn::new((0..stocks).step_by(lines.max(1).try_into().unwrap_or(usize::MAX)).map(order).collect())
}

/// Full batches of reserves, over so many stocks.
#[must_use]
pub fn batches_of_reserves(stocks: u64) -> InTurn {
    let reserves = (0..BATCH_COMMANDS_MAX).map(|place| {
        format!(
            r#"{{"op":"reserve","product_id":"{}","store_id":"{STORE_ID}","quantity":1,"customer_id":"{CUSTOMER_ID}"}}"#,
            product_id(place % stocks)
        )
    });
    InTurn::batches(vec![batch(reserves)])
}

/// Puts units into so many stocks, in batches; each is to be sent once.
#[must_use]
pub fn stock_up(stocks: u64) -> InTurn {
    stock_up_these((0..stocks).map(|number| (product_id(number), STORE_ID.to_owned())))
}

/// Puts units into these stocks, named by product and store, in batches; each is to be sent once.
#[must_use]
pub fn stock_up_these(stocks: impl IntoIterator<Item = (String, String)>) -> InTurn {
    let adds = stocks.into_iter().map(|(product_id, store_id)| {
        format!(
            r#"{{"op":"add","product_id":"{product_id}","store_id":"{store_id}","quantity":{UNITS},"reason":"benchmark"}}"#
        )
    });
    let adds: Vec<_> = adds.collect();
    let most = BATCH_COMMANDS_MAX.try_into().unwrap_or(usize::MAX);
    InTurn::batches(adds.chunks(most).map(|adds| batch(adds.iter())).collect())
}

/// Fills the log: units are reserved and sold one by one, over so many stocks that hold enough, two events a unit.
#[derive(Debug)]
pub struct Sales {
    stocks: u64,
    left: u64,
    sold: u64,
}

impl Sales {
    /// Sales that make so many events.
    #[must_use]
    pub fn new(stocks: u64, events: u64) -> Self {
        Self { stocks, left: events / 2, sold: 0 }
    }

    /// How many requests they are.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.left.div_ceil(BATCH_COMMANDS_MAX / 2)
    }
}

impl Requests for Sales {
    fn write_next(&mut self, bytes: &mut Vec<u8>) {
        let count = self.left.min(BATCH_COMMANDS_MAX / 2);
        let stocks = self.stocks;
        let sale = |serial: u64| {
            let product_id = product_id(serial % stocks);
            format!(
                r#"{{"op":"reserve","product_id":"{product_id}","store_id":"{STORE_ID}","reservation_id":"00000000-0000-7000-8000-{serial:012x}","quantity":1,"customer_id":"{CUSTOMER_ID}"}},{{"op":"commit","product_id":"{product_id}","store_id":"{STORE_ID}","reservation_id":"00000000-0000-7000-8000-{serial:012x}","order_id":"{CUSTOMER_ID}"}}"#
            )
        };
        bytes.extend_from_slice(&batch((self.sold..self.sold + count).map(sale)));
        self.sold += count;
        self.left -= count;
    }

    fn are_batches(&self) -> bool {
        true
    }
}

/// A line of an order.
#[derive(Clone, Debug)]
pub struct OrderLine {
    /// Of which product.
    pub product_id: String,
    /// In which store.
    pub store_id: String,
    /// How many units.
    pub quantity: u64,
}

/// The request that places an order.
#[must_use]
pub fn place_order(customer_id: &str, lines: impl IntoIterator<Item = OrderLine>) -> Vec<u8> {
    let mut body = format!(r#"{{"customer_id":"{customer_id}","lines":["#);
    for (place, OrderLine { product_id, store_id, quantity }) in lines.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        _ = write!(body, r#"{comma}{{"product_id":"{product_id}","store_id":"{store_id}","quantity":{quantity}}}"#);
    }
    body.push_str("]}");
    post("/api/v1/orders", &body)
}

fn level(number: u64) -> Vec<u8> {
    let product_id = product_id(number);
    format!("GET /api/v1/inventory/products/{product_id}/stores/{STORE_ID} HTTP/1.1\r\nHost: bench\r\n\r\n")
        .into_bytes()
}

fn reserve(number: u64) -> Vec<u8> {
    let product_id = product_id(number);
    let body = format!(
        r#"{{"product_id":"{product_id}","store_id":"{STORE_ID}","quantity":1,"customer_id":"{CUSTOMER_ID}"}}"#
    );
    post("/api/v1/inventory/reserve", &body)
}

fn batch(commands: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let mut body = String::from(r#"{"commands":["#);
    for (place, command) in commands.into_iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str(command.as_ref());
    }
    body.push_str("]}");
    post("/api/v1/batch", &body)
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn product_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}
