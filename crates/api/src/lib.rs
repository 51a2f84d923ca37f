//! The service: HTTP, settings, logs, the command line, and the one place that wires adapters to ports.
//!
//! In reading order: [`settings`], [`composition`] (what stands behind which port), [`routes`] (the whole URL table),
//! [`handlers`], [`wire`] (the JSON shapes), [`problem`] (every error and its status), [`request_context`], [`server`]
//! (start and graceful stop), [`health`], [`logging`], [`command_line`], [`run`] (what each command does), [`replay`].

pub mod command_line;
pub mod composition;
pub mod handlers;
pub mod health;
pub mod logging;
pub mod moment;
pub mod problem;
pub mod replay;
pub mod request_context;
pub mod routes;
pub mod run;
pub mod server;
pub mod settings;
pub mod system;
pub mod wire;
