//! The whole URL table.

use actix_web::web::{self, ServiceConfig, get, head, post, resource, scope};
use actix_web::{HttpResponse, Resource};

use crate::handlers::{health, stock};
use crate::problem::Problem;
use crate::request_context::nothing_here;

/// Every path that the service serves.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            scope("/api/v1/inventory")
                .service(command("/stock").route(post().to(stock::add)))
                .service(command("/reserve").route(post().to(stock::reserve)))
                .service(command("/commit").route(post().to(stock::commit)))
                .service(command("/release").route(post().to(stock::release)))
                .service(command("/extend").route(post().to(stock::extend)))
                .service(command("/adjust").route(post().to(stock::adjust)))
                .service(command("/availability").route(post().to(stock::availability)))
                .service(
                    query("/products/{product_id}/stores/{store_id}")
                        .route(get().to(stock::level))
                        .route(head().to(stock::level)),
                )
                .service(
                    query("/products/{product_id}").route(get().to(stock::product)).route(head().to(stock::product)),
                ),
        )
        .service(query("/health").route(get().to(health::live)).route(head().to(health::live)))
        .service(query("/health/live").route(get().to(health::live)).route(head().to(health::live)))
        .service(query("/health/ready").route(get().to(health::ready)).route(head().to(health::ready)))
        .default_service(web::to(nothing_here));
}

/// A path that takes commands.
fn command(path: &str) -> Resource {
    resource(path).default_service(web::to(|| async { not_allowed("POST") }))
}

/// A path that answers questions.
fn query(path: &str) -> Resource {
    resource(path).default_service(web::to(|| async { not_allowed("GET, HEAD") }))
}

fn not_allowed(allow: &'static str) -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed(allow))
}
