//! The replay: levels before, restock, baskets in time order, levels after, and whether it all adds up.

use std::cell::Cell;
use std::future::ready;
use std::path::PathBuf;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use inventory_domain::{Level, Quantity, Reason, ReservationId, StockId};
use thiserror::Error;
use tokio::time::Instant;

use super::baskets::BasketFileError;
use super::plan::{Plan, PlannedBasket, PlannedLine};
use super::report::{Account, BasketCounts, ReplayReport, Times};
use super::shop::{Shop, ShopError};
use super::till::{Operation, Till};
use crate::progress::Progress;

/// Why the shelves are filled.
const RESTOCK_REASON: &str = "replay: what the file will sell";

/// Why a basket's units are freed.
const ABANDONED_REASON: &str = "replay: the basket was abandoned";

/// How a replay is done.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The baskets, as CSV or gzipped CSV.
    pub file: PathBuf,
    /// Baskets that may be in work at a time; they start in time order.
    pub in_flight: usize,
    /// Lines that the file may have: all of them are held in memory, in some 150 bytes each.
    pub lines_max: u64,
}

impl ReplayOptions {
    /// Baskets in work at a time, unless told otherwise.
    pub const IN_FLIGHT: usize = 64;
    /// Lines that a file may have, unless told otherwise: three times a year of the largest sample.
    pub const LINES_MAX: u64 = 5_000_000;

    /// A replay of `file` with the default bounds.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), in_flight: Self::IN_FLIGHT, lines_max: Self::LINES_MAX }
    }
}

/// Why a replay stopped before its end.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file is no file of baskets; nothing was done.
    #[error(transparent)]
    File(#[from] BasketFileError),
    /// The shop failed. What was held and not yet sold stays held until its deadline.
    #[error("the replay stopped at {operation} on stock {stock_id}")]
    Shop {
        /// What was asked.
        operation: &'static str,
        /// Of which stock.
        stock_id: StockId,
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
    replay_plan(shop, &plan, options.in_flight, progress).await
}

/// As [`replay`], with what was read already.
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
    let run = Run {
        plan,
        till: Till::new(shop),
        progress,
        in_flight: in_flight.max(1),
        books: vec![Books::default(); plan.stocks.len()],
        baskets: Cell::default(),
    };
    let start = Instant::now();
    let before = run.levels("Levels before").await?;
    let counted = Instant::now();
    run.restock(&reason(RESTOCK_REASON)).await?;
    let restocked = Instant::now();
    run.baskets(&reason(ABANDONED_REASON)).await?;
    let sold = Instant::now();
    let after = run.levels("Levels after").await?;
    let times = Times { restock: restocked - counted, baskets: sold - restocked, all: start.elapsed() };
    let accounts = before.into_iter().zip(after).zip(run.books).map(|((before, after), books)| Account {
        before,
        added: books.added.get(),
        sold: books.sold.get(),
        after,
    });
    let accounts: Vec<Account> = accounts.collect();
    Ok(ReplayReport::new(plan, run.baskets.get(), &accounts, run.till.into_record(), times))
}

struct Run<'a> {
    plan: &'a Plan,
    till: Till<'a>,
    progress: Progress,
    in_flight: usize,
    /// What was done to each of the plan's stocks.
    books: Vec<Books>,
    baskets: Cell<BasketCounts>,
}

/// What was acknowledged for one stock.
#[derive(Clone, Default)]
struct Books {
    added: Cell<u64>,
    sold: Cell<u64>,
}

/// A line whose units are held.
struct Held<'a> {
    line: &'a PlannedLine,
    reservation_id: ReservationId,
}

impl<'a> Run<'a> {
    fn operations_max(&self) -> usize {
        self.till.shop.operations_max().max(1)
    }

    /// The level of each of the plan's stocks.
    async fn levels(&self, name: &'static str) -> Result<Vec<Level>, ReplayError> {
        let phase = self.progress.phase(name, self.plan.stocks.len() as u64);
        let mut levels = vec![Level::default(); self.plan.stocks.len()];
        stream::iter(self.plan.stocks.iter().enumerate())
            .map(|(place, stock)| async move {
                let ask = async |shop: &dyn Shop| shop.level(stock.stock_id).await;
                let level = self.till.ask(Operation::Level, stock.stock_id, ask).await?;
                Ok((place, level.flatten().unwrap_or_default()))
            })
            .buffer_unordered(self.operations_max())
            .try_for_each(|(place, level)| {
                levels[place] = level;
                phase.advance(1);
                ready(Ok::<_, ReplayError>(()))
            })
            .await?;
        Ok(levels)
    }

    /// Fills each stock with what the file will ask of it.
    async fn restock(&self, reason: &Reason) -> Result<(), ReplayError> {
        let phase = self.progress.phase("Restocking", self.plan.stocks.len() as u64);
        stream::iter(self.plan.stocks.iter().zip(&self.books))
            .map(|(stock, books)| async move {
                for quantity in portions(stock.wanted) {
                    let ask = async |shop: &dyn Shop| shop.add(stock.stock_id, quantity, reason).await;
                    if self.till.ask(Operation::Add, stock.stock_id, ask).await?.is_some() {
                        books.added.update(|added| added + quantity.units());
                    }
                }
                Ok(())
            })
            .buffer_unordered(self.operations_max())
            .try_for_each(|()| {
                phase.advance(1);
                ready(Ok::<_, ReplayError>(()))
            })
            .await
    }

    async fn baskets(&self, abandoned: &Reason) -> Result<(), ReplayError> {
        let phase = self.progress.phase("Baskets", self.plan.baskets.len() as u64);
        stream::iter(&self.plan.baskets)
            .map(|basket| self.basket(basket, abandoned))
            .buffer_unordered(self.in_flight)
            .try_for_each(|()| {
                phase.advance(1);
                ready(Ok::<_, ReplayError>(()))
            })
            .await
    }

    /// Holds what can be held of a basket, then sells or frees it.
    async fn basket(&self, basket: &'a PlannedBasket, abandoned: &Reason) -> Result<(), ReplayError> {
        let held = try_join_all(basket.lines.iter().map(|line| self.hold(basket, line))).await?;
        let held: Vec<Held<'_>> = held.into_iter().flatten().collect();
        let mut counts = self.baskets.get();
        if held.is_empty() {
            counts.empty += 1;
        } else if basket.is_abandoned {
            try_join_all(held.iter().map(|held| self.free(held, abandoned))).await?;
            counts = self.baskets.get();
            counts.abandoned += 1;
        } else {
            try_join_all(held.iter().map(|held| self.sell(basket, held))).await?;
            counts = self.baskets.get();
            counts.sold += 1;
        }
        self.baskets.set(counts);
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

fn reason(text: &'static str) -> Reason {
    Reason::new(text).expect("the reasons above are neither empty nor long")
}

/// Parts of `units` that one command each can move.
fn portions(units: u64) -> impl Iterator<Item = Quantity> {
    let mut rest = units;
    std::iter::from_fn(move || {
        let part = rest.min(Quantity::MAX);
        rest -= part;
        Quantity::new(part.cast_signed()).ok() // There is no quantity of 0.
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::path::Path;
    use std::time::Duration;

    use async_trait::async_trait;
    use inventory_domain::{CustomerId, OrderId};
    use tokio::task::yield_now;

    use super::super::levels_digest::levels_digest;
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
        let levels = levels_digest(shop.levels.borrow().iter().map(|(stock_id, level)| (*stock_id, *level)));
        assert!(report.to_string().contains(&format!("\nLevels    {levels}\n")), "{report}");
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

    fn done(report: &ReplayReport) -> String {
        let done = report.operations.iter().map(|of| format!("{} {}", of.operation.name(), of.done));
        done.collect::<Vec<_>>().join(", ")
    }

    fn on_hand(shop: &FakeShop, baskets: &str) -> Vec<(u64, u64)> {
        let levels = shop.levels.borrow();
        plan(baskets).stocks.iter().map(|stock| (stock.product, levels[&stock.stock_id].quantity)).collect()
    }

    /// Stocks in memory, and what can go wrong with them. Operations are counted from 1.
    #[derive(Default)]
    struct FakeShop {
        /// Says that it has done this one, and hasn't.
        loses: Option<(Operation, u64)>,
        /// Breaks at this one.
        fails: Option<(Operation, u64)>,
        /// Says that it has sold, and hasn't.
        sells_nothing: bool,
        /// The most units that fit into a stock.
        room: Option<u64>,
        /// How often it is busy.
        busy_times: Cell<u64>,
        levels: RefCell<HashMap<StockId, Level>>,
        held: RefCell<HashMap<ReservationId, u64>>,
        counts: RefCell<HashMap<&'static str, u64>>,
        most_held: Cell<usize>,
        reserves: RefCell<Vec<StockId>>,
    }

    impl FakeShop {
        /// Counts an operation; whether it is to be done in earnest.
        async fn begin(&self, operation: Operation) -> Result<bool, ShopError> {
            yield_now().await;
            if let Some(left) = self.busy_times.get().checked_sub(1) {
                self.busy_times.set(left);
                return Err(ShopError::Busy { retry_after: Duration::ZERO, detail: "busy".into() });
            }
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry(operation.name()).or_default();
            *count += 1;
            if self.fails == Some((operation, *count)) {
                return Err(ShopError::Failed("broken".into()));
            }
            Ok(self.loses != Some((operation, *count)))
        }
    }

    #[async_trait(?Send)]
    impl Shop for FakeShop {
        fn operations_max(&self) -> usize {
            16
        }

        async fn level(&self, stock_id: StockId) -> Result<Option<Level>, ShopError> {
            self.begin(Operation::Level).await?;
            Ok(self.levels.borrow().get(&stock_id).copied())
        }

        async fn add(&self, stock_id: StockId, quantity: Quantity, _: &Reason) -> Result<(), ShopError> {
            let in_earnest = self.begin(Operation::Add).await?;
            if self.room.is_some_and(|room| quantity.units() > room) {
                return Err(ShopError::Refused("stock-limit-exceeded".into()));
            }
            if in_earnest {
                self.levels.borrow_mut().entry(stock_id).or_default().quantity += quantity.units();
            }
            Ok(())
        }

        async fn reserve(
            &self,
            stock_id: StockId,
            quantity: Quantity,
            _: CustomerId,
        ) -> Result<ReservationId, ShopError> {
            self.reserves.borrow_mut().push(stock_id);
            self.begin(Operation::Reserve).await?;
            let mut levels = self.levels.borrow_mut();
            let level = levels.entry(stock_id).or_default();
            if level.available() < quantity.units() {
                return Err(ShopError::Refused("insufficient-stock".into()));
            }
            level.reserved += quantity.units();
            let count = self.counts.borrow()["reserve"];
            let reservation_id = ReservationId::from_u128(count.into());
            self.held.borrow_mut().insert(reservation_id, quantity.units());
            self.most_held.set(self.most_held.get().max(self.held.borrow().len()));
            Ok(reservation_id)
        }

        async fn commit(&self, stock_id: StockId, reservation_id: ReservationId, _: OrderId) -> Result<(), ShopError> {
            let in_earnest = self.begin(Operation::Commit).await?;
            let units = self.held.borrow_mut().remove(&reservation_id).unwrap();
            if in_earnest && !self.sells_nothing {
                let mut levels = self.levels.borrow_mut();
                let level = levels.get_mut(&stock_id).unwrap();
                (level.quantity, level.reserved) = (level.quantity - units, level.reserved - units);
            }
            Ok(())
        }

        async fn release(&self, stock_id: StockId, reservation_id: ReservationId, _: &Reason) -> Result<(), ShopError> {
            let in_earnest = self.begin(Operation::Release).await?;
            let units = self.held.borrow_mut().remove(&reservation_id).unwrap();
            if in_earnest {
                self.levels.borrow_mut().get_mut(&stock_id).unwrap().reserved -= units;
            }
            Ok(())
        }
    }
}
