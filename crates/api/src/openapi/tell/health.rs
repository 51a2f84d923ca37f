//! Whether the process lives, and whether it can do its work.

use actix_web::http::StatusCode;

use crate::handlers::health::Live;
use crate::health::Report;
use crate::openapi::{Description, Tag};

/// `GET /health`
#[must_use]
pub fn health() -> Description {
    Description::new("getHealth", Tag::Operations, "Ask whether the process runs", "")
        .answers::<Live>(StatusCode::OK, "It runs")
}

/// `GET /health/live`
#[must_use]
pub fn live() -> Description {
    Description::new("getLiveness", Tag::Operations, "Ask whether the process runs", "")
        .answers::<Live>(StatusCode::OK, "It runs")
}

/// `GET /health/ready`
#[must_use]
pub fn ready() -> Description {
    Description::new("getReadiness", Tag::Operations, "Ask whether the node can do its work", "")
        .answers::<Report>(StatusCode::OK, "It serves; `degraded` says that not all parts do their work, and which")
        .answers::<Report>(StatusCode::SERVICE_UNAVAILABLE, "Nothing should be asked of it now")
}
