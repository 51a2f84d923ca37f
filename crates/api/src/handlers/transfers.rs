//! Transfers between stores.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use inventory_application::ports::TransferFilter;
use inventory_application::{Ask, HistoryQueries, ListQueries, Position, TransferAnswer};
use inventory_domain::transfer::Command;
use inventory_domain::{ProductId, TransferId};
use uuid::Uuid;

use super::writer::{Writer, changed, no_query, path_uuid, shown};
use crate::cursor::Page;
use crate::problem::Problem;
use crate::query::{MIN_VERSION, QueryParameters};
use crate::wire::JsonBody;
use crate::wire::history::ListBody;
use crate::wire::json_body::OptionalJsonBody;
use crate::wire::orders::EmptyRequest;
use crate::wire::transfers::{ReceiveTransferRequest, STATES, StartTransferRequest, TransferBody, TransferChanged};

/// `POST /api/v1/transfers`
///
/// # Errors
///
/// The problem that says why nothing was sent.
pub async fn start(
    writer: Writer,
    request: HttpRequest,
    body: JsonBody<StartTransferRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        body.0.hash_into(hash);
    }
    let (transfer_id, start) = body.0.into_command(Uuid::now_v7)?;
    let ask = Ask::Transfer { transfer_id, command: Command::Start(start) };
    let request = writer.request(ask, hash);
    answered(StatusCode::CREATED, &writer.commands.send_transfer(request).await?, "Transfer started")
}

/// `POST /api/v1/transfers/{transfer_id}/receive`
///
/// # Errors
///
/// The problem that says why nothing was received.
pub async fn receive(
    writer: Writer,
    request: HttpRequest,
    body: OptionalJsonBody<ReceiveTransferRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let transfer_id = TransferId::new(path_uuid(&request, "transfer_id")?);
    let ask = Ask::Transfer { transfer_id, command: Command::Receive { quantity: body.0.quantity } };
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        hash.id(transfer_id.uuid());
        body.0.hash_into(hash);
    }
    let request = writer.request(ask, hash);
    answered(StatusCode::OK, &writer.commands.send_transfer(request).await?, "Transfer received")
}

/// `POST /api/v1/transfers/{transfer_id}/cancel`
///
/// # Errors
///
/// The problem that says why nothing was taken back.
pub async fn cancel(
    writer: Writer,
    request: HttpRequest,
    _: OptionalJsonBody<EmptyRequest>,
) -> Result<HttpResponse, Problem> {
    no_query(&request)?;
    let transfer_id = TransferId::new(path_uuid(&request, "transfer_id")?);
    let ask = Ask::Transfer { transfer_id, command: Command::Cancel };
    let mut hash = writer.hash(&request);
    if let Some(hash) = &mut hash {
        hash.id(transfer_id.uuid());
    }
    let request = writer.request(ask, hash);
    answered(StatusCode::OK, &writer.commands.send_transfer(request).await?, "Transfer cancelled")
}

fn answered(status: StatusCode, answer: &TransferAnswer, message: &'static str) -> Result<HttpResponse, Problem> {
    let body = TransferChanged::new(answer, message).ok_or_else(|| missing(answer.transfer_id))?;
    Ok(changed(status, answer.transfer.version(), answer.is_repeat, &body))
}

fn missing(transfer_id: TransferId) -> Problem {
    Problem::transfer_not_found(format!("there is no transfer {transfer_id}"))
}

/// `GET /api/v1/transfers/{transfer_id}`
///
/// # Errors
///
/// The problem that says why there is no transfer to show.
pub async fn show(request: HttpRequest, history: web::Data<HistoryQueries>) -> Result<HttpResponse, Problem> {
    let (_, wanted) = QueryParameters::of_question(&request, &[MIN_VERSION])?;
    let transfer_id = TransferId::new(path_uuid(&request, "transfer_id")?);
    let found = history.transfer(transfer_id, wanted).await?;
    let (transfer, _) = found.ok_or_else(|| missing(transfer_id))?;
    let body = TransferBody::new(transfer_id, &transfer).ok_or_else(|| missing(transfer_id))?;
    Ok(shown(&request, transfer.version(), None, &body))
}

/// `GET /api/v1/transfers`
///
/// # Errors
///
/// The problem that says why there is no list to show.
pub async fn list(request: HttpRequest, lists: web::Data<ListQueries>) -> Result<HttpResponse, Problem> {
    let (query, wanted) = QueryParameters::of_question(&request, &["product_id", "state", "limit", "cursor"])?;
    let (product, status) = (query.uuid("product_id")?, query.choice("state", &STATES)?);
    let page = Page::of(&query, &format!("transfers of {product:?} in {status:?}"))?;
    let filter = TransferFilter { product_id: product.map(ProductId::new), status };
    let found = lists.transfers(filter, page.after.unwrap_or(Position::START), page.limit, wanted).await?;
    let next_cursor = page.next_cursor(found.len(), found.last().map(|last| last.key));
    let items: Vec<_> = found.iter().filter_map(|one| TransferBody::new(one.id, &one.value)).collect();
    Ok(HttpResponse::Ok().json(ListBody { items, next_cursor }))
}
