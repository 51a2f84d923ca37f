//! The whole URL table.
//!
//! A route is its path, its handler and its description: what has none can't be added, so the OpenAPI document, which is made from
//! this table, tells of every route and of no other. The paths stand in the order in which a reader of the document should meet
//! them, and a request is matched from the top: what is asked most often stands first.

use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};

use crate::handlers::{
    batch, documents, events, health, history, log_levels, metrics, orders, projections, reservations, stock,
    stock_lists, transfers,
};
use crate::openapi::{Asked, Description, Method, tell};
use crate::problem::Problem;
use crate::request_context::nothing_here;
use crate::wire::json_body::BodyLimit;
use crate::wire::{
    AddStockRequest, AdjustStockRequest, CommitReservationRequest, ExtendReservationRequest, ReleaseReservationRequest,
    ReserveStockRequest,
};

/// Every path that the service serves.
#[must_use]
pub fn table() -> Vec<Path> {
    vec![
        path("/api/v1/inventory/stock")
            .post(stock::command::<AddStockRequest>, tell::stock::command::<AddStockRequest>),
        path("/api/v1/inventory/reserve")
            .post(stock::command::<ReserveStockRequest>, tell::stock::command::<ReserveStockRequest>),
        path("/api/v1/inventory/extend")
            .post(stock::command::<ExtendReservationRequest>, tell::stock::command::<ExtendReservationRequest>),
        path("/api/v1/inventory/commit")
            .post(stock::command::<CommitReservationRequest>, tell::stock::command::<CommitReservationRequest>),
        path("/api/v1/inventory/release")
            .post(stock::command::<ReleaseReservationRequest>, tell::stock::command::<ReleaseReservationRequest>),
        path("/api/v1/inventory/adjust")
            .post(stock::command::<AdjustStockRequest>, tell::stock::command::<AdjustStockRequest>),
        path("/api/v1/inventory/availability").post(stock::availability, tell::stock::availability),
        path("/api/v1/inventory/products/{product_id}/stores/{store_id}").get(stock::level, tell::stock::level),
        path("/api/v1/inventory/products/{product_id}").get(stock::product, tell::stock::product),
        path("/api/v1/inventory/products/{product_id}/stores/{store_id}/events")
            .get(history::events, tell::history::events),
        path("/api/v1/inventory/products/{product_id}/stores/{store_id}/explain")
            .get(history::explain, tell::history::explain),
        path("/api/v1/orders").post(orders::place, tell::orders::place).get(orders::list, tell::orders::list),
        path("/api/v1/orders/{order_id}/commit").post(orders::commit, tell::orders::commit),
        path("/api/v1/orders/{order_id}/release").post(orders::release, tell::orders::release),
        path("/api/v1/orders/{order_id}").get(orders::show, tell::orders::show),
        path("/api/v1/transfers")
            .post(transfers::start, tell::transfers::start)
            .get(transfers::list, tell::transfers::list),
        path("/api/v1/transfers/{transfer_id}/receive").post(transfers::receive, tell::transfers::receive),
        path("/api/v1/transfers/{transfer_id}/cancel").post(transfers::cancel, tell::transfers::cancel),
        path("/api/v1/transfers/{transfer_id}").get(transfers::show, tell::transfers::show),
        path("/api/v1/reservations").get(reservations::list, tell::reservations::list),
        path("/api/v1/reservations/{reservation_id}").get(reservations::show, tell::reservations::show),
        path("/api/v1/stores/{store_id}/stock").get(stock_lists::of_store, tell::stock_lists::of_store),
        path("/api/v1/stock").get(stock_lists::below, tell::stock_lists::below),
        path("/api/v1/events").get(events::list, tell::events::list),
        path("/api/v1/events/stream").get(events::stream, tell::events::stream),
        path("/api/v1/batch").with_large_body().post(batch::batch, tell::batch::batch),
        path("/health").get(health::live, tell::health::health),
        path("/health/live").get(health::live, tell::health::live),
        path("/health/ready").get(health::ready, tell::health::ready),
        path("/admin/projections").get(projections::list, tell::projections::list),
        path("/admin/projections/{name}").get(projections::show, tell::projections::show),
        path("/admin/projections/{name}/rebuild").post(projections::rebuild, tell::projections::rebuild),
        path("/admin/projections/{name}/resume").post(projections::resume, tell::projections::resume),
        path("/metrics").get(metrics::metrics, tell::metrics::metrics),
        path("/admin/log-levels")
            .get(log_levels::show, tell::log_levels::show)
            .put(log_levels::set, tell::log_levels::set)
            .delete(log_levels::reset, tell::log_levels::reset),
        path("/openapi.json").get(documents::openapi, tell::documents::openapi),
        path("/swagger").get(documents::swagger, tell::documents::swagger),
        path("/swagger/{file}").get(documents::swagger_file, tell::documents::swagger_file),
        path("/redoc").get(documents::redoc, tell::documents::redoc),
        path("/redoc/{file}").get(documents::redoc_file, tell::documents::redoc_file),
    ]
}

/// Serves the table; a batch may have another size than other bodies.
pub fn routes(config: &mut ServiceConfig, batch_body: &web::Data<BodyLimit>) {
    for path in table() {
        config.service(path.into_resource(batch_body));
    }
    config.default_service(web::to(nothing_here));
}

/// A path, and what may be asked of it.
pub struct Path {
    pattern: &'static str,
    resource: Resource,
    operations: Vec<(Method, Description)>,
    has_large_body: bool,
}

/// A path that nothing may be asked of yet.
fn path(pattern: &'static str) -> Path {
    Path { pattern, resource: web::resource(pattern), operations: Vec::new(), has_large_body: false }
}

impl Path {
    /// The path, with its variable parts in braces.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// What may be asked of it, as the document tells it; who may GET may HEAD.
    #[must_use]
    pub fn operations(&self) -> &[(Method, Description)] {
        &self.operations
    }

    /// The methods that it has, as `Allow` says them.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> = self.operations.iter().flat_map(|(method, _)| method.allowed()).copied().collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// GET and HEAD.
    fn get<H, A>(self, handler: H, description: fn() -> Description) -> Self
    where
        H: Handler<A, Output: Responder + 'static> + Clone,
        A: FromRequest + Asked + 'static,
    {
        let mut path = self.operation::<A>(Method::Get, description);
        path.resource = path.resource.route(web::head().to(handler.clone())).route(web::get().to(handler));
        path
    }

    /// POST.
    fn post<H, A>(self, handler: H, description: fn() -> Description) -> Self
    where
        H: Handler<A, Output: Responder + 'static>,
        A: FromRequest + Asked + 'static,
    {
        let mut path = self.operation::<A>(Method::Post, description);
        path.resource = path.resource.route(web::post().to(handler));
        path
    }

    /// PUT.
    fn put<H, A>(self, handler: H, description: fn() -> Description) -> Self
    where
        H: Handler<A, Output: Responder + 'static>,
        A: FromRequest + Asked + 'static,
    {
        let mut path = self.operation::<A>(Method::Put, description);
        path.resource = path.resource.route(web::put().to(handler));
        path
    }

    /// DELETE.
    fn delete<H, A>(self, handler: H, description: fn() -> Description) -> Self
    where
        H: Handler<A, Output: Responder + 'static>,
        A: FromRequest + Asked + 'static,
    {
        let mut path = self.operation::<A>(Method::Delete, description);
        path.resource = path.resource.route(web::delete().to(handler));
        path
    }

    /// The path, for bodies of the size of a batch.
    fn with_large_body(self) -> Self {
        Self { has_large_body: true, ..self }
    }

    fn operation<A: Asked>(mut self, method: Method, description: fn() -> Description) -> Self {
        self.operations.push((method, A::describe(description())));
        self
    }

    fn into_resource(self, batch_body: &web::Data<BodyLimit>) -> Resource {
        let allow = self.allow();
        let resource = if self.has_large_body { self.resource.app_data(batch_body.clone()) } else { self.resource };
        resource.default_service(web::to(move || {
            let problem = Problem::method_not_allowed(&allow);
            async { Err::<HttpResponse, _>(problem) }
        }))
    }
}
