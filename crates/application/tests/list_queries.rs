//! Lists of orders, transfers and reservations: as fresh as is wanted, each by its own read model.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::ports::{
    Listed, OrderFilter, OrderViews, ReservationFilter, ReservationKey, ReservationLists, ReservationState,
    ShownReservation, Slice, TransferFilter, ViewError,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_application::{
    CatchUp, CatchUpSettings, Freshness, ListCheckpoints, ListQueries, NotFresh, Position, QueryError,
};
use inventory_domain::order::OrderStatus;
use inventory_domain::transfer::TransferStatus;
use inventory_domain::{CustomerId, Order, OrderId, ProductId, ReservationId, Transfer, TransferId};
use tokio::sync::watch;

use support::{NOON, Node, SlowStore, add, settled, stock};

#[tokio::test]
async fn the_view_is_asked_for_what_the_client_wants_and_its_answer_is_told() {
    let lists = Lists::new();
    let filter = OrderFilter { customer_id: Some(CustomerId::from_u128(9)), status: Some(OrderStatus::Active) };
    let orders = lists.queries.orders(filter, Position(4), 5, Freshness::ANY).await.unwrap();
    assert_eq!(orders, [shown_order()]);
    assert_eq!(lists.views.asked(), [format!("{filter:?} {:?} 5", Position(4))]);

    let filter = TransferFilter { product_id: Some(ProductId::from_u128(1)), status: Some(TransferStatus::InTransit) };
    let transfers = lists.queries.transfers(filter, Position(6), 7, Freshness::ANY).await.unwrap();
    assert_eq!(transfers, [shown_transfer()]);
    assert_eq!(lists.views.asked(), [format!("{filter:?} {:?} 7", Position(6))]);

    let filter = ReservationFilter { state: Some(ReservationState::Expired), ..ReservationFilter::default() };
    let after = Some(ReservationKey { reservation_id: ReservationId::from_u128(2), stock_id: stock(3) });
    let reservations = lists.queries.reservations(filter, after, 8, Freshness::ANY).await.unwrap();
    assert_eq!(reservations, shown_reservations());
    assert_eq!(lists.views.asked(), [format!("{filter:?} {after:?} 8")]);
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_for_its_own_read_model_and_not_for_ever() {
    let wanted = Freshness { min_position: Position(3), ..Freshness::ANY };
    for own in 0..3 {
        let lists = Lists::new();
        for (place, reached) in lists.reached.iter().enumerate() {
            reached.send_replace(Position(if place == own { 2 } else { 9 }));
        }
        for list in 0..3 {
            let told = lists.list(list, wanted).await;
            let is_behind = matches!(
                told,
                Err(QueryError::NotFresh(NotFresh::Behind { reached: Position(2), needed: Position(3) }))
            );
            assert_eq!((told.is_ok(), is_behind), (list != own, list == own), "{list} while {own} is behind: {told:?}");
        }
        assert_eq!(lists.views.asked().len(), 2, "nobody reads what is too old");
        let waiting = tokio::spawn({
            let lists = lists.clone();
            async move { lists.list(own, wanted).await }
        });
        settled().await;
        assert!(!waiting.is_finished() && lists.views.asked().is_empty());
        lists.reached[own].send_replace(Position(3));
        waiting.await.unwrap().unwrap();
        assert_eq!(lists.views.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_strong_list_waits_for_all_that_the_log_has() {
    let lists = Lists::new();
    let node = Node::on(&lists.store);
    let strong = Freshness { is_strong: true, ..Freshness::ANY };
    for list in 0..3 {
        lists.list(list, strong).await.unwrap();
    }
    node.ask(add(1, 5)).await.unwrap();
    for list in 0..3 {
        let error = lists.list(list, strong).await.unwrap_err();
        assert!(
            matches!(error, QueryError::NotFresh(NotFresh::Behind { needed: Position(1), .. })),
            "{list}: {error:?}"
        );
        lists.list(list, Freshness::ANY).await.unwrap();
        lists.reached[list].send_replace(Position(1));
        lists.list(list, strong).await.unwrap();
    }
}

#[tokio::test]
async fn a_view_that_cannot_be_read_is_not_an_empty_list() {
    let lists = Lists::new();
    *lists.views.is_gone.lock().unwrap() = true;
    for list in 0..3 {
        let error = lists.list(list, Freshness::ANY).await.unwrap_err();
        assert!(matches!(error, QueryError::View(_)), "{list}: {error:?}");
    }
}

/// The queries of one node, on views whose answers are given.
#[derive(Clone)]
struct Lists {
    store: Arc<SlowStore>,
    views: Arc<Views>,
    /// How far the read models of orders, transfers and reservations are.
    reached: Arc<[watch::Sender<Position>; 3]>,
    queries: ListQueries,
}

impl Lists {
    fn new() -> Self {
        let store = SlowStore::over(InMemoryEventStore::exclusive());
        let views = Arc::new(Views::default());
        let reached = Arc::new([(); 3].map(|()| watch::Sender::new(Position::START)));
        let [orders, transfers, reservations] = [0, 1, 2].map(|list: usize| reached[list].subscribe());
        let checkpoints = ListCheckpoints { orders, transfers, reservations };
        let catch_up = CatchUp::new(store.clone(), CatchUpSettings { wait_ms_max: 2_000, waiting_max: 10 });
        let queries = ListQueries::new(views.clone(), views.clone(), checkpoints, catch_up);
        Self { store, views, reached, queries }
    }

    /// All that there is of orders, of transfers or of reservations.
    async fn list(&self, list: usize, wanted: Freshness) -> Result<(), QueryError> {
        match list {
            0 => self.queries.orders(OrderFilter::default(), Position::START, 10, wanted).await.map(drop),
            1 => self.queries.transfers(TransferFilter::default(), Position::START, 10, wanted).await.map(drop),
            _ => self.queries.reservations(ReservationFilter::default(), None, 10, wanted).await.map(drop),
        }
    }
}

/// Views that show one thing each, and take down what they are asked.
#[derive(Default)]
struct Views {
    asked: Mutex<Vec<String>>,
    is_gone: Mutex<bool>,
}

impl Views {
    /// What they were asked since this was last looked at.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn ask(&self, what: String) -> Result<(), ViewError> {
        self.asked.lock().unwrap().push(what);
        if *self.is_gone.lock().unwrap() { Err(ViewError("injected".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl OrderViews for Views {
    async fn orders(
        &self,
        filter: OrderFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<OrderId, Order>>, ViewError> {
        self.ask(format!("{filter:?} {after:?} {limit}"))?;
        Ok(vec![shown_order()])
    }

    async fn transfers(
        &self,
        filter: TransferFilter,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Listed<TransferId, Transfer>>, ViewError> {
        self.ask(format!("{filter:?} {after:?} {limit}"))?;
        Ok(vec![shown_transfer()])
    }
}

#[async_trait]
impl ReservationLists for Views {
    async fn reservations(
        &self,
        filter: ReservationFilter,
        after: Option<ReservationKey>,
        limit: usize,
    ) -> Result<Slice<ShownReservation, ReservationKey>, ViewError> {
        self.ask(format!("{filter:?} {after:?} {limit}"))?;
        Ok(shown_reservations())
    }
}

fn shown_order() -> Listed<OrderId, Order> {
    Listed { key: Position(5), id: OrderId::from_u128(1), value: Order::default() }
}

fn shown_transfer() -> Listed<TransferId, Transfer> {
    Listed { key: Position(7), id: TransferId::from_u128(2), value: Transfer::default() }
}

fn shown_reservations() -> Slice<ShownReservation, ReservationKey> {
    let key = ReservationKey { reservation_id: ReservationId::from_u128(3), stock_id: stock(1) };
    let reservation = ShownReservation {
        key,
        customer_id: CustomerId::from_u128(9),
        order_id: None,
        state: ReservationState::Expired,
        quantity: 2,
        committed: 0,
        hold_for: None,
        expires_at: Some(NOON),
        reserved_at: NOON,
        closed_at: Some(NOON),
    };
    Slice { found: vec![reservation], next: Some(key) }
}
