//! Read models that are made anew while they serve: on request, cut off, in two hands, and after a projection has stopped.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{EventLog, RecordedEvent, StockViews, StoreError};
use inventory_application::testing::InMemoryEventStore;
use inventory_domain::inventory::{Command, Reserve};
use inventory_domain::{CustomerId, Quantity, ReservationId, Timestamp};
use inventory_projections::{ControlError, ProjectionRunnerSettings, ProjectionStatus, Rebuild, RunnerStatus};
use rusqlite::Connection;
use tokio::sync::{Semaphore, watch};

use support::{Follower, Heard, SETTINGS, Shop, open, shown, stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_anew_equals_what_was_followed_live_while_writes_go_on() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    let listener = Arc::new(Heard::default());
    let settings = ProjectionRunnerSettings { catch_up_page_events_max: 8, ..SETTINGS };
    let mut follower = Follower::start_with(&log, &models, settings, listener.clone());
    fill(&mut shop, &log, 0..60).await;
    follower.reaches(Position(60)).await;
    for round in 1..=3 {
        // More than once: the names of tables and indexes of one round must not be in the way of the next.
        let names = models.names().to_vec();
        follower.control.rebuild(&names).unwrap();
        let mut number = round * 1_000;
        while follower.control.status().projections.iter().any(ProjectionStatus::is_rebuilt_now) {
            fill(&mut shop, &log, number..number + 1).await;
            number += 1;
            follower.reaches(log.head().await.unwrap()).await; // Nobody writes faster than can be followed for long.
            let level = models.level(stock(0), Position::START).await.unwrap().value.unwrap();
            assert!(level.version > 0, "the old or the new table serves at every moment");
        }
        let status = follower.control.status();
        assert!(status.projections.iter().all(|one| matches!(one.rebuild, Some(Rebuild::Done { .. }))), "{status:?}");
        let head = log.head().await.unwrap();
        follower.reaches(head).await;
        assert_eq!(shown(&models).await, shop.levels());
        let fresh = folder.path().join(format!("fresh{round}.db"));
        let other = open(&fresh);
        let mut another = Follower::start(&log, &other);
        another.reaches(head).await;
        another.stop().await;
        assert_eq!(dump(&path), dump(&fresh));
        assert_eq!(leftovers(&path), Vec::<String>::new());
    }
    assert_eq!(listener.1.lock().unwrap().len(), 3, "who keeps copies of rows hears of it");
    let steps = listener.0.lock().unwrap().clone();
    assert!(steps.is_sorted_by_key(|(checkpoint, _)| *checkpoint), "and nothing goes back: {steps:?}");
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_rows_are_put_right() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    fill(&mut shop, &log, 0..20).await;
    let mut follower = Follower::start(&log, &models);
    follower.reaches(log.head().await.unwrap()).await;
    // None of them would ever be noticed by a projection.
    Connection::open(&path).unwrap().execute("UPDATE stock_levels SET quantity = 777", []).unwrap();
    let level = models.level(stock(0), Position::START).await.unwrap().value.unwrap();
    assert_eq!(level.quantity, 777);
    follower.control.rebuild(&["stock_levels"]).unwrap();
    let done = |status: &RunnerStatus| status.projections[0].rebuild == Some(Rebuild::Done { position: Position(20) });
    let status = follower.is(done).await;
    assert!(status.projections[1..].iter().all(|one| one.rebuild.is_none()), "{status:?}");
    assert_eq!(shown(&models).await, shop.levels());
    shop.add(&log, 1, 1).await;
    follower.reaches(Position(21)).await; // It goes on from there.
    assert_eq!(shown(&models).await, shop.levels());
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_was_cut_off_leaves_nothing_and_loses_nothing() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    fill(&mut shop, &log, 0..20).await;
    let models = open(&path);
    let mut follower = Follower::start(&log, &models);
    follower.reaches(Position(20)).await;
    follower.stop().await;
    let slow = Arc::new(Slow::over(&log, Position(20)));
    let follower = Follower::start(&slow, &models);
    follower.control.rebuild(&["reservations", "stock_levels"]).unwrap();
    slow.gate.add_permits(3); // Three pages of old events, and no more.
    let in_the_middle = |status: &RunnerStatus| {
        status.projection("reservations").unwrap().rebuild == Some(Rebuild::Running { position: Position(4) })
    };
    follower.is(in_the_middle).await;
    assert_eq!(leftovers(&path).len(), 4, "two tables and two checkpoints: {:?}", leftovers(&path));
    assert_eq!(shown(&models).await, shop.levels(), "the old tables serve");
    follower.stop().await;
    drop(models);

    let models = open(&path);
    assert_eq!(leftovers(&path), Vec::<String>::new());
    assert_eq!(shown(&models).await, shop.levels());
    let mut follower = Follower::start(&log, &models);
    follower.control.rebuild(&["reservations"]).unwrap();
    follower
        .is(|status| matches!(status.projection("reservations").unwrap().rebuild, Some(Rebuild::Done { .. })))
        .await;
    fill(&mut shop, &log, 20..30).await;
    follower.reaches(Position(30)).await;
    assert_eq!(shown(&models).await, shop.levels());
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_owner_cannot_swap() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    fill(&mut shop, &log, 0..20).await;
    let former = open(&path);
    let slow = Arc::new(Slow::over(&log, Position(20)));
    slow.gate.add_permits(10);
    let mut outdated = Follower::start(&slow, &former);
    outdated.reaches(Position(20)).await;
    slow.gate.forget_permits(10);
    outdated.control.rebuild(&["stock_levels"]).unwrap();
    slow.gate.add_permits(2);
    outdated.is(|status| status.projections[0].rebuild == Some(Rebuild::Running { position: Position(2) })).await;
    let models = open(&path); // Takes over.
    slow.gate.add_permits(100);
    let failed = |status: &RunnerStatus| matches!(status.projections[0].rebuild, Some(Rebuild::Failed { .. }));
    let status = outdated.is(failed).await;
    let reason = "the projection stock_levels has another owner now".to_owned();
    assert_eq!(status.projections[0].rebuild, Some(Rebuild::Failed { reason }));
    assert_eq!(shown(&models).await, shop.levels());
    outdated.control.rebuild(&["stock_levels"]).unwrap();
    outdated.is(failed).await;
    assert_eq!(shown(&models).await, shop.levels());
    outdated.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_has_stopped_goes_on_after_a_fix() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    let mut follower = Follower::start(&log, &models);
    fill(&mut shop, &log, 0..12).await;
    follower.reaches(Position(12)).await;
    let levels = follower.checkpoint_of_levels.clone();
    let plant = |sql: &str| assert!(Connection::open(&path).unwrap().execute(sql, []).unwrap() > 0);
    for fix in ["nothing but another try", "the row itself", "a rebuild"] {
        plant("UPDATE stock_levels SET version = version + 1000");
        fill(&mut shop, &log, 12..24).await;
        let head = log.head().await.unwrap();
        follower.is(|status| status.projections[0].stopped.is_some()).await;
        let others = |status: &RunnerStatus| status.projections[1..].iter().all(|one| one.checkpoint == head);
        let status = follower.is(others).await;
        assert!(status.projections[0].lag_events > 0, "{status:?}");
        assert!(*levels.borrow() < head);
        match fix {
            "nothing but another try" => {
                follower.control.resume("stock_levels").await.unwrap();
                follower.is(|status| status.projections[0].stopped.is_some()).await; // Again.
                plant("UPDATE stock_levels SET version = version - 1000");
                follower.control.resume("stock_levels").await.unwrap();
            }
            "the row itself" => {
                plant("UPDATE stock_levels SET version = version - 1000");
                follower.control.resume("stock_levels").await.unwrap();
            }
            _ => follower.control.rebuild(&["stock_levels"]).unwrap(),
        }
        follower.reaches(head).await;
        follower.is(|status| status.projections[0].stopped.is_none()).await;
        assert_eq!(shown(&models).await, shop.levels(), "{fix}");
    }
    assert_eq!(follower.control.resume("stocks").await, Err(ControlError::Unknown("stocks".into())));
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_do_not_fit_fail_a_rebuild_and_the_old_table_serves_on() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    fill(&mut shop, &log, 0..12).await;
    let mut follower = Follower::start(&log, &models);
    follower.reaches(Position(12)).await;
    follower.stop().await;
    let torn = Arc::new(Slow { lost: Some(Position(3)), ..Slow::over(&log, Position::START) });
    let follower = Follower::start(&torn, &models);
    follower.control.rebuild(&["product_inventory"]).unwrap();
    let failed = |status: &RunnerStatus| matches!(status.projections[1].rebuild, Some(Rebuild::Failed { .. }));
    let status = follower.is(failed).await;
    assert!(status.projections[1].is_running(), "{status:?}");
    assert!(format!("{status:?}").contains("doesn't fit the rows"), "{status:?}");
    assert_eq!(shown(&models).await, shop.levels());
    assert_eq!(leftovers(&path), Vec::<String>::new());
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rebuild_at_a_time_and_only_of_what_there_is() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let models = open(&folder.path().join("read.db"));
    fill(&mut shop, &log, 0..12).await;
    let slow = Arc::new(Slow::over(&log, Position(12)));
    let follower = Follower::start(&slow, &models);
    assert_eq!(follower.control.rebuild(&["stocks"]), Err(ControlError::Unknown("stocks".into())));
    follower.control.rebuild(&["orders"]).unwrap();
    assert_eq!(follower.control.rebuild(&["transfers"]), Err(ControlError::Rebuilding("orders")));
    slow.gate.add_permits(100);
    follower.is(|status| matches!(status.projection("orders").unwrap().rebuild, Some(Rebuild::Done { .. }))).await;
    follower.control.rebuild(&["transfers"]).unwrap();
    let control = follower.control.clone();
    follower.stop().await;
    let status = control.status();
    if !status.projection("transfers").unwrap().is_rebuilt_now() {
        assert_eq!(control.rebuild(&["orders"]), Err(ControlError::Ended));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_projection_catches_up_while_the_others_go_on() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    fill(&mut shop, &log, 0..30).await;
    let mut follower = Follower::start(&log, &models);
    follower.reaches(Position(30)).await;
    follower.stop().await;
    drop(models);
    // As if this release were the first to have them.
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE reservations; DELETE FROM checkpoints WHERE name = 'reservations'")
        .unwrap();
    let models = open(&path);
    let slow = Arc::new(Slow::over(&log, Position(26)));
    let settings = ProjectionRunnerSettings { page_events_max: 3, ..SETTINGS };
    let mut follower = Follower::start_with(&slow, &models, settings, Arc::new(Heard::default()));
    slow.gate.add_permits(2);
    fill(&mut shop, &log, 30..36).await;
    let levels = follower.checkpoint_of_levels.wait_for(|reached| *reached == Position(36));
    assert!(levels.await.is_ok(), "who waits for levels isn't kept waiting by the newcomer");
    let at = follower.control.status().projection("reservations").unwrap().checkpoint;
    assert!(at <= Position(4), "{at}");
    assert_eq!(shown(&models).await, shop.levels());
    slow.gate.add_permits(100);
    follower.reaches(Position(36)).await;
    follower.stop().await;
    let fresh = folder.path().join("fresh.db");
    let other = open(&fresh);
    let mut another = Follower::start(&log, &other);
    another.reaches(Position(36)).await;
    another.stop().await;
    assert_eq!(dump(&path), dump(&fresh));
}

fn log() -> Arc<InMemoryEventStore> {
    Arc::new(InMemoryEventStore::exclusive())
}

/// An event for each number: units are added, and now and then one of them is reserved.
async fn fill(shop: &mut Shop, log: &InMemoryEventStore, numbers: std::ops::Range<u128>) {
    for number in numbers {
        let stock_id = stock(number % 4);
        if number % 12 < 8 {
            shop.add(log, number % 4, 2).await;
        } else {
            let reserve = Reserve {
                reservation_id: ReservationId::from_u128(log.head().await.unwrap().0.into()),
                quantity: Quantity::new(1).unwrap(),
                customer_id: CustomerId::from_u128(number % 3),
                order_id: None,
                hold_for: None,
            };
            shop.write(log, stock_id, &Command::Reserve(reserve), Timestamp::from_millis(0)).await;
        }
    }
}

/// Every row of every read model, as text.
fn dump(path: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(path).unwrap();
    let mut tables = connection.prepare("SELECT name FROM checkpoints").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.len() >= 5);
    let rows_of = |table: &String| {
        let mut all = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
        let columns = all.column_count();
        let as_text = |row: &rusqlite::Row<'_>| {
            let values: Vec<_> = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
            Ok(values.join(" "))
        };
        all.query_map([], as_text).unwrap().map(Result::unwrap).collect()
    };
    tables.iter().map(|table| (table.clone(), rows_of(table))).collect()
}

/// Tables and checkpoints that are no read model's.
fn leftovers(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut find = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'checkpoints'
                AND name NOT IN (SELECT name FROM checkpoints)
             UNION ALL SELECT name FROM checkpoints WHERE name LIKE '%/%'",
        )
        .unwrap();
    let found = find.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

/// A log whose old part can only be read page by page, with leave; or that has lost an event.
struct Slow {
    inner: Arc<InMemoryEventStore>,
    old: Position,
    gate: Semaphore,
    lost: Option<Position>,
}

impl Slow {
    fn over(inner: &Arc<InMemoryEventStore>, old: Position) -> Self {
        Self { inner: inner.clone(), old, gate: Semaphore::new(0), lost: None }
    }
}

#[async_trait]
impl EventLog for Slow {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        if after < self.old {
            self.gate.acquire().await.unwrap().forget();
        }
        let mut page = self.inner.read(after, limit).await?;
        page.retain(|event| Some(event.position) != self.lost);
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.inner.appended()
    }
}
