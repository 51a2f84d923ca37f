//! What may be asked of the shop: few ids and small numbers, so that one request meets the other.

use proptest::prelude::*;

/// How many stocks there are.
pub const STOCKS: usize = 3;
/// What the clock shows at first.
pub const START: i64 = 1_764_000_000_000;
/// The most that a stock may hold.
pub const MOST: i64 = 1_000_000_000_000_000;

#[derive(Clone, Debug)]
pub enum Operation {
    /// The clock goes on, or a little back.
    Wait { ms: i64 },
    /// Something is asked of one stock.
    Stock(usize, Ask),
    /// Something is asked of an order.
    Order(u8, OrderAsk),
    /// Something is asked of a transfer.
    Transfer(u8, TransferAsk),
}

#[derive(Clone, Debug)]
pub enum Ask {
    Add {
        units: i64,
    },
    Reserve {
        id: u8,
        units: i64,
        customer: u8,
        minutes: Option<i64>,
    },
    Commit {
        id: u8,
        part: Option<i64>,
    },
    Release {
        id: u8,
    },
    Extend {
        id: u8,
        minutes: i64,
    },
    /// A count, taken so long ago, or now.
    Count {
        counted: i64,
        ms_ago: Option<i64>,
    },
    ReleaseExpired {
        most: usize,
    },
}

#[derive(Clone, Debug)]
pub enum OrderAsk {
    /// Lines, of which some may be of the same stock.
    Place {
        lines: Vec<(usize, i64)>,
        minutes: Option<i64>,
    },
    Commit,
    Release,
    Expire,
}

#[derive(Clone, Debug)]
pub enum TransferAsk {
    /// To the next stock.
    Start {
        from: usize,
        units: i64,
    },
    Receive {
        part: Option<i64>,
    },
    Cancel,
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        // Often to the very millisecond of a deadline, or to the one before it.
        4 => (0i64..4, -1i64..2).prop_map(|(minutes, ms)| Operation::Wait { ms: minutes * MINUTE + ms }),
        1 => prop_oneof![Just(DAY), Just(31 * DAY), Just(-5 * MINUTE)].prop_map(|ms| Operation::Wait { ms }),
        16 => (0..STOCKS, ask()).prop_map(|(stock, ask)| Operation::Stock(stock, ask)),
        6 => (0u8..3, order_ask()).prop_map(|(id, ask)| Operation::Order(id, ask)),
        4 => (0u8..3, transfer_ask()).prop_map(|(id, ask)| Operation::Transfer(id, ask)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let id = || 0u8..6;
    let part = || prop::option::of(units());
    let counted = || prop_oneof![20 => 0i64..30, 1 => MOST - 12..MOST + 1];
    let ms_ago = || prop::option::of(prop_oneof![4 => 0..5 * MINUTE, 1 => 29 * DAY..31 * DAY, 1 => Just(30 * DAY)]);
    prop_oneof![
        4 => units().prop_map(|units| Ask::Add { units }),
        6 => (id(), units(), 0u8..2, minutes())
            .prop_map(|(id, units, customer, minutes)| Ask::Reserve { id, units, customer, minutes }),
        3 => (id(), part()).prop_map(|(id, part)| Ask::Commit { id, part }),
        2 => id().prop_map(|id| Ask::Release { id }),
        2 => (id(), 1i64..4).prop_map(|(id, minutes)| Ask::Extend { id, minutes }),
        2 => (counted(), ms_ago()).prop_map(|(counted, ms_ago)| Ask::Count { counted, ms_ago }),
        1 => (0usize..3).prop_map(|most| Ask::ReleaseExpired { most }),
    ]
}

fn order_ask() -> impl Strategy<Value = OrderAsk> {
    let lines = prop::collection::vec((0..STOCKS, 1i64..4), 1..4);
    prop_oneof![
        3 => (lines, minutes()).prop_map(|(lines, minutes)| OrderAsk::Place { lines, minutes }),
        1 => Just(OrderAsk::Commit),
        1 => Just(OrderAsk::Release),
        2 => Just(OrderAsk::Expire),
    ]
}

fn transfer_ask() -> impl Strategy<Value = TransferAsk> {
    prop_oneof![
        2 => (0..STOCKS, units()).prop_map(|(from, units)| TransferAsk::Start { from, units }),
        2 => prop::option::of(units()).prop_map(|part| TransferAsk::Receive { part }),
        1 => Just(TransferAsk::Cancel),
    ]
}

fn units() -> impl Strategy<Value = i64> {
    1i64..8
}

fn minutes() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.7, 1i64..4)
}
