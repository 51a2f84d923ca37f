//! Tables that are made anew beside those that serve.

use inventory_application::Position;
use inventory_application::ports::RecordedEvent;
use rusqlite::TransactionBehavior;

use super::{SqliteReadModels, Writer};
use crate::model::{self, Model};
use crate::page::Page;
use crate::projection::ProjectionError;

impl SqliteReadModels {
    /// Makes empty tables for the projections at these places; what an earlier rebuild has left is gone then.
    pub(crate) fn begin_rebuild(&self, places: &[usize]) -> Result<(), ProjectionError> {
        self.clear_leftovers()?;
        let mut writer = self.writer();
        let Writer { connection, served, fresh } = &mut *writer;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let begun = places.iter().map(|place| Ok((*place, served[*place].begin_anew(&transaction)?)));
        let begun: Vec<(usize, Model)> = begun.collect::<Result<_, ProjectionError>>()?;
        transaction.commit()?;
        *fresh = begun;
        Ok(())
    }

    /// Applies a page to the new tables, which are all equally far, in one transaction.
    pub(crate) fn fill(&self, events: &[RecordedEvent]) -> Result<(), ProjectionError> {
        let mut writer = self.writer();
        let Writer { connection, fresh, .. } = &mut *writer;
        let Some(to) = events.last().map(|event| event.position) else { return Ok(()) };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let page = Page::new(events);
        fresh.iter().try_for_each(|(_, model)| model.apply(&transaction, &page, to))?;
        transaction.commit()?;
        fresh.iter_mut().for_each(|(_, model)| model.moved_to(to));
        Ok(())
    }

    /// Puts all new tables in their places, in one transaction with their checkpoints and epochs. Those that served until then
    /// are left over.
    pub(crate) fn swap(&self) -> Result<(), ProjectionError> {
        let mut writer = self.writer();
        let Writer { connection, served, fresh } = &mut *writer;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut swapped = Vec::with_capacity(fresh.len());
        for (place, new) in &*fresh {
            swapped.push((*place, served[*place].replaced_by(new, &transaction)?));
        }
        transaction.commit()?;
        swapped.into_iter().for_each(|(place, model)| served[place] = model);
        fresh.clear();
        Ok(())
    }

    /// Clears away new tables that never got to serve, and old ones that don't any more.
    pub(crate) fn clear_leftovers(&self) -> Result<(), ProjectionError> {
        let mut writer = self.writer();
        writer.fresh.clear();
        Ok(model::clear_leftovers(&writer.connection)?)
    }

    /// How far the projection at this place is by the file.
    pub(crate) fn look_up_checkpoint(&self, place: usize) -> rusqlite::Result<Position> {
        let mut writer = self.writer();
        let Writer { connection, served, .. } = &mut *writer;
        served[place].look_up(connection)
    }
}
