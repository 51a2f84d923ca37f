//! The ceiling of a read: actix-web answers a stock's level with the service's own bytes, and does nothing else.
//!
//! The route has the service's parameters, but every stock gets the answer of the first: what is missing to this
//! program's speed is what the service's read path costs.

use std::io;

use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use inventory_benches::flags::Flags;

const USAGE: &str = "\
Answers GET /api/v1/inventory/products/{product_id}/stores/{store_id} from memory.

Usage: bare_actix [--port 8081] [--workers 2]";

const REQUEST_ID: &str = "019a8f0e-7c3b-7d52-9e1a-5b6c7d8e9f00";

const LEVEL: &str = concat!(
    r#"{"product_id":"00000000-0000-4000-8000-000000000000","#,
    r#""store_id":"00000000-0000-4000-9000-000000000001","#,
    r#""available":1000000,"reserved":0,"total":1000000,"version":1}"#,
);

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = Flags::from_command_line(USAGE, &["--port", "--workers"]);
    let port: u16 = flags.value("--port", 8081);
    HttpServer::new(|| {
        App::new()
            .route("/health/ready", web::get().to(HttpResponse::Ok))
            .route("/api/v1/inventory/products/{product_id}/stores/{store_id}", web::get().to(level))
    })
    .workers(flags.value("--workers", 2))
    .shutdown_timeout(1)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}

async fn level() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header(("etag", r#""1""#))
        .insert_header(("age", "0"))
        .insert_header(("cache-status", "inventory; hit; ttl=29"))
        .insert_header(("cache-control", "private, no-cache"))
        .insert_header(("content-security-policy", "default-src 'none'; frame-ancestors 'none'"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("x-request-id", REQUEST_ID))
        .body(LEVEL)
}
