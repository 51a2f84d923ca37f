//! Whether the process lives, and whether it can do its work.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use crate::health::{Condition, Health};
use crate::wire::schemas;

/// The answer of a process that runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// `live`.
    #[schema(schema_with = live_schema)]
    status: &'static str,
}

fn live_schema() -> ObjectBuilder {
    schemas::constant(LIVE.into())
}

const LIVE: &str = "live";

/// `GET /health` and `GET /health/live`: 200 while the process runs.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { status: LIVE })
}

/// `GET /health/ready`: 503 while nothing should be asked of this node; 200 with `degraded` and what is, where it serves
/// all the same.
pub async fn ready(health: web::Data<Health>) -> HttpResponse {
    let report = health.report();
    let mut response = match report.condition {
        Condition::Ready | Condition::Degraded => HttpResponse::Ok(),
        Condition::NotReady => HttpResponse::ServiceUnavailable(),
    };
    response.json(report)
}
