//! How the runner follows the log: woken, polled, stopped, reopened, in trouble, and with a rival.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use inventory_application::Position;
use inventory_application::ports::{
    ChangedStock, EventLog, Projected, ProjectionListener, RecordedEvent, StockViews, StoreError,
};
use inventory_application::testing::InMemoryEventStore;
use inventory_projections::ProjectionRunnerSettings;
use rusqlite::Connection;
use tokio::sync::watch;

use support::{Follower, Heard, SETTINGS, Shop, open, shown, stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_wakes_it() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let models = open(&folder.path().join("read.db"));
    let mut follower = Follower::start(&log, &models);
    follower.is(|status| status.behind_since.is_none()).await;
    for number in 1..=4 {
        shop.add(&log, 1, 1).await;
        follower.reaches(Position(number)).await; // The next look without a hint is a minute away.
    }
    assert_eq!(shown(&models).await, shop.levels());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_looks_by_itself_when_no_hint_comes() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let models = open(&folder.path().join("read.db"));
    let silent = Arc::new(Odd::over(&log));
    let settings = ProjectionRunnerSettings { poll_ms: 1, ..SETTINGS };
    let mut follower = Follower::start_with(&silent, &models, settings, Arc::new(Heard::default()));
    while silent.reads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await; // The first look finds nothing.
    }
    shop.add(&log, 1, 1).await;
    follower.reaches(Position(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_is_tried_again_and_the_status_says_so() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    shop.add(&log, 1, 1).await;
    let models = open(&folder.path().join("read.db"));
    let failing = Arc::new(Odd::over(&log));
    failing.reads_that_fail.store(3, Ordering::SeqCst);
    let mut follower = Follower::start(&failing, &models);
    let status = follower.is(|status| status.failure.is_some()).await;
    assert_eq!(status.failure.as_deref(), Some("the event store is unavailable"));
    follower.reaches(Position(1)).await;
    follower.is(|status| status.failure.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_where_it_stopped() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    for round in 1..=3 {
        shop.add(&log, round, 5).await;
        let models = open(&path);
        // Looked at before it starts: it may be further at once.
        assert!(checkpoints(&path).iter().all(|(_, position)| *position == i64::try_from(round).unwrap() - 1));
        let heard = Arc::new(Heard::default());
        let mut follower = Follower::start_with(&log, &models, SETTINGS, heard.clone());
        follower.reaches(log.head().await.unwrap()).await;
        follower.stop().await;
        assert_eq!(*heard.0.lock().unwrap(), [(Position(u64::try_from(round).unwrap()), vec![stock(round)])]);
        assert_eq!(shown(&models).await, shop.levels());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_hear_of_a_step_after_its_commit() {
    struct Looks(std::path::PathBuf);
    impl ProjectionListener for Looks {
        fn projected(&self, step: Projected<'_>) {
            assert!(checkpoints(&self.0).iter().all(|(_, position)| *position == 1));
            assert_eq!(
                (step.checkpoint, step.stocks),
                (Position(1), &[ChangedStock { stock_id: stock(1), last: Position(1) }][..])
            );
        }

        fn rebuilt(&self, _: Position) {
            panic!("nobody has asked for it");
        }
    }
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    shop.add(&log, 1, 1).await;
    let mut follower = Follower::start_with(&log, &models, SETTINGS, Arc::new(Looks(path)));
    follower.reaches(Position(1)).await;
    follower.stop().await; // It would fail here if the listener had panicked.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_cannot_go_on_stops_whole_and_the_other_goes_on() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    let settings = ProjectionRunnerSettings { page_events_max: 100, ..SETTINGS };
    shop.add(&log, 1, 5).await;
    let mut follower = Follower::start_with(&log, &models, settings, Arc::new(Heard::default()));
    follower.reaches(Position(1)).await;
    follower.stop().await;
    Connection::open(&path).unwrap().execute("UPDATE stock_levels SET version = 7", []).unwrap();
    shop.add(&log, 2, 5).await; // Can be applied: it stands before the one that can't, in the same page.
    shop.add(&log, 1, 5).await;
    let heard = Arc::new(Heard::default());
    let follower = Follower::start_with(&log, &models, settings, heard.clone());
    let status = follower.is(|status| status.projections[0].stopped.is_some()).await;
    let says = "of inventory-00000000-0000-0000-0000-000000000000-00000000-0000-0000-0000-000000000001 doesn't fit the rows: the row is at version 7";
    assert!(status.projections[0].stopped.as_deref().unwrap().ends_with(says), "{status:?}");
    follower.is(|status| status.projections[1].checkpoint == Position(3)).await;
    let at = |name: &str| if name == "stock_levels" { 1 } else { 3 };
    assert!(checkpoints(&path).iter().all(|(name, position)| *position == at(name)));
    assert_eq!(models.level(stock(2), Position::START).await.unwrap().value, None, "nothing of the page is left");
    shop.add(&log, 1, 5).await;
    follower.is(|status| status.projections[1].checkpoint == Position(4)).await;
    let product = models.product(stock(1).product_id, Position::START).await.unwrap();
    assert_eq!((product.value.len(), product.as_of), (2, Position(4)));
    assert_eq!(*follower.checkpoint.borrow(), Position(1), "what everybody has");
    assert!(heard.0.lock().unwrap().iter().all(|(checkpoint, _)| *checkpoint == Position(1)));
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_owners_only_the_later_moves_on() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let former = open(&path);
    let mut outdated = Follower::start(&log, &former);
    shop.add(&log, 1, 1).await;
    outdated.reaches(Position(1)).await;
    let models = open(&path); // Takes over.
    shop.add(&log, 1, 1).await;
    let status = outdated.is(|status| status.projections.iter().all(|one| one.stopped.is_some())).await;
    assert_eq!(status.projections[0].stopped.as_deref(), Some("the projection stock_levels has another owner now"));
    assert_eq!(shown(&models).await[&stock(1)].version, 1, "the former owner has left the rows alone");
    let mut follower = Follower::start(&log, &models);
    follower.reaches(Position(2)).await;
    assert_eq!(shown(&models).await, shop.levels());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_another_form_is_filled_again() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    shop.add(&log, 1, 5).await;
    let models = open(&path);
    let mut follower = Follower::start(&log, &models);
    follower.reaches(Position(1)).await;
    follower.stop().await;
    drop(models);
    for outdated in [
        "UPDATE checkpoints SET form = 'CREATE TABLE {table} (of, another, release)' WHERE name = 'stock_levels';
         DROP TABLE stock_levels; CREATE TABLE stock_levels (of_another_release)",
        "DROP TABLE stock_levels", // Gone for good.
        "ALTER TABLE checkpoints DROP COLUMN form; DROP TABLE orders; CREATE TABLE orders (of_the_first_release)",
    ] {
        Connection::open(&path).unwrap().execute_batch(outdated).unwrap();
        let models = open(&path);
        let mut follower = Follower::start(&log, &models);
        follower.reaches(Position(1)).await;
        assert_eq!(shown(&models).await, shop.levels(), "{outdated}");
        follower.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_there_already_stops_one_projection_and_not_all() {
    let (folder, log, mut shop) = (tempfile::tempdir().unwrap(), log(), Shop::default());
    let path = folder.path().join("read.db");
    let models = open(&path);
    let row = "INSERT INTO stock_levels VALUES (?1, ?2, 1, 0, 1)";
    let (store_id, product_id) = (stock(1).store_id.uuid(), stock(1).product_id.uuid());
    Connection::open(&path).unwrap().execute(row, [store_id.as_bytes(), product_id.as_bytes()]).unwrap();
    shop.add(&log, 1, 5).await;
    let follower = Follower::start(&log, &models);
    let status = follower.is(|status| status.projections[1].checkpoint == Position(1)).await;
    let says = "doesn't fit the rows: the row is at version 1";
    assert!(status.projections[0].stopped.as_deref().unwrap().ends_with(says), "{status:?}");
    assert!(status.projections[1..].iter().all(|one| one.stopped.is_none()), "{status:?}");
    follower.stop().await;
}

#[tokio::test]
async fn a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    let settings = inventory_projections::ReadModelSettings {
        readers_max: 1,
        reader_wait_ms_max: 100,
        cache_kib: 1_024,
        checkpoint_ms: 20,
        wal_pages_max: 1_000,
        list_rows_max: 100,
    };
    let error = inventory_projections::SqliteReadModels::open(&path, &settings).err().unwrap();
    assert_eq!(error.to_string(), "the file holds no read models of this service (application id 7)");
}

fn log() -> Arc<InMemoryEventStore> {
    Arc::new(InMemoryEventStore::exclusive())
}

fn checkpoints(path: &Path) -> Vec<(String, i64)> {
    let file = Connection::open(path).unwrap();
    let mut read = file.prepare("SELECT name, position FROM checkpoints ORDER BY name").unwrap();
    read.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// A log that gives no hints, and some of whose reads fail.
struct Odd {
    inner: Arc<InMemoryEventStore>,
    silence: watch::Sender<Position>,
    reads_that_fail: AtomicU32,
    reads: AtomicU32,
}

impl Odd {
    fn over(inner: &Arc<InMemoryEventStore>) -> Self {
        let silence = watch::Sender::new(Position::START);
        Self { inner: inner.clone(), silence, reads_that_fail: AtomicU32::new(0), reads: AtomicU32::new(0) }
    }
}

#[async_trait]
impl EventLog for Odd {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let count_down = |left: u32| left.checked_sub(1);
        if self.reads_that_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).is_ok() {
            return Err(StoreError::Unavailable("injected".into()));
        }
        let page = self.inner.read(after, limit).await;
        self.reads.fetch_add(1, Ordering::SeqCst);
        page
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        self.silence.subscribe()
    }
}
