//! A store and the model, side by side.

use std::marker::PhantomData;
use std::sync::Arc;

use inventory_application::Position;
use inventory_application::ports::{
    EventHistory, EventLog, EventStore, LoadedStream, PastEvent, RecordedEvent, Snapshot,
};
use inventory_application::testing::ManualClock;
use inventory_domain::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::{BoxedStrategy, Just};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::model::{Model, STREAMS, stock, stream};
use super::operation::{Operation, operation};

/// All ports of one store.
pub struct Ports {
    pub events: Arc<dyn EventStore>,
    pub log: Arc<dyn EventLog>,
    pub history: Arc<dyn EventHistory>,
}

impl<S: EventStore + EventLog + EventHistory + 'static> From<Arc<S>> for Ports {
    fn from(store: Arc<S>) -> Self {
        Self { events: store.clone(), log: store.clone(), history: store }
    }
}

/// A kind of store.
pub trait Backend: Default + 'static {
    /// Opens the store in this folder. It is dropped before it is opened again.
    fn open(&mut self, folder: &TempDir, clock: Arc<ManualClock>) -> Ports;
}

/// Checks that a store answers as the model does in at least `cases` runs; `PROPTEST_CASES` asks for another number.
#[track_caller]
pub fn holds<B: Backend>(cases: u32) {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config { source_file: Some(file!()), ..Config::default() };
    let config = Config { cases: if asked { default.cases } else { cases }, max_shrink_iters: 2_000, ..default };
    if let Err(error) = run::<B>(TestRunner::new(config)) {
        panic!("{error}");
    }
}

/// Checks that a store does not answer as the model does, and that this is noticed by what the message says.
#[track_caller]
pub fn fails<B: Backend>(noticed_by: &str) {
    let config = Config { cases: 200, max_shrink_iters: 1, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    match run::<B>(TestRunner::new_with_rng(config, rng)) {
        Err(TestError::Fail(reason, _)) if reason.message().contains(noticed_by) => (),
        Err(TestError::Fail(reason, _)) => panic!("noticed elsewhere: {reason}"),
        other => panic!("a store that is wrong passes: {other:?}"),
    }
}

#[allow(clippy::result_large_err, reason = "the error is the failing case, and there is one")]
fn run<B: Backend>(mut runner: TestRunner) -> Result<(), TestError<impl std::fmt::Debug>> {
    let config = runner.config().clone();
    runner.run(&Operations::sequential_strategy(1..40), |(model, operations, seen)| {
        Machine::<B>::test_sequential(config.clone(), model, operations, seen);
        Ok(())
    })
}

struct Operations;

impl ReferenceStateMachine for Operations {
    type State = Model;
    type Transition = Operation;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Operation> {
        operation().boxed()
    }

    fn apply(mut model: Model, operation: &Operation) -> Model {
        match operation {
            Operation::Append(plans) => model.append(plans),
            Operation::KeepSnapshot { stock: number, version } => {
                if let Some(version) = nth(*version, model.version(stock(*number).into())) {
                    model.snapshots.insert((stock(*number).into(), version));
                }
            }
            Operation::Wait { minutes } => {
                model.clock = Timestamp::from_millis(model.clock.millis() + minutes * 60_000);
            }
            Operation::Load(_)
            | Operation::Read { .. }
            | Operation::StreamPage { .. }
            | Operation::LoadAt { .. }
            | Operation::Reopen => (),
        }
        model
    }
}

/// One of the numbers from 1 to `count`.
fn nth(index: Index, count: u64) -> Option<u64> {
    let count = usize::try_from(count).unwrap();
    (count > 0).then(|| index.index(count) as u64 + 1)
}

struct Machine<B>(PhantomData<B>);

/// A store at work.
struct Subject<B> {
    backend: B,
    store: Option<Ports>,
    clock: Arc<ManualClock>,
    runtime: Runtime,
    folder: TempDir,
}

impl<B: Backend> Subject<B> {
    fn store(&self) -> &Ports {
        self.store.as_ref().unwrap()
    }

    fn page(&self, after: usize, limit: usize) -> Vec<RecordedEvent> {
        self.runtime.block_on(self.store().log.read(Position(after as u64), limit)).unwrap()
    }

    fn load(&self, numbers: &[usize], model: &Model) {
        let streams: Vec<_> = numbers.iter().map(|number| stream(*number)).collect();
        let all = self.runtime.block_on(self.store().events.load(streams.clone())).unwrap();
        assert_eq!(all.len(), streams.len(), "there is one answer for each stream");
        for (loaded, stream) in all.iter().zip(streams) {
            let events: Vec<_> = model.of(stream).collect();
            compare(loaded, &events, model, "the stream");
        }
    }
}

/// Compares what was loaded with all that it ought to be folded from.
#[track_caller]
fn compare(loaded: &LoadedStream, events: &[&RecordedEvent], model: &Model, what: &str) {
    let last = events.last().map_or(Position::START, |last| last.position);
    assert_eq!((loaded.version, loaded.position), (events.len() as u64, last), "{what}: where it is");
    let mut skipped = 0;
    if let Some(snapshot) = &loaded.snapshot {
        skipped = snapshot.version();
        assert!(skipped <= loaded.version, "{what}: a snapshot of version {skipped}");
        let stream = events[0].stream;
        assert!(model.snapshots.contains(&(stream, skipped)), "{what}: nobody has kept version {skipped}");
        assert_eq!(**snapshot, model.state(stream, skipped), "{what}: the snapshot");
    }
    let past = |event: &&&RecordedEvent| PastEvent { event: event.event.clone(), recorded_at: event.recorded_at };
    let rest: Vec<_> = events.iter().filter(|event| event.version > skipped).collect();
    assert_eq!(loaded.events, rest.iter().map(past).collect::<Vec<_>>(), "{what}: its events after {skipped}");
}

impl<B: Backend> StateMachineTest for Machine<B> {
    type SystemUnderTest = Subject<B>;
    type Reference = Operations;

    fn init_test(model: &Model) -> Subject<B> {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(model.clock)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut backend = B::default();
        let store = Some(backend.open(&folder, Arc::clone(&clock)));
        Subject { backend, store, clock, runtime, folder }
    }

    fn apply(mut subject: Subject<B>, model: &Model, operation: Operation) -> Subject<B> {
        match operation {
            Operation::Append(_) => {
                let append = subject.store().events.append(Arc::clone(&model.batch));
                assert_eq!(subject.runtime.block_on(append).unwrap(), model.outcomes, "what became of the groups");
            }
            Operation::Load(numbers) => subject.load(&numbers, model),
            Operation::Read { after, limit } => {
                let after = after.index(model.log.len() + 2);
                let page = subject.page(after, limit);
                let (from, end) = (after.min(model.log.len()), after.saturating_add(page.len()));
                assert_eq!(Some(page.as_slice()), model.log.get(from..end.min(model.log.len())), "a page of the log");
                assert_eq!(page.is_empty(), from == model.log.len(), "only the end of the log is an empty page");
                assert_eq!(page.last().map_or(0, |last| last.remaining), 0, "a page of the log ends with a group");
                let last_group = page.iter().skip(limit.saturating_sub(1)).position(|event| event.remaining == 0);
                assert!(last_group.is_none_or(|rest| page.len() <= limit + rest), "a page of the log is too long");
            }
            Operation::StreamPage { stream: number, after, limit } => {
                let after = after.index(usize::try_from(model.version(stream(number))).unwrap() + 2);
                let page = subject.store().history.stream_page(stream(number), after as u64, limit);
                let page = subject.runtime.block_on(page).unwrap();
                let ought: Vec<_> = model.of(stream(number)).skip(after).take(limit).cloned().collect();
                assert_eq!(page, ought, "a page of a stream");
            }
            Operation::LoadAt { stock: number, event, off_ms } => {
                let stream = stock(number).into();
                let Some(version) = nth(event, model.version(stream)) else { return subject };
                let moment = model.of(stream).nth(usize::try_from(version).unwrap() - 1).unwrap().recorded_at;
                let moment = Timestamp::from_millis(moment.millis() + off_ms);
                let loaded = subject.runtime.block_on(subject.store().history.load_at(stock(number), moment)).unwrap();
                let then: Vec<_> = model.of(stream).filter(|event| event.recorded_at <= moment).collect();
                compare(&loaded, &then, model, "the stream as it was");
            }
            Operation::KeepSnapshot { stock: number, version } => {
                let stream = stock(number).into();
                let Some(version) = nth(version, model.version(stream)) else { return subject };
                let position = model.of(stream).nth(usize::try_from(version).unwrap() - 1).unwrap().position;
                let inventory = model.state(stream, version);
                let kept = vec![Snapshot { stock_id: stock(number), position, inventory }];
                subject.runtime.block_on(subject.store().events.keep_snapshots(kept)).unwrap();
            }
            Operation::Reopen => {
                subject.store = None;
                subject.store = Some(subject.backend.open(&subject.folder, Arc::clone(&subject.clock)));
            }
            Operation::Wait { .. } => subject.clock.set(model.clock),
        }
        subject
    }

    fn check_invariants(subject: &Subject<B>, model: &Model) {
        let head = subject.runtime.block_on(subject.store().log.head()).unwrap();
        assert_eq!(head, Position(model.log.len() as u64), "where the log ends");
    }

    /// All of it once more, after it was opened anew.
    fn teardown(subject: Subject<B>, model: Model) {
        let subject = Self::apply(subject, &model, Operation::Reopen);
        let mut log = Vec::new();
        loop {
            let page = subject.page(log.len(), 5);
            if page.is_empty() {
                break;
            }
            log.extend(page);
        }
        assert_eq!(log, model.log, "the whole log");
        subject.load(&(0..STREAMS).collect::<Vec<_>>(), &model);
    }
}
