//! The whole URL table.

use actix_web::web::{self, ServiceConfig, get, head, post, resource, scope};
use actix_web::{HttpResponse, Resource};

use crate::handlers::{batch, health, history, orders, stock, transfers};
use crate::problem::Problem;
use crate::request_context::nothing_here;
use crate::wire::json_body::BodyLimit;
use crate::wire::{
    AddStockRequest, AdjustStockRequest, CommitReservationRequest, ExtendReservationRequest, ReleaseReservationRequest,
    ReserveStockRequest,
};

/// Every path that the service serves; a batch may have another size than other bodies.
pub fn routes(config: &mut ServiceConfig, batch_body: &web::Data<BodyLimit>) {
    config
        .service(
            scope("/api/v1/inventory")
                .service(command("/stock").route(post().to(stock::command::<AddStockRequest>)))
                .service(command("/reserve").route(post().to(stock::command::<ReserveStockRequest>)))
                .service(command("/commit").route(post().to(stock::command::<CommitReservationRequest>)))
                .service(command("/release").route(post().to(stock::command::<ReleaseReservationRequest>)))
                .service(command("/extend").route(post().to(stock::command::<ExtendReservationRequest>)))
                .service(command("/adjust").route(post().to(stock::command::<AdjustStockRequest>)))
                .service(command("/availability").route(post().to(stock::availability)))
                .service(
                    query("/products/{product_id}/stores/{store_id}")
                        .route(get().to(stock::level))
                        .route(head().to(stock::level)),
                )
                .service(
                    query("/products/{product_id}/stores/{store_id}/events")
                        .route(get().to(history::events))
                        .route(head().to(history::events)),
                )
                .service(
                    query("/products/{product_id}/stores/{store_id}/explain")
                        .route(get().to(history::explain))
                        .route(head().to(history::explain)),
                )
                .service(
                    query("/products/{product_id}").route(get().to(stock::product)).route(head().to(stock::product)),
                ),
        )
        .service(
            both("/api/v1/orders")
                .route(post().to(orders::place))
                .route(get().to(orders::list))
                .route(head().to(orders::list)),
        )
        .service(command("/api/v1/orders/{order_id}/commit").route(post().to(orders::commit)))
        .service(command("/api/v1/orders/{order_id}/release").route(post().to(orders::release)))
        .service(query("/api/v1/orders/{order_id}").route(get().to(orders::show)).route(head().to(orders::show)))
        .service(
            both("/api/v1/transfers")
                .route(post().to(transfers::start))
                .route(get().to(transfers::list))
                .route(head().to(transfers::list)),
        )
        .service(command("/api/v1/transfers/{transfer_id}/receive").route(post().to(transfers::receive)))
        .service(command("/api/v1/transfers/{transfer_id}/cancel").route(post().to(transfers::cancel)))
        .service(
            query("/api/v1/transfers/{transfer_id}").route(get().to(transfers::show)).route(head().to(transfers::show)),
        )
        .service(command("/api/v1/batch").app_data(batch_body.clone()).route(post().to(batch::batch)))
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

/// A path that takes commands and answers questions.
fn both(path: &str) -> Resource {
    resource(path).default_service(web::to(|| async { not_allowed("GET, HEAD, POST") }))
}

fn not_allowed(allow: &'static str) -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed(allow))
}
