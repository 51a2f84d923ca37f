//! A replay from zero gives the rows that following the log live gave, and both are the fold of the log.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::Arc;

use inventory_application::ports::EventLog;
use inventory_application::testing::InMemoryEventStore;
use inventory_domain::inventory::{Adjust, Command, Commit, Extend, Release, Reserve};
use inventory_domain::{CustomerId, HoldFor, OrderId, Quantity, Reason, ReservationId, StockQuantity, Timestamp};
use inventory_projections::ProjectionRunnerSettings;
use proptest::prelude::*;

use support::{Follower, Heard, SETTINGS, Shop, open, shown, stock};

/// A command on one of four stocks, and how many seconds after the one before it comes.
type Step = (u128, u8, u8, i64, i64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_rebuild_equals_what_was_followed_live(
        steps in prop::collection::vec((0..4_u128, 0..9_u8, 0..3_u8, 1..6_i64, 0..30_i64), 1..120),
        page_events_max in 1..8_usize,
        reopen_every in 1..40_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(steps, page_events_max, reopen_every));
    }
}

async fn check(steps: Vec<Step>, page_events_max: usize, reopen_every: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut shop) = (Arc::new(InMemoryEventStore::exclusive()), Shop::default());
    let settings = ProjectionRunnerSettings { page_events_max, ..SETTINGS };
    let live = folder.path().join("live.db");
    let mut now = Timestamp::from_millis(0);
    for steps in steps.chunks(reopen_every) {
        let models = open(&live); // Where the last one stopped.
        let mut follower = Follower::start_with(&log, &models, settings, Arc::new(Heard::default()));
        for (number, kind, id, units, seconds) in steps {
            now = Timestamp::from_millis(now.millis() + seconds * 1_000);
            shop.write(&log, stock(*number), &command(*kind, *id, *units), now).await;
        }
        follower.reaches(log.head().await.unwrap()).await;
        assert_eq!(shown(&models).await, shop.levels(), "followed live");
        follower.stop().await;
    }
    let rebuilt = open(&folder.path().join("rebuilt.db"));
    let mut follower = Follower::start(&log, &rebuilt);
    follower.reaches(log.head().await.unwrap()).await;
    assert_eq!(shown(&rebuilt).await, shop.levels(), "rebuilt");
    follower.stop().await;
}

/// Deadlines of one minute pass often, so that a reserve also frees what has expired, in the same group.
fn command(kind: u8, id: u8, units: i64) -> Command {
    let reservation_id = ReservationId::from_u128(id.into());
    let quantity = Quantity::new(units).unwrap();
    let (reason, hold_for) = (Reason::new("test").unwrap(), HoldFor::from_minutes(1).unwrap());
    match kind {
        0..=1 => Command::Add { quantity, reason },
        2..=4 => Command::Reserve(Reserve {
            reservation_id,
            quantity,
            customer_id: CustomerId::from_u128(1),
            order_id: None,
            hold_for: Some(hold_for),
        }),
        5 => Command::Commit(Commit {
            reservation_id,
            order_id: OrderId::from_u128(1),
            quantity: Quantity::new(units - 3).ok(), // None, so all of it, as often as not.
        }),
        6 => Command::Release(Release { reservation_id, reason }),
        7 => Command::Extend(Extend { reservation_id, hold_for }),
        _ => Command::Adjust(Adjust { counted: StockQuantity::new(units + 5).unwrap(), reason, then: None }),
    }
}
