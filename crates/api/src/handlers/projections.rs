//! The projections, for operators: how they are, making a read model anew, going on after a stop.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::ports::Clock;
use inventory_projections::ProjectionControl;

use super::writer::no_query;
use crate::problem::Problem;
use crate::system::SystemClock;
use crate::wire::json_body::OptionalJsonBody;
use crate::wire::orders::EmptyRequest;
use crate::wire::projections::{ProjectionBody, ProjectionsBody};

/// `GET /admin/projections`
///
/// # Errors
///
/// The problem that says what is wrong with the request.
pub async fn list(request: HttpRequest, projections: web::Data<ProjectionControl>) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    Ok(HttpResponse::Ok().json(ProjectionsBody::new(&projections.status(), SystemClock.now())))
}

/// `GET /admin/projections/{name}`
///
/// # Errors
///
/// The problem that says why there is no projection to show.
pub async fn show(request: HttpRequest, projections: web::Data<ProjectionControl>) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    Ok(HttpResponse::Ok().json(shown(&projections, name_in(&request))?))
}

/// `POST /admin/projections/{name}/rebuild`
///
/// # Errors
///
/// The problem that says why nothing is done.
pub async fn rebuild(
    request: HttpRequest,
    projections: web::Data<ProjectionControl>,
    _: OptionalJsonBody<EmptyRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let name = name_in(&request);
    projections.rebuild(&[name])?;
    let body = shown(&projections, name)?;
    let place = format!("/admin/projections/{name}");
    Ok(HttpResponse::build(StatusCode::ACCEPTED).insert_header((LOCATION, place)).json(body))
}

/// `POST /admin/projections/{name}/resume`
///
/// # Errors
///
/// The problem that says why nothing is done.
pub async fn resume(
    request: HttpRequest,
    projections: web::Data<ProjectionControl>,
    _: OptionalJsonBody<EmptyRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let name = name_in(&request);
    projections.resume(name).await?;
    Ok(HttpResponse::Ok().json(shown(&projections, name)?))
}

fn name_in(request: &HttpRequest) -> &str {
    request.match_info().get("name").unwrap_or_default()
}

fn shown(projections: &ProjectionControl, name: &str) -> Result<ProjectionBody, Problem> {
    let status = projections.status();
    let found = status.projection(name).ok_or_else(|| Problem::projection_not_found(name))?;
    Ok(ProjectionBody::new(&status, found, SystemClock.now()))
}
