//! The one thread that writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use inventory_application::Position;
use inventory_application::ports::{AppendGroup, AppendOutcome, Clock, StoreError};
use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::append::{Failure, Heads, append, check_only};
use super::append_ids::AppendIds;
use super::schema::{OpenError, open_first, open_for_repair, open_writer};
use super::snapshots::EncodedSnapshot;
use super::write_ahead_log::{pages_after_commit, write_again};
use super::{SqliteSettings, snapshots};
use crate::files::{Files, WriteFile, named};
use crate::lost_events::Seen;

/// What the thread is asked to do.
pub(super) enum Job {
    /// Make a batch durable.
    Append {
        /// The batch.
        batch: Arc<Vec<AppendGroup>>,
        /// Who waits for it.
        reply: oneshot::Sender<Result<Vec<AppendOutcome>, StoreError>>,
    },
    /// Keep states of streams; nobody's answer waits for it.
    Keep {
        /// The states.
        snapshots: Vec<EncodedSnapshot>,
        /// Who wants to know.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Take nothing new, and end after all that was accepted.
    Close,
}

/// The connection that writes, and what it knows of the streams.
pub(super) struct Writer {
    path: PathBuf,
    files: Arc<dyn Files>,
    /// For what is written again; open as long as any connection of the store.
    file: Arc<dyn WriteFile>,
    settings: SqliteSettings,
    /// `None` from a failed commit on, until the file is known to be sound.
    connection: Option<Connection>,
    /// Whether a repair has come so far that what is there is on the disk; nothing is written meanwhile.
    is_written_again: bool,
    /// What has failed last beside the answers.
    failure: watch::Sender<Option<Arc<str>>>,
    /// Whether it is still so: then it isn't said again.
    is_told: bool,
    heads: Heads,
    ids: AppendIds,
    clock: Arc<dyn Clock>,
}

/// The file is not known to be sound yet.
#[derive(Debug, Error)]
#[error("a write has failed, and the file can't be repaired yet: {0}")]
struct NotRepaired(String);

impl Writer {
    pub(super) fn open(
        path: &Path,
        settings: &SqliteSettings,
        clock: Arc<dyn Clock>,
        files: Arc<dyn Files>,
        seen: Option<&Seen>,
    ) -> Result<Self, OpenError> {
        match Self::open_once(path, settings, Arc::clone(&clock), Arc::clone(&files), seen) {
            // Where nobody else has it open, what is there now is found.
            Err(error) if error.may_pass() => Self::open_once(path, settings, clock, files, seen),
            opened => opened,
        }
    }

    fn open_once(
        path: &Path,
        settings: &SqliteSettings,
        clock: Arc<dyn Clock>,
        files: Arc<dyn Files>,
        seen: Option<&Seen>,
    ) -> Result<Self, OpenError> {
        let first = open_first(path, seen)?;
        let file: Arc<dyn WriteFile> = files.open(path).map_err(named(path)).map_err(OpenError::File)?.into();
        // Before anything is read: what counts as taken into the file, and isn't on the disk, may be read as it was before. Another
        // connection reads what is there now.
        let written = write_again(&first, path, &*files, &*file);
        let opened = written.and_then(|()| open_writer(path, settings, seen));
        drop(first); // Before the file, as every connection.
        let connection = opened?;
        // Read before the log is taken into the file: where this can't be read, both stay as they are.
        let heads = Heads::read(&connection, settings.streams_remembered_max)?;
        let ids = AppendIds::read(&connection, settings.append_id_segment_keys_max)?;
        write_again(&connection, path, &*files, &*file)?; // The log, or its name, may be new.
        take_log_into_file(&connection)?;
        Ok(Self {
            path: path.to_owned(),
            files,
            file,
            settings: *settings,
            connection: Some(connection),
            is_written_again: false,
            failure: watch::Sender::new(None),
            is_told: false,
            heads,
            ids,
            clock,
        })
    }

    /// What has to be open for as long as any connection of this process.
    pub(super) fn file(&self) -> Arc<dyn WriteFile> {
        Arc::clone(&self.file)
    }

    /// What has failed last beside the answers.
    pub(super) fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.subscribe()
    }

    pub(super) fn head(&self) -> Position {
        self.heads.last_position()
    }

    pub(super) fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        announce: &watch::Sender<Position>,
        poisoned: &AtomicBool,
    ) {
        while let Some(job) = jobs.blocking_recv() {
            let (batch, reply) = match job {
                Job::Append { batch, reply } => (batch, reply),
                Job::Keep { snapshots, reply } => {
                    drop(reply.send(self.keep(&snapshots)));
                    self.keep_log_short();
                    if !self.is_sound_again(&mut jobs, announce, poisoned) {
                        return;
                    }
                    continue;
                }
                Job::Close => {
                    jobs.close();
                    continue;
                }
            };
            let outcome = self.append(&batch);
            poisoned.store(self.connection.is_none(), Ordering::Relaxed);
            self.announce(announce);
            drop(reply.send(outcome)); // Who asked may have gone; what is done stays done.
            self.keep_log_short();
            if !self.is_sound_again(&mut jobs, announce, poisoned) {
                return;
            }
        }
        if let Some(Err(error)) = self.connection.as_ref().map(checkpoint) {
            self.tell(&format!(
                "the write-ahead log is left for the next start, it can't be taken into the file: {error}"
            ));
        }
    }

    /// Repairs what a failure has left, if one has; false when the store is closed before that.
    fn is_sound_again(
        &mut self,
        jobs: &mut mpsc::Receiver<Job>,
        announce: &watch::Sender<Position>,
        poisoned: &AtomicBool,
    ) -> bool {
        if self.connection.is_some() {
            return true;
        }
        poisoned.store(true, Ordering::Relaxed);
        if !self.repair_or_refuse(jobs) {
            return false;
        }
        poisoned.store(false, Ordering::Relaxed);
        self.is_told = false;
        self.announce(announce); // A repair may find that the commit was good after all.
        true
    }

    /// Tries to repair the file until it is sound, without waiting for a caller: a node that isn't ready gets none. Whoever
    /// asks meanwhile is told that nothing has happened. `false` when the store is closed before that.
    fn repair_or_refuse(&mut self, jobs: &mut mpsc::Receiver<Job>) -> bool {
        loop {
            let Err(error) = self.repair() else { return true };
            let error = Arc::new(error);
            self.tell(&error.to_string());
            thread::sleep(Duration::from_millis(self.settings.repair_pause_ms));
            loop {
                match jobs.try_recv() {
                    Ok(Job::Append { reply, .. }) => {
                        drop(reply.send(Err(StoreError::Unavailable(Box::new(Arc::clone(&error))))));
                    }
                    Ok(Job::Keep { reply, .. }) => {
                        drop(reply.send(Err(StoreError::Unavailable(Box::new(Arc::clone(&error))))));
                    }
                    Ok(Job::Close) => jobs.close(),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
        }
    }

    fn announce(&self, announce: &watch::Sender<Position>) {
        announce.send_if_modified(|announced| std::mem::replace(announced, self.head()) < self.head());
    }

    fn append(&mut self, batch: &[AppendGroup]) -> Result<Vec<AppendOutcome>, StoreError> {
        let Some(connection) = &mut self.connection else {
            return Err(StoreError::Unavailable(Box::new(NotRepaired("nobody has tried".into()))));
        };
        let leaves_nothing =
            |group: &AppendGroup| group.event_count() == 0 && group.key.as_ref().is_none_or(|key| key.result.is_none());
        let outcome = if batch.iter().all(leaves_nothing) {
            check_only(connection, &mut self.heads, &self.ids, batch)
        } else {
            append(connection, &mut self.heads, &mut self.ids, batch, self.clock.now())
        };
        self.heads.trim();
        match outcome {
            Ok(outcomes) => Ok(outcomes),
            Err(Failure::NothingHappened(error)) => {
                self.heads.forget_all();
                match AppendIds::read(connection, self.settings.append_id_segment_keys_max) {
                    Ok(ids) => self.ids = ids,
                    Err(_) => self.connection = None, // What is in memory is not to be believed: as after a failed commit.
                }
                Err(StoreError::Unavailable(Box::new(error)))
            }
            Err(Failure::OutcomeUnknown(error)) => {
                self.connection = None;
                Err(StoreError::OutcomeUnknown(Box::new(error)))
            }
        }
    }

    fn keep(&mut self, snapshots: &[EncodedSnapshot]) -> Result<(), StoreError> {
        let Some(connection) = &mut self.connection else {
            return Err(StoreError::Unavailable(Box::new(NotRepaired("nobody has tried".into()))));
        };
        let kept = snapshots::keep(connection, snapshots, self.settings.closed_reservations_remembered);
        kept.map_err(|error| {
            self.connection = None; // A commit that failed, for all that is known.
            StoreError::Unavailable(Box::new(error))
        })
    }

    /// Takes the write-ahead log into the file once it is long. Nobody's answer waits for it; where it fails, nothing is acknowledged before
    /// the repair.
    fn keep_log_short(&mut self) {
        let Some(connection) = &self.connection else { return };
        if pages_after_commit() < self.settings.wal_autocheckpoint_pages {
            return;
        }
        if let Err(error) = take_log_into_file(connection) {
            self.connection = None;
            self.tell(&format!("the write-ahead log can't be taken into the file: {error}"));
        }
    }

    /// Tells those who watch; the same again only after a repair.
    fn tell(&mut self, failure: &str) {
        if self.is_told && self.failure.borrow().as_deref() == Some(failure) {
            return;
        }
        self.failure.send_replace(Some(failure.into()));
        self.is_told = true;
    }

    /// Brings the whole write-ahead log to the disk and then into the file, on a fresh connection, before anything is
    /// acknowledged again: what a failed sync has left in the page cache proves nothing.
    fn repair(&mut self) -> Result<(), NotRepaired> {
        let not_repaired = |error: &dyn std::fmt::Display| NotRepaired(error.to_string());
        let fresh = open_for_repair(&self.path, &self.settings).map_err(|error| not_repaired(&error))?;
        if !self.is_written_again {
            write_again(&fresh, &self.path, &*self.files, &*self.file).map_err(|error| not_repaired(&error))?;
            self.is_written_again = true;
        }
        match checkpoint(&fresh) {
            Ok(true) => (),
            Ok(false) => return Err(NotRepaired("the write-ahead log is busy".into())),
            Err(error) => {
                self.is_written_again = false; // A part may have been taken in, and not be on the disk.
                return Err(not_repaired(&error));
            }
        }
        // That it is cut has to last, too: what failed might come back.
        write_again(&fresh, &self.path, &*self.files, &*self.file).map_err(|error| not_repaired(&error))?;
        drop(fresh);
        let connection = open_writer(&self.path, &self.settings, None).map_err(|error| not_repaired(&error))?;
        let heads = Heads::read(&connection, self.settings.streams_remembered_max);
        self.heads = heads.map_err(|error| not_repaired(&error))?;
        let ids = AppendIds::read(&connection, self.settings.append_id_segment_keys_max);
        self.ids = ids.map_err(|error| not_repaired(&error))?;
        self.connection = Some(connection);
        self.is_written_again = false;
        Ok(())
    }
}

/// What is found at a start has to outlast a power cut before anybody sees it. The write-ahead log is on the disk, but who made it may have
/// been killed before its name was; in the file, which is synced, it doesn't need one.
fn take_log_into_file(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Whether the whole write-ahead log has gone into the file.
fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

#[cfg(test)]
mod tests {
    use inventory_application::StreamId;
    use inventory_application::ports::{ExpectedVersion, Metadata, NewEvent, StreamAppend};
    use inventory_application::testing::ManualClock;
    use inventory_application::{EventId, ports::AppendKey};
    use inventory_domain::inventory::Event;
    use inventory_domain::{ProductId, Quantity, Reason, StockId, StoreId, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::files::RealFiles;

    #[test]
    fn a_failed_commit_poisons_the_writer_until_the_file_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(&folder);
        assert_eq!(positions(writer.append(&[group(0)])), [1]);
        let reader = Connection::open(&writer.path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap(); // Keeps the write-ahead log busy.
        writer.connection.as_ref().unwrap().commit_hook(Some(|| true)).unwrap(); // Turns the commit into a rollback.
        assert!(matches!(writer.append(&[group(1)]), Err(StoreError::OutcomeUnknown(_))));
        assert!(writer.connection.is_none());
        assert!(writer.repair().is_err(), "the write-ahead log is busy");
        assert!(matches!(writer.append(&[group(1)]), Err(StoreError::Unavailable(_))), "no ack before the repair");
        reader.execute_batch("COMMIT").unwrap();
        writer.repair().unwrap();
        assert_eq!(positions(writer.append(&[group(1)])), [2]);
    }

    #[test]
    fn a_poisoned_writer_repairs_itself_without_being_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(&folder);
        assert_eq!(positions(writer.append(&[group(0)])), [1]);
        let reader = Connection::open(&writer.path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap(); // Keeps the write-ahead log busy.
        writer.connection.as_ref().unwrap().commit_hook(Some(|| true)).unwrap();
        let (jobs, inbox) = mpsc::channel(1);
        let (announce, appended) = watch::channel(writer.head());
        let poisoned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&poisoned);
        let failure = writer.failure();
        let thread = thread::spawn(move || writer.run(inbox, &announce, &flag));
        let append = |version| {
            let (reply, outcome) = oneshot::channel();
            jobs.blocking_send(Job::Append { batch: Arc::new(vec![group(version)]), reply }).unwrap();
            outcome.blocking_recv().unwrap()
        };
        assert!(matches!(append(1), Err(StoreError::OutcomeUnknown(_))));
        assert!(poisoned.load(Ordering::Relaxed));
        assert!(matches!(append(1), Err(StoreError::Unavailable(_))), "no ack before the repair");
        assert!(failure.borrow().as_deref().is_some_and(|failure| failure.contains("is busy")), "who watches is told");
        reader.execute_batch("COMMIT").unwrap();
        while poisoned.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        assert_eq!(positions(append(1)), [2]);
        assert_eq!(*appended.borrow(), Position(2));
        jobs.blocking_send(Job::Close).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_failure_is_told_once_and_another_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(&folder);
        let mut failure = writer.failure();
        let told = ["no space", "no space", "no lock", "no lock"].map(|said| {
            failure.mark_unchanged();
            writer.tell(said);
            failure.has_changed().unwrap()
        });
        assert_eq!(told, [true, false, true, false]);
    }

    /// As after a sync of the file that has failed, when the kernel drops what it had, and somebody has the file open over the restart.
    #[test]
    fn a_start_reads_nothing_before_what_counts_as_taken_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(&folder);
        let path = writer.path.clone();
        assert_eq!(positions(writer.append(&[group(0)])), [1]);
        take_log_into_file(writer.connection.as_ref().unwrap()).unwrap();
        let before = std::fs::read(&path).unwrap();
        let more: Vec<AppendGroup> = (1..40).map(group).collect();
        assert_eq!(positions(writer.append(&more)), (2..41).collect::<Vec<u64>>());
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
        assert_eq!(positions(writer.append(&[group(40)])), [41]);
        take_log_into_file(writer.connection.as_ref().unwrap()).unwrap(); // A part, which isn't synced.
        drop(writer);
        reader.execute_batch("COMMIT").unwrap();
        let file = RealFiles.open(&path).unwrap();
        let dropped = vec![0; std::fs::read(&path).unwrap().len() - before.len()];
        file.write_all_at(&[before, dropped].concat(), 0).unwrap();
        let mut writer = open(&folder);
        assert_eq!(writer.head(), Position(41));
        assert_eq!(positions(writer.append(&[group(41)])), [42]);
        let sound: String =
            Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }

    #[test]
    fn a_full_disk_loses_the_batch_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(&folder);
        assert_eq!(positions(writer.append(&[group(0)])), [1]);
        let limit = |writer: &Writer, pages: u32| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            writer.connection.as_ref().unwrap().query_row(&limit, [], |_| Ok(())).unwrap();
        };
        limit(&writer, 1); // As many pages as there are.
        let large: Vec<AppendGroup> = (1..500).map(group).collect();
        assert!(matches!(writer.append(&large), Err(StoreError::Unavailable(_))));
        limit(&writer, 1_000_000);
        assert_eq!(positions(writer.append(&large)), (2..501).collect::<Vec<u64>>());
    }

    #[test]
    fn an_append_id_is_remembered_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let keyed = |hash| AppendGroup {
            key: Some(AppendKey { append_id: [7; 16], request_hash: [hash; 16], result: Some(b"told".to_vec()) }),
            ..group(0)
        };
        let mut writer = open(&folder);
        assert_eq!(positions(writer.append(&[keyed(1)])), [1]);
        drop(writer);
        let mut writer = open(&folder);
        let repeated = AppendOutcome::Repeated { result: b"told".to_vec(), position: Some(Position(1)) };
        assert_eq!(writer.append(&[keyed(1)]).unwrap(), [repeated]);
        assert_eq!(writer.append(&[keyed(2)]).unwrap(), [AppendOutcome::AppendIdReused]);
    }

    fn open(folder: &tempfile::TempDir) -> Writer {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let path = folder.path().join("events.db");
        Writer::open(&path, &SqliteSettings::default(), clock, Arc::new(RealFiles), None).unwrap()
    }

    fn group(version: u64) -> AppendGroup {
        let stock_id = StockId { product_id: ProductId::from_u128(1), store_id: StoreId::from_u128(1) };
        let reason = Reason::new(&"x".repeat(500)).unwrap();
        let event = Event::StockAdded { quantity: Quantity::new(1).unwrap(), reason }.into();
        let streams = vec![StreamAppend {
            stream: StreamId::Inventory(stock_id),
            expected: ExpectedVersion::of(version),
            events: vec![NewEvent { event_id: EventId(Uuid::nil()), event }],
        }];
        let recorded_at = Timestamp::from_millis(0);
        AppendGroup { key: None, streams, recorded_at, metadata: Arc::new(Metadata::default()) }
    }

    fn positions(outcome: Result<Vec<AppendOutcome>, StoreError>) -> Vec<u64> {
        let position = |outcome| match outcome {
            AppendOutcome::Appended { position: Some(Position(position)) } => position,
            other => panic!("{other:?}"),
        };
        outcome.unwrap().into_iter().map(position).collect()
    }
}
