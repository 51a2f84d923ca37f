//! What an operator may ask of the projections while they run.

use std::sync::Arc;

use inventory_application::Position;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::runner_status::{Rebuild, RunnerStatus};
use crate::shared::Shared;

/// Asks the runner that it comes from.
#[derive(Clone)]
pub struct ProjectionControl {
    shared: Arc<Shared>,
    rebuilds: mpsc::Sender<Vec<usize>>,
}

/// Why what was asked isn't done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ControlError {
    /// There is no such projection.
    #[error("there is no projection {0}")]
    Unknown(String),
    /// One rebuild at a time.
    #[error("{0} is being rebuilt")]
    Rebuilding(&'static str),
    /// The runner has ended.
    #[error("the projections don't run any more")]
    Ended,
    /// The read models can't be asked.
    #[error("the read models can't be read: {0}")]
    ReadModels(String),
}

impl ProjectionControl {
    pub(crate) fn new(shared: Arc<Shared>, rebuilds: mpsc::Sender<Vec<usize>>) -> Self {
        Self { shared, rebuilds }
    }

    /// How the projections are.
    #[must_use]
    pub fn status(&self) -> RunnerStatus {
        self.shared.status_now()
    }

    /// Changes when a projection stops or goes on, and when a rebuild begins or ends.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.interventions.subscribe()
    }

    /// Has read models made anew from the log's start, all of `names` in one pass over it, while the present ones serve and
    /// follow. [`ProjectionControl::status`] shows what becomes of it.
    ///
    /// # Errors
    ///
    /// [`ControlError`] says why nothing is done.
    pub fn rebuild(&self, names: &[&str]) -> Result<(), ControlError> {
        let places = names.iter().map(|name| self.place_of(name)).collect::<Result<Vec<usize>, _>>()?;
        let mut status = self.shared.status();
        if let Some(busy) = status.projections.iter().find(|one| one.is_rebuilt_now()) {
            return Err(ControlError::Rebuilding(busy.name));
        }
        self.rebuilds.try_send(places.clone()).map_err(|_| ControlError::Ended)?;
        for place in places {
            status.projections[place].rebuild = Some(Rebuild::Running { position: Position::START });
        }
        drop(status);
        self.shared.intervene();
        Ok(())
    }

    /// Has a projection that has stopped try again where it stopped; one that hasn't goes on as it was.
    ///
    /// # Errors
    ///
    /// [`ControlError`] says why nothing is done.
    pub async fn resume(&self, name: &str) -> Result<(), ControlError> {
        let place = self.place_of(name)?;
        let _turn = self.shared.turn.lock().await;
        let checkpoint = self.shared.blocking(move |models| models.look_up_checkpoint(place)).await;
        let checkpoint = checkpoint.and_then(|found| found.map_err(|error| error.to_string()));
        let checkpoint = checkpoint.map_err(ControlError::ReadModels)?;
        {
            let mut status = self.shared.status();
            let one = &mut status.projections[place];
            (one.stopped, one.checkpoint) = (None, checkpoint);
        }
        self.shared.intervene();
        Ok(())
    }

    fn place_of(&self, name: &str) -> Result<usize, ControlError> {
        let names = self.shared.models.names();
        names.iter().position(|known| *known == name).ok_or_else(|| ControlError::Unknown(name.to_owned()))
    }
}
