//! The ceiling of a durable write: actix-web, one bounded channel, one thread that appends to an `SQLite` file by group
//! commit, and an answer after the commit. No rule is checked and nothing is read.
//!
//! What is missing to this program's speed is what the service adds: its rules, its loop, its read side.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{App, HttpResponse, HttpServer, web};
use inventory_benches::flags::Flags;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use event_table::{Appended, EventTable, Layout, NewEvent, Pragmas};

mod event_table;

const USAGE: &str = "\
Answers POST /api/v1/inventory/reserve when the request is a row on disk.

Usage: write_ceiling --data DIR [--port 8082] [--workers 2] [--layout unique|chain] [--pragmas default|tuned]

DIR must not hold an earlier run's log.";

/// How many requests may wait for the writer.
const QUEUE_MAX: usize = 8192;
/// How many requests share a transaction at most.
const BATCH_MAX: usize = 8192;
/// What each stock seems to hold, so that an answer is as long as the service's.
const UNITS: i64 = 1_000_000;
const EXPIRES_AT: &str = "2026-01-01T00:30:00.000Z";
const REQUEST_ID: &str = "019a8f0e-7c3b-7d52-9e1a-5b6c7d8e9f00";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReserveRequest {
    product_id: Uuid,
    store_id: Uuid,
    quantity: u32,
    customer_id: Uuid,
    ttl_minutes: Option<u16>,
}

#[derive(Serialize)]
struct ReserveAnswer {
    product_id: Uuid,
    store_id: Uuid,
    available: i64,
    reserved: i64,
    total: i64,
    version: i64,
    position: i64,
    reservation_id: Uuid,
    expires_at: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct StockReserved {
    reservation_id: Uuid,
    quantity: u32,
    customer_id: Uuid,
    ttl_minutes: u16,
}

/// A request on its way to the writer.
struct Waiting {
    /// Product and store.
    stock: (Uuid, Uuid),
    data: String,
    metadata: String,
    reply: oneshot::Sender<Appended>,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::from_command_line(USAGE, &["--port", "--data", "--workers", "--layout", "--pragmas"]);
    let port: u16 = flags.value("--port", 8082);
    let data: PathBuf = flags.value("--data", PathBuf::new());
    if data.as_os_str().is_empty() {
        return Err("--data is missing".into());
    }
    fs::create_dir_all(&data)?;
    let layout = flags.value("--layout", Layout::Unique);
    let table = EventTable::create(&data.join("events.db"), layout, flags.value("--pragmas", Pragmas::Default))?;

    let (queue, waiting) = mpsc::channel(QUEUE_MAX);
    let writer = thread::spawn(move || {
        if let Err(error) = write(table, waiting) {
            eprintln!("the writer has stopped: {error}");
            process::exit(1);
        }
    });
    let queue = web::Data::new(queue);
    HttpServer::new(move || {
        App::new()
            .app_data(queue.clone())
            .route("/health/ready", web::get().to(HttpResponse::Ok))
            .route("/api/v1/inventory/reserve", web::post().to(reserve))
    })
    .workers(flags.value("--workers", 2))
    .shutdown_timeout(1)
    .bind(("127.0.0.1", port))?
    .run()
    .await?;
    writer.join().map_err(|_| "the writer has panicked".into())
}

async fn reserve(queue: web::Data<mpsc::Sender<Waiting>>, body: web::Json<ReserveRequest>) -> HttpResponse {
    let ReserveRequest { product_id, store_id, quantity, customer_id, ttl_minutes } = body.into_inner();
    let reservation_id = Uuid::now_v7();
    let event = StockReserved { reservation_id, quantity, customer_id, ttl_minutes: ttl_minutes.unwrap_or(30) };
    let Ok(data) = serde_json::to_string(&event) else {
        return HttpResponse::InternalServerError().finish();
    };
    let metadata = format!(r#"{{"request_id":"{REQUEST_ID}","actor":"anonymous","schema":1}}"#);
    let (reply, appended) = oneshot::channel();
    if queue.try_send(Waiting { stock: (product_id, store_id), data, metadata, reply }).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let Ok(Appended { version, position }) = appended.await else {
        return HttpResponse::InternalServerError().finish();
    };
    HttpResponse::Created()
        .insert_header(("etag", format!("\"{version}\"")))
        .insert_header(("x-request-id", REQUEST_ID))
        .json(ReserveAnswer {
            product_id,
            store_id,
            available: UNITS - version,
            reserved: version,
            total: UNITS,
            version,
            position,
            reservation_id,
            expires_at: EXPIRES_AT,
            message: "Stock reserved successfully",
        })
}

/// Takes what waits, commits it at once, answers; ends when the server has gone.
fn write(mut table: EventTable, mut queue: mpsc::Receiver<Waiting>) -> Result<(), Box<dyn Error>> {
    let mut streams: HashMap<(Uuid, Uuid), u32> = HashMap::new();
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while queue.blocking_recv_many(&mut waiting, BATCH_MAX) > 0 {
        let (events, replies): (Vec<_>, Vec<_>) = waiting
            .drain(..)
            .map(|Waiting { stock, data, metadata, reply }| {
                let next = streams.len().try_into().unwrap_or(u32::MAX);
                let stream = *streams.entry(stock).or_insert(next);
                (NewEvent { stream, event_id: Uuid::now_v7(), data, metadata }, reply)
            })
            .unzip();
        let recorded_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
        let appended = table.append(recorded_at, &events)?;
        for (reply, appended) in replies.into_iter().zip(appended) {
            _ = reply.send(appended); // The client may have hung up.
        }
    }
    Ok(())
}
