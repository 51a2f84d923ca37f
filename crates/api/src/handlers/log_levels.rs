//! How much is logged, as an operator wants it now.

use actix_web::{HttpRequest, HttpResponse, web};
use slog::{Logger, warn};

use super::writer::no_query;
use crate::logging::levels::{Levels, LogLevels};
use crate::problem::Problem;
use crate::request_context::RequestId;
use crate::wire::JsonBody;
use crate::wire::log_levels::LogLevelsBody;

/// Where it is said that an operator has changed something.
#[derive(Clone)]
pub struct AdminLog(pub Logger);

/// `GET /admin/log-levels`
///
/// # Errors
///
/// The problem of a query, which means nothing here.
pub async fn show(request: HttpRequest, levels: web::Data<LogLevels>) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    Ok(HttpResponse::Ok().json(LogLevelsBody::from(levels.now())))
}

/// `PUT /admin/log-levels`: until the service ends, or somebody sets them again.
///
/// # Errors
///
/// The problem that says which level or part there isn't.
pub async fn set(
    request: HttpRequest,
    request_id: RequestId,
    levels: web::Data<LogLevels>,
    log: web::Data<AdminLog>,
    body: JsonBody<LogLevelsBody>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    levels.set(&Levels::from(body.0));
    Ok(changed(&levels, &log, &request_id))
}

/// `DELETE /admin/log-levels`: back to what the settings say.
///
/// # Errors
///
/// The problem of a query, which means nothing here.
pub async fn reset(
    request: HttpRequest,
    request_id: RequestId,
    levels: web::Data<LogLevels>,
    log: web::Data<AdminLog>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    levels.reset();
    Ok(changed(&levels, &log, &request_id))
}

fn changed(levels: &LogLevels, log: &AdminLog, request_id: &RequestId) -> HttpResponse {
    let now = levels.now();
    warn!(log.0, "log_levels_changed"; "levels" => now.to_string(), "request_id" => request_id.as_str());
    HttpResponse::Ok().json(LogLevelsBody::from(now))
}
