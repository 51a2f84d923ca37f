//! Where a read goes: acknowledged levels, then the views, then the write side.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::ports::{ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    CatchUp, CatchUpSettings, CommandError, Freshness, NotFresh, Position, QueryError, StockCheckpoints, StockQueries,
};
use inventory_domain::{Level, ProductId, StockId, StoreId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use support::{Node, SlowStore, add, level, settled, stock};

#[tokio::test]
async fn an_acknowledged_level_is_shown_before_the_views_have_it() {
    let reads = Reads::new();
    reads.node.ask(add(1, 5)).await.unwrap();
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5));
    let shelf = reads.queries.product(stock(1).product_id, Freshness::ANY).await.unwrap().value;
    assert_eq!(shelf.iter().map(|(_, level)| level.quantity).collect::<Vec<_>>(), [5]);
    assert_eq!(reads.quantity(2).await.unwrap(), None);
}

#[tokio::test]
async fn a_view_behind_the_mark_is_not_believed() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    Node::on(&store).ask(add(1, 5)).await.unwrap();
    // A node that starts afresh has acknowledged nothing, and its read model has nothing yet.
    let reads = Reads::on(&store, Position(1));
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5), "the write side knows");
    assert_eq!(reads.quantity(2).await.unwrap(), None, "also that there is nothing");
    reads.views.show(stock(1), Level { quantity: 5, reserved: 0, version: 1 }, Position(1));
    drop(reads.node.stop());
    settled().await;
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5), "a view that has caught up is enough");
}

#[tokio::test]
async fn a_read_that_only_the_write_side_could_answer_says_so_when_it_is_gone() {
    let reads = Reads::on(&SlowStore::over(InMemoryEventStore::exclusive()), Position(1));
    reads.node.stop().await.unwrap();
    let error = reads.quantity(1).await.unwrap_err();
    assert!(matches!(error, QueryError::WriteSide(CommandError::ShuttingDown)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_product_waits_for_the_views_and_not_for_ever() {
    let reads = Reads::on(&SlowStore::over(InMemoryEventStore::exclusive()), Position(1));
    let error = reads.queries.product(stock(1).product_id, Freshness::ANY).await.unwrap_err();
    assert!(
        matches!(error, QueryError::NotFresh(NotFresh::Behind { reached: Position(0), needed: Position(1) })),
        "after two seconds: {error:?}"
    );
    let queries = reads.queries.clone();
    let waiting = tokio::spawn(async move { queries.product(stock(1).product_id, Freshness::ANY).await });
    settled().await;
    assert!(!waiting.is_finished());
    reads.views.show(stock(1), Level { quantity: 5, reserved: 0, version: 1 }, Position(1));
    reads.checkpoints[1].send_replace(Position(1));
    assert_eq!(waiting.await.unwrap().unwrap().value[0].1.quantity, 5);
}

#[tokio::test]
async fn the_later_of_view_and_acknowledged_level_is_shown_in_a_product() {
    let reads = Reads::new();
    reads.views.show(stock(1), Level { quantity: 9, reserved: 0, version: 2 }, Position(2));
    reads.node.ask(add(1, 5)).await.unwrap();
    let shelf = reads.queries.product(stock(1).product_id, Freshness::ANY).await.unwrap().value;
    assert_eq!(shelf, [(stock(1).store_id, Level { quantity: 9, reserved: 0, version: 2 })], "the view is ahead");
    reads.node.ask(add(1, 5)).await.unwrap();
    reads.node.ask(add(1, 5)).await.unwrap();
    let shelf = reads.queries.product(stock(1).product_id, Freshness::ANY).await.unwrap().value;
    assert_eq!(shelf.iter().map(|(_, level)| (level.quantity, level.version)).collect::<Vec<_>>(), [(15, 3)]);
}

#[tokio::test]
async fn an_acknowledged_level_goes_when_the_views_have_it() {
    let reads = Reads::new();
    let told = reads.node.ask(add(1, 5)).await.unwrap();
    reads.views.show(stock(1), told.level, told.position);
    reads.node.acknowledged.projected(Projected { checkpoint: told.position, stocks: &[] });
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5));
    assert!(reads.views.was_asked(), "the view has answered");
    assert_eq!(reads.node.ask(level(1)).await.unwrap().level, told.level);
}

#[tokio::test(start_paused = true)]
async fn a_version_is_waited_for_and_not_for_ever() {
    let reads = Reads::new();
    reads.node.ask(add(1, 5)).await.unwrap();
    let at_version = |min_version| Freshness { min_version, ..Freshness::ANY };
    assert_eq!(reads.version(at_version(1)).await.unwrap(), 1, "what is acknowledged is enough");
    assert!(!reads.views.was_asked());
    let waiting = reads.asks(at_version(2));
    settled().await;
    assert!(!waiting.is_finished());
    reads.node.ask(add(1, 5)).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
    for is_strong in [false, true] {
        let error = reads.version(Freshness { is_strong, ..at_version(9) }).await.unwrap_err();
        let expected = matches!(error, QueryError::NotFresh(NotFresh::OlderVersion { version: 2, needed: 9 }));
        assert!(expected, "after two seconds: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_is_waited_for_in_the_read_model_that_is_asked() {
    let reads = Reads::new();
    reads.views.show(stock(1), Level { quantity: 5, reserved: 0, version: 1 }, Position(4));
    let at = |position| Freshness { min_position: Position(position), ..Freshness::ANY };
    assert_eq!(reads.version(at(4)).await.unwrap(), 1);
    let (level, product) = (reads.asks(at(7)), reads.queries.clone());
    settled().await;
    reads.checkpoints[1].send_replace(Position(7)); // The other one.
    settled().await;
    assert!(!level.is_finished());
    reads.views.show(stock(1), Level { quantity: 6, reserved: 0, version: 2 }, Position(7));
    reads.checkpoints[0].send_replace(Position(7));
    assert_eq!(level.await.unwrap().unwrap(), 2);
    assert_eq!(product.product(stock(1).product_id, at(7)).await.unwrap().value[0].1.version, 2);
    for outcome in [reads.version(at(8)).await.map(drop), product.product(stock(1).product_id, at(8)).await.map(drop)] {
        let error = outcome.unwrap_err();
        let expected =
            matches!(error, QueryError::NotFresh(NotFresh::Behind { reached: Position(7), needed: Position(8) }));
        assert!(expected, "after two seconds: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_level_from_before_the_wanted_position_is_not_enough() {
    let reads = Reads::new();
    reads.node.ask(add(1, 5)).await.unwrap();
    reads.node.ask(add(2, 5)).await.unwrap();
    let wanted = Freshness { min_position: Position(2), ..Freshness::ANY };
    let waiting = reads.asks(wanted);
    settled().await;
    assert!(!waiting.is_finished());
    reads.views.show(stock(1), Level { quantity: 9, reserved: 0, version: 2 }, Position(2));
    reads.checkpoints[0].send_replace(Position(2));
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_strong_read_asks_the_write_side() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    Node::on(&store).ask(add(1, 5)).await.unwrap();
    let reads = Reads::on(&store, Position::START); // It knows of no events, and believes its views.
    let strong = Freshness { is_strong: true, ..Freshness::ANY };
    assert_eq!(reads.version(Freshness::ANY).await.unwrap(), 0);
    assert_eq!(reads.version(strong).await.unwrap(), 1);
    reads.node.stop().await.unwrap();
    let error = reads.version(strong).await.unwrap_err();
    assert!(matches!(error, QueryError::WriteSide(CommandError::ShuttingDown)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_questions_wait() {
    let reads = Reads::new();
    let wanted = Freshness { min_position: Position(1), ..Freshness::ANY };
    let waiting = reads.asks(wanted);
    settled().await;
    let error = reads.version(wanted).await.unwrap_err();
    assert!(matches!(error, QueryError::NotFresh(NotFresh::TooManyWaiting)), "{error:?}");
    assert_eq!(reads.version(Freshness::ANY).await.unwrap(), 0, "who doesn't wait needs no place");
    waiting.abort();
    assert!(waiting.await.is_err());
    let error = reads.version(wanted).await.unwrap_err();
    assert!(matches!(error, QueryError::NotFresh(NotFresh::Behind { .. })), "the place is free again: {error:?}");
}

/// The queries of one node, on views that a test fills.
struct Reads {
    node: Node,
    views: Arc<Views>,
    /// Of one stock's read model, and of products'.
    checkpoints: [watch::Sender<Position>; 2],
    queries: StockQueries,
}

impl Reads {
    fn new() -> Self {
        Self::on(&SlowStore::over(InMemoryEventStore::exclusive()), Position::START)
    }

    /// `head` is where the log ended when the node started.
    fn on(store: &Arc<SlowStore>, head: Position) -> Self {
        let mut node = Node::on(store);
        if head > Position::START {
            node.acknowledged = Arc::new(inventory_application::AcknowledgedLevels::new(10, head));
        }
        let (views, checkpoints) = (Arc::new(Views::default()), [(); 2].map(|()| watch::Sender::new(Position::START)));
        let [levels, products] = checkpoints.each_ref().map(watch::Sender::subscribe);
        let settings = CatchUpSettings { wait_ms_max: 2_000, waiting_max: 1 };
        let queries = StockQueries::new(
            node.acknowledged.clone(),
            views.clone(),
            node.commands.clone(),
            StockCheckpoints { levels, products },
            CatchUp::new(store.clone(), settings),
        );
        Self { node, views, checkpoints, queries }
    }

    /// The version of stock 1; 0 where nobody has filled it.
    async fn version(&self, wanted: Freshness) -> Result<u64, QueryError> {
        Ok(self.queries.level(stock(1), wanted).await?.value.map_or(0, |level| level.version))
    }

    /// The same, while the test goes on.
    fn asks(&self, wanted: Freshness) -> JoinHandle<Result<u64, QueryError>> {
        let queries = self.queries.clone();
        tokio::spawn(async move { Ok(queries.level(stock(1), wanted).await?.value.map_or(0, |level| level.version)) })
    }

    async fn quantity(&self, number: u128) -> Result<Option<u64>, QueryError> {
        Ok(self.queries.level(stock(number), Freshness::ANY).await?.value.map(|level| level.quantity))
    }
}

/// Shows what it is told to.
#[derive(Default)]
struct Views(Mutex<Shown>);

#[derive(Default)]
struct Shown {
    rows: Vec<(StockId, Level)>,
    as_of: Position,
    is_asked: bool,
}

impl Views {
    fn show(&self, stock_id: StockId, level: Level, as_of: Position) {
        let mut shown = self.0.lock().unwrap();
        shown.rows.retain(|(of, _)| *of != stock_id);
        shown.rows.push((stock_id, level));
        shown.as_of = as_of;
    }

    fn was_asked(&self) -> bool {
        self.0.lock().unwrap().is_asked
    }
}

#[async_trait]
impl StockViews for Views {
    async fn level(&self, stock_id: StockId, _: Position) -> Result<Viewed<Option<Level>>, ViewError> {
        let mut shown = self.0.lock().unwrap();
        shown.is_asked = true;
        let row = shown.rows.iter().find(|(of, _)| *of == stock_id);
        Ok(Viewed::fresh(row.map(|(_, level)| *level), shown.as_of))
    }

    async fn product(&self, product_id: ProductId, _: Position) -> Result<Viewed<ProductLevels>, ViewError> {
        let shown = self.0.lock().unwrap();
        let rows = shown.rows.iter().filter(|(of, _)| of.product_id == product_id);
        let levels: Vec<(StoreId, Level)> = rows.map(|(of, level)| (of.store_id, *level)).collect();
        Ok(Viewed::fresh(Arc::new(levels), shown.as_of))
    }
}
