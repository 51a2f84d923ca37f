//! Whether the process lives, and whether it can do its work.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::health::{Condition, Health};

/// `GET /health` and `GET /health/live`: 200 while the process runs.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
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
