//! The shop in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use inventory_application::ports::{Metadata, StoreError};
use inventory_application::{
    Ask, CommandError, CommandSender, Condition, Freshness, HistoryError, HistoryQueries, QueryError, Request,
    StockQueries,
};
use inventory_domain::inventory::{Command, Commit, Release, Reserve};
use inventory_domain::order::{self, Place, Placed};
use inventory_domain::{CustomerId, HoldFor, Level, OrderId, Quantity, Reason, ReservationId, StockId};
use uuid::Uuid;

use super::shop::{Restocked, Shop, ShopError, ShopOrder};
use crate::problem::Problem;
use crate::request_key::{IdempotencyKey, NOBODY_IN_PARTICULAR, RequestHash};
use crate::wire::{AddStockRequest, StockRequest};

/// Enough that a full batch waits while another is being written, and far below what the queue takes.
const OPERATIONS_MAX: usize = 2_048;

/// How long to wait where the loop or the store asks for patience.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Who the events are said to be from.
const ACTOR: &str = "replay";

/// Where a restock would be sent: under one key it is the same request in process and over HTTP.
const RESTOCK_ROUTE: &str = "/api/v1/inventory/stock";

/// Asks the command loop and the queries of this process.
#[derive(Clone)]
pub struct EmbeddedShop {
    commands: CommandSender,
    queries: StockQueries,
    history: HistoryQueries,
    metadata: Arc<Metadata>,
}

impl EmbeddedShop {
    /// A shop on this write side, this read side and this log.
    #[must_use]
    pub fn new(commands: CommandSender, queries: StockQueries, history: HistoryQueries) -> Self {
        Self { commands, queries, history, metadata: Arc::new(metadata(None)) }
    }

    async fn change(&self, stock_id: StockId, command: Command) -> Result<(), ShopError> {
        let ask = Ask::Stock { stock_id, command, is_fresh: true };
        let metadata = Arc::clone(&self.metadata);
        self.commands.send_stock(Request { ask, condition: Condition::None, key: None, metadata }).await?;
        Ok(())
    }

    async fn change_order(&self, order_id: OrderId, command: order::Command) -> Result<(), ShopError> {
        let ask = Ask::Order { order_id, command, is_dry_run: false };
        let metadata = Arc::clone(&self.metadata);
        self.commands.send_order(Request { ask, condition: Condition::None, key: None, metadata }).await?;
        Ok(())
    }
}

/// Where a request with this key came from.
fn metadata(key: Option<&IdempotencyKey>) -> Metadata {
    let idempotency_key = key.map(|key| key.as_str().to_owned());
    Metadata { actor: Some(ACTOR.to_owned()), idempotency_key, ..Metadata::default() }
}

#[async_trait(?Send)]
impl Shop for EmbeddedShop {
    fn operations_max(&self) -> usize {
        OPERATIONS_MAX
    }

    async fn level(&self, stock_id: StockId) -> Result<Option<Level>, ShopError> {
        Ok(self.queries.level(stock_id, Freshness::ANY).await?.value)
    }

    async fn add(&self, stock_id: StockId, quantity: Quantity, reason: &Reason) -> Result<(), ShopError> {
        self.change(stock_id, Command::Add { quantity, reason: reason.clone() }).await
    }

    async fn restock(
        &self,
        key: &IdempotencyKey,
        stock_id: StockId,
        quantity: Quantity,
        reason: &Reason,
    ) -> Result<Restocked, ShopError> {
        let add = AddStockRequest::new(stock_id, quantity, reason.clone());
        let mut hash = RequestHash::of(RESTOCK_ROUTE, &Condition::None);
        add.hash_into(&mut hash);
        let (command, is_fresh) = add.into_command(Uuid::now_v7);
        let request = Request {
            ask: Ask::Stock { stock_id, command, is_fresh },
            condition: Condition::None,
            key: Some(key.for_request(NOBODY_IN_PARTICULAR, hash.finish())),
            metadata: Arc::new(metadata(Some(key))),
        };
        let answer = self.commands.send_stock(request).await?;
        Ok(if answer.is_repeat { Restocked::Before } else { Restocked::Now })
    }

    async fn reserve(
        &self,
        stock_id: StockId,
        quantity: Quantity,
        customer_id: CustomerId,
    ) -> Result<ReservationId, ShopError> {
        let reservation_id = ReservationId::new(Uuid::now_v7());
        let hold_for = Some(HoldFor::DEFAULT);
        let reserve = Reserve { reservation_id, quantity, customer_id, hold_for, order_id: None };
        self.change(stock_id, Command::Reserve(reserve)).await?;
        Ok(reservation_id)
    }

    async fn commit(
        &self,
        stock_id: StockId,
        reservation_id: ReservationId,
        order_id: OrderId,
    ) -> Result<(), ShopError> {
        self.change(stock_id, Command::Commit(Commit { reservation_id, order_id, quantity: None })).await
    }

    async fn release(
        &self,
        stock_id: StockId,
        reservation_id: ReservationId,
        reason: &Reason,
    ) -> Result<(), ShopError> {
        self.change(stock_id, Command::Release(Release { reservation_id, reason: reason.clone() })).await
    }

    async fn order(&self, order_id: OrderId) -> Result<Option<ShopOrder>, ShopError> {
        let Some((order, _)) = self.history.order(order_id, Freshness::ANY).await? else { return Ok(None) };
        Ok(order.placed().map(|placed| {
            let Placed { customer_id, hold_for, lines, .. } = placed.clone();
            ShopOrder { place: Place { customer_id, hold_for, lines }, status: order.status() }
        }))
    }

    async fn place_order(&self, order_id: OrderId, place: &Place) -> Result<(), ShopError> {
        self.change_order(order_id, order::Command::Place(place.clone())).await
    }

    async fn commit_order(&self, order_id: OrderId) -> Result<(), ShopError> {
        self.change_order(order_id, order::Command::Commit).await
    }

    async fn release_order(&self, order_id: OrderId, reason: &Reason) -> Result<(), ShopError> {
        self.change_order(order_id, order::Command::Release { reason: reason.clone() }).await
    }
}

impl From<CommandError> for ShopError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Overloaded
            | CommandError::WaitedTooLong
            | CommandError::PastUnknown
            | CommandError::Contended { .. } => busy(&error),
            CommandError::Rejected(_)
            | CommandError::OrderRejected(_)
            | CommandError::TransferRejected(_)
            | CommandError::Shortfalls(_)
            | CommandError::VersionMismatch { .. }
            | CommandError::KeyReused => Self::Refused(Problem::from(error).slug().to_owned()),
            CommandError::ShuttingDown | CommandError::Abandoned => Self::Failed(Box::new(error)),
            CommandError::Store(ref store) => match **store {
                StoreError::Unavailable(_) => busy(&error),
                StoreError::OutcomeUnknown(_) | StoreError::Damaged(_) => Self::Failed(Box::new(error)),
            },
        }
    }
}

impl From<QueryError> for ShopError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::View(_) | QueryError::NotFresh(_) => busy(&error),
            QueryError::WriteSide(error) => error.into(),
        }
    }
}

impl From<HistoryError> for ShopError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::WriteSide(error) => error.into(),
            HistoryError::NotFresh(error) => busy(&error),
            HistoryError::Store(error) => CommandError::Store(Arc::new(error)).into(),
        }
    }
}

fn busy(error: &impl ToString) -> ShopError {
    ShopError::Busy { retry_after: RETRY_AFTER, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::path::Path;

    use inventory_application::ports::{
        AppendGroup, CommitListener, CommittedGroup, ProductLevels, StockViews, Unobserved, ViewError, Viewed,
    };
    use inventory_application::testing::{InMemoryEventStore, LogReservations, ManualClock, SequentialIds};
    use inventory_application::{
        AcknowledgedLevels, CatchUp, CatchUpSettings, CommandLoop, CommandLoopSettings, Position, StockCheckpoints,
        command_loop::CommandLoopPorts,
    };
    use inventory_domain::inventory::Rejection;
    use inventory_domain::{ProductId, Timestamp};
    use tokio::sync::watch;

    use super::*;
    use crate::progress::Progress;
    use crate::replay::{Earlier, ReplayOptions, replay};

    #[tokio::test]
    async fn the_sample_adds_up() {
        let shop = shop();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/samples/baskets.csv");
        for _ in 0..2 {
            let report = replay(&shop, &ReplayOptions::new(&file), Progress::hidden()).await.unwrap();
            assert!(report.is_clean() && report.refusals.is_empty() && report.retries == 0, "{report}");
            assert!(report.commands() > 13_000, "{report}");
        }
    }

    #[tokio::test]
    async fn the_sample_as_orders_happens_once() {
        let shop = shop();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/samples/baskets.csv");
        let options = ReplayOptions { as_orders: true, ..ReplayOptions::new(&file) };
        let first = replay(&shop, &options, Progress::hidden()).await.unwrap();
        let again = replay(&shop, &options, Progress::hidden()).await.unwrap();
        for report in [&first, &again] {
            assert!(report.is_clean() && report.refusals.is_empty() && report.retries == 0, "{report}");
        }
        assert_eq!(first.earlier, Some(Earlier::default()), "{first}");
        let orders = first.baskets.sold + first.baskets.abandoned;
        assert_eq!(again.earlier, Some(Earlier { restocks: first.stocks, orders, held: 0 }), "{again}");
        assert_eq!(again.levels, first.levels);
    }

    #[test]
    fn a_refusal_is_told_from_a_failure_and_from_a_full_queue() {
        check(Rejection::InsufficientStock { requested: 2, available: 1 }.into(), "refused: insufficient-stock");
        check(CommandError::Overloaded, "too busy: too many commands are waiting");
        check(CommandError::Contended { tries: 3 }, "too busy: other nodes changed the stock at every one of 3 tries");
        check(CommandError::Abandoned, "the shop failed");
        check(CommandError::ShuttingDown, "the shop failed");
        let store = |error| CommandError::Store(Arc::new(error));
        check(store(StoreError::Unavailable("x".into())), "too busy: the event store is unavailable");
        check(store(StoreError::OutcomeUnknown("x".into())), "the shop failed");
        check(store(StoreError::Damaged("x".into())), "the shop failed");
    }

    #[track_caller]
    fn check(error: CommandError, then: &str) {
        assert_eq!(ShopError::from(error).to_string(), then);
    }

    /// A shop on a store in memory; must be called on a runtime, where its loop then runs.
    fn shop() -> EmbeddedShop {
        let acknowledged = Arc::new(AcknowledgedLevels::new(usize::MAX, Position::START));
        let store = Arc::new(InMemoryEventStore::exclusive());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let ports = CommandLoopPorts {
            store: store.clone(),
            reservations: Arc::new(LogReservations::of(store.clone())),
            clock: clock.clone(),
            ids: Arc::new(SequentialIds::default()),
            acknowledged: Arc::clone(&acknowledged),
            listener: Arc::new(Nobody),
            observer: Arc::new(Unobserved),
        };
        let (commands, command_loop) = CommandLoop::new(ports, CommandLoopSettings::default());
        tokio::spawn(command_loop.run(pending()));
        let catch_up = CatchUp::new(store.clone(), CatchUpSettings { wait_ms_max: 0, waiting_max: 0 });
        let history = HistoryQueries::new(store.clone(), store, commands.clone(), clock, catch_up.clone(), 1_000);
        let (_, checkpoint) = watch::channel(Position::START);
        let checkpoints = StockCheckpoints { levels: checkpoint.clone(), products: checkpoint };
        let queries = StockQueries::new(acknowledged, Arc::new(Nobody), commands.clone(), checkpoints, catch_up);
        EmbeddedShop::new(commands, queries, history)
    }

    /// Listens to nothing and knows nothing: what was acknowledged is all there is.
    struct Nobody;

    impl CommitListener for Nobody {
        fn committed(&self, _: &Arc<Vec<AppendGroup>>, _: Vec<CommittedGroup>) {}
    }

    #[async_trait]
    impl StockViews for Nobody {
        async fn level(&self, _: StockId, as_of: Position) -> Result<Viewed<Option<Level>>, ViewError> {
            Ok(Viewed::fresh(None, as_of))
        }

        async fn product(&self, _: ProductId, as_of: Position) -> Result<Viewed<ProductLevels>, ViewError> {
            Ok(Viewed::fresh(Arc::default(), as_of))
        }
    }
}
