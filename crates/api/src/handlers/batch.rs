//! Batches: many commands in one request, made durable by one commit.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::{Answer, Ask, Condition, HistoryQueries, Request};

use super::stock::{counted_then, set_then};
use super::writer::{Writer, no_query};
use crate::access::count_commands;
use crate::problem::Problem;
use crate::wire::batch::{BatchBody, BatchCommand, BatchRequest, ResultBody};
use crate::wire::json_body::RawJsonBody;

/// `POST /api/v1/batch`
///
/// # Errors
///
/// The problem that the batch as a whole has; the commands have their own in the results.
pub async fn batch(
    writer: Writer,
    request: HttpRequest,
    history: web::Data<HistoryQueries>,
    body: RawJsonBody,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    if writer.condition != Condition::None {
        return Err(Problem::invalid_field("If-Match", "must not be given with a batch, which has many versions"));
    }
    let batch = BatchRequest::parse(&body.0)?;
    count_commands(&request, batch.commands.len())?;
    let shared = Arc::new(writer.metadata(None));
    let mut results: Vec<Option<ResultBody>> = Vec::with_capacity(batch.commands.len());
    let (mut requests, mut asked) = (Vec::with_capacity(batch.commands.len()), Vec::new());
    for (place, written) in batch.commands.into_iter().enumerate() {
        let read = match BatchCommand::read(written, place, writer.key.as_ref()) {
            Ok(read) => counted_then(&history, read.stock_id, read.counted_at).await.map(|then| (read, then)),
            Err(problem) => Err(problem),
        };
        let (BatchCommand { stock_id, mut command, is_fresh, key, status, message, .. }, then) = match read {
            Ok(read) => read,
            Err(problem) => {
                results.push(Some(ResultBody::Refused(problem.body(Some(writer.request_id())))));
                continue;
            }
        };
        set_then(&mut command, then);
        let metadata = match &key {
            Some((key, _)) => Arc::new(writer.metadata(Some(key))),
            None => Arc::clone(&shared),
        };
        let key = key.map(|(key, hash)| key.for_request(writer.principal(), hash));
        let ask = Ask::Stock { stock_id, command, is_fresh };
        requests.push(Request { ask, condition: Condition::None, key, metadata });
        asked.push((place, stock_id, status, message));
        results.push(None);
    }
    let verdicts = writer.commands.send_all(requests).await?;
    for ((place, stock_id, status, message), verdict) in asked.into_iter().zip(verdicts) {
        results[place] = Some(match verdict {
            Ok(Answer::Stock(answer)) => ResultBody::granted(stock_id, status, answer, message),
            Ok(Answer::Order(_) | Answer::Transfer(_)) => {
                let problem = Problem::internal(std::io::Error::other("the answer is about something else"));
                ResultBody::Refused(problem.body(Some(writer.request_id())))
            }
            Err(error) => ResultBody::Refused(Problem::from(error).body(Some(writer.request_id()))),
        });
    }
    Ok(HttpResponse::Ok().json(BatchBody { results: results.into_iter().flatten().collect() }))
}
