//! Serves HTTP until it is told to stop, then lets what is in work end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::Condition;
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;
use slog::{Logger, warn};
use tokio::time::{Instant, sleep};

use crate::access::Access;
use crate::composition::Services;
use crate::cross_origin::cross_origin;
use crate::event_stream::EventStreamSettings;
use crate::handlers::documents::Documents;
use crate::handlers::log_levels::AdminLog;
use crate::listeners::{ListenError, listeners, unavailable};
use crate::logging::request_lines::RequestLines;
use crate::request_context::{Around, with_request_id};
use crate::request_observer::RequestObserver;
use crate::routes::routes;
use crate::security_headers::with_security_headers;
use crate::settings::Settings;
use crate::unread_body::with_body_held;
use crate::wire::json_body::BodyLimit;

/// How often a stop looks whether the last request is answered.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How long the last answers get to leave their sockets.
const LAST_BYTES: Duration = Duration::from_millis(100);

/// Whether the node is going down, and how many requests are in work.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<DrainState>);

#[derive(Debug, Default)]
struct DrainState {
    is_draining: AtomicBool,
    in_work: AtomicUsize,
}

/// One request in work, until it is dropped.
#[derive(Debug)]
pub struct InWork(Arc<DrainState>);

impl Drain {
    /// Whether the node is going down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// How many requests are in work.
    #[must_use]
    pub fn in_work(&self) -> usize {
        self.0.in_work.load(Ordering::Relaxed)
    }

    /// Counts a request until the answer is dropped.
    #[must_use]
    pub fn enter(&self) -> InWork {
        self.0.in_work.fetch_add(1, Ordering::Relaxed);
        InWork(Arc::clone(&self.0))
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A server that listens: run it, and stop it by its handle.
pub struct Listening {
    /// Where it listens, in the order of what the host's name stands for.
    pub addresses: Vec<SocketAddr>,
    /// The work; it ends when the server has stopped.
    pub server: Server,
}

/// Listens where the settings say.
///
/// # Errors
///
/// When the address can't be had.
pub fn listen(
    settings: &Settings,
    services: &Services,
    access: &Arc<Access>,
    tls: Option<&ServerConfig>,
    log: &Logger,
) -> Result<Listening, ListenError> {
    let is_guarded = access.is_on() || settings.access.allow_open_network;
    let stream_access = web::Data::from(Arc::clone(access));
    let event_streams = web::Data::new(EventStreamSettings::of(&settings.events, log));
    let (cors, is_tls) = (settings.cors.clone(), tls.is_some());
    let log_settings = settings.log.clone();
    let settings = &settings.server;
    let commands = web::Data::new(services.commands.clone());
    let queries = web::Data::new(services.queries.clone());
    let history = web::Data::new(services.history.clone());
    let lists = web::Data::new(services.lists.clone());
    let projections = web::Data::new(services.projections.clone());
    let stock_lists = web::Data::new(services.stock_lists.clone());
    let health = web::Data::from(Arc::clone(&services.health));
    let documents = web::Data::new(Documents::new());
    let metrics = web::Data::from(Arc::clone(&services.metrics));
    let feed = web::Data::new(services.feed.clone());
    let body_wait = Duration::from_millis(settings.body_wait_ms_max);
    let body_limit = web::Data::new(BodyLimit { bytes_max: settings.body_bytes_max, wait_max: body_wait });
    let batch_body = web::Data::new(BodyLimit { bytes_max: settings.batch_body_bytes_max, wait_max: body_wait });
    let (log, drain, access) = (log.clone(), services.drain.clone(), Arc::clone(access));
    let telemetry = services.telemetry.clone();
    let levels = Arc::clone(&services.log_levels);
    let log_levels = web::Data::from(Arc::clone(&services.log_levels));
    let admin_log = web::Data::new(AdminLog(log.clone()));
    let mut server = HttpServer::new(move || {
        let (log, drain, telemetry) = (log.clone(), drain.clone(), telemetry.clone());
        let lines = RequestLines::new(&log_settings, &log, Arc::clone(&levels));
        let observer = Rc::new(RequestObserver::new(metrics.worker(), lines));
        let around = Around { log, drain, observer, door: access.door(), telemetry };
        App::new()
            .app_data(commands.clone())
            .app_data(queries.clone())
            .app_data(history.clone())
            .app_data(lists.clone())
            .app_data(projections.clone())
            .app_data(stock_lists.clone())
            .app_data(health.clone())
            .app_data(documents.clone())
            .app_data(metrics.clone())
            .app_data(feed.clone())
            .app_data(event_streams.clone())
            .app_data(stream_access.clone())
            .app_data(log_levels.clone())
            .app_data(admin_log.clone())
            .app_data(body_limit.clone())
            .configure(|config| routes(config, &batch_body))
            .wrap_fn(move |request, service| with_request_id(request, service, &around))
            .wrap(Condition::new(!cors.allowed_origins.is_empty(), cross_origin(&cors)))
            .wrap_fn(move |request, service| with_security_headers(request, service, is_tls))
            .wrap_fn(with_body_held)
    })
    .max_connections(settings.connections_max)
    .keep_alive(Duration::from_secs(settings.keep_alive_s))
    .client_request_timeout(Duration::from_millis(settings.head_wait_ms_max))
    .tls_handshake_timeout(Duration::from_millis(settings.tls_handshake_ms_max))
    .max_connection_rate(settings.tls_handshakes_max)
    .shutdown_timeout(settings.drain_s_max)
    .disable_signals();
    if settings.workers > 0 {
        server = server.workers(settings.workers);
    }
    for listener in listeners(settings, is_guarded)? {
        let listened = match tls {
            Some(config) => server.listen_rustls_0_23(listener, config.clone()),
            None => server.listen(listener),
        };
        server = listened.map_err(|source| unavailable(settings, source))?;
    }
    Ok(Listening { addresses: server.addrs(), server: server.run() })
}

/// Accepts no more, waits until what was accepted is answered (bounded), and stops the server.
pub async fn stop(server: &ServerHandle, drain: &Drain, longest: Duration, log: &Logger) {
    drain.0.is_draining.store(true, Ordering::Relaxed);
    server.pause().await;
    let end = Instant::now() + longest;
    while drain.in_work() > 0 {
        if Instant::now() >= end {
            warn!(log, "drain_gave_up"; "requests" => drain.in_work());
            break;
        }
        sleep(DRAIN_LOOK).await;
    }
    sleep(LAST_BYTES).await;
    server.stop(false).await; // Only idle connections are left, which would keep a graceful stop waiting.
}
