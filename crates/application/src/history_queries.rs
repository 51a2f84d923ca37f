//! The questions that the log itself answers: what has happened to a stock, an order, a transfer.

use std::sync::Arc;
use std::time::Duration;

use inventory_domain::inventory::{self, Reservation};
use inventory_domain::{
    DomainEvent, Inventory, Level, Order, OrderId, ReservationId, StockId, Timestamp, Transfer, TransferId, order,
    transfer,
};
use thiserror::Error;
use tokio::time::sleep;

use crate::command_loop::{Ask, CommandError, CommandSender, Request};
use crate::freshness::{CatchUp, Freshness, NotFresh};
use crate::ports::{Clock, EventHistory, EventStore, LoadedStream, RecordedEvent, StoreError};
use crate::{Position, StreamId};

/// Reads streams as they are stored, up to what is acknowledged.
#[derive(Clone)]
pub struct HistoryQueries {
    store: Arc<dyn EventStore>,
    history: Arc<dyn EventHistory>,
    commands: CommandSender,
    clock: Arc<dyn Clock>,
    catch_up: CatchUp,
    closed_remembered: usize,
}

/// What is older than this is in the log, if it ever will be, in milliseconds: no commit takes so long.
const IN_WORK_MS_MAX: i64 = 60_000;

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The log can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The write side, which has to finish what is in work, can't be asked.
    #[error(transparent)]
    WriteSide(#[from] CommandError),
    /// The log doesn't have what the question needs.
    #[error(transparent)]
    NotFresh(#[from] NotFresh),
}

/// A stock's numbers, and what is behind them.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The numbers.
    pub level: Level,
    /// How many reservations are live.
    pub live_count: usize,
    /// The live reservations with the earliest deadlines, those without one last; as many as were asked for.
    pub reservations: Vec<(ReservationId, Reservation)>,
    /// The last events, newest first; as many as were asked for.
    pub events: Vec<RecordedEvent>,
}

impl HistoryQueries {
    /// Questions to this store, whose stocks remember so many closed reservations; `commands` is the way to what is in work.
    #[must_use]
    pub fn new(
        store: Arc<dyn EventStore>,
        history: Arc<dyn EventHistory>,
        commands: CommandSender,
        clock: Arc<dyn Clock>,
        catch_up: CatchUp,
        closed_remembered: usize,
    ) -> Self {
        Self { store, history, commands, clock, catch_up, closed_remembered }
    }

    /// Waits until the log has what is wanted. All that is acknowledged is in it, so a strong question needs no wait; versions are
    /// for the question itself to look at.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log doesn't get there in time, or can't be read.
    pub async fn caught_up(&self, wanted: Freshness) -> Result<(), HistoryError> {
        Ok(self.catch_up.until_log(wanted.min_position).await?)
    }

    /// The stock's events after version `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log can't be read.
    pub async fn events(
        &self,
        stock_id: StockId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, HistoryError> {
        Ok(self.history.stream_page(stock_id.into(), after, limit).await?)
    }

    /// The stock's level as it was at `at`; `None` where nobody had filled it by then.
    ///
    /// # Errors
    ///
    /// As [`HistoryQueries::stock_at`].
    pub async fn level_at(&self, stock_id: StockId, at: Timestamp) -> Result<Option<Level>, HistoryError> {
        let level = self.stock_at(stock_id, at).await?.level();
        Ok(Some(level).filter(|level| level.version > 0))
    }

    /// The stock as it was at `at`, a moment that is not in the future: whoever asks again is told the same.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log can't be read, or `at` is so recent that the write side has to be asked, and can't be.
    pub async fn stock_at(&self, stock_id: StockId, at: Timestamp) -> Result<Inventory, HistoryError> {
        let age = self.clock.now().millis().saturating_sub(at.millis());
        if age < IN_WORK_MS_MAX {
            // Events have the time at which they are decided, and are in the log a little later. Once the moment is over, and the
            // loop has answered a question about the stock, all that was decided by then is there.
            if age < 1 {
                sleep(Duration::from_millis(1 + age.unsigned_abs())).await;
            }
            self.commands.send_stock(Request::plain(Ask::Level(stock_id))).await?;
        }
        Ok(self.inventory(self.history.load_at(stock_id, at).await?))
    }

    /// The stock's numbers, with at most `reservations_max` live reservations and `events_max` events behind them; `None` where
    /// nobody has ever filled it.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log can't be read, or doesn't get as far as is wanted in time.
    pub async fn explain(
        &self,
        stock_id: StockId,
        reservations_max: usize,
        events_max: usize,
        wanted: Freshness,
    ) -> Result<Option<Explanation>, HistoryError> {
        let explain = || self.explain_now(stock_id, reservations_max, events_max);
        self.fresh(wanted, explain, |explanation| explanation.level.version).await
    }

    async fn explain_now(
        &self,
        stock_id: StockId,
        reservations_max: usize,
        events_max: usize,
    ) -> Result<Option<Explanation>, HistoryError> {
        let inventory = self.inventory(self.load(stock_id.into()).await?);
        let level = inventory.level();
        if level.version == 0 {
            return Ok(None);
        }
        let mut reservations: Vec<_> = inventory.reservations().map(|(id, held)| (id, *held)).collect();
        let live_count = reservations.len();
        reservations.sort_by_key(|(id, held)| (held.expires_at.is_none(), held.expires_at, *id));
        reservations.truncate(reservations_max);
        let after = level.version.saturating_sub(events_max as u64);
        let mut events = self.history.stream_page(stock_id.into(), after, events_max).await?;
        events.retain(|event| event.version <= level.version); // What came between the two reads is not explained.
        events.reverse();
        Ok(Some(Explanation { level, live_count, reservations, events }))
    }

    /// The order, with where its last event stands; `None` where nobody has placed it.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log can't be read, or doesn't get as far as is wanted in time.
    pub async fn order(&self, order_id: OrderId, wanted: Freshness) -> Result<Option<(Order, Position)>, HistoryError> {
        self.fresh(wanted, || self.order_now(order_id), |(order, _)| order.version()).await
    }

    async fn order_now(&self, order_id: OrderId) -> Result<Option<(Order, Position)>, HistoryError> {
        let loaded = self.load(order_id.into()).await?;
        let order = loaded.events.iter().fold(Order::default(), |state, past| match &past.event {
            DomainEvent::Order(event) => order::evolve(state, event, past.recorded_at),
            DomainEvent::Inventory(_) | DomainEvent::Transfer(_) => state,
        });
        Ok(Some((order, loaded.position)).filter(|(order, _)| order.version() > 0))
    }

    /// The transfer, with where its last event stands; `None` where nobody has started it.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] when the log can't be read, or doesn't get as far as is wanted in time.
    pub async fn transfer(
        &self,
        transfer_id: TransferId,
        wanted: Freshness,
    ) -> Result<Option<(Transfer, Position)>, HistoryError> {
        self.fresh(wanted, || self.transfer_now(transfer_id), |(transfer, _)| transfer.version()).await
    }

    async fn transfer_now(&self, transfer_id: TransferId) -> Result<Option<(Transfer, Position)>, HistoryError> {
        let loaded = self.load(transfer_id.into()).await?;
        let transfer = loaded.events.iter().fold(Transfer::default(), |state, past| match &past.event {
            DomainEvent::Transfer(event) => transfer::evolve(state, event, past.recorded_at),
            DomainEvent::Inventory(_) | DomainEvent::Order(_) => state,
        });
        Ok(Some((transfer, loaded.position)).filter(|(transfer, _)| transfer.version() > 0))
    }

    /// What `read` finds in the log, once that is as fresh as is wanted.
    async fn fresh<T, F: Future<Output = Result<Option<T>, HistoryError>>>(
        &self,
        wanted: Freshness,
        read: impl Fn() -> F,
        version_of: impl Fn(&T) -> u64,
    ) -> Result<Option<T>, HistoryError> {
        self.caught_up(wanted).await?;
        let mut wait = None;
        loop {
            let found = read().await?;
            let (version, needed) = (found.as_ref().map_or(0, &version_of), wanted.min_version);
            if version >= needed {
                return Ok(found);
            }
            let wait = match &mut wait {
                Some(wait) => wait,
                None => wait.insert(self.catch_up.begin()?),
            };
            if !wait.pause().await {
                return Err(NotFresh::OlderVersion { version, needed }.into());
            }
        }
    }

    async fn load(&self, stream: StreamId) -> Result<LoadedStream, HistoryError> {
        Ok(self.store.load(vec![stream]).await?.pop().unwrap_or_default())
    }

    fn inventory(&self, loaded: LoadedStream) -> Inventory {
        let start = loaded.snapshot.map_or_else(|| Inventory::remembering(self.closed_remembered), |state| *state);
        loaded.events.iter().fold(start, |state, past| match &past.event {
            DomainEvent::Inventory(event) => inventory::evolve(state, event, past.recorded_at),
            DomainEvent::Order(_) | DomainEvent::Transfer(_) => state,
        })
    }
}
