//! How much is logged, as an operator wants it now.

use actix_web::http::StatusCode;
use serde_json::json;

use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::log_levels::LogLevelsBody;

/// `GET /admin/log-levels`
#[must_use]
pub fn show() -> Description {
    Description::new("getLogLevels", Tag::Operations, "Ask how much is logged", "")
        .answers::<LogLevelsBody>(StatusCode::OK, "The levels as they are")
        .refuses(&[Kind::INVALID_REQUEST])
}

/// `PUT /admin/log-levels`
#[must_use]
pub fn set() -> Description {
    let details = "All levels are replaced, until the service ends or they are set again. A part that isn't named has the default.";
    Description::new("setLogLevels", Tag::Operations, "Say how much is logged", details)
        .example("one part", "More of one part", json!({"default": "info", "parts": {"projections": "debug"}}))
        .answers::<LogLevelsBody>(StatusCode::OK, "The levels as they are now")
}

/// `DELETE /admin/log-levels`
#[must_use]
pub fn reset() -> Description {
    Description::new("resetLogLevels", Tag::Operations, "Log as much as the settings say", "")
        .answers::<LogLevelsBody>(StatusCode::OK, "The levels as they are now")
        .refuses(&[Kind::INVALID_REQUEST])
}
