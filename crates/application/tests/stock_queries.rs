//! Where a read goes: acknowledged levels, then the views, then the write side.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::ports::{ProductLevels, Projected, ProjectionListener, StockViews, ViewError, Viewed};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{CommandError, Position, QueryError, StockQueries, StockQueriesSettings};
use inventory_domain::{Level, ProductId, StockId, StoreId};
use tokio::sync::watch;

use support::{Node, SlowStore, add, level, settled, stock};

#[tokio::test]
async fn an_acknowledged_level_is_shown_before_the_views_have_it() {
    let reads = Reads::new();
    reads.node.ask(add(1, 5)).await.unwrap();
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5));
    let shelf = reads.queries.product(stock(1).product_id).await.unwrap().value;
    assert_eq!(shelf.iter().map(|(_, level)| level.quantity).collect::<Vec<_>>(), [5]);
    assert_eq!(reads.quantity(2).await.unwrap(), None);
}

#[tokio::test]
async fn a_view_behind_the_mark_is_not_believed() {
    let store = SlowStore::over(InMemoryEventStore::exclusive());
    Node::on(&store).ask(add(1, 5)).await.unwrap();
    // A node that starts afresh has acknowledged nothing, and its read model has nothing yet.
    let reads = Reads::on(Node::on(&store), Position(1));
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5), "the write side knows");
    assert_eq!(reads.quantity(2).await.unwrap(), None, "also that there is nothing");
    reads.views.show(stock(1), Level { quantity: 5, reserved: 0, version: 1 }, Position(1));
    drop(reads.node.stop());
    settled().await;
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5), "a view that has caught up is enough");
}

#[tokio::test]
async fn a_read_that_only_the_write_side_could_answer_says_so_when_it_is_gone() {
    let reads = Reads::on(Node::on(&SlowStore::over(InMemoryEventStore::exclusive())), Position(1));
    reads.node.stop().await.unwrap();
    let error = reads.quantity(1).await.unwrap_err();
    assert!(matches!(error, QueryError::WriteSide(CommandError::ShuttingDown)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_product_waits_for_the_views_and_not_for_ever() {
    let reads = Reads::on(Node::on(&SlowStore::over(InMemoryEventStore::exclusive())), Position(1));
    let error = reads.queries.product(stock(1).product_id).await.unwrap_err();
    assert!(
        matches!(error, QueryError::Behind { checkpoint: Position(0), needed: Position(1) }),
        "after two seconds: {error:?}"
    );
    let queries = reads.queries.clone();
    let waiting = tokio::spawn(async move { queries.product(stock(1).product_id).await });
    settled().await;
    assert!(!waiting.is_finished());
    reads.views.show(stock(1), Level { quantity: 5, reserved: 0, version: 1 }, Position(1));
    reads.checkpoint.send_replace(Position(1));
    assert_eq!(waiting.await.unwrap().unwrap().value[0].1.quantity, 5);
}

#[tokio::test]
async fn the_later_of_view_and_acknowledged_level_is_shown_in_a_product() {
    let reads = Reads::new();
    reads.views.show(stock(1), Level { quantity: 9, reserved: 0, version: 2 }, Position(2));
    reads.node.ask(add(1, 5)).await.unwrap();
    let shelf = reads.queries.product(stock(1).product_id).await.unwrap().value;
    assert_eq!(shelf, [(stock(1).store_id, Level { quantity: 9, reserved: 0, version: 2 })], "the view is ahead");
    reads.node.ask(add(1, 5)).await.unwrap();
    reads.node.ask(add(1, 5)).await.unwrap();
    let shelf = reads.queries.product(stock(1).product_id).await.unwrap().value;
    assert_eq!(shelf.iter().map(|(_, level)| (level.quantity, level.version)).collect::<Vec<_>>(), [(15, 3)]);
}

#[tokio::test]
async fn an_acknowledged_level_goes_when_the_views_have_it() {
    let reads = Reads::new();
    let told = reads.node.ask(add(1, 5)).await.unwrap();
    reads.views.show(stock(1), told.level, told.position);
    reads.node.acknowledged.projected(Projected { checkpoint: told.position, stocks: &[stock(1)] });
    assert_eq!(reads.quantity(1).await.unwrap(), Some(5));
    assert!(reads.views.was_asked(), "the view has answered");
    assert_eq!(reads.node.ask(level(1)).await.unwrap().level, told.level);
}

/// The queries of one node, on views that a test fills.
struct Reads {
    node: Node,
    views: Arc<Views>,
    checkpoint: watch::Sender<Position>,
    queries: StockQueries,
}

impl Reads {
    fn new() -> Self {
        Self::on(Node::on(&SlowStore::over(InMemoryEventStore::exclusive())), Position::START)
    }

    /// `head` is where the log ended when the node started.
    fn on(mut node: Node, head: Position) -> Self {
        if head > Position::START {
            node.acknowledged = Arc::new(inventory_application::AcknowledgedLevels::new(10, head));
        }
        let (views, checkpoint) = (Arc::new(Views::default()), watch::Sender::new(Position::START));
        let settings = StockQueriesSettings { catch_up_ms_max: 2_000 };
        let queries = StockQueries::new(
            node.acknowledged.clone(),
            views.clone(),
            node.commands.clone(),
            checkpoint.subscribe(),
            settings,
        );
        Self { node, views, checkpoint, queries }
    }

    async fn quantity(&self, number: u128) -> Result<Option<u64>, QueryError> {
        Ok(self.queries.level(stock(number)).await?.value.map(|level| level.quantity))
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
