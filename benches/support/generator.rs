//! Sends requests over keep-alive connections, and measures how long each one took.
//!
//! An open-loop load has a timetable: the n-th request is due n / rate after the start, whoever is still waiting. Its latency
//! counts from then, so that a server that stalls is charged with all who came meanwhile, also with those who found no
//! connection free. A closed loop, in which each connection sends when it has been answered, finds how much is possible;
//! it can't tell how long people wait, because it stops asking while the server stalls.
//!
//! One thread, `mio` and `httparse`: the generator has to be cheap, because it shares the cores with what it measures.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};
use thiserror::Error;

use alarm::Alarm;
pub use answer::BadAnswer;
use connection::{Answered, Connection};

mod alarm;
mod answer;
mod connection;
#[cfg(test)]
mod tests;

/// What is sent, one request after the other.
pub trait Requests {
    /// Writes the next request, all of its bytes, behind what is in `bytes`.
    fn write_next(&mut self, bytes: &mut Vec<u8>);

    /// Whether an answer of status 200 has to be looked through for commands that were refused.
    fn are_batches(&self) -> bool {
        false
    }
}

/// When a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as a connection has got its answer: closed-loop.
    WhenAnswered,
    /// So many a second, on the clock: open-loop.
    PerSecond(f64),
}

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time; what is due by then is still sent and waited for.
    Elapsed(Duration),
    /// When so many requests are answered.
    Answered(u64),
}

/// A load on one server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// How many requests are on their way at most.
    pub connections: usize,
    /// When they are sent.
    pub pace: Pace,
    /// How long.
    pub until: Until,
}

/// What came of a load.
#[derive(Debug)]
pub struct Outcome {
    /// Answers with a status of 2xx, and no refused command in them.
    pub granted: u64,
    /// Other answers.
    pub refused: u64,
    /// How one of the others began.
    pub refusal: Option<String>,
    /// From the start to the last answer.
    pub took: Duration,
    /// Microseconds from when each request was due.
    pub latency: Histogram<u64>,
    /// Microseconds from when each request was sent. This is what a closed-loop tool reports; what waited for a connection
    /// is missing in it.
    pub latency_since_sent: Histogram<u64>,
}

impl Outcome {
    /// Granted answers a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "nobody counts 2^53 answers")]
    pub fn granted_per_second(&self) -> f64 {
        self.granted as f64 / self.took.as_secs_f64()
    }
}

/// Why a load has no outcome.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A connection broke, or couldn't be made.
    #[error("the connection to {address} is broken")]
    Broken {
        /// The server.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The server has sent what is no HTTP answer.
    #[error("{address} has answered with something else than HTTP")]
    BadAnswer {
        /// The server.
        address: SocketAddr,
        /// What is wrong with it.
        #[source]
        cause: BadAnswer,
    },
    /// So much was due, and no answer came for so long.
    #[error("{address} has answered nothing for {} s", PATIENCE.as_secs())]
    Silent {
        /// The server.
        address: SocketAddr,
    },
    /// The system refuses what the generator needs.
    #[error("the load generator can't run")]
    System(#[from] io::Error),
}

/// How long the generator waits for the next answer: a batch has been seen to take a minute and a half on a machine that was busy
/// with other things.
const PATIENCE: Duration = Duration::from_secs(300);
/// Answers that one look at the connections brings, at most.
const EVENTS_MAX: usize = 1024;
/// The longest latency that is told from longer ones.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// The token of the alarm; connections have their numbers.
const ALARM: Token = Token(usize::MAX);

/// Runs a load to its end.
///
/// # Errors
///
/// [`LoadError`] when the server stops answering properly; an answer that says no is counted as refused and is no error.
///
/// # Panics
///
/// When the load has no connection.
pub fn run(load: Load, requests: &mut dyn Requests) -> Result<Outcome, LoadError> {
    assert!(load.connections > 0, "a load needs a connection");
    let mut poll = Poll::new()?;
    let mut alarm = Alarm::new(poll.registry(), ALARM)?;
    let broken = |cause| LoadError::Broken { address: load.address, cause };
    let mut connections = (0..load.connections)
        .map(|number| Connection::open(load.address, poll.registry(), Token(number), requests.are_batches()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(broken)?;
    let mut free: VecDeque<usize> = (0..load.connections).collect();
    let mut timetable = Timetable::new(load.pace, load.until);
    let mut outcome = Outcome::new();
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut last_answer = timetable.start;
    loop {
        let mut now = Instant::now();
        while let Some(&number) = free.front() {
            let Some(due) = timetable.take_due(now) else { break };
            free.pop_front();
            connections[number].send(due, now, |bytes| requests.write_next(bytes)).map_err(broken)?;
            now = Instant::now();
        }
        if free.len() == connections.len() && timetable.is_over(now) {
            break;
        }
        if now.duration_since(last_answer) > PATIENCE && free.len() < connections.len() {
            return Err(LoadError::Silent { address: load.address });
        }
        let wake_at = if free.is_empty() { None } else { timetable.next_due() };
        alarm.wait(&mut poll, &mut events, wake_at, PATIENCE)?;
        let now = Instant::now();
        for event in &events {
            let Some(connection) = connections.get_mut(event.token().0) else { continue }; // The alarm.
            match connection.go_on() {
                Ok(Some(answered)) => {
                    outcome.record(&answered, now);
                    free.push_back(event.token().0);
                    last_answer = now;
                }
                Ok(None) => (),
                Err(connection::Failure::Broken(cause)) => return Err(broken(cause)),
                Err(connection::Failure::BadAnswer(cause)) => {
                    return Err(LoadError::BadAnswer { address: load.address, cause });
                }
            }
        }
    }
    outcome.took = last_answer.duration_since(timetable.start);
    Ok(outcome)
}

impl Outcome {
    fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("the bounds are in order");
        Self {
            granted: 0,
            refused: 0,
            refusal: None,
            took: Duration::ZERO,
            latency: histogram(),
            latency_since_sent: histogram(),
        }
    }

    fn record(&mut self, answered: &Answered, now: Instant) {
        match &answered.refusal {
            None => self.granted += 1,
            Some(refusal) => {
                self.refused += 1;
                self.refusal.get_or_insert_with(|| refusal.clone());
            }
        }
        self.latency.saturating_record(micros(now.saturating_duration_since(answered.due)));
        self.latency_since_sent.saturating_record(micros(now.saturating_duration_since(answered.sent)));
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

/// When each request is due.
struct Timetable {
    start: Instant,
    pace: Pace,
    until: Until,
    taken: u64,
}

impl Timetable {
    fn new(pace: Pace, until: Until) -> Self {
        Self { start: Instant::now(), pace, until, taken: 0 }
    }

    /// When the next request is due; `None` when there is none any more, or it is due at once.
    #[allow(clippy::cast_precision_loss, reason = "nobody sends 2^53 requests")]
    fn next_due(&self) -> Option<Instant> {
        let Pace::PerSecond(rate) = self.pace else { return None };
        let due = self.start + Duration::from_secs_f64(self.taken as f64 / rate);
        self.has_next(due).then_some(due)
    }

    fn has_next(&self, due: Instant) -> bool {
        match self.until {
            Until::Elapsed(time) => due < self.start + time,
            Until::Answered(count) => self.taken < count,
        }
    }

    /// Takes the next request from the timetable if it is due at `now`, and says since when.
    fn take_due(&mut self, now: Instant) -> Option<Instant> {
        let due = match self.pace {
            Pace::WhenAnswered => self.has_next(now).then_some(now),
            Pace::PerSecond(_) => self.next_due().filter(|due| *due <= now),
        }?;
        self.taken += 1;
        Some(due)
    }

    /// Whether nothing is left to be sent.
    fn is_over(&self, now: Instant) -> bool {
        match self.pace {
            Pace::WhenAnswered => !self.has_next(now),
            Pace::PerSecond(_) => self.next_due().is_none(),
        }
    }
}
