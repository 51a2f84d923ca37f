//! The commands of the command line that ask a running service, over its HTTP API.
//!
//! In reading order: [`connection`] (how it is reached), `named_certificates` (whom to trust), [`asking`] (one question, one answer), [`stock`], [`output`] (for people),
//! [`tail`] (events as they happen), [`sse`] (their grammar).

pub mod asking;
pub mod connection;
mod named_certificates;
pub mod output;
pub mod sse;
pub mod stock;
pub mod tail;

use std::io::{self, Write};

use serde_json::Value;
use thiserror::Error;

pub use self::asking::{Answer, Question};
pub use self::connection::{Connection, ConnectionError};

/// Why a question has no answer that can be shown.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The service can't be reached.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It has said no.
    #[error("{}", output::problem(.0))]
    Refused(Answer),
    /// It has said yes, but not in JSON, or not all of it.
    #[error("{}", output::no_json(.0))]
    NoJson(Answer),
    /// What it has said can't be written.
    #[error("the answer can't be written: {0}")]
    Output(#[from] io::Error),
}

/// Asks, and shows the answer: as it is, or for people.
///
/// # Errors
///
/// [`RemoteError`] says why there is nothing to show.
pub async fn ask(
    connection: &Connection,
    question: &Question,
    is_json: bool,
    out: &mut dyn Write,
) -> Result<(), RemoteError> {
    let answer = connection.ask(question).await?;
    if !answer.is_success() {
        return Err(RemoteError::Refused(answer));
    }
    if !answer.is_whole() {
        return Err(RemoteError::NoJson(answer));
    }
    show(&answer, is_json, out)
}

fn show(answer: &Answer, is_json: bool, out: &mut dyn Write) -> Result<(), RemoteError> {
    if is_json {
        out.write_all(&answer.body)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", output::table(&answer.json()))?;
    }
    Ok(())
}

/// Asks how the node is, and shows it; returns whether it serves.
///
/// # Errors
///
/// [`RemoteError`] when the service can't be reached, or says something else.
pub async fn health(connection: &Connection, is_json: bool, out: &mut dyn Write) -> Result<bool, RemoteError> {
    let answer = connection.ask(&Question::get("/health/ready")).await?;
    let is_report = matches!(answer.json().get("status"), Some(Value::String(_)));
    if !is_report {
        return Err(RemoteError::Refused(answer));
    }
    show(&answer, is_json, out)?;
    Ok(answer.is_success())
}
