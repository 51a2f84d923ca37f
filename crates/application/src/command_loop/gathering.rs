//! What has to be read before it can be decided on, and who waits for it. Reads run off the loop, many streams in one.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::CommandLoopPorts;
use super::deciding::Need;
use super::request::CommandError;
use super::waiting::{Recalled, Unit};
use crate::StreamId;
use crate::ports::{CommandObserver, EventStore, LoadedStream, ReservationViews, StoreError};

/// How long a read side that is behind is given before it is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// Units that wait for something to be read.
pub(super) struct Gathering {
    store: Arc<dyn EventStore>,
    reservations: Arc<dyn ReservationViews>,
    observer: Arc<dyn CommandObserver>,
    reads_max: usize,
    /// Units by one of the streams that they wait for, oldest first.
    parked: BTreeMap<StreamId, VecDeque<Unit>>,
    /// Streams that have to be read, with how long to wait before.
    to_load: Vec<(StreamId, Duration)>,
    /// Streams that have to be read, or are being read.
    wanted: HashSet<StreamId>,
    to_recall: VecDeque<(Unit, Vec<Need>)>,
    reads: JoinSet<Read>,
}

/// What came of a read.
enum Read {
    Streams(Vec<StreamId>, Result<Vec<LoadedStream>, StoreError>),
    Reservations(Unit, Result<(), CommandError>),
}

/// What can go on.
pub(super) struct Gathered {
    pub(super) streams: Vec<(StreamId, LoadedStream)>,
    pub(super) units: Vec<Unit>,
}

impl Gathering {
    pub(super) fn new(ports: &CommandLoopPorts, reads_max: usize) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            reservations: Arc::clone(&ports.reservations),
            observer: Arc::clone(&ports.observer),
            reads_max,
            parked: BTreeMap::new(),
            to_load: Vec::new(),
            wanted: HashSet::new(),
            to_recall: VecDeque::new(),
            reads: JoinSet::new(),
        }
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.to_load.is_empty() && self.to_recall.is_empty()
    }

    /// Has `needs` read for `unit`, after `delay`. Streams come first; what the read side knows is asked once they are there.
    pub(super) fn park(&mut self, unit: Unit, needs: Vec<Need>, delay: Duration) {
        let mut first = None;
        for need in &needs {
            if let Need::Stream(stream) = need {
                first.get_or_insert(*stream);
                if self.wanted.insert(*stream) {
                    self.to_load.push((*stream, delay));
                }
            }
        }
        match first {
            Some(stream) => self.parked.entry(stream).or_default().push_back(unit),
            None => self.to_recall.push_back((unit, needs)),
        }
    }

    /// Starts what is to be read, all streams in one read, as far as there is room for more reads.
    pub(super) fn start(&mut self) {
        if !self.to_load.is_empty() && self.reads.len() < self.reads_max {
            let delay = self.to_load.iter().map(|(_, delay)| *delay).max().unwrap_or_default();
            let streams: Vec<StreamId> = self.to_load.drain(..).map(|(stream, _)| stream).collect();
            let store = Arc::clone(&self.store);
            self.reads.spawn(async move {
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                let wanted = streams.clone();
                let result = match tokio::spawn(async move { store.load(wanted).await }).await {
                    Ok(result) => result,
                    Err(panicked) => Err(StoreError::Unavailable(Box::new(panicked))),
                };
                Read::Streams(streams, result)
            });
        }
        while self.reads.len() < self.reads_max
            && let Some((unit, needs)) = self.to_recall.pop_front()
        {
            self.reads.spawn(recall(Arc::clone(&self.reservations), unit, needs));
        }
    }

    /// Waits for the next read to end; what can't be read is told to those who wait for it. Forever, when nothing is read.
    pub(super) async fn next(&mut self) -> Gathered {
        let nothing = Gathered { streams: Vec::new(), units: Vec::new() };
        match self.reads.join_next().await {
            None => nothing,
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()), // It catches what an adapter does.
            Some(Ok(Read::Reservations(unit, Ok(())))) => Gathered { units: vec![unit], ..nothing },
            Some(Ok(Read::Reservations(unit, Err(error)))) => {
                unit.refuse(&error, &*self.observer);
                nothing
            }
            Some(Ok(Read::Streams(streams, result))) => {
                for stream in &streams {
                    self.wanted.remove(stream);
                }
                let waiting = streams.iter().filter_map(|stream| self.parked.remove(stream)).flatten();
                let units: Vec<Unit> = waiting.collect();
                match result {
                    Ok(histories) => Gathered { streams: streams.into_iter().zip(histories).collect(), units },
                    Err(error) => {
                        let error = CommandError::Store(Arc::new(error));
                        units.into_iter().for_each(|unit| unit.refuse(&error, &*self.observer));
                        nothing
                    }
                }
            }
        }
    }
}

/// Asks the read side about the reservations in `needs`, until it is as far as they want or the unit's time is over.
async fn recall(reservations: Arc<dyn ReservationViews>, mut unit: Unit, needs: Vec<Need>) -> Read {
    let deadline = unit.all().iter().map(|waiting| waiting.deadline).min().unwrap_or_else(Instant::now);
    for need in needs {
        let Need::Reservation(stock_id, id, version) = need else { continue };
        let recalled = loop {
            match reservations.recall(stock_id, id).await {
                Ok(recalled) if recalled.version >= version => break recalled,
                Ok(_) if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
                Ok(_) | Err(_) => return Read::Reservations(unit, Err(CommandError::PastUnknown)),
            }
        };
        for waiting in unit.all_mut() {
            let ask = &waiting.request.ask;
            if ask.stream() == stock_id.into() && ask.reservation_id() == Some(id) {
                waiting.recalled = Some(Recalled { version: recalled.version, closing: recalled.closing });
            }
        }
    }
    Read::Reservations(unit, Ok(()))
}
