//! The lanes: those who are about equally far follow the log together, and those who are far behind catch up beside them.

use std::sync::Arc;
use std::time::Duration;

use inventory_application::Position;
use inventory_application::ports::{AppliedPage, RecordedEvent};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::projection::ProjectionError;
use crate::shared::Shared;
use crate::sqlite_read_models::{Applied, Moved};

/// The first wait before a failed read or write is tried again; it doubles up to the setting.
pub(crate) const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

/// Who goes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those who are within a page of the furthest.
    Front,
    /// The others: new ones, and such as had stopped.
    Behind,
}

/// What a lane has to do next.
struct Work {
    after: Position,
    /// Which projections are in the lane.
    who: Vec<bool>,
}

/// A page of the log.
pub(crate) struct LogPage {
    pub(crate) after: Position,
    pub(crate) events: Arc<Vec<RecordedEvent>>,
}

/// What a step has found.
enum Progress {
    /// There is more; the next page may have been read already.
    More(Option<LogPage>),
    /// All that there was when it was read.
    Page,
    /// Nothing.
    CaughtUp,
}

impl Shared {
    /// Takes one lane along the log until it is told to stop, and finishes the page in work.
    pub(crate) async fn follow(&self, lane: Lane, mut stop: watch::Receiver<bool>) {
        let (mut hint, mut interventions) = (self.log.appended(), self.interventions.subscribe());
        let linger = Duration::from_millis(self.settings.linger_ms);
        let mut retry_delay = RETRY_DELAY_MIN;
        let (mut ahead, mut has_moved) = (None, false);
        while !*stop.borrow() {
            // Marked as seen before the log is read: what comes after the read wakes the wait below.
            let head = *hint.borrow_and_update();
            interventions.borrow_and_update();
            match self.step(lane, head, ahead.take()).await {
                Ok(progress) => {
                    retry_delay = RETRY_DELAY_MIN;
                    if lane == Lane::Behind && has_moved && matches!(progress, Progress::CaughtUp) {
                        self.intervene(); // The others take along from here who has caught up, and may be waiting for events.
                    }
                    has_moved = !matches!(progress, Progress::CaughtUp);
                    match progress {
                        Progress::More(next) => ahead = next,
                        Progress::Page => unless_stopped(&mut stop, sleep(linger)).await,
                        Progress::CaughtUp => {
                            let news = self.news(lane, &mut hint, &mut interventions);
                            unless_stopped(&mut stop, news).await;
                        }
                    }
                }
                Err(failure) => {
                    self.status().failure = Some(failure);
                    unless_stopped(&mut stop, sleep(retry_delay)).await;
                    retry_delay = self.longer(retry_delay);
                }
            }
        }
    }

    /// The wait after the next failure.
    pub(crate) fn longer(&self, retry_delay: Duration) -> Duration {
        (retry_delay * 2).min(Duration::from_millis(self.settings.retry_delay_ms_max).max(RETRY_DELAY_MIN))
    }

    /// Waits until there may be something to do.
    async fn news(&self, lane: Lane, hint: &mut watch::Receiver<Position>, interventions: &mut watch::Receiver<u64>) {
        let poll = Duration::from_millis(self.settings.poll_ms);
        let appended = async {
            match lane {
                Lane::Front => timeout(poll, hint.changed()).await,
                Lane::Behind => timeout(poll, std::future::pending()).await,
            }
        };
        tokio::select! {
            biased;
            Ok(()) = interventions.changed() => (),
            news = appended => match news {
                Ok(Ok(())) => {
                    self.status().behind_since.get_or_insert_with(Instant::now);
                    sleep(Duration::from_millis(self.settings.linger_ms)).await;
                }
                // A writer that has gone gives no more hints; polling goes on.
                Ok(Err(_)) => sleep(poll).await,
                Err(_) => (),
            },
        }
    }

    /// Applies the next page: the one that was read ahead, if it is that. Meanwhile the one after it is read.
    async fn step(&self, lane: Lane, head: Position, ahead: Option<LogPage>) -> Result<Progress, String> {
        let Some(Work { after, who }) = self.work(lane) else { return Ok(Progress::CaughtUp) };
        let events_max = match lane {
            Lane::Front => self.settings.page_events_max,
            Lane::Behind => self.settings.catch_up_page_events_max,
        };
        // An empty one was read before the hint was marked as seen: it doesn't say that there is nothing.
        let page = match ahead.filter(|page| page.after == after && !page.events.is_empty()) {
            Some(page) => page,
            None => self.read(after, events_max).await?,
        };
        let Some(last) = page.events.last().map(|event| event.position) else {
            let mut status = self.status();
            (status.head, status.behind_since, status.failure) = (status.head.max(after), None, None);
            return Ok(Progress::CaughtUp);
        };
        self.note_page(&page, head.max(last), &who);
        let is_more = page.events.len() >= events_max || last < head;
        let next = async {
            // If it fails, the next step meets the same and says so.
            if is_more { self.read(last, events_max).await.ok() } else { None }
        };
        let (applied, next) = tokio::join!(self.apply(&page, who), next);
        applied?;
        Ok(if is_more { Progress::More(next) } else { Progress::Page })
    }

    /// What there is to do for a lane: which projections go along, and from where.
    fn work(&self, lane: Lane) -> Option<Work> {
        let status = self.status();
        let running = status.projections.iter().filter(|one| one.is_running());
        let furthest = running.map(|one| one.checkpoint).max()?;
        let page = self.settings.page_events_max as u64;
        let is_far = |checkpoint: Position| checkpoint.0.saturating_add(page) < furthest.0;
        let lane_of = |checkpoint| if is_far(checkpoint) { Lane::Behind } else { Lane::Front };
        let goes_along = |one: &crate::ProjectionStatus| one.is_running() && lane_of(one.checkpoint) == lane;
        let after = status.projections.iter().filter(|one| goes_along(one)).map(|one| one.checkpoint).min()?;
        Some(Work { after, who: status.projections.iter().map(goes_along).collect() })
    }

    pub(crate) async fn read(&self, after: Position, events_max: usize) -> Result<LogPage, String> {
        let events = self.log.read(after, events_max).await.map_err(|error| error.to_string())?;
        Ok(LogPage { after, events: Arc::new(events) })
    }

    fn note_page(&self, page: &LogPage, head: Position, who: &[bool]) {
        let mut status = self.status();
        status.head = status.head.max(head);
        status.behind_since.get_or_insert_with(Instant::now);
        for (one, goes_along) in status.projections.iter_mut().zip(who) {
            if *goes_along {
                let next = page.events.get(page.events.partition_point(|event| event.position <= one.checkpoint));
                one.oldest_unapplied = next.map(|event| event.recorded_at);
            }
        }
    }

    async fn apply(&self, page: &LogPage, who: Vec<bool>) -> Result<(), String> {
        let (after, events) = (page.after, Arc::clone(&page.events));
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        let applied = self.blocking(move |models| models.apply(after, &events, &who)).await?;
        let moved = self.note_applied(page, applied.map_err(|error| error.to_string())?);
        let ended = Instant::now();
        self.keep_log_short();
        self.tell(&page.events, &moved);
        if let [first, .., last] | [first @ last] = &page.events[..]
            && !moved.is_empty()
        {
            let (first, last, events) = (first.position, last.position, page.events.len());
            self.listener.applied(&AppliedPage { first, last, events, began, ended });
        }
        Ok(())
    }

    /// Takes down what became of a page, and says who has moved.
    fn note_applied(&self, page: &LogPage, results: Vec<Applied>) -> Vec<&'static str> {
        let mut status = self.status();
        let (mut failure, mut moved) = (None, Vec::new());
        let head = status.head;
        for (one, result) in status.projections.iter_mut().zip(results) {
            match result {
                Ok(Moved { to: checkpoint, passed, applied }) if checkpoint > one.checkpoint => {
                    one.checkpoint = checkpoint;
                    one.events_passed += passed as u64;
                    one.events_applied += applied as u64;
                    // The next one isn't known yet; it is not older than the last of this page.
                    let last = page.events.last().map(|event| event.recorded_at);
                    one.oldest_unapplied = last.filter(|_| checkpoint < head);
                    moved.push(one.name);
                }
                Ok(_) => (),
                Err(error @ (ProjectionError::Inapplicable { .. } | ProjectionError::OwnershipLost(_))) => {
                    one.stopped = Some(error.to_string());
                    self.intervene();
                }
                Err(ProjectionError::Unavailable(error)) => failure = Some(error.to_string()),
            }
        }
        status.failure = failure;
        let of_running = status.projections.iter().filter(|one| one.is_running());
        if of_running.map(|one| one.checkpoint).min().is_none_or(|slowest| slowest >= status.head) {
            status.behind_since = None;
        }
        moved
    }
}

async fn unless_stopped(stop: &mut watch::Receiver<bool>, wait: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = wait => (),
        // An error means that nobody can stop it any more; it goes on until it is dropped.
        Ok(_) = stop.wait_for(|is_stopping| *is_stopping) => (),
    }
}
