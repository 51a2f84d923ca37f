//! What the node tells Prometheus.

use actix_web::http::StatusCode;

use crate::metrics::CONTENT_TYPE;
use crate::openapi::{Description, Tag};

/// `GET /metrics`
#[must_use]
pub fn metrics() -> Description {
    Description::new("getMetrics", Tag::Operations, "Get what Prometheus reads", "").answers_with(
        StatusCode::OK,
        "The metrics, in the text format of Prometheus",
        CONTENT_TYPE,
    )
}
