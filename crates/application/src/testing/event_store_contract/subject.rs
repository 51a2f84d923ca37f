//! The store under test, and the notation in which the checks are written.
//!
//! A batch is groups between bars, a group is streams between commas, each with the version that is expected of it and
//! how many events to add: `a 0+1, b 2+0 | c 1+5`. A stream is a stock, or an order (`o.x`), or a transfer (`t.x`). An append id, a
//! request and a result come first: `id/request/result: a 0+1`; without a result the id is only looked up.
//! The answers read `at 7` (appended, and where its last event stands), `done` (appended, without events),
//! `repeated result at 7`, `reused`, `conflict a is 2` and `tainted a`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use inventory_domain::{
    DomainEvent, Inventory, OrderId, ProductId, Quantity, Reason, StockId, StoreId, Timestamp, TransferId, inventory,
    order, transfer,
};
use uuid::Uuid;

use crate::ports::{
    AppendGroup, AppendKey, AppendOutcome, EventHistory, EventLog, EventStore, ExpectedVersion, LoadedStream, Metadata,
    NewEvent, PastEvent, RecordedEvent, StreamAppend,
};
use crate::{EventId, Position, StreamId};

/// All ports of one store.
pub(super) trait Store: EventStore + EventLog + EventHistory {}

impl<S: EventStore + EventLog + EventHistory> Store for S {}

/// A store, and what it ought to contain by what it has answered so far.
pub(super) struct Subject {
    store: Arc<dyn Store>,
    ought: Mutex<Vec<RecordedEvent>>,
    is_bypassed: AtomicBool,
    counter: AtomicU64,
}

impl Subject {
    pub(super) fn new<S: Store + 'static>(store: Arc<S>) -> Self {
        Self { store, ought: Mutex::default(), is_bypassed: AtomicBool::new(false), counter: AtomicU64::new(0) }
    }

    /// Appends `batch` and compares the answers with `answers`.
    pub(super) async fn check(&self, batch: &str, answers: &str) {
        let outcomes = self.submit(self.groups(batch)).await;
        let rendered: Vec<_> = outcomes.iter().map(render).collect();
        assert_eq!(rendered.join(" | "), answers, "for the batch {batch}");
    }

    /// Appends `groups` and takes down what ought to be in the store from now on.
    pub(super) async fn submit(&self, groups: Vec<AppendGroup>) -> Vec<AppendOutcome> {
        let batch = Arc::new(groups);
        let outcomes = self.store.append(Arc::clone(&batch)).await.expect("the store takes a batch");
        assert_eq!(outcomes.len(), batch.len(), "there is one answer for each group");
        let mut ought = self.ought.lock().unwrap_or_else(PoisonError::into_inner);
        for (group, outcome) in batch.iter().zip(&outcomes) {
            if let AppendOutcome::Appended { position } = outcome {
                let added = recorded(group, ought.len() as u64);
                assert_eq!(*position, added.last().map(|last| last.position), "where the last event of a group stands");
                ought.extend(added);
            }
        }
        outcomes
    }

    /// The store itself, for what the notation can't say; what it ought to contain is no longer known.
    pub(super) fn direct(&self) -> Arc<dyn Store> {
        self.is_bypassed.store(true, Ordering::SeqCst);
        Arc::clone(&self.store)
    }

    /// The groups that a text stands for, each with an event and a time of its own.
    pub(super) fn groups(&self, batch: &str) -> Vec<AppendGroup> {
        batch.split('|').map(|group| self.group(group.trim())).collect()
    }

    fn group(&self, text: &str) -> AppendGroup {
        let (key, streams) = match text.split_once(": ") {
            Some((key, streams)) => (Some(append_key(key)), streams),
            None => (None, text),
        };
        let number = self.next();
        AppendGroup {
            key,
            streams: streams.split(", ").map(|part| self.part(part)).collect(),
            recorded_at: Timestamp::from_millis(1_764_000_000_000 + number.cast_signed()),
            metadata: Arc::new(Metadata { request_id: Some(format!("request-{number}")), ..Metadata::default() }),
        }
    }

    fn part(&self, text: &str) -> StreamAppend {
        let (name, numbers) = text.split_once(' ').expect("a stream, a blank, what is expected");
        let (expected, added) = numbers.split_once('+').expect("what is expected, a plus, how many events");
        let (expected, added): (u64, u64) = (expected.parse().expect("a number"), added.parse().expect("a number"));
        StreamAppend {
            stream: stream(name),
            expected: ExpectedVersion::of(expected),
            events: (0..added).map(|_| self.new_event(name)).collect(),
        }
    }

    /// An event that is like no other.
    fn new_event(&self, of: &str) -> NewEvent {
        let number = self.next();
        let quantity = Quantity::new(number.cast_signed()).expect("a number from 1 on");
        let reason = Reason::new(&format!("delivery {number}")).expect("a short reason");
        let event = match stream(of) {
            StreamId::Inventory(_) => inventory::Event::StockAdded { quantity, reason }.into(),
            StreamId::Order(_) => {
                let cause = order::OrderReleaseCause::Requested(reason);
                order::Event::OrderReleased { cause }.into()
            }
            StreamId::Transfer(_) => transfer::Event::TransferReceived { quantity }.into(),
        };
        NewEvent { event_id: EventId(Uuid::from_u128(u128::from(number) << 64 | 0xe)), event }
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Loads the streams that are named in `names`, between blanks.
    pub(super) async fn load(&self, names: &str) -> Vec<LoadedStream> {
        self.load_all(names.split_whitespace().map(stream).collect()).await
    }

    async fn load_all(&self, streams: Vec<StreamId>) -> Vec<LoadedStream> {
        let count = streams.len();
        let loaded = self.store.load(streams).await.expect("the store loads streams");
        assert_eq!(loaded.len(), count, "there is one answer for each stream");
        loaded
    }

    /// One page of a stream.
    pub(super) async fn stream_page(&self, name: &str, after: u64, limit: usize) -> Vec<RecordedEvent> {
        self.store.stream_page(stream(name), after, limit).await.expect("the store reads a stream")
    }

    /// One page of the log.
    pub(super) async fn page(&self, after: u64, limit: usize) -> Vec<RecordedEvent> {
        self.store.read(Position(after), limit).await.expect("the store reads its log")
    }

    /// The whole log, in pages of about `limit` events.
    pub(super) async fn log(&self, limit: usize) -> Vec<RecordedEvent> {
        let mut log: Vec<RecordedEvent> = Vec::new();
        loop {
            let page = self.page(log.last().map_or(0, |last| last.position.0), limit).await;
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }

    /// Checks that positions and versions have no gap, that each stream is what the log says of it, and that the log is
    /// what the store's answers have promised.
    pub(super) async fn log_and_streams_agree(&self) {
        let log = self.log(1_000).await;
        let mut streams: BTreeMap<StreamId, Vec<&RecordedEvent>> = BTreeMap::new();
        for (event, position) in log.iter().zip(1..) {
            assert_eq!(event.position.0, position, "positions have no gap");
            let history = streams.entry(event.stream).or_default();
            history.push(event);
            assert_eq!(event.version, history.len() as u64, "versions have no gap at position {position}");
        }
        let (names, histories): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
        for (loaded, history) in self.load_all(names).await.iter().zip(histories) {
            assert_eq!(loaded.version, history.len() as u64, "a stream's version is the number of its events");
            assert_eq!(
                Some(loaded.position),
                history.last().map(|last| last.position),
                "where a stream's last event stands"
            );
            let skipped = loaded.snapshot.as_ref().map_or(0, |snapshot| snapshot.version());
            let history: Vec<_> = history.into_iter().filter(|event| event.version > skipped).collect();
            assert!(
                loaded.events.iter().eq(history.into_iter().map(past).collect::<Vec<_>>().iter()),
                "a stream's events"
            );
        }
        if !self.is_bypassed.load(Ordering::SeqCst) {
            let ought = self.ought.lock().unwrap_or_else(PoisonError::into_inner);
            for (event, ought) in log.iter().zip(ought.iter()) {
                assert_eq!(event, ought, "the log holds what was appended");
            }
            assert_eq!(log.len(), ought.len(), "how many events the log holds");
        }
    }
}

/// The stream with a short name, up to sixteen letters.
pub(super) fn stream(name: &str) -> StreamId {
    let uuid = Uuid::from_bytes(sixteen(name));
    match name.get(..2) {
        Some("o.") => OrderId::new(uuid).into(),
        Some("t.") => TransferId::new(uuid).into(),
        _ => stock(name).into(),
    }
}

/// The stock with a short name.
pub(super) fn stock(name: &str) -> StockId {
    StockId { product_id: ProductId::new(Uuid::from_bytes(sixteen(name))), store_id: StoreId::from_u128(0x5704e) }
}

fn name(stream: StreamId) -> String {
    let uuid = match stream {
        StreamId::Inventory(stock_id) => stock_id.product_id.uuid(),
        StreamId::Order(order_id) => order_id.uuid(),
        StreamId::Transfer(transfer_id) => transfer_id.uuid(),
    };
    String::from_utf8_lossy(&uuid.into_bytes()).trim_end_matches('\0').to_owned()
}

/// A stock's state by what was loaded of it.
pub(super) fn folded(loaded: &LoadedStream) -> Inventory {
    let start = loaded.snapshot.as_deref().cloned().unwrap_or_default();
    loaded.events.iter().fold(start, |state, past| match &past.event {
        DomainEvent::Inventory(event) => inventory::evolve(state, event, past.recorded_at),
        DomainEvent::Order(_) | DomainEvent::Transfer(_) => panic!("a stock's stream holds a stock's events"),
    })
}

fn append_key(text: &str) -> AppendKey {
    let mut parts = text.splitn(3, '/').map(str::trim);
    let mut part = || parts.next().expect("an id and a request");
    let (append_id, request_hash) = (sixteen(part()), sixteen(part()));
    AppendKey { append_id, request_hash, result: parts.next().map(Into::into) }
}

fn sixteen(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// The events of `group` as they ought to be stored behind the first `before` events of the log.
fn recorded(group: &AppendGroup, before: u64) -> Vec<RecordedEvent> {
    let (mut added, mut remaining) = (Vec::new(), group.event_count() as u64);
    for part in &group.streams {
        for (new, version) in part.events.iter().zip(part.expected.version() + 1..) {
            remaining -= 1;
            added.push(RecordedEvent {
                remaining,
                position: Position(before + added.len() as u64 + 1),
                event_id: new.event_id,
                stream: part.stream,
                version,
                recorded_at: group.recorded_at,
                event: new.event.clone(),
                metadata: Arc::clone(&group.metadata),
            });
        }
    }
    added
}

fn past(event: &RecordedEvent) -> PastEvent {
    PastEvent { event: event.event.clone(), recorded_at: event.recorded_at }
}

fn render(outcome: &AppendOutcome) -> String {
    match outcome {
        AppendOutcome::Appended { position: None } => "done".to_owned(),
        AppendOutcome::Appended { position: Some(position) } => format!("at {position}"),
        AppendOutcome::Repeated { result, position } => {
            let mut text = format!("repeated {}", String::from_utf8_lossy(result));
            if let Some(position) = position {
                let _ = write!(text, " at {position}"); // Writing to a string can't fail.
            }
            text
        }
        AppendOutcome::AppendIdReused => "reused".to_owned(),
        AppendOutcome::Conflict { stream, actual } => format!("conflict {} is {actual}", name(*stream)),
        AppendOutcome::Tainted { stream } => format!("tainted {}", name(*stream)),
    }
}
