//! Lists of levels: as fresh as is wanted, and never older than what was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::ports::{Projected, ProjectionListener, Slice, StockLists, StockSlice, ViewError, Viewed};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    AcknowledgedLevels, CatchUp, CatchUpSettings, Freshness, NotFresh, Position, QueryError, StockListCheckpoints,
    StockListQueries,
};
use inventory_domain::{Level, StockId, StoreId};
use tokio::sync::watch;

use support::{Node, SlowStore, add, settled, stock};

#[tokio::test(start_paused = true)]
async fn a_part_that_is_older_than_what_has_left_here_is_read_again() {
    let lists = Lists::new();
    let told = lists.node.ask(add(1, 5)).await.unwrap();
    // While the view is read, the read model gets what was acknowledged, and it is here no more.
    lists.views.reads([(0, vec![]), (1, vec![(stock(1), told.level)])]);
    let (acknowledged, levels) = (Arc::clone(&lists.node.acknowledged), lists.levels.clone());
    lists.views.during_the_next_read(move || {
        acknowledged.projected(Projected { checkpoint: Position(1), stocks: &[] });
        levels.send_replace(Position(1));
    });
    assert_eq!(lists.of_store(Freshness::ANY).await.unwrap(), [(stock(1), told.level)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_and_no_longer_low_is_not_shown_as_low() {
    let lists = Lists::new();
    let low = lists.node.ask(add(1, 5)).await.unwrap();
    lists.views.reads([(0, vec![]), (1, vec![(stock(1), low.level)])]);
    assert_eq!(lists.below(6).await.unwrap(), [(stock(1), low.level)], "just filled, and low");
    lists.node.ask(add(1, 5)).await.unwrap();
    assert_eq!(lists.below(6).await.unwrap(), [], "the view still shows it");
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_for_its_own_read_model_and_not_for_ever() {
    let lists = Lists::new();
    lists.views.reads([(3, vec![])]);
    let wanted = Freshness { min_position: Position(3), ..Freshness::ANY };
    let error = lists.of_store(wanted).await.unwrap_err();
    let expected =
        matches!(error, QueryError::NotFresh(NotFresh::Behind { reached: Position(0), needed: Position(3) }));
    assert!(expected, "{error:?}");
    let queries = lists.queries.clone();
    let waiting = tokio::spawn(async move { queries.of_store(stock(1).store_id, None, 10, wanted).await });
    settled().await;
    assert!(!waiting.is_finished());
    lists.levels.send_replace(Position(3));
    assert_eq!(waiting.await.unwrap().unwrap().found, []);
}

#[tokio::test(start_paused = true)]
async fn a_strong_list_waits_for_all_that_the_log_has() {
    let lists = Lists::new();
    let told = lists.node.ask(add(1, 5)).await.unwrap();
    let strong = Freshness { is_strong: true, ..Freshness::ANY };
    assert!(matches!(lists.of_store(strong).await, Err(QueryError::NotFresh(NotFresh::Behind { .. }))));
    lists.views.reads([(1, vec![(stock(1), told.level)])]);
    lists.levels.send_replace(Position(1));
    assert_eq!(lists.of_store(strong).await.unwrap(), [(stock(1), told.level)]);
}

/// The queries of one node, on views whose answers are given.
struct Lists {
    node: Node,
    views: Arc<Views>,
    levels: watch::Sender<Position>,
    queries: StockListQueries,
}

impl Lists {
    fn new() -> Self {
        let store = SlowStore::over(InMemoryEventStore::exclusive());
        let node = Node::on(&store);
        let (views, levels) = (Arc::new(Views::default()), watch::Sender::new(Position::START));
        let checkpoints = StockListCheckpoints { levels: levels.subscribe(), low: levels.subscribe() };
        let catch_up = CatchUp::new(store.clone(), CatchUpSettings { wait_ms_max: 2_000, waiting_max: 10 });
        let acknowledged: Arc<AcknowledgedLevels> = Arc::clone(&node.acknowledged);
        let queries = StockListQueries::new(acknowledged, Arc::clone(&views) as _, checkpoints, catch_up);
        Self { node, views, levels, queries }
    }

    async fn of_store(&self, wanted: Freshness) -> Result<Vec<(StockId, Level)>, QueryError> {
        Ok(self.queries.of_store(stock(1).store_id, None, 10, wanted).await?.found)
    }

    async fn below(&self, units: u64) -> Result<Vec<(StockId, Level)>, QueryError> {
        Ok(self.queries.below(units, None, None, 10, Freshness::ANY).await?.found)
    }
}

/// What the view says, read by read; the last answer stays.
#[derive(Default)]
struct Views(Mutex<Told>);

#[derive(Default)]
struct Told {
    reads: Vec<(u64, Vec<(StockId, Level)>)>,
    during: Option<Box<dyn FnOnce() + Send>>,
}

impl Views {
    fn reads(&self, reads: impl IntoIterator<Item = (u64, Vec<(StockId, Level)>)>) {
        let mut reads: Vec<_> = reads.into_iter().collect();
        reads.reverse();
        self.0.lock().unwrap().reads = reads;
    }

    fn during_the_next_read(&self, happens: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().during = Some(Box::new(happens));
    }

    fn read(&self) -> Viewed<StockSlice> {
        let mut told = self.0.lock().unwrap();
        let (as_of, found) = match told.reads.len() {
            0 => (0, Vec::new()),
            1 => told.reads[0].clone(),
            _ => told.reads.pop().unwrap(),
        };
        if let Some(happens) = told.during.take() {
            happens();
        }
        Viewed::fresh(Slice { found, next: None }, Position(as_of))
    }
}

#[async_trait]
impl StockLists for Views {
    async fn of_store(&self, _: StoreId, _: Option<StockId>, _: usize) -> Result<Viewed<StockSlice>, ViewError> {
        Ok(self.read())
    }

    async fn below(
        &self,
        _: u64,
        _: Option<StoreId>,
        _: Option<StockId>,
        _: usize,
    ) -> Result<Viewed<StockSlice>, ViewError> {
        Ok(self.read())
    }
}
