//! What the node tells Prometheus.

use actix_web::{HttpResponse, web};

use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::problem::Problem;

/// `GET /metrics`
///
/// # Errors
///
/// The problem that says that they can't be told.
pub async fn metrics(metrics: web::Data<Metrics>) -> Result<HttpResponse, Problem> {
    let text = metrics.text().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}
