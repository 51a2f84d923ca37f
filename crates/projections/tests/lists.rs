//! Lists in pages: what a naive fold of the log says, whatever the filter, the page and how far one look goes; and nothing twice or
//! left out while rows change.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{
    EventLog, RecordedEvent, ReservationFilter, ReservationKey, ReservationLists, ReservationState, ShownReservation,
    StockLists,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_domain::inventory::{Command, Commit, Event, Extend, Release, ReleaseCause, Reserve};
use inventory_domain::{
    CustomerId, DomainEvent, HoldFor, Level, OrderId, Quantity, Reason, ReservationId, StockId, StoreId, Timestamp,
};
use inventory_projections::{ProjectionRunnerSettings, ReadModelSettings, SqliteReadModels};
use proptest::prelude::*;

use support::{Follower, Heard, SETTINGS, Shop, stock};

/// A command on one of nine stocks, and how many seconds after the one before it comes.
type Step = (u128, u8, u8, i64, i64);

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..9_u128, 0..8_u8, 0..7_u8, 1..6_i64, 0..30_i64), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn lists_show_what_has_happened(
        steps in steps(10..150),
        page_events_max in 1..9_usize,
        limit in 1..5_usize,
        list_rows_max in 1..8_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut shop = World::open(list_rows_max, page_events_max);
            shop.write(&steps).await;
            shop.check(limit).await;
        });
    }

    #[test]
    fn nothing_is_shown_twice_or_left_out_while_rows_change(
        before in steps(40..120),
        between in prop::collection::vec(steps(1..6), 30),
        limit in 1..4_usize,
        list_rows_max in 1..8_usize,
        store in prop::option::of(0..3_u128),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut shop = World::open(list_rows_max, 100);
            shop.write(&before).await;
            shop.walk_while_rows_change(between, limit, store.map(StoreId::from_u128)).await;
        });
    }
}

/// A log, a shop that writes to it, and the read models that follow.
struct World {
    log: Arc<InMemoryEventStore>,
    shop: Shop,
    models: Arc<SqliteReadModels>,
    follower: Follower,
    now: i64,
    _folder: tempfile::TempDir,
}

impl World {
    fn open(list_rows_max: usize, page_events_max: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(InMemoryEventStore::exclusive());
        let settings = ReadModelSettings {
            readers_max: 2,
            reader_wait_ms_max: 5_000,
            cache_kib: 1_024,
            checkpoint_ms: 20,
            wal_pages_max: 1_000,
            list_rows_max,
        };
        let models = SqliteReadModels::open(&folder.path().join("models.db"), &settings).unwrap();
        let settings = ProjectionRunnerSettings { page_events_max, ..SETTINGS };
        let follower = Follower::start_with(&log, &models, settings, Arc::new(Heard::default()));
        Self { log, shop: Shop::default(), models, follower, now: 0, _folder: folder }
    }

    async fn write(&mut self, steps: &[Step]) {
        for (number, kind, id, units, seconds) in steps {
            self.now += seconds * 1_000;
            let now = Timestamp::from_millis(self.now);
            self.shop.write(&self.log, stock(*number), &command(*kind, *id, *units), now).await;
        }
        self.follower.reaches(self.log.head().await.unwrap()).await;
    }

    async fn check(&self, limit: usize) {
        let events = self.log.read(Position::START, usize::MAX).await.unwrap();
        let all = naive(&events);
        for customer_id in [None, Some(CustomerId::from_u128(0)), Some(CustomerId::from_u128(7))] {
            for order_id in [None, Some(OrderId::from_u128(1))] {
                for reservation_id in [None, Some(ReservationId::from_u128(3))] {
                    for state in STATES {
                        let filter = ReservationFilter { reservation_id, customer_id, order_id, state };
                        let mut wanted: Vec<_> = all.iter().filter(|one| is_meant(one, filter)).copied().collect();
                        if reservation_id.is_some() {
                            wanted.sort_by_key(|one| place(&one.key.stock_id));
                        }
                        assert_eq!(self.reservations(filter, limit).await, wanted, "{filter:?}");
                    }
                }
            }
        }
        let levels = by_place(&self.shop);
        for store_id in (0..4).map(StoreId::from_u128) {
            let wanted: Vec<_> = levels.iter().filter(|(id, _)| id.store_id == store_id).copied().collect();
            assert_eq!(self.of_store(store_id, limit).await, wanted);
        }
        for units in [1, 3, 500, 999, 1_000, 1_001, 2_000, 1_000_000] {
            for store_id in [None, Some(StoreId::from_u128(1)), Some(StoreId::from_u128(3))] {
                let is_meant = |(id, level): &&(StockId, Level)| {
                    level.available() < units && store_id.is_none_or(|store_id| store_id == id.store_id)
                };
                let wanted: Vec<_> = levels.iter().filter(is_meant).copied().collect();
                assert_eq!(self.below(units, store_id, limit).await, wanted, "below {units} in {store_id:?}");
            }
        }
    }

    /// Asks page by page, with writes in between; what was meant all the time is there once.
    async fn walk_while_rows_change(&mut self, between: Vec<Vec<Step>>, limit: usize, store_id: Option<StoreId>) {
        let filter = ReservationFilter { state: Some(ReservationState::Active), ..ReservationFilter::default() };
        let units = 1_000;
        let (mut after, mut low_after) = (None, None);
        let (mut shown, mut low): (Vec<ReservationKey>, Vec<StockId>) = (Vec::new(), Vec::new());
        let (mut is_done, mut is_low_done) = (false, false);
        let mut always = self.active().await;
        let mut always_low = self.low(units, store_id);
        let mut between = between.into_iter();
        while !(is_done && is_low_done) {
            if !is_done {
                let page = self.models.reservations(filter, after, limit).await.unwrap();
                shown.extend(page.found.iter().map(|one| one.key));
                (after, is_done) = (page.next, page.next.is_none());
            }
            if !is_low_done {
                let page = self.models.below(units, store_id, low_after, limit).await.unwrap().value;
                low.extend(page.found.iter().map(|(stock_id, _)| *stock_id));
                (low_after, is_low_done) = (page.next, page.next.is_none());
            }
            if let Some(steps) = between.next() {
                for step in &steps {
                    self.write(std::slice::from_ref(step)).await;
                    let (now, now_low) = (self.active().await, self.low(units, store_id));
                    always.retain(|key| now.contains(key));
                    always_low.retain(|stock_id| now_low.contains(stock_id));
                }
            }
        }
        let made = naive(&self.log.read(Position::START, usize::MAX).await.unwrap());
        let in_order = |key: &ReservationKey| made.iter().position(|one| one.key == *key);
        assert!(shown.is_sorted_by(|one, next| in_order(one) < in_order(next)), "nothing twice: {shown:?}");
        assert!(always.iter().all(|key| shown.contains(key)), "{always:?} in {shown:?}");
        assert!(low.is_sorted_by(|one, next| place(one) < place(next)), "nothing twice: {low:?}");
        assert!(always_low.iter().all(|stock_id| low.contains(stock_id)), "{always_low:?} in {low:?}");
    }

    async fn active(&self) -> Vec<ReservationKey> {
        let events = self.log.read(Position::START, usize::MAX).await.unwrap();
        let all = naive(&events);
        all.into_iter().filter(|one| one.state == ReservationState::Active).map(|one| one.key).collect()
    }

    fn low(&self, units: u64, store_id: Option<StoreId>) -> Vec<StockId> {
        let levels = by_place(&self.shop);
        let low = levels.into_iter().filter(|(_, level)| level.available() < units).map(|(id, _)| id);
        low.filter(|id| store_id.is_none_or(|store_id| store_id == id.store_id)).collect()
    }

    async fn reservations(&self, filter: ReservationFilter, limit: usize) -> Vec<ShownReservation> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.models.reservations(filter, after, limit).await.unwrap();
            assert!(page.found.len() <= limit);
            all.extend(page.found);
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }

    async fn of_store(&self, store_id: StoreId, limit: usize) -> Vec<(StockId, Level)> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.models.of_store(store_id, after, limit).await.unwrap().value;
            assert!(page.found.len() <= limit);
            all.extend(page.found);
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }

    async fn below(&self, units: u64, store_id: Option<StoreId>, limit: usize) -> Vec<(StockId, Level)> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.models.below(units, store_id, after, limit).await.unwrap().value;
            assert!(page.found.len() <= limit);
            all.extend(page.found);
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }
}

const STATES: [Option<ReservationState>; 5] = [
    None,
    Some(ReservationState::Active),
    Some(ReservationState::Committed),
    Some(ReservationState::Released),
    Some(ReservationState::Expired),
];

fn is_meant(one: &ShownReservation, filter: ReservationFilter) -> bool {
    filter.reservation_id.is_none_or(|id| id == one.key.reservation_id)
        && filter.customer_id.is_none_or(|id| id == one.customer_id)
        && filter.order_id.is_none_or(|id| Some(id) == one.order_id)
        && filter.state.is_none_or(|state| state == one.state)
}

fn place(stock_id: &StockId) -> (StoreId, inventory_domain::ProductId) {
    (stock_id.store_id, stock_id.product_id)
}

/// Every level, by store and then product.
fn by_place(shop: &Shop) -> Vec<(StockId, Level)> {
    let mut levels: Vec<_> = shop.levels().into_iter().collect();
    levels.sort_by_key(|(stock_id, _)| place(stock_id));
    levels
}

/// Every reservation by the events alone, in the order in which they were made.
fn naive(events: &[RecordedEvent]) -> Vec<ShownReservation> {
    let mut all: Vec<ShownReservation> = Vec::new();
    for recorded in events {
        let (Some(stock_id), DomainEvent::Inventory(event)) = (recorded.stream.stock_id(), &recorded.event) else {
            continue;
        };
        let at = recorded.recorded_at;
        let of = |reservation_id: &ReservationId| ReservationKey { reservation_id: *reservation_id, stock_id };
        match event {
            Event::StockReserved { reservation_id, quantity, customer_id, hold_for, expires_at, order_id } => {
                let key = of(reservation_id);
                let made = ShownReservation {
                    key,
                    customer_id: *customer_id,
                    order_id: *order_id,
                    state: ReservationState::Active,
                    quantity: quantity.units(),
                    committed: 0,
                    hold_for: *hold_for,
                    expires_at: *expires_at,
                    reserved_at: at,
                    closed_at: None,
                };
                all.push(made);
            }
            Event::StockCommitted { reservation_id, order_id, quantity } => {
                let one = all.iter_mut().find(|one| one.key == of(reservation_id)).unwrap();
                (one.order_id, one.closed_at) = (Some(*order_id), Some(at));
                (one.state, one.committed) = (ReservationState::Committed, one.committed + quantity.units());
            }
            Event::StockReleased { reservation_id, cause, .. } => {
                let one = all.iter_mut().find(|one| one.key == of(reservation_id)).unwrap();
                one.closed_at = Some(at);
                one.state = match cause {
                    ReleaseCause::Requested(_) => ReservationState::Released,
                    ReleaseCause::Expired => ReservationState::Expired,
                    ReleaseCause::UncommittedPart => ReservationState::Committed,
                };
            }
            Event::ReservationExtended { reservation_id, hold_for, expires_at } => {
                let one = all.iter_mut().find(|one| one.key == of(reservation_id)).unwrap();
                (one.hold_for, one.expires_at) = (Some(*hold_for), Some(*expires_at));
            }
            _ => (),
        }
    }
    all
}

/// Units come by the hundred, so that stocks cross a thousand both ways.
fn command(kind: u8, id: u8, units: i64) -> Command {
    let reservation_id = ReservationId::from_u128(id.into());
    let (reason, hold_for) = (Reason::new("test").unwrap(), HoldFor::from_minutes(1).unwrap());
    let quantity = |units| Quantity::new(units).unwrap();
    match kind {
        0..=1 => Command::Add { quantity: quantity(units * 300), reason },
        2..=4 => Command::Reserve(Reserve {
            reservation_id,
            quantity: quantity(units * 150),
            customer_id: CustomerId::from_u128(u128::from(id % 2)),
            order_id: None,
            hold_for: Some(hold_for),
        }),
        5 => Command::Commit(Commit {
            reservation_id,
            order_id: OrderId::from_u128(u128::from(id % 3)),
            quantity: (units > 3).then(|| quantity(units)),
        }),
        6 => Command::Release(Release { reservation_id, reason }),
        _ => Command::Extend(Extend { reservation_id, hold_for }),
    }
}
