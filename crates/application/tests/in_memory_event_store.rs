//! The reference store passes the kit, and the kit catches stores that get something wrong.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_application::ports::{
    AppendGroup, AppendOutcome, EventHistory, EventLog, EventStore, ExpectedVersion, LoadedStream, PastEvent,
    RecordedEvent, Snapshot, StoreError,
};
use inventory_application::testing::{InMemoryEventStore, check_event_store};
use inventory_application::{Position, StreamId};
use inventory_domain::{StockId, Timestamp};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_store_keeps_the_contract() {
    check_event_store(async || Arc::new(InMemoryEventStore::shared())).await;
    check_event_store(async || Arc::new(InMemoryEventStore::exclusive())).await;
}

#[tokio::test]
async fn the_kit_catches_versions_that_nobody_compares() {
    check(Flaw::ComparesNoVersions, "a_wrong_version_is_a_conflict").await;
}

#[tokio::test]
async fn the_kit_catches_groups_that_are_split_over_streams() {
    check(Flaw::SplitsGroups, "positions_follow_the_order_of_the_groups").await;
}

#[tokio::test]
async fn the_kit_catches_checks_that_are_skipped() {
    check(Flaw::SkipsGroupsWithoutEvents, "a_group_without_events_checks_and_adds_nothing").await;
}

#[tokio::test]
async fn the_kit_catches_taint_that_is_ignored() {
    check(Flaw::IgnoresTaint, "a_conflict_taints_its_streams").await;
}

#[tokio::test]
async fn the_kit_catches_taint_that_is_not_passed_on() {
    check(Flaw::PassesNoTaintOn, "taint_is_passed_on").await;
}

#[tokio::test]
async fn the_kit_catches_repeats_that_do_not_taint() {
    check(Flaw::RepeatsDoNotTaint, "a_known_append_id_taints").await;
}

#[tokio::test]
async fn the_kit_catches_append_ids_that_are_forgotten() {
    check(Flaw::ForgetsAppendIds, "a_known_append_id_taints").await;
}

#[tokio::test]
async fn the_kit_catches_versions_that_are_compared_before_the_append_id() {
    check(Flaw::ComparesVersionsFirst, "the_append_id_is_looked_up_before_taint_and_versions").await;
}

#[tokio::test]
async fn the_kit_catches_append_ids_that_are_cut_short() {
    check(Flaw::CutsAppendIdsShort, "append_ids_that_start_alike_are_not_the_same").await;
}

#[tokio::test]
async fn the_kit_catches_answers_in_another_order() {
    check(Flaw::SortsLoads, "streams_are_loaded_in_the_order_asked_for").await;
}

#[tokio::test]
async fn the_kit_catches_pages_that_split_a_group() {
    check(Flaw::SplitsPages, "a_page_never_splits_a_group").await;
}

#[tokio::test]
async fn the_kit_catches_a_log_with_a_gap() {
    check(Flaw::LeavesAGap, "versions_count_from_one").await;
}

#[tokio::test(start_paused = true)]
async fn the_kit_catches_hints_that_never_come() {
    check(Flaw::NeverWakes, "an_append_is_seen_by_whoever_waits").await;
}

#[tokio::test]
async fn the_kit_catches_lookups_that_leave_something() {
    check(Flaw::LookupsAreRemembered, "a_lookup_leaves_nothing").await;
}

#[tokio::test]
async fn the_kit_catches_streams_that_are_cut_short() {
    check(Flaw::CutsStreamsShort, "pages_add_up_to_the_stream").await;
}

#[tokio::test]
async fn the_kit_catches_histories_that_start_before_their_snapshot() {
    check(Flaw::FoldsSnapshotsTwice, "a_snapshot_shortens_the_history").await;
}

#[tokio::test]
async fn the_kit_catches_a_past_that_knows_the_future() {
    check(Flaw::KnowsTheFuture, "a_stream_can_be_seen_as_it_was").await;
}

/// Runs the kit on a store with `flaw`, which has to fail at the check named `caught_by`.
async fn check(flaw: Flaw, caught_by: &str) {
    let kit = tokio::spawn(check_event_store(async move || Arc::new(FlawedStore::new(flaw))));
    let panic = kit.await.expect_err("the kit passes a store that is wrong").into_panic();
    let message = text(panic.as_ref());
    assert!(message.starts_with(&format!("{caught_by}: ")), "caught elsewhere: {message}");
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map_or("", String::as_str)
}

/// What a store may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    ComparesNoVersions,
    SplitsGroups,
    SkipsGroupsWithoutEvents,
    IgnoresTaint,
    PassesNoTaintOn,
    RepeatsDoNotTaint,
    ForgetsAppendIds,
    ComparesVersionsFirst,
    CutsAppendIdsShort,
    SortsLoads,
    SplitsPages,
    LeavesAGap,
    NeverWakes,
    LookupsAreRemembered,
    CutsStreamsShort,
    FoldsSnapshotsTwice,
    KnowsTheFuture,
}

/// The reference store with one flaw.
struct FlawedStore {
    inner: InMemoryEventStore,
    flaw: Flaw,
    silence: watch::Sender<Position>,
    known_ids: Mutex<HashSet<[u8; 16]>>,
}

impl FlawedStore {
    fn new(flaw: Flaw) -> Self {
        let silence = watch::Sender::new(Position::START);
        Self { inner: InMemoryEventStore::shared(), flaw, silence, known_ids: Mutex::default() }
    }

    async fn version(&self, stream: StreamId) -> Result<u64, StoreError> {
        Ok(self.inner.load(vec![stream]).await?[0].version)
    }

    async fn append_alone(&self, group: AppendGroup) -> Result<AppendOutcome, StoreError> {
        Ok(self.inner.append(Arc::new(vec![group])).await?.remove(0))
    }

    /// Appends one group, and gets it wrong.
    async fn append_one(
        &self,
        mut group: AppendGroup,
        tainted: &mut HashSet<StreamId>,
    ) -> Result<AppendOutcome, StoreError> {
        let flaw = self.flaw;
        match flaw {
            Flaw::ComparesNoVersions => {
                for part in &mut group.streams {
                    part.expected = ExpectedVersion::of(self.version(part.stream).await?);
                }
            }
            Flaw::SplitsGroups => {
                let last = group.streams.split_off(group.streams.len() - 1);
                for part in std::mem::replace(&mut group.streams, last) {
                    let alone = AppendGroup { key: None, streams: vec![part], ..group.clone() };
                    self.append_alone(alone).await?;
                }
            }
            Flaw::SkipsGroupsWithoutEvents if group.event_count() == 0 && group.key.is_none() => {
                return Ok(AppendOutcome::Appended { position: None });
            }
            Flaw::ForgetsAppendIds => group.key = None,
            Flaw::LookupsAreRemembered => {
                if let Some(key) = &mut group.key {
                    key.result.get_or_insert_default();
                }
            }
            Flaw::ComparesVersionsFirst => {
                for part in &group.streams {
                    let actual = self.version(part.stream).await?;
                    if actual != part.expected.version() {
                        tainted.extend(group.streams.iter().map(|part| part.stream));
                        return Ok(AppendOutcome::Conflict { stream: part.stream, actual });
                    }
                }
            }
            Flaw::CutsAppendIdsShort => {
                if let Some(key) = &mut group.key {
                    key.append_id[8..].fill(0);
                }
            }
            _ => (),
        }
        let streams: Vec<_> = group.streams.iter().map(|part| part.stream).collect();
        let append_id = group.key.as_ref().map(|key| key.append_id);
        let is_known = append_id.is_some_and(|id| self.known_ids.lock().unwrap().contains(&id));
        if flaw != Flaw::IgnoresTaint
            && !is_known
            && let Some(stream) = streams.iter().find(|stream| tainted.contains(stream)).copied()
        {
            if flaw != Flaw::PassesNoTaintOn {
                tainted.extend(streams);
            }
            return Ok(AppendOutcome::Tainted { stream });
        }
        let outcome = self.append_alone(group).await?;
        let taints = match outcome {
            AppendOutcome::Appended { .. } => false,
            AppendOutcome::Repeated { .. } => flaw != Flaw::RepeatsDoNotTaint,
            _ => true,
        };
        if taints {
            tainted.extend(streams);
        } else {
            self.known_ids.lock().unwrap().extend(append_id);
        }
        Ok(outcome)
    }
}

#[async_trait]
impl EventStore for FlawedStore {
    async fn append(&self, batch: Arc<Vec<AppendGroup>>) -> Result<Vec<AppendOutcome>, StoreError> {
        let right = [
            Flaw::SortsLoads,
            Flaw::SplitsPages,
            Flaw::LeavesAGap,
            Flaw::NeverWakes,
            Flaw::CutsStreamsShort,
            Flaw::FoldsSnapshotsTwice,
            Flaw::KnowsTheFuture,
        ];
        if right.contains(&self.flaw) {
            return self.inner.append(batch).await;
        }
        let (mut outcomes, mut tainted) = (Vec::new(), HashSet::new());
        for group in batch.iter() {
            outcomes.push(self.append_one(group.clone(), &mut tainted).await?);
        }
        Ok(outcomes)
    }

    async fn load(&self, mut streams: Vec<StreamId>) -> Result<Vec<LoadedStream>, StoreError> {
        if self.flaw == Flaw::SortsLoads {
            streams.sort_unstable();
        }
        let mut loaded = self.inner.load(streams.clone()).await?;
        if self.flaw == Flaw::FoldsSnapshotsTwice {
            for (loaded, stream) in loaded.iter_mut().zip(streams) {
                let past = self.inner.stream_page(stream, 0, usize::MAX).await?.into_iter();
                loaded.events = past.map(|one| PastEvent { event: one.event, recorded_at: one.recorded_at }).collect();
            }
        }
        Ok(loaded)
    }

    async fn keep_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<(), StoreError> {
        self.inner.keep_snapshots(snapshots).await
    }

    fn is_exclusive(&self) -> bool {
        false
    }
}

#[async_trait]
impl EventHistory for FlawedStore {
    async fn stream_page(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let limit = if self.flaw == Flaw::CutsStreamsShort { limit.min(100) } else { limit };
        self.inner.stream_page(stream, after, limit).await
    }

    async fn load_at(&self, stock_id: StockId, at: Timestamp) -> Result<LoadedStream, StoreError> {
        let later = i64::from(self.flaw == Flaw::KnowsTheFuture);
        self.inner.load_at(stock_id, Timestamp::from_millis(at.millis().saturating_add(later))).await
    }
}

#[async_trait]
impl EventLog for FlawedStore {
    async fn read(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut page = self.inner.read(after, limit).await?;
        match self.flaw {
            Flaw::SplitsPages => page.truncate(limit),
            Flaw::LeavesAGap => page.retain(|event| event.position != Position(2)),
            _ => (),
        }
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.inner.head().await
    }

    fn appended(&self) -> watch::Receiver<Position> {
        match self.flaw {
            Flaw::NeverWakes => self.silence.subscribe(),
            _ => self.inner.appended(),
        }
    }
}
