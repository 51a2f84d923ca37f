//! What is on the disk of a service that has ended, proved by commands that have never seen it run.

use std::thread;
use std::time::{Duration, Instant};

use inventory_tests::RunningService;
use serde_json::Value;

use crate::answers;
use crate::ledger::Ledger;
use crate::life::{Figures, Life, PATIENCE};
use crate::log_event::LogEvent;
use crate::read_models::{applied, equal_a_fresh_replay, run};

impl Life {
    /// Waits until nothing that has run out is held any more, and the read models have all that the log has; then stops the
    /// service, and proves everything that is on the disk.
    ///
    /// # Errors
    ///
    /// What doesn't hold.
    pub(crate) fn finish(&mut self) -> Result<Figures, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let client = self.client();
            self.check()?;
            let now = jiff::Timestamp::now().as_millisecond();
            let is_all_freed = self.ledger.shop.deadlines().all(|deadline| deadline + 2_000 > now);
            let models = client.get("/admin/projections");
            let models = models.body["items"].as_array().cloned().unwrap_or_default();
            let is_there = |model: &Value| model["lag_events"] == 0 && model["state"] == "running";
            if is_all_freed && !models.is_empty() && models.iter().all(is_there) {
                self.check_histories(&client)?;
                let mut service = self.service.take().ok_or("the service is gone")?;
                service.kill(); // The read models had everything; what of it is on the disk has to do.
                if applied(&service)? == export(&service)?.len() as u64 {
                    let done = self.prove(&service);
                    self.service = Some(service);
                    return done;
                }
                self.service = Some(service.restart()); // Something has run out in the very last moment.
            }
            if Instant::now() > end {
                return Err(format!("what has run out isn't freed, or the read models don't catch up: {models:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is on the disk of a service that has ended, by commands that have never seen it run.
    ///
    /// # Errors
    ///
    /// What doesn't hold.
    pub(crate) fn prove(&mut self, service: &RunningService) -> Result<Figures, String> {
        let whole = self.exported(service)?;
        if !self.ledger.is_beginning_of(&whole) {
            return Err("the log has changed where it had been read before".into());
        }
        run(&mut service.command(&["verify"]))?;
        self.figures.rows = equal_a_fresh_replay(service)?;
        (self.figures.events, self.figures.expired) = (whole.position, whole.expired);
        Ok(self.figures)
    }

    /// All of the log, taken in anew from an export.
    fn exported(&self, service: &RunningService) -> Result<Ledger, String> {
        let events = export(service)?;
        let mut whole = Ledger::default();
        whole.take(&events, &self.accounts())?;
        answers::check(&whole, &self.accounts())?;
        Ok(whole)
    }
}

/// All of the log of a service that has ended.
///
/// # Errors
///
/// When it can't be read.
pub(crate) fn export(service: &RunningService) -> Result<Vec<LogEvent>, String> {
    let lines = run(&mut service.command(&["export", "-"]))?;
    lines
        .lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|error| error.to_string()).and_then(|event| LogEvent::read(&event))
        })
        .collect()
}
