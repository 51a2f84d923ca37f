//! One line for every stock event that this node has committed.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inventory_application::StreamId;
use inventory_application::ports::{AppendGroup, CommitListener, CommittedGroup};
use inventory_domain::inventory::Event;
use inventory_domain::{DomainEvent, Quantity, ReservationId, order, transfer};
use slog::{Drain, Level, Logger, OwnedKVList, b, error, o, record, warn};
use slog_json::Json;

use super::levels::{LogLevels, LogPart};
use super::optional::Optional;
use super::{join_within, json_lines, put_out};
use crate::settings::LogSettings;
use crate::telemetry::TraceField;

/// A batch on its way to the log.
type Batch = (Arc<Vec<AppendGroup>>, Vec<CommittedGroup>);

/// Hears of commits and has them logged by a thread of its own; never waits for it.
pub struct BusinessEvents {
    batches: Mutex<Option<SyncSender<Batch>>>,
    levels: Arc<LogLevels>,
    is_quiet: AtomicBool,
    /// Since the log was last told.
    dropped: Arc<AtomicU64>,
    dropped_ever: Arc<AtomicU64>,
}

/// The thread that writes the lines.
pub struct BusinessEventsWriter {
    thread: Option<JoinHandle<()>>,
    /// How long it may take in the end.
    longest: Duration,
}

impl BusinessEvents {
    /// Starts the thread, unless the settings leave these lines out; `log` hears of what goes wrong with them.
    ///
    /// # Errors
    ///
    /// When the thread can't be started.
    pub fn start(
        settings: &LogSettings,
        levels: Arc<LogLevels>,
        log: &Logger,
    ) -> io::Result<(Arc<Self>, BusinessEventsWriter)> {
        let longest = Duration::from_millis(settings.flush_ms_max);
        let (dropped, dropped_ever) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        if !settings.business_events {
            let (batches, is_quiet) = (Mutex::new(None), AtomicBool::new(true));
            return Ok((
                Arc::new(Self { batches, levels, is_quiet, dropped, dropped_ever }),
                BusinessEventsWriter { thread: None, longest },
            ));
        }
        let (sender, receiver) = sync_channel(settings.queue_batches_max);
        let (log, counted, ever) = (log.clone(), Arc::clone(&dropped), Arc::clone(&dropped_ever));
        let writer = thread::Builder::new()
            .name("business-events".into())
            .spawn(move || write(&receiver, &log, &counted, &ever))?;
        let (batches, is_quiet) = (Mutex::new(Some(sender)), AtomicBool::new(false));
        let events = Self { batches, levels, is_quiet, dropped, dropped_ever };
        Ok((Arc::new(events), BusinessEventsWriter { thread: Some(writer), longest }))
    }

    /// Leaves out the lines of what is committed from now on, or stops doing so.
    pub fn set_quiet(&self, is_quiet: bool) {
        self.is_quiet.store(is_quiet, Ordering::Relaxed);
    }

    /// How many lines were left out because too many waited, or they could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_ever.load(Ordering::Relaxed)
    }

    /// Ends the stream of lines; the writer still writes what waits.
    pub fn close(&self) {
        drop(self.batches.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl BusinessEventsWriter {
    /// Waits until everything is written, or nobody has taken it within the bound of the settings. Call [`BusinessEvents::close`] first.
    pub fn finish(self, log: &Logger) {
        let Some(thread) = self.thread else { return };
        match join_within(thread, self.longest) {
            Some(Ok(())) => (),
            Some(Err(_)) => error!(log, "business_log_ended_early"),
            None => warn!(log, "business_log_not_written"),
        }
    }
}

impl CommitListener for BusinessEvents {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        let is_logged = self.levels.is_enabled(Some(LogPart::BusinessEvents), Level::Info);
        if !is_logged || self.is_quiet.load(Ordering::Relaxed) {
            return;
        }
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batches) = &*batches {
            let events: usize = committed.iter().map(|done| batch[done.index].event_count()).sum();
            if batches.try_send((Arc::clone(batch), committed)).is_err() {
                self.dropped.fetch_add(events as u64, Ordering::Relaxed);
                self.dropped_ever.fetch_add(events as u64, Ordering::Relaxed);
            }
        }
    }
}

fn write(batches: &Receiver<Batch>, log: &Logger, dropped: &AtomicU64, dropped_ever: &AtomicU64) {
    let mut lines = Vec::new();
    while let Ok((groups, committed)) = batches.recv() {
        let events: usize = committed.iter().map(|done| groups[done.index].event_count()).sum();
        let mut written = write_lines(&groups, committed, &mut lines);
        if written.is_ok() {
            written = put_out(&lines);
        }
        lines.clear();
        if let Err(failure) = written {
            dropped.fetch_add(events as u64, Ordering::Relaxed);
            dropped_ever.fetch_add(events as u64, Ordering::Relaxed);
            error!(log, "business_log_failed"; "cause" => failure.to_string());
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => (),
            events => warn!(log, "business_events_not_logged"; "events" => events),
        }
    }
}

/// Straight into memory that nobody shares: a line is put together from dozens of pieces.
fn write_lines(groups: &[AppendGroup], committed: Vec<CommittedGroup>, lines: &mut Vec<u8>) -> io::Result<()> {
    let (json, nothing_more) = (json_lines(lines, false), o!().into());
    committed.into_iter().try_for_each(|done| write_group(&json, &nothing_more, &groups[done.index], done))
}

/// The group's events, the last one at `done.position`.
fn write_group(
    json: &Json<&mut Vec<u8>>,
    nothing_more: &OwnedKVList,
    group: &AppendGroup,
    done: CommittedGroup,
) -> io::Result<()> {
    let request_id = group.metadata.request_id.as_deref().unwrap_or_default();
    let trace = TraceField(group.metadata.trace_id.as_deref());
    let mut position = done.position.0 - group.event_count() as u64;
    for appended in &group.streams {
        let (store_id, product_id) =
            appended.stream.stock_id().map(|stock_id| (stock_id.store_id, stock_id.product_id)).unzip();
        for (event, version) in appended.events.iter().zip(appended.expected.version() + 1..) {
            position += 1;
            let Said { name, quantity, reservation_id } = said_of(&event.event);
            let name = format_args!("{name}");
            let values = b!(
                trace,
                "position" => position,
                "version" => version,
                "actor" => Optional(group.metadata.actor.as_deref()),
                "transfer_id" => Optional(match appended.stream {
                    StreamId::Transfer(transfer_id) => Some(transfer_id.to_string()),
                    StreamId::Inventory(_) | StreamId::Order(_) => None,
                }),
                "order_id" => Optional(match appended.stream {
                    StreamId::Order(order_id) => Some(order_id.to_string()),
                    StreamId::Inventory(_) | StreamId::Transfer(_) => None,
                }),
                "reservation_id" => Optional(reservation_id.map(|id| id.to_string())),
                "quantity" => Optional(quantity),
                "store_id" => Optional(store_id.map(|id| id.to_string())),
                "product_id" => Optional(product_id.map(|id| id.to_string())),
                "request_id" => request_id);
            json.log(&record!(Level::Info, "", &name, values), nothing_more)?;
        }
    }
    Ok(())
}

/// An event's name in the log, the units that it moved (or counted), and the reservation that it is about.
struct Said {
    name: &'static str,
    quantity: Option<u64>,
    reservation_id: Option<ReservationId>,
}

fn said_of(event: &DomainEvent) -> Said {
    let said = |name, quantity: Option<&Quantity>, reservation_id| Said {
        name,
        quantity: quantity.map(|quantity| quantity.units()),
        reservation_id,
    };
    match event {
        DomainEvent::Inventory(event) => match event {
            Event::StockAdded { quantity, .. } => said("stock_added", Some(quantity), None),
            Event::StockReserved { reservation_id, quantity, .. } => {
                said("stock_reserved", Some(quantity), Some(*reservation_id))
            }
            Event::StockCommitted { reservation_id, quantity, .. } => {
                said("stock_committed", Some(quantity), Some(*reservation_id))
            }
            Event::StockReleased { reservation_id, quantity, .. } => {
                said("stock_released", Some(quantity), Some(*reservation_id))
            }
            Event::ReservationExtended { reservation_id, .. } => {
                said("reservation_extended", None, Some(*reservation_id))
            }
            Event::StockAdjusted { counted, .. } => {
                Said { name: "stock_adjusted", quantity: Some(counted.units()), reservation_id: None }
            }
            Event::StockTransferredOut { quantity, .. } => said("stock_transferred_out", Some(quantity), None),
            Event::StockTransferredIn { quantity, .. } => said("stock_transferred_in", Some(quantity), None),
            Event::StockTransferCancelled { quantity, .. } => said("stock_transfer_cancelled", Some(quantity), None),
        },
        DomainEvent::Order(event) => match event {
            order::Event::OrderPlaced { .. } => said("order_placed", None, None),
            order::Event::OrderCommitted => said("order_committed", None, None),
            order::Event::OrderReleased { .. } => said("order_released", None, None),
        },
        DomainEvent::Transfer(event) => match event {
            transfer::Event::TransferStarted { quantity, .. } => said("transfer_started", Some(quantity), None),
            transfer::Event::TransferReceived { quantity } => said("transfer_received", Some(quantity), None),
            transfer::Event::TransferCancelled { quantity } => said("transfer_cancelled", Some(quantity), None),
        },
    }
}
