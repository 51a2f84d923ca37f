//! The service: HTTP, settings, logs, the command line, and the one place that wires adapters to ports.
//!
//! In reading order: [`settings`], [`composition`] (what stands behind which port), [`opened_store`], [`routes`] (the whole URL table),
//! [`handlers`], [`wire`] (the JSON shapes), [`problem`] (every error and its status), [`request_context`],
//! [`request_observer`] (what is taken down of each), [`unread_body`], [`access`] (who may do what), [`watched_files`] (keys that change), [`request_key`] (which requests are the same), [`query`] and [`cursor`] (parameters
//! and pages), [`event_stream`] (the log, live), [`openapi`] (the document), [`cache_headers`] (copies say so), [`security_headers`],
//! [`cross_origin`], [`tls`], [`listeners`], [`server`] (start and graceful stop), [`health`], [`metrics`], [`logging`], [`telemetry`] (traces),
//! [`command_line`], [`run`] (what each command does), [`remote`] (commands
//! that ask a running service), [`replay`], [`maintenance`] (export, import, backup, restore, verify),
//! [`progress`].

pub mod access;
pub mod cache_headers;
pub mod command_line;
pub mod composition;
pub mod cross_origin;
pub mod cursor;
pub mod event_stream;
pub mod handlers;
pub mod health;
pub mod listeners;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod moment;
pub mod openapi;
pub mod opened_store;
pub mod problem;
pub mod progress;
pub mod query;
pub mod remote;
pub mod replay;
pub mod request_context;
pub mod request_key;
pub mod request_observer;
pub mod routes;
pub mod run;
pub mod secret;
pub mod security_headers;
pub mod server;
pub mod settings;
pub mod system;
pub mod telemetry;
pub mod tls;
pub mod unread_body;
pub mod watched_files;
pub mod wire;
