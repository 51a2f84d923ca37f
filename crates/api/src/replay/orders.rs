//! The replay in which one basket is one order, and which can be cut off at any moment and done again.
//!
//! Nothing in it happens twice: a restock has a key that follows from the baskets, and an order's id follows from the basket's
//! number. So a run first asks how each order stands. What an earlier run has closed is left alone, what it has left held is
//! closed now, and the account starts from there: the levels before already have all that the earlier run has done.

use std::cell::Cell;
use std::collections::HashMap;

use inventory_domain::order::{OrderLines, OrderLinesError, OrderStatus, Place};
use inventory_domain::{HoldFor, Reason, ReservationId};
use thiserror::Error;
use uuid::Uuid;

use super::plan::{Plan, PlannedBasket, PlannedStock};
use super::report::{BasketCounts, Earlier, ReplayReport};
use super::run::{ABANDONED_REASON, Books, RESTOCK_REASON, ReplayError, Run, portions, reason, timed};
use super::shop::{Restocked, Shop, ShopOrder};
use super::till::Operation;
use crate::progress::Progress;
use crate::request_key::IdempotencyKey;

/// No deadline: what a run that was cut off has left held has to be there when the next one comes, however late.
const HOLD_FOR: Option<HoldFor> = None;

/// A basket that can't be an order.
#[derive(Debug, Error)]
#[error("{file}, line {line}: basket {basket} can't be an order: {problem}; without --orders it can be replayed")]
pub struct NotAnOrder {
    /// The file.
    pub file: String,
    /// The line that the basket starts on, from 1 on.
    pub line: u64,
    /// The basket's number.
    pub basket: u64,
    /// Why not.
    #[source]
    pub problem: NotAnOrderReason,
}

/// Why a basket can't be an order.
#[derive(Debug, Error)]
pub enum NotAnOrderReason {
    /// No order can have such lines.
    #[error(transparent)]
    Lines(#[from] OrderLinesError),
    /// Its number, which the order's id follows from, is that of another basket.
    #[error("its number is that of the basket on line {0}")]
    Twice(u64),
}

/// As [`replay_plan`], but each basket is one order, which is held and then sold or freed as a whole.
///
/// A replay that was cut off and is done again ends as one that wasn't, and once more it changes nothing: as long as the keys
/// of its restocks are known, which is a day. Nobody else may move the stocks meanwhile; a server that still works on what a killed
/// client has asked for counts as somebody else, for as long as its queue may be.
///
/// [`replay_plan`]: super::replay_plan
///
/// # Errors
///
/// [`ReplayError`] when a basket can't be an order, in which case nothing was done, or the shop fails.
pub async fn replay_orders(
    shop: &dyn Shop,
    plan: &Plan,
    in_flight: usize,
    progress: Progress,
) -> Result<ReplayReport, ReplayError> {
    check_baskets(plan)?;
    let run = Run::new(shop, plan, in_flight, progress);
    let before = run.levels("Levels before").await?;
    let orders = OrdersRun {
        run,
        standing: vec![Cell::default(); plan.baskets.len()],
        earlier: Cell::default(),
        abandoned: reason(ABANDONED_REASON),
    };
    orders.look_up().await?;
    let restock = timed(orders.restock(&reason(RESTOCK_REASON))).await?;
    let baskets = timed(orders.baskets()).await?;
    let OrdersRun { run, earlier, .. } = orders;
    run.finish(before, restock, baskets, Some(earlier.get())).await
}

struct OrdersRun<'a> {
    run: Run<'a>,
    /// How each basket's order stood when the run began.
    standing: Vec<Cell<Standing>>,
    earlier: Cell<Earlier>,
    abandoned: Reason,
}

/// How a basket's order stood when the run began.
#[derive(Clone, Copy, Debug, Default)]
enum Standing {
    /// Not there; or it is another one under the same id, which the shop will say no to.
    #[default]
    Missing,
    /// An earlier run has left it held.
    Held,
    /// An earlier run has sold or freed it, as the basket wants it.
    Done,
}

impl OrdersRun<'_> {
    /// Finds out what an earlier run has done to the orders, and what it has left held.
    async fn look_up(&self) -> Result<(), ReplayError> {
        let baskets = self.run.plan.baskets.iter().zip(&self.standing);
        self.run
            .each("Orders before", baskets, self.run.operations_max(), async |(basket, standing)| {
                if basket.lines.is_empty() {
                    return Ok(());
                }
                let ask = async |shop: &dyn Shop| shop.order(basket.order_id).await;
                let found = self.run.till.ask(Operation::Order, basket.order_id, ask).await?.flatten();
                standing.set(found.map_or(Ok(Standing::Missing), |found| self.standing(basket, &found))?);
                if matches!(standing.get(), Standing::Held) {
                    self.each_line(basket, |books, units| books.held_before.update(|held| held + units));
                    self.earlier.update(|earlier| Earlier { held: earlier.held + 1, ..earlier });
                }
                Ok(())
            })
            .await
    }

    fn standing(&self, basket: &PlannedBasket, found: &ShopOrder) -> Result<Standing, NotAnOrder> {
        let Place { customer_id, hold_for, lines } = place(self.run.plan, basket)?;
        let place = &found.place;
        let is_ours = (place.customer_id, place.hold_for) == (customer_id, hold_for) && place.lines.same_as(&lines);
        Ok(match found.status {
            OrderStatus::Active if is_ours => Standing::Held,
            OrderStatus::Committed if is_ours && !basket.is_abandoned => Standing::Done,
            OrderStatus::Released if is_ours && basket.is_abandoned => Standing::Done,
            OrderStatus::Active | OrderStatus::Committed | OrderStatus::Released | OrderStatus::Expired => {
                Standing::Missing
            }
        })
    }

    /// Fills each stock with what the file will ask of it, unless an earlier run has.
    async fn restock(&self, reason: &Reason) -> Result<(), ReplayError> {
        let stocks = self.run.plan.stocks.iter().zip(&self.run.books);
        self.run
            .each("Restocking", stocks, self.run.operations_max(), async |(stock, books)| {
                for (portion, quantity) in portions(stock.wanted).enumerate() {
                    let key = restock_key(self.run.plan, stock, portion);
                    let ask = async |shop: &dyn Shop| shop.restock(&key, stock.stock_id, quantity, reason).await;
                    match self.run.till.ask(Operation::Restock, stock.stock_id, ask).await? {
                        Some(Restocked::Now) => books.added.update(|added| added + quantity.units()),
                        Some(Restocked::Before) => {
                            self.earlier.update(|earlier| Earlier { restocks: earlier.restocks + 1, ..earlier });
                        }
                        None => (),
                    }
                }
                Ok(())
            })
            .await
    }

    async fn baskets(&self) -> Result<(), ReplayError> {
        let baskets = self.run.plan.baskets.iter().zip(&self.standing);
        let work = async |(basket, standing): (_, &Cell<Standing>)| self.basket(basket, standing.get()).await;
        self.run.each("Orders", baskets, self.run.in_flight, work).await
    }

    /// Holds a basket as an order, then sells or frees it; as far as no earlier run has.
    async fn basket(&self, basket: &PlannedBasket, standing: Standing) -> Result<(), ReplayError> {
        let is_held = match standing {
            Standing::Done => {
                self.earlier.update(|earlier| Earlier { orders: earlier.orders + 1, ..earlier });
                return Ok(());
            }
            Standing::Held => true,
            Standing::Missing => !basket.lines.is_empty() && self.hold(basket).await?,
        };
        let is_closed =
            is_held && if basket.is_abandoned { self.free(basket).await? } else { self.sell(basket).await? };
        self.run.counts.update(|counts| match (is_closed, basket.is_abandoned) {
            (false, _) => BasketCounts { empty: counts.empty + 1, ..counts },
            (true, false) => BasketCounts { sold: counts.sold + 1, ..counts },
            (true, true) => BasketCounts { abandoned: counts.abandoned + 1, ..counts },
        });
        Ok(())
    }

    async fn hold(&self, basket: &PlannedBasket) -> Result<bool, ReplayError> {
        let place = place(self.run.plan, basket)?;
        let ask = async |shop: &dyn Shop| shop.place_order(basket.order_id, &place).await;
        Ok(self.run.till.ask(Operation::PlaceOrder, basket.order_id, ask).await?.is_some())
    }

    async fn sell(&self, basket: &PlannedBasket) -> Result<bool, ReplayError> {
        let ask = async |shop: &dyn Shop| shop.commit_order(basket.order_id).await;
        let is_sold = self.run.till.ask(Operation::CommitOrder, basket.order_id, ask).await?.is_some();
        if is_sold {
            self.each_line(basket, |books, units| books.sold.update(|sold| sold + units));
        }
        Ok(is_sold)
    }

    async fn free(&self, basket: &PlannedBasket) -> Result<bool, ReplayError> {
        let ask = async |shop: &dyn Shop| shop.release_order(basket.order_id, &self.abandoned).await;
        Ok(self.run.till.ask(Operation::ReleaseOrder, basket.order_id, ask).await?.is_some())
    }

    fn each_line(&self, basket: &PlannedBasket, note: impl Fn(&Books, u64)) {
        for line in &basket.lines {
            note(&self.run.books[line.stock], line.quantity.units());
        }
    }
}

/// Refuses a file with a basket that can't be an order, before anything is done. A basket with too many lines isn't split: its
/// parts would no longer be sold together, which is what an order is for.
fn check_baskets(plan: &Plan) -> Result<(), NotAnOrder> {
    let mut lines = HashMap::with_capacity(plan.baskets.len());
    for basket in plan.baskets.iter().filter(|basket| !basket.lines.is_empty()) {
        place(plan, basket)?;
        if let Some(line) = lines.insert(basket.order_id, basket.first_line) {
            return Err(not_an_order(plan, basket, NotAnOrderReason::Twice(line)));
        }
    }
    Ok(())
}

/// What is asked for a basket.
fn place(plan: &Plan, basket: &PlannedBasket) -> Result<Place, NotAnOrder> {
    let asked: Vec<_> = basket.lines.iter().map(|line| (plan.stocks[line.stock].stock_id, line.quantity)).collect();
    let lines = OrderLines::summed(&asked, || ReservationId::new(Uuid::now_v7()));
    let lines = lines.map_err(|error| not_an_order(plan, basket, error.into()))?;
    Ok(Place { customer_id: basket.customer_id, hold_for: HOLD_FOR, lines })
}

fn not_an_order(plan: &Plan, basket: &PlannedBasket, problem: NotAnOrderReason) -> NotAnOrder {
    NotAnOrder { file: plan.file.clone(), line: basket.first_line, basket: basket.basket, problem }
}

/// The key under which a portion of what the baskets ask of a stock comes in: the same for the same baskets, and for no others.
fn restock_key(plan: &Plan, stock: &PlannedStock, portion: usize) -> IdempotencyKey {
    let (baskets, stock_id) = (plan.fingerprint.to_hex(), stock.stock_id);
    IdempotencyKey::new(&format!("replay-{baskets}-{stock_id}-{portion}"))
        .expect("a key may have so many printable characters")
}

#[cfg(test)]
mod tests {
    use inventory_domain::CustomerId;

    use super::super::fake_shop::{Broken, FakeShop, done};
    use super::super::plan::tests::plan;
    use super::super::shop::ShopError;
    use super::*;

    /// The first basket is abandoned, the others are not; one is empty.
    const BASKETS: &str = "17 10x2 11x1; 1 10x3 12x4 10x1; 2 11x2; 3 12x0";

    #[tokio::test]
    async fn a_basket_is_one_order_which_is_sold_or_released() {
        let shop = FakeShop::default();
        let report = run(&shop, BASKETS).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.baskets, BasketCounts { sold: 2, abandoned: 1, empty: 1 });
        assert_eq!(report.earlier, Some(Earlier::default()));
        assert_eq!(done(&report), "level 6, order 3, restock 3, place 3, commit 2, release 1");
        assert_eq!(units(&shop, BASKETS), [(10, 2, 0), (11, 1, 0), (12, 0, 0)]);
        assert_eq!(report.levels, shop.digest());
        let has_deadline = |order: &ShopOrder| order.place.hold_for.is_some();
        assert!(!shop.orders.borrow().values().any(has_deadline), "however late the next run comes");
    }

    #[tokio::test]
    async fn a_repeat_of_all_of_it_changes_nothing() {
        let shop = FakeShop::default();
        let first = run(&shop, BASKETS).await.unwrap();
        let again = run(&shop, BASKETS).await.unwrap();
        assert!(again.is_clean(), "{again}");
        assert_eq!(again.levels, first.levels);
        assert_eq!(again.baskets, BasketCounts { empty: 1, ..BasketCounts::default() });
        assert_eq!(again.earlier, Some(Earlier { restocks: 3, orders: 3, held: 0 }));
        assert_eq!(done(&again), "level 6, order 3, restock 3, place 0, commit 0, release 0");
        let text = again.to_string();
        assert!(text.contains(": 7 lines, 4 baskets, 3 stocks"), "{text}");
        assert!(text.contains("3 restocks and 3 orders done by an earlier run, 0 left held by it"), "{text}");
    }

    #[tokio::test]
    async fn a_run_that_was_cut_off_anywhere_ends_like_one_that_was_not() {
        let whole = run(&FakeShop::default(), BASKETS).await.unwrap();
        for when in [Broken::BeforeIt, Broken::AfterIt] {
            let (mut cuts, mut left_held) = (0, 0);
            loop {
                let shop = FakeShop::default();
                shop.breaks.set(Some((cuts + 1, when)));
                if run(&shop, BASKETS).await.is_ok() {
                    break;
                }
                cuts += 1;
                let resumed = run(&shop, BASKETS).await.unwrap();
                let earlier = resumed.earlier.unwrap();
                left_held += earlier.held;
                let BasketCounts { sold, abandoned, empty } = resumed.baskets;
                assert!(resumed.is_clean(), "{when:?} {cuts}: {resumed}");
                assert!(resumed.refusals.is_empty(), "{when:?} {cuts}: {resumed}");
                assert_eq!(resumed.levels, whole.levels, "{when:?} {cuts}: {resumed}");
                assert_eq!(sold + abandoned + empty + earlier.orders, 4, "{when:?} {cuts}: {resumed}");
            }
            assert_eq!(cuts, 3 + 3 + 3 + 6 + 3, "every operation was cut off once, {when:?}");
            assert!(left_held > 0, "{when:?}");
        }
    }

    #[tokio::test]
    async fn what_others_hold_stays_out_of_the_account() {
        let shop = FakeShop::default();
        let theirs = plan("5 10x7");
        let basket = &theirs.baskets[0];
        let stock = theirs.stocks[0].stock_id;
        shop.add(stock, basket.lines[0].quantity, &reason(RESTOCK_REASON)).await.unwrap();
        shop.place_order(basket.order_id, &place(&theirs, basket).unwrap()).await.unwrap();
        shop.breaks.set(Some((16, Broken::BeforeIt)));
        run(&shop, BASKETS).await.unwrap_err();
        let resumed = run(&shop, BASKETS).await.unwrap();
        assert!(resumed.is_clean(), "{resumed}");
        assert_eq!(units(&shop, BASKETS), [(10, 9, 7), (11, 1, 0), (12, 0, 0)]);
    }

    #[tokio::test]
    async fn a_lost_operation_is_found() {
        for (operation, mismatched) in
            [(Operation::Restock, 1), (Operation::CommitOrder, 2), (Operation::ReleaseOrder, 2)]
        {
            let shop = FakeShop { loses: Some((operation, 1)), ..FakeShop::default() };
            let report = run(&shop, BASKETS).await.unwrap();
            assert_eq!(report.mismatched_stocks, mismatched, "{operation:?}: {report}");
        }
    }

    #[tokio::test]
    async fn a_lost_operation_is_found_by_a_run_that_goes_on_too() {
        for (cut, operation, nth) in [(8, Operation::Restock, 4), (13, Operation::CommitOrder, 2)] {
            let shop = FakeShop { loses: Some((operation, nth)), ..FakeShop::default() };
            shop.breaks.set(Some((cut, Broken::BeforeIt)));
            run(&shop, BASKETS).await.unwrap_err();
            let resumed = run(&shop, BASKETS).await.unwrap();
            assert!(!resumed.is_clean() && resumed.earlier.unwrap().restocks > 0, "{operation:?}: {resumed}");
        }
    }

    #[tokio::test]
    async fn another_order_under_the_same_id_is_left_alone() {
        for (others, why) in
            [("1 10x3 12x4", "other lines"), ("1 10x4 12x4", "another customer"), ("1 10x4 12x4", "a deadline")]
        {
            let shop = FakeShop::default();
            let theirs = plan(others);
            let basket = &theirs.baskets[0];
            for (stock, line) in theirs.stocks.iter().zip(&basket.lines) {
                shop.add(stock.stock_id, line.quantity, &reason(RESTOCK_REASON)).await.unwrap();
            }
            let mut place = place(&theirs, basket).unwrap();
            match why {
                "another customer" => place.customer_id = CustomerId::from_u128(1),
                "a deadline" => place.hold_for = Some(HoldFor::DEFAULT),
                _ => (),
            }
            shop.place_order(basket.order_id, &place).await.unwrap();
            for _ in 0..2 {
                let report = run(&shop, BASKETS).await.unwrap();
                assert!(report.is_clean(), "{why}: {report}");
                let refusal = (Operation::PlaceOrder, "order-exists".to_owned());
                assert_eq!(report.refusals.get(&refusal), Some(&1), "{why}: {report}");
                assert_eq!(shop.order(basket.order_id).await.unwrap().unwrap().status, OrderStatus::Active, "{why}");
            }
        }
    }

    #[tokio::test]
    async fn an_order_that_can_not_be_held_is_counted_as_refused() {
        let shop = FakeShop { loses: Some((Operation::Restock, 1)), ..FakeShop::default() };
        let report = run(&shop, "1 10x3; 2 11x1").await.unwrap();
        assert_eq!(report.baskets, BasketCounts { sold: 1, abandoned: 0, empty: 1 });
        assert!(report.to_string().contains("1 by the shop: place, insufficient-stock"), "{report}");
    }

    #[tokio::test]
    async fn a_busy_shop_is_asked_again() {
        let shop = FakeShop { busy_times: Cell::new(9), ..FakeShop::default() };
        let report = run(&shop, BASKETS).await.unwrap();
        assert!(report.is_clean() && report.retries == 9, "{report}");
    }

    #[tokio::test]
    async fn a_failure_names_the_order() {
        let shop = FakeShop { fails: Some((Operation::CommitOrder, 1)), ..FakeShop::default() };
        let error = run(&shop, BASKETS).await.unwrap_err();
        let order_id = plan(BASKETS).baskets[1].order_id;
        assert_eq!(error.to_string(), format!("the replay stopped at commit on order {order_id}"));
        assert!(matches!(error, ReplayError::Shop { cause: ShopError::Failed(_), .. }));
    }

    #[tokio::test]
    async fn a_basket_that_can_not_be_an_order_is_refused_before_anything_is_done() {
        let lines = |count: u64| (1..=count).map(|product| format!("{product}x1")).collect::<Vec<_>>().join(" ");
        check(&format!("7 1x1; 8 {}", lines(500)), "").await;
        check(
            &format!("7 1x1; 8 {}", lines(501)),
            "line 3: basket 8 can't be an order: must be 1 to 500 lines, got 501",
        )
        .await;
        check("7 1x1; 8 1x1; 7 2x1", "line 4: basket 7 can't be an order: its number is that of the basket on line 2")
            .await;
        check("7 1x1000000000 2x1 1x1", "line 2: basket 7 can't be an order: the lines of ").await;
    }

    async fn check(baskets: &str, named: &str) {
        let shop = FakeShop::default();
        match run(&shop, baskets).await {
            Ok(report) => assert!(named.is_empty() && report.is_clean(), "{named}: {report}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!named.is_empty() && error.starts_with(&format!("baskets.csv, {named}")), "{named}: {error}");
                assert_eq!(units(&shop, baskets), []);
            }
        }
    }

    async fn run(shop: &FakeShop, baskets: &str) -> Result<ReplayReport, ReplayError> {
        replay_orders(shop, &plan(baskets), 2, Progress::hidden()).await
    }

    /// Product, on hand and reserved of each stock that the baskets move and the shop knows.
    fn units(shop: &FakeShop, baskets: &str) -> Vec<(u64, u64, u64)> {
        let levels = shop.levels.borrow();
        let stocks = plan(baskets).stocks;
        let known = stocks.iter().filter_map(|stock| Some((stock.product, levels.get(&stock.stock_id)?)));
        known.map(|(product, level)| (product, level.quantity, level.reserved)).collect()
    }
}
