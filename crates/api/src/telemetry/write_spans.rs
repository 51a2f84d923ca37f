//! What is done for a recorded write behind its answer: its wait in the queue, the batch that it was decided and appended with, and
//! the page of the log with which the read models got it.
//!
//! All are told of a batch at a time; what isn't recorded costs a look at its metadata.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use inventory_application::Position;
use inventory_application::ports::{
    AppendEnd, AppendGroup, AppliedPage, CommandObserver, CommitListener, CommittedGroup, Metadata, ObservedBatch,
    ObservedCommand, Projected, ProjectionListener,
};
use tokio::time::Instant;

use super::otlp::new_span_id;
use super::span::{Parent, Span, Value};
use super::trace_context::{SpanId, TraceId};
use super::{Recorder, Telemetry};

/// Records what is done for writes.
#[derive(Debug)]
pub struct WriteSpans {
    recorder: Arc<Recorder>,
    unprojected_max: usize,
    projections: Mutex<Projections>,
}

/// What the projections have done, and what they have still to do.
#[derive(Debug, Default)]
struct Projections {
    /// Writes that no page had yet, in the order of their positions.
    waiting: VecDeque<(Position, Request)>,
    /// The furthest.
    last_page: Option<AppliedPage>,
}

/// The request that something is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    trace_id: TraceId,
    span_id: SpanId,
}

impl Request {
    /// Who is recorded here.
    fn of(metadata: &Metadata) -> Option<Self> {
        let span_id = metadata.span_id?;
        let trace_id = u128::from_str_radix(metadata.trace_id.as_deref()?, 16).ok()?;
        Some(Self { trace_id: TraceId::new(trace_id)?, span_id })
    }
}

impl Telemetry {
    /// What records writes, where anything is recorded; at most so many wait for the projections.
    #[must_use]
    pub fn write_spans(&self, unprojected_max: usize) -> Option<Arc<WriteSpans>> {
        let recorder = Arc::clone(self.0.as_ref()?);
        Some(Arc::new(WriteSpans { recorder, unprojected_max, projections: Mutex::default() }))
    }
}

impl WriteSpans {
    fn record(&self, request: Request, name: &'static str, times: (Instant, Instant), attributes: Attributes) {
        let Request { trace_id, span_id } = request;
        let (now, now_at) = (Instant::now(), SystemTime::now());
        let time_of = |instant: Instant| now_at.checked_sub(now - instant).unwrap_or(now_at);
        let is_failure = attributes.iter().any(|(key, _)| *key == "error.type");
        self.recorder.record(Span {
            trace_id,
            span_id: new_span_id(),
            parent: Some(Parent { span_id, is_remote: false }),
            state: None,
            name: name.into(),
            is_server: false,
            began: time_of(times.0),
            ended: time_of(times.1),
            attributes,
            is_failure,
        });
    }

    /// Takes down which recorded writes the projections have to get.
    fn note(&self, groups: &[AppendGroup], committed: &[CommittedGroup]) {
        let of_recorded =
            committed.iter().filter_map(|done| Some((done.position, Request::of(&groups[done.index].metadata)?)));
        let mut missed = Vec::new();
        for (position, request) in of_recorded {
            let mut projections = self.projections.lock().unwrap_or_else(PoisonError::into_inner);
            match projections.last_page {
                // The projections were faster than this news.
                Some(page) if position <= page.last => missed.push((position, request, page)),
                _ => projections.wait_for(position, request, self.unprojected_max),
            }
        }
        for (position, request, page) in missed.into_iter().filter(|(position, _, page)| *position >= page.first) {
            self.record_projection(request, position, &page);
        }
    }

    fn record_projection(&self, request: Request, position: Position, page: &AppliedPage) {
        let attributes = vec![
            ("inventory.position", Value::from(position.0)),
            ("inventory.page.first_position", page.first.0.into()),
            ("inventory.page.last_position", page.last.0.into()),
            ("inventory.page.events", page.events.into()),
        ];
        self.record(request, "projection", (page.began, page.ended), attributes);
    }
}

type Attributes = Vec<(&'static str, Value)>;

impl Projections {
    fn wait_for(&mut self, position: Position, request: Request, most: usize) {
        let has_room = self.waiting.len() < most;
        match self.waiting.back_mut() {
            // A client's batch is one request: its last event counts.
            Some((last, known)) if *known == request => *last = position,
            _ if has_room => self.waiting.push_back((position, request)),
            _ => (),
        }
    }

    fn take_until(&mut self, position: Position) -> Vec<(Position, Request)> {
        let ready = self.waiting.iter().take_while(|(waiting, _)| *waiting <= position).count();
        self.waiting.drain(..ready).collect()
    }
}

impl CommandObserver for WriteSpans {
    fn settled(&self, batch: &ObservedBatch, commands: &[ObservedCommand<'_>]) {
        // Commands of one client's batch follow each other, and make one span.
        for of_one in commands.chunk_by(|one, next| one.metadata.span_id == next.metadata.span_id) {
            let Some(request) = Request::of(of_one[0].metadata) else { continue };
            let began = batch.deciding_began.max(of_one[0].queued_at);
            self.record(request, "queue wait", (of_one[0].queued_at, began), Vec::new());
            let mut decided = about(&of_one[0]);
            decided.push(("inventory.commands", of_one.len().into()));
            decided.push(("inventory.batch.groups", batch.groups.into()));
            self.record(request, "decide", (began, batch.deciding_ended.max(began)), decided);
            let mut appended = vec![
                ("inventory.batch.groups", Value::from(batch.groups)),
                ("inventory.batch.events", batch.events.into()),
                ("inventory.batch.conflicts", batch.conflicts.into()),
            ];
            appended.extend(failure(batch.append).map(|failure| ("error.type", failure.into())));
            self.record(request, "append", (batch.append_began, batch.append_ended), appended);
        }
    }

    fn answered_at_once(&self, command: &ObservedCommand<'_>) {
        if let Some(request) = Request::of(command.metadata) {
            self.record(request, "queue wait", (command.queued_at, Instant::now()), about(command));
        }
    }
}

fn about(command: &ObservedCommand<'_>) -> Attributes {
    vec![
        ("inventory.command", command.kind.name().into()),
        ("inventory.outcome", command.outcome.name().into()),
        ("inventory.tries", Value::Number(command.tries.into())),
    ]
}

fn failure(append: AppendEnd) -> Option<&'static str> {
    match append {
        AppendEnd::Answered => None,
        AppendEnd::Unavailable => Some("unavailable"),
        AppendEnd::OutcomeUnknown => Some("outcome_unknown"),
        AppendEnd::Damaged => Some("damaged"),
    }
}

impl ProjectionListener for WriteSpans {
    fn projected(&self, _: Projected<'_>) {}

    fn rebuilt(&self, _: Position) {}

    fn applied(&self, page: &AppliedPage) {
        let ready = {
            let mut projections = self.projections.lock().unwrap_or_else(PoisonError::into_inner);
            // A page of a projection that catches up stands before it, and no recorded write waits for it.
            if projections.last_page.is_none_or(|last| last.last < page.last) {
                projections.last_page = Some(*page);
            }
            projections.take_until(page.last)
        };
        for (position, request) in ready {
            self.record_projection(request, position, page);
        }
    }
}

impl CommitListener for WriteSpans {
    fn committed(&self, batch: &Arc<Vec<AppendGroup>>, committed: Vec<CommittedGroup>) {
        self.note(batch, &committed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_wait_in_order_and_only_so_many() {
        let request = |number| Request { trace_id: TraceId::MIN, span_id: SpanId::MIN.saturating_add(number) };
        let mut projections = Projections::default();
        for (position, number) in [(3, 1), (5, 2), (6, 2), (9, 3), (10, 4)] {
            projections.wait_for(Position(position), request(number), 3);
        }
        // The second one's batch has two events, the fourth one found no room.
        assert_eq!(projections.take_until(Position(5)), [(Position(3), request(1))]);
        let rest = [(Position(6), request(2)), (Position(9), request(3))];
        assert_eq!(projections.take_until(Position(20)), rest);
        assert_eq!(projections.take_until(Position(30)), []);
    }
}
