//! The replay: levels before, restock, baskets in time order, levels after, and whether it all adds up.

use std::cell::Cell;
use std::future::ready;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use inventory_domain::{Level, Quantity, Reason, ReservationId};
use thiserror::Error;
use tokio::time::Instant;

use super::baskets::BasketFileError;
use super::orders::{NotAnOrder, replay_orders};
use super::plan::{Plan, PlannedBasket, PlannedLine};
use super::report::{Account, BasketCounts, Earlier, ReplayReport, Times};
use super::shop::{Shop, ShopError};
use super::till::{Operation, Subject, Till};
use crate::progress::Progress;

/// Why the shelves are filled.
pub(super) const RESTOCK_REASON: &str = "replay: what the file will sell";

/// Why a basket's units are freed.
pub(super) const ABANDONED_REASON: &str = "replay: the basket was abandoned";

/// How a replay is done.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The baskets, as CSV or gzipped CSV.
    pub file: PathBuf,
    /// Baskets that may be in work at a time; they start in time order.
    pub in_flight: usize,
    /// Lines that the file may have: all of them are held in memory, in some 150 bytes each.
    pub lines_max: u64,
    /// Whether each basket is one order, see [`replay_orders`]; else each of its lines is reserved for itself.
    pub as_orders: bool,
}

impl ReplayOptions {
    /// Baskets in work at a time, unless told otherwise.
    pub const IN_FLIGHT: usize = 64;
    /// Lines that a file may have, unless told otherwise: three times a year of the largest sample.
    pub const LINES_MAX: u64 = 5_000_000;

    /// A replay of `file` line by line, with the default bounds.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), in_flight: Self::IN_FLIGHT, lines_max: Self::LINES_MAX, as_orders: false }
    }
}

/// Why a replay stopped before its end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file is no file of baskets; nothing was done.
    #[error(transparent)]
    File(#[from] BasketFileError),
    /// A basket of the file can't be an order; nothing was done.
    #[error(transparent)]
    NotAnOrder(#[from] NotAnOrder),
    /// The shop failed. What was held and not yet sold stays held: until its deadline, or as an order until the replay of the
    /// orders is done again.
    #[error("the replay stopped at {operation} on {subject}")]
    Shop {
        /// What was asked.
        operation: &'static str,
        /// Of what.
        subject: Subject,
        /// Why it failed.
        #[source]
        cause: ShopError,
    },
}

/// Replays a file into a shop, and checks every stock that it has moved. Nobody else may move them meanwhile.
///
/// First each stock is filled with all that the file will ask of it, so that what a shop refuses is worth a look. Then
/// each basket's lines are reserved, and sold together; one basket in [`ABANDONED_ONE_IN`] is released instead.
///
/// [`ABANDONED_ONE_IN`]: super::plan::ABANDONED_ONE_IN
///
/// # Errors
///
/// [`ReplayError`] when the file or the shop fails. Stocks that don't add up are no error but in the report: see
/// [`ReplayReport::is_clean`].
pub async fn replay(shop: &dyn Shop, options: &ReplayOptions, progress: Progress) -> Result<ReplayReport, ReplayError> {
    let plan = Plan::open(&options.file, options.lines_max)?;
    if options.as_orders {
        replay_orders(shop, &plan, options.in_flight, progress).await
    } else {
        replay_plan(shop, &plan, options.in_flight, progress).await
    }
}

/// As [`replay`], line by line, with what was read already.
///
/// # Errors
///
/// As there.
pub async fn replay_plan(
    shop: &dyn Shop,
    plan: &Plan,
    in_flight: usize,
    progress: Progress,
) -> Result<ReplayReport, ReplayError> {
    let run = Run::new(shop, plan, in_flight, progress);
    let before = run.levels("Levels before").await?;
    let restock = timed(run.restock(&reason(RESTOCK_REASON))).await?;
    let baskets = timed(run.baskets(&reason(ABANDONED_REASON))).await?;
    run.finish(before, restock, baskets, None).await
}

/// What every replay has, whatever its baskets become.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) till: Till<'a>,
    /// What was done to each of the plan's stocks.
    pub(super) books: Vec<Books>,
    pub(super) counts: Cell<BasketCounts>,
    pub(super) in_flight: usize,
    progress: Progress,
    start: Instant,
}

/// What was acknowledged for one stock.
#[derive(Clone, Default)]
pub(super) struct Books {
    pub(super) added: Cell<u64>,
    pub(super) sold: Cell<u64>,
    /// Units that the orders of an earlier run held when this one began.
    pub(super) held_before: Cell<u64>,
}

/// A line whose units are held.
struct Held<'a> {
    line: &'a PlannedLine,
    reservation_id: ReservationId,
}

impl<'a> Run<'a> {
    pub(super) fn new(shop: &'a dyn Shop, plan: &'a Plan, in_flight: usize, progress: Progress) -> Self {
        Self {
            plan,
            till: Till::new(shop),
            books: vec![Books::default(); plan.stocks.len()],
            counts: Cell::default(),
            in_flight: in_flight.max(1),
            progress,
            start: Instant::now(),
        }
    }

    pub(super) fn operations_max(&self) -> usize {
        self.till.shop.operations_max().max(1)
    }

    /// Does `work` on all of `items`, which start in their order, on so many at a time.
    pub(super) async fn each<T>(
        &self,
        name: &'static str,
        items: impl ExactSizeIterator<Item = T>,
        at_a_time: usize,
        work: impl AsyncFn(T) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        let phase = self.progress.phase(name, items.len() as u64);
        stream::iter(items)
            .map(|item| work(item))
            .buffer_unordered(at_a_time)
            .try_for_each(|()| {
                phase.advance(1);
                ready(Ok(()))
            })
            .await
    }

    /// The level of each of the plan's stocks.
    pub(super) async fn levels(&self, name: &'static str) -> Result<Vec<Level>, ReplayError> {
        let levels = vec![Cell::<Level>::default(); self.plan.stocks.len()];
        self.each(name, self.plan.stocks.iter().zip(&levels), self.operations_max(), async |(stock, found)| {
            let ask = async |shop: &dyn Shop| shop.level(stock.stock_id).await;
            let level = self.till.ask(Operation::Level, stock.stock_id, ask).await?;
            found.set(level.flatten().unwrap_or_default());
            Ok(())
        })
        .await?;
        Ok(levels.into_iter().map(Cell::into_inner).collect())
    }

    /// Looks at the levels after it all, and reports.
    pub(super) async fn finish(
        self,
        before: Vec<Level>,
        restock: Duration,
        baskets: Duration,
        earlier: Option<Earlier>,
    ) -> Result<ReplayReport, ReplayError> {
        let after = self.levels("Levels after").await?;
        let times = Times { restock, baskets, all: self.start.elapsed() };
        let accounts = before.into_iter().zip(after).zip(self.books).map(|((before, after), books)| Account {
            before,
            added: books.added.get(),
            sold: books.sold.get(),
            held_before: books.held_before.get(),
            after,
        });
        let accounts: Vec<Account> = accounts.collect();
        Ok(ReplayReport::new(self.plan, self.counts.get(), earlier, &accounts, self.till.into_record(), times))
    }

    /// Fills each stock with what the file will ask of it.
    async fn restock(&self, reason: &Reason) -> Result<(), ReplayError> {
        let stocks = self.plan.stocks.iter().zip(&self.books);
        self.each("Restocking", stocks, self.operations_max(), async |(stock, books)| {
            for quantity in portions(stock.wanted) {
                let ask = async |shop: &dyn Shop| shop.add(stock.stock_id, quantity, reason).await;
                if self.till.ask(Operation::Add, stock.stock_id, ask).await?.is_some() {
                    books.added.update(|added| added + quantity.units());
                }
            }
            Ok(())
        })
        .await
    }

    async fn baskets(&self, abandoned: &Reason) -> Result<(), ReplayError> {
        let baskets = self.plan.baskets.iter();
        self.each("Baskets", baskets, self.in_flight, async |basket| self.basket(basket, abandoned).await).await
    }

    /// Holds what can be held of a basket, then sells or frees it.
    async fn basket(&self, basket: &'a PlannedBasket, abandoned: &Reason) -> Result<(), ReplayError> {
        let held = try_join_all(basket.lines.iter().map(|line| self.hold(basket, line))).await?;
        let held: Vec<Held<'_>> = held.into_iter().flatten().collect();
        if held.is_empty() {
            self.counts.update(|counts| BasketCounts { empty: counts.empty + 1, ..counts });
        } else if basket.is_abandoned {
            try_join_all(held.iter().map(|held| self.free(held, abandoned))).await?;
            self.counts.update(|counts| BasketCounts { abandoned: counts.abandoned + 1, ..counts });
        } else {
            try_join_all(held.iter().map(|held| self.sell(basket, held))).await?;
            self.counts.update(|counts| BasketCounts { sold: counts.sold + 1, ..counts });
        }
        Ok(())
    }

    async fn hold(&self, basket: &PlannedBasket, line: &'a PlannedLine) -> Result<Option<Held<'a>>, ReplayError> {
        let stock_id = self.plan.stocks[line.stock].stock_id;
        let ask = async |shop: &dyn Shop| shop.reserve(stock_id, line.quantity, basket.customer_id).await;
        let held = self.till.ask(Operation::Reserve, stock_id, ask).await?;
        Ok(held.map(|reservation_id| Held { line, reservation_id }))
    }

    async fn sell(&self, basket: &PlannedBasket, held: &Held<'_>) -> Result<(), ReplayError> {
        let stock_id = self.plan.stocks[held.line.stock].stock_id;
        let ask = async |shop: &dyn Shop| shop.commit(stock_id, held.reservation_id, basket.order_id).await;
        if self.till.ask(Operation::Commit, stock_id, ask).await?.is_some() {
            self.books[held.line.stock].sold.update(|sold| sold + held.line.quantity.units());
        }
        Ok(())
    }

    async fn free(&self, held: &Held<'_>, reason: &Reason) -> Result<(), ReplayError> {
        let stock_id = self.plan.stocks[held.line.stock].stock_id;
        let ask = async |shop: &dyn Shop| shop.release(stock_id, held.reservation_id, reason).await;
        self.till.ask(Operation::Release, stock_id, ask).await.map(drop)
    }
}

/// How long `work` takes.
pub(super) async fn timed(work: impl Future<Output = Result<(), ReplayError>>) -> Result<Duration, ReplayError> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed())
}

pub(super) fn reason(text: &'static str) -> Reason {
    Reason::new(text).expect("the reasons above are neither empty nor long")
}

/// Parts of `units` that one command each can move.
pub(super) fn portions(units: u64) -> impl Iterator<Item = Quantity> {
    let mut rest = units;
    std::iter::from_fn(move || {
        let part = rest.min(Quantity::MAX);
        rest -= part;
        Quantity::new(part.cast_signed()).ok() // There is no quantity of 0.
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fake_shop::{FakeShop, done};
    use super::super::plan::tests::plan;
    use super::*;

    /// The first basket is abandoned, the second is not.
    const TWO_BASKETS: &str = "17 10x2 11x1; 1 10x3 12x4";

    #[tokio::test]
    async fn the_sample_adds_up_and_shows_what_it_refuses() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/samples/baskets.csv");
        let report = replay(&FakeShop::default(), &ReplayOptions::new(file), Progress::hidden()).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.lines, report.refused_lines), (4_846, 20));
        let BasketCounts { sold, abandoned, empty } = report.baskets;
        assert_eq!(sold + abandoned + empty, 500);
        assert!(abandoned > 10, "{report}");
        assert!(report.to_string().contains("20 lines of the file: quantity out of range, first on line"), "{report}");
    }

    #[tokio::test]
    async fn a_basket_is_sold_or_released() {
        let shop = FakeShop::default();
        let report = run(&shop, TWO_BASKETS).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.baskets, BasketCounts { sold: 1, abandoned: 1, empty: 0 });
        assert_eq!(done(&report), "level 6, add 3, reserve 4, commit 2, release 2");
        assert_eq!(on_hand(&shop, TWO_BASKETS), [(10, 2), (11, 1), (12, 0)]);
        assert!(report.to_string().contains(&format!("\nLevels    {}\n", shop.digest())), "{report}");
    }

    #[tokio::test]
    async fn a_second_replay_counts_from_what_the_first_left() {
        let shop = FakeShop::default();
        run(&shop, TWO_BASKETS).await.unwrap();
        let report = run(&shop, TWO_BASKETS).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(on_hand(&shop, TWO_BASKETS), [(10, 4), (11, 2), (12, 0)]);
    }

    #[tokio::test]
    async fn a_lost_commit_is_found() {
        let shop = FakeShop { loses: Some((Operation::Commit, 2)), ..FakeShop::default() };
        let report = run(&shop, TWO_BASKETS).await.unwrap();
        assert!(!report.is_clean());
        let named = report.to_string();
        let stock = plan(TWO_BASKETS).stocks[2].stock_id;
        let expected = format!(
            "FAILED: 1 of 3 stocks do not add up\n  product 12 ({}) in store 330 ({}): 4 on hand, \
             expected 0 + 4 added - 4 sold = 0; 4 reserved, expected 0",
            stock.product_id, stock.store_id,
        );
        assert!(named.ends_with(&expected), "{named}");
    }

    #[tokio::test]
    async fn a_lost_release_and_a_lost_restock_are_found() {
        for (operation, mismatched) in [(Operation::Release, 1), (Operation::Add, 1)] {
            let shop = FakeShop { loses: Some((operation, 1)), ..FakeShop::default() };
            let report = run(&shop, TWO_BASKETS).await.unwrap();
            assert_eq!(report.mismatched_stocks, mismatched, "{operation:?}: {report}");
        }
    }

    #[tokio::test]
    async fn only_the_first_mismatches_are_named() {
        let shop = FakeShop { sells_nothing: true, ..FakeShop::default() };
        let lines = (1..=30).map(|product| format!("{product}x1")).collect::<Vec<_>>().join(" ");
        let report = run(&shop, &format!("1 {lines}")).await.unwrap();
        assert_eq!((report.mismatched_stocks, report.mismatches.len()), (30, 20));
        assert!(report.to_string().ends_with("and 10 more"), "{report}");
    }

    #[tokio::test]
    async fn refusals_are_counted_by_reason_and_stop_nothing() {
        let shop = FakeShop { room: Some(3), ..FakeShop::default() };
        let report = run(&shop, "1 10x2 11x4; 2 11x4; 3 10x1 12x0; 4 12x0").await.unwrap();
        assert!(report.is_clean(), "{report}");
        let refusals: Vec<_> =
            report.refusals.iter().map(|((of, why), count)| (of.name(), why.as_str(), *count)).collect();
        assert_eq!(refusals, [("add", "stock-limit-exceeded", 1), ("reserve", "insufficient-stock", 2)]);
        assert_eq!((report.refused_lines, report.first_refused_line), (2, Some(6)));
        assert_eq!(report.baskets, BasketCounts { sold: 2, abandoned: 0, empty: 2 });
        let text = report.to_string();
        assert!(text.contains("2 lines of the file: quantity out of range, first on line 6"), "{text}");
        assert!(text.contains("2 by the shop: reserve, insufficient-stock"), "{text}");
    }

    #[tokio::test]
    async fn a_busy_shop_is_asked_again_a_bounded_number_of_times() {
        let patient = FakeShop { busy_times: Cell::new(9), ..FakeShop::default() };
        let report = run(&patient, "1 10x1").await.unwrap();
        assert!(report.is_clean() && report.retries == 9, "{report}");
        let error =
            run(&FakeShop { busy_times: Cell::new(u64::MAX), ..FakeShop::default() }, "1 10x1").await.unwrap_err();
        assert!(
            matches!(error, ReplayError::Shop { operation: "level", cause: ShopError::Busy { .. }, .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_failure_stops_the_replay() {
        let shop = FakeShop { fails: Some((Operation::Reserve, 3)), ..FakeShop::default() };
        let error = run(&shop, TWO_BASKETS).await.unwrap_err();
        assert!(error.to_string().starts_with("the replay stopped at reserve on stock "), "{error}");
    }

    #[tokio::test]
    async fn a_file_without_baskets_is_a_clean_replay() {
        let report = run(&FakeShop::default(), "1 10x0").await.unwrap();
        assert!(report.is_clean() && report.commands() == 0 && report.stocks == 0, "{report}");
    }

    #[tokio::test]
    async fn baskets_start_in_time_order_and_no_more_of_them_than_allowed() {
        let baskets = (1..=200).map(|basket| format!("{basket} {basket}x1")).collect::<Vec<_>>().join("; ");
        let shop = FakeShop::default();
        replay_plan(&shop, &plan(&baskets), 7, Progress::hidden()).await.unwrap();
        assert_eq!(shop.most_held.get(), 7);
        let in_time_order: Vec<_> = plan(&baskets).stocks.iter().map(|stock| stock.stock_id).collect();
        assert_eq!(*shop.reserves.borrow(), in_time_order);
    }

    #[test]
    fn a_large_restock_comes_in_portions() {
        let units = |wanted| portions(wanted).map(Quantity::units).collect::<Vec<_>>();
        assert_eq!(units(0), [0; 0]);
        assert_eq!(units(Quantity::MAX), [Quantity::MAX]);
        assert_eq!(units(2 * Quantity::MAX + 1), [Quantity::MAX, Quantity::MAX, 1]);
    }

    async fn run(shop: &FakeShop, baskets: &str) -> Result<ReplayReport, ReplayError> {
        replay_plan(shop, &plan(baskets), 64, Progress::hidden()).await
    }

    fn on_hand(shop: &FakeShop, baskets: &str) -> Vec<(u64, u64)> {
        let levels = shop.levels.borrow();
        plan(baskets).stocks.iter().map(|stock| (stock.product, levels[&stock.stock_id].quantity)).collect()
    }
}
