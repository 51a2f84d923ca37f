//! The projections, for operators.

use actix_web::http::StatusCode;

use crate::openapi::{Description, Tag};
use crate::problem::Kind;
use crate::wire::projections::{ProjectionBody, ProjectionsBody};

/// A projection that there is.
const NAME: &str = "stock_levels";

/// `GET /admin/projections`
#[must_use]
pub fn list() -> Description {
    Description::new("listProjections", Tag::Operations, "See how far the read models are", "")
        .answers::<ProjectionsBody>(StatusCode::OK, "All projections")
        .refuses(&[Kind::INVALID_REQUEST])
}

/// `GET /admin/projections/{name}`
#[must_use]
pub fn show() -> Description {
    Description::new("getProjection", Tag::Operations, "See how far one read model is", "")
        .path_example("name", NAME)
        .answers::<ProjectionBody>(StatusCode::OK, "The projection")
        .refuses(&[Kind::PROJECTION_NOT_FOUND])
}

/// `POST /admin/projections/{name}/rebuild`
#[must_use]
pub fn rebuild() -> Description {
    Description::new(
        "rebuildProjection",
        Tag::Operations,
        "Make a read model anew",
        "From the log's start, into new tables, while the present ones serve and follow; then they take their place. One at a time.",
    )
    .path_example("name", NAME)
    .answers::<ProjectionBody>(StatusCode::ACCEPTED, "It has begun; the projection shows how far it is")
    .header(StatusCode::ACCEPTED, "Location")
    .refuses(&[Kind::PROJECTION_NOT_FOUND, Kind::REBUILD_RUNNING, Kind::UNAVAILABLE])
}

/// `POST /admin/projections/{name}/resume`
#[must_use]
pub fn resume() -> Description {
    Description::new(
        "resumeProjection",
        Tag::Operations,
        "Have a projection that has stopped try again",
        "It goes on with the event that it stopped at; one that hasn't stopped goes on as it was.",
    )
    .path_example("name", NAME)
    .answers::<ProjectionBody>(StatusCode::OK, "It tries again")
    .refuses(&[Kind::PROJECTION_NOT_FOUND, Kind::UNAVAILABLE])
}
