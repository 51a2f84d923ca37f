//! What is taken down of every request, on the thread of the worker that answers it.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;

use crate::logging::request_lines::RequestLines;
use crate::metrics::requests::{NO_ROUTE, WorkerMetrics};

/// Takes down the requests of one worker.
pub struct RequestObserver {
    metrics: WorkerMetrics,
    lines: RequestLines,
}

impl RequestObserver {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(metrics: WorkerMetrics, lines: RequestLines) -> Self {
        Self { metrics, lines }
    }

    /// A request that came at `began` was answered; `problem` is the end of the type of the problem that the answer tells of.
    pub fn answered<B: MessageBody>(&self, began: Instant, answered: &ServiceResponse<B>, problem: Option<&str>) {
        let took = began.elapsed();
        let request = answered.request();
        let route = request.match_pattern();
        let route = route.as_deref().unwrap_or(NO_ROUTE);
        self.metrics.answered(route, request.method(), answered.status(), took);
        if let Some(problem) = problem {
            self.metrics.problem(problem);
        }
        self.lines.answered(route, took, answered, problem);
    }
}
