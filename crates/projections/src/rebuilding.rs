//! Makes read models anew: new tables are filled from the log's start beside those that serve, and take their place.

use std::time::Duration;

use inventory_application::Position;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::following::{LogPage, RETRY_DELAY_MIN};
use crate::projection::ProjectionError;
use crate::runner_status::Rebuild;
use crate::shared::Shared;
use crate::sqlite_read_models::SqliteReadModels;

/// How often in a row a page may fail before it is all given up.
const TRIES_MAX: u32 = 8;

impl Shared {
    /// Makes anew what is asked for, one after the other.
    pub(crate) async fn rebuild_what_is_asked(&self, mut asked: mpsc::Receiver<Vec<usize>>) {
        while let Some(places) = asked.recv().await {
            let outcome = match self.rebuild(&places).await {
                Ok(position) => Rebuild::Done { position },
                Err(reason) => {
                    let cleared = self.in_turn(SqliteReadModels::clear_leftovers).await;
                    let also = cleared.err().map(|error| format!("; {error}")).unwrap_or_default();
                    Rebuild::Failed { reason: format!("{reason}{also}") }
                }
            };
            {
                let mut status = self.status();
                places.into_iter().for_each(|place| status.projections[place].rebuild = Some(outcome.clone()));
            }
            self.intervene();
        }
        std::future::pending::<()>().await; // Nobody can ask any more.
    }

    /// Fills new tables up to the end of the log, and swaps; returns where they were then.
    async fn rebuild(&self, places: &[usize]) -> Result<Position, String> {
        let begin = places.to_vec();
        self.in_turn(move |models| models.begin_rebuild(&begin)).await?;
        let events_max = self.settings.catch_up_page_events_max;
        let mut page = self.read_insisting(Position::START).await?;
        while let Some(last) = page.events.last().map(|event| event.position) {
            // The next page is read while this one is applied.
            let (applied, next) = tokio::join!(self.fill_insisting(&page), self.read_insisting(last));
            applied?;
            self.note_rebuilt(places, last);
            let was_full = page.events.len() >= events_max;
            page = next?;
            if !was_full && page.events.len() < events_max {
                break; // Where the log grows there is always a bit more; the rest comes with the swap.
            }
        }
        let position = self.swap(places, page).await?;
        self.in_turn(SqliteReadModels::clear_leftovers).await?;
        Ok(position)
    }

    /// In one turn, so that nobody moves meanwhile: applies what is missing up to where the present tables are, and swaps.
    async fn swap(&self, places: &[usize], mut page: LogPage) -> Result<Position, String> {
        let _turn = self.turn.lock().await;
        let furthest = {
            let status = self.status();
            places.iter().map(|place| status.projections[*place].checkpoint).max().unwrap_or_default()
        };
        let mut position = page.after;
        loop {
            if let Some(last) = page.events.last().map(|event| event.position) {
                self.fill(&page).await.map_err(|error| error.to_string())?;
                position = last;
            }
            if position >= furthest {
                break;
            }
            page = self.read_insisting(position).await?;
            if page.events.is_empty() {
                return Err(format!("the log ends at {position}, but what serves has events up to {furthest}"));
            }
        }
        self.blocking(SqliteReadModels::swap).await?.map_err(|error| error.to_string())?;
        {
            let mut status = self.status();
            for place in places {
                let one = &mut status.projections[*place];
                (one.checkpoint, one.stopped, one.oldest_unapplied) = (position, None, None);
            }
        }
        self.tell_rebuilt();
        self.intervene();
        Ok(position)
    }

    fn note_rebuilt(&self, places: &[usize], position: Position) {
        let mut status = self.status();
        status.head = status.head.max(position);
        places.iter().for_each(|place| status.projections[*place].rebuild = Some(Rebuild::Running { position }));
    }

    async fn read_insisting(&self, after: Position) -> Result<LogPage, String> {
        let mut retry_delay = RETRY_DELAY_MIN;
        for _ in 1..TRIES_MAX {
            if let Ok(page) = self.read(after, self.settings.catch_up_page_events_max).await {
                return Ok(page);
            }
            retry_delay = self.after(retry_delay).await;
        }
        self.read(after, self.settings.catch_up_page_events_max).await
    }

    async fn fill_insisting(&self, page: &LogPage) -> Result<(), String> {
        let mut retry_delay = RETRY_DELAY_MIN;
        for _ in 1..TRIES_MAX {
            let turn = self.turn.lock().await;
            match self.fill(page).await {
                Ok(()) => return Ok(()),
                Err(ProjectionError::Unavailable(_)) => (),
                Err(error @ (ProjectionError::Inapplicable { .. } | ProjectionError::OwnershipLost(_))) => {
                    return Err(error.to_string());
                }
            }
            drop(turn);
            retry_delay = self.after(retry_delay).await;
        }
        let _turn = self.turn.lock().await;
        self.fill(page).await.map_err(|error| error.to_string())
    }

    /// Waits, and returns how long to wait the next time.
    async fn after(&self, retry_delay: Duration) -> Duration {
        sleep(retry_delay).await;
        self.longer(retry_delay)
    }

    /// Applies a page to the new tables; the caller has the turn.
    async fn fill(&self, page: &LogPage) -> Result<(), ProjectionError> {
        let events = std::sync::Arc::clone(&page.events);
        let filled = self.blocking(move |models| models.fill(&events)).await;
        self.keep_log_short();
        filled.unwrap_or_else(|panic| Err(rusqlite::Error::ToSqlConversionFailure(panic.into()).into()))
    }

    async fn in_turn(
        &self,
        work: impl FnOnce(&SqliteReadModels) -> Result<(), ProjectionError> + Send + 'static,
    ) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.blocking(work).await?.map_err(|error| error.to_string())
    }
}
