//! What a replay did, and whether every stock adds up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use blake3::Hash;
use inventory_domain::{Level, StockId};

use super::levels_digest::levels_digest;
use super::plan::{Plan, PlannedStock};
use super::till::{Operation, Record};

/// How many stocks that don't add up are named.
const MISMATCHES_NAMED: usize = 20;

/// The result of a replay; its `Display` is what a person reads.
#[derive(Clone, Debug)]
pub struct ReplayReport {
    /// What the file is called.
    pub file: String,
    /// Lines in the file.
    pub lines: u64,
    /// Lines whose quantity no command can have; nothing was asked for them.
    pub refused_lines: u64,
    /// The first of those, from 1 on.
    pub first_refused_line: Option<u64>,
    /// The times of the first and of the last basket, as text.
    pub span: Option<(String, String)>,
    /// Stocks that the file moves.
    pub stocks: u64,
    /// What became of the baskets.
    pub baskets: BasketCounts,
    /// What an earlier run of the same baskets had done; `None` unless they are orders, which alone can be told again.
    pub earlier: Option<Earlier>,
    /// What was done, by operation.
    pub operations: Vec<OperationReport>,
    /// How often an operation was refused, by operation and reason.
    pub refusals: BTreeMap<(Operation, String), u64>,
    /// How often an operation had to be tried again because the shop was busy.
    pub retries: u64,
    /// How long it took.
    pub times: Times,
    /// A hash of all levels after it: the same in two stores that hold the same.
    pub levels: Hash,
    /// Stocks that don't add up.
    pub mismatched_stocks: u64,
    /// The first of those.
    pub mismatches: Vec<Mismatch>,
}

/// What became of the baskets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasketCounts {
    /// Sold, as far as their lines could be held.
    pub sold: u64,
    /// Released.
    pub abandoned: u64,
    /// Without a line that could be held.
    pub empty: u64,
}

/// What an earlier run of the same baskets had done when this one began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Restocks that it had done.
    pub restocks: u64,
    /// Orders that it had sold or freed, and which are none of the [`BasketCounts`] therefore.
    pub orders: u64,
    /// Orders that it had left held.
    pub held: u64,
}

/// One kind of operation.
#[derive(Clone, Copy, Debug)]
pub struct OperationReport {
    /// Which.
    pub operation: Operation,
    /// How many were done.
    pub done: u64,
    /// The latency that half of them stayed within.
    pub p50: Duration,
    /// The latency that 99 in 100 stayed within.
    pub p99: Duration,
}

/// How long the parts of a replay took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Filling the shelves.
    pub restock: Duration,
    /// The baskets.
    pub baskets: Duration,
    /// All of it, with reading every level before and after.
    pub all: Duration,
}

/// A stock that doesn't add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The stock.
    pub stock_id: StockId,
    /// The product's number in the file.
    pub product: u64,
    /// The store's number in the file.
    pub store: u64,
    /// What was there, what was done, and what is there.
    pub account: Account,
}

/// What was there, what was acknowledged, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The level before.
    pub before: Level,
    /// Units that came in.
    pub added: u64,
    /// Units that were sold.
    pub sold: u64,
    /// Units that an earlier run had left held for orders of this one, and which are held no more therefore.
    pub held_before: u64,
    /// The level after.
    pub after: Level,
}

impl Account {
    /// Units that have to be on hand.
    #[must_use]
    pub fn on_hand_expected(&self) -> i128 {
        i128::from(self.before.quantity) + i128::from(self.added) - i128::from(self.sold)
    }

    /// Units that have to be reserved: those of others, because nothing of the replay is held any more.
    #[must_use]
    pub fn reserved_expected(&self) -> i128 {
        i128::from(self.before.reserved) - i128::from(self.held_before)
    }

    /// Whether what is there is what has to be there.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        i128::from(self.after.quantity) == self.on_hand_expected()
            && i128::from(self.after.reserved) == self.reserved_expected()
    }
}

impl ReplayReport {
    /// Looks through the accounts, one for each of the plan's stocks in their order.
    pub(super) fn new(
        plan: &Plan,
        baskets: BasketCounts,
        earlier: Option<Earlier>,
        accounts: &[Account],
        record: Record,
        times: Times,
    ) -> Self {
        let levels = levels_digest(plan.stocks.iter().zip(accounts).map(|(stock, of)| (stock.stock_id, of.after)));
        let wrong = |(stock, account): (&PlannedStock, &Account)| {
            let PlannedStock { stock_id, product, store, .. } = *stock;
            (!account.adds_up()).then_some(Mismatch { stock_id, product, store, account: *account })
        };
        let mut mismatches = plan.stocks.iter().zip(accounts).filter_map(wrong);
        let first: Vec<Mismatch> = mismatches.by_ref().take(MISMATCHES_NAMED).collect();
        let Record { latency, refusals, retries } = record;
        let operations: &[Operation] = if earlier.is_some() { &Operation::OF_ORDERS } else { &Operation::OF_LINES };
        let operations = operations.iter().map(|operation| {
            let quantile = |of| {
                let micros = latency.get(operation).map(|histogram| histogram.value_at_quantile(of));
                Duration::from_micros(micros.unwrap_or_default())
            };
            let done = latency.get(operation).map(hdrhistogram::Histogram::len).unwrap_or_default();
            OperationReport { operation: *operation, done, p50: quantile(0.5), p99: quantile(0.99) }
        });
        Self {
            file: plan.file.clone(),
            lines: plan.lines,
            refused_lines: plan.refused_lines,
            first_refused_line: plan.first_refused_line,
            span: plan.span.map(|(first, last)| (first.to_string(), last.to_string())),
            stocks: plan.stocks.len() as u64,
            baskets,
            earlier,
            operations: operations.collect(),
            refusals,
            retries,
            times,
            levels,
            mismatched_stocks: first.len() as u64 + mismatches.count() as u64,
            mismatches: first,
        }
    }

    /// Whether every stock adds up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.mismatched_stocks == 0
    }

    /// How many commands were done.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.operations.iter().filter(|report| report.operation.is_command()).map(|report| report.done).sum()
    }

    /// How many commands were done in a second, over the restock and the baskets.
    #[must_use]
    pub fn commands_a_second(&self) -> u64 {
        let micros = (self.times.restock + self.times.baskets).as_micros().max(1);
        u64::try_from(u128::from(self.commands()) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BasketCounts { sold, abandoned, empty } = self.baskets;
        let baskets = Grouped(sold + abandoned + empty + self.earlier.map_or(0, |earlier| earlier.orders));
        let (lines, stocks) = (Grouped(self.lines), Grouped(self.stocks));
        writeln!(formatter, "File      {}: {lines} lines, {baskets} baskets, {stocks} stocks", self.file)?;
        if let Some((first, last)) = &self.span {
            writeln!(formatter, "          from {first} to {last}")?;
        }
        let (sold, abandoned, empty) = (Grouped(sold), Grouped(abandoned), Grouped(empty));
        match &self.earlier {
            None => writeln!(
                formatter,
                "Baskets   {sold} sold, {abandoned} abandoned and released, {empty} with nothing to hold"
            )?,
            Some(earlier) => writeln!(
                formatter,
                "Orders    {sold} sold, {abandoned} abandoned and released, {empty} refused or with nothing to hold\n{earlier}"
            )?,
        }
        self.write_refusals(formatter)?;
        let (commands, rate) = (Grouped(self.commands()), Grouped(self.commands_a_second()));
        let Times { restock, baskets, all } = self.times;
        let (working, all) = ((restock + baskets).as_secs_f64(), all.as_secs_f64());
        writeln!(formatter, "Commands  {commands} in {working:.1} s, {rate} a second; all took {all:.1} s")?;
        if self.retries > 0 {
            writeln!(formatter, "          {} tries were put off because the shop was busy", Grouped(self.retries))?;
        }
        writeln!(formatter)?;
        writeln!(formatter, "Operation        done     refused         p50         p99")?;
        for OperationReport { operation, done, p50, p99 } in &self.operations {
            let of_it = self.refusals.iter().filter(|((refused, _), _)| refused == operation);
            let refused = of_it.map(|(_, count)| count).sum();
            let (done, refused) = (Grouped(*done).to_string(), Grouped(refused).to_string());
            let (p50, p99) = (Millis(*p50).to_string(), Millis(*p99).to_string());
            writeln!(formatter, "{:9}{done:>12}{refused:>12}{p50:>12}{p99:>12}", operation.name())?;
        }
        writeln!(formatter)?;
        writeln!(formatter, "Levels    {}", self.levels.to_hex())?;
        if self.is_clean() {
            return write!(
                formatter,
                "Check     passed: all {stocks} stocks add up, and nothing of this run is still held"
            );
        }
        write!(formatter, "Check     FAILED: {} of {stocks} stocks do not add up", Grouped(self.mismatched_stocks))?;
        for mismatch in &self.mismatches {
            write!(formatter, "\n  {mismatch}")?;
        }
        match self.mismatched_stocks - self.mismatches.len() as u64 {
            0 => Ok(()),
            more => write!(formatter, "\n  and {} more", Grouped(more)),
        }
    }
}

impl ReplayReport {
    fn write_refusals(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut label = "Refused  ";
        if let Some(first) = self.first_refused_line {
            let count = Grouped(self.refused_lines);
            writeln!(formatter, "{label} {count} lines of the file: quantity out of range, first on line {first}")?;
            label = "         ";
        }
        for ((operation, reason), count) in &self.refusals {
            writeln!(formatter, "{label} {} by the shop: {}, {reason}", Grouped(*count), operation.name())?;
            label = "         ";
        }
        if label.starts_with('R') {
            writeln!(formatter, "{label} nothing")?;
        }
        Ok(())
    }
}

impl fmt::Display for Earlier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { restocks, orders, held } = self;
        let (restocks, orders, held) = (Grouped(*restocks), Grouped(*orders), Grouped(*held));
        write!(
            formatter,
            "Before    {restocks} restocks and {orders} orders done by an earlier run, {held} left held by it"
        )
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stock_id: StockId { product_id, store_id }, product, store, account } = self;
        let Account { before, added, sold, after, .. } = account;
        write!(
            formatter,
            "product {product} ({product_id}) in store {store} ({store_id}): {on_hand} on hand, expected {before} + \
             {added} added - {sold} sold = {expected}; {reserved} reserved, expected {reserved_expected}",
            on_hand = after.quantity,
            before = before.quantity,
            expected = account.on_hand_expected(),
            reserved = after.reserved,
            reserved_expected = account.reserved_expected(),
        )
    }
}

/// A number with a comma after every third digit.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (0, rest) => write!(formatter, "{rest}"),
            (thousands, rest) => write!(formatter, "{},{rest:03}", Self(thousands)),
        }
    }
}

/// A time in milliseconds.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(formatter, "{}.{:03} ms", micros / 1000, micros % 1000)
    }
}
